//! Messages that are one frame and lie whole in the chunk: lent out of it, no copy made.

use alloc::borrow::Cow;

use super::Connection;
use super::timer::Timer;
use crate::frame::{EXTENDED, Header, MASK};
use crate::{Chunk, Config, Delivery, Event, Kind, Message, ProtocolError, Role, mask, utf8};

/// The header of a masked frame of at most 125 bytes.
const SHORT_HEADER_LEN: usize = 6;

impl Connection {
    /// Lends the next message if it is one short frame that lies whole in the chunk: what nearly all messages are.
    /// `None`: it is something else, and nothing happened; [`receive`](Self::receive) has all the rules.
    #[inline]
    pub(super) fn lend_short<'b>(
        &mut self,
        chunk: &mut Chunk<'b>,
    ) -> Option<Result<Message<'b>, ProtocolError>> {
        let &[first, second, k0, k1, k2, k3, ref rest @ ..] = chunk.rest() else { return None };
        // Without MASK the length comes out above 125.
        let len = second ^ MASK;
        // FIN and no reserved bit, text or binary.
        if !matches!(first, 0x81 | 0x82) || len >= self.lend_ends.short || rest.len() < usize::from(len) {
            return None;
        }
        chunk.skip(SHORT_HEADER_LEN);
        let payload = chunk.take(usize::from(len));
        mask::apply_short(payload, [k0, k1, k2, k3]);
        Some(lent(first, payload))
    }

    /// Does for lengths of 16 bits what [`lend_short`](Self::lend_short) does for those of 7.
    #[inline]
    pub(super) fn lend_extended<'b>(
        &mut self,
        chunk: &mut Chunk<'b>,
    ) -> Option<Result<Message<'b>, ProtocolError>> {
        let &[first, second, high, low, k0, k1, k2, k3, ref rest @ ..] = chunk.rest() else { return None };
        let len = u16::from_be_bytes([high, low]);
        if !matches!(first, 0x81 | 0x82)
            || second != MASK | EXTENDED
            || len < u16::from(EXTENDED)
            || len > self.lend_ends.extended
            || rest.len() < usize::from(len)
        {
            return None;
        }
        chunk.skip(SHORT_HEADER_LEN + 2);
        let payload = chunk.take(usize::from(len));
        mask::apply(payload, [k0, k1, k2, k3]);
        Some(lent(first, payload))
    }

    /// Lends a message that lies whole in the chunk.
    #[inline]
    pub(super) fn lend<'b>(
        &mut self,
        kind: Kind,
        header: Header,
        chunk: &mut Chunk<'b>,
    ) -> Result<Event<'b>, ProtocolError> {
        // The header may have been parked, in time that counts.
        self.timers.clear(Timer::Message);
        #[expect(clippy::cast_possible_truncation, reason = "not longer than the chunk")]
        let payload = chunk.take(header.len as usize);
        if let Some(key) = header.key {
            mask::apply(payload, key);
        }
        let payload = &*payload;
        Ok(Event::Message(match kind {
            Kind::Text => Message::Text(Cow::Borrowed(utf8::validate(payload)?)),
            Kind::Binary => Message::Binary(Cow::Borrowed(payload)),
        }))
    }
}

/// The message that an unmasked payload is, by the first byte of its header: FIN, and text or binary.
#[inline]
fn lent(first: u8, payload: &[u8]) -> Result<Message<'_>, ProtocolError> {
    Ok(if first == 0x81 {
        Message::Text(Cow::Borrowed(utf8::validate(payload)?))
    } else {
        Message::Binary(Cow::Borrowed(payload))
    })
}

/// Which payloads may be lent at once, by the settings.
#[derive(Debug)]
pub(super) struct LendEnds {
    /// For [`Connection::lend_short`]: those below this length.
    short: u8,
    /// For [`Connection::lend_extended`]: those up to this length.
    extended: u16,
}

impl LendEnds {
    pub(super) fn new(role: Role, config: &Config) -> Self {
        if role == Role::Client || config.delivery != Delivery::Messages {
            return Self { short: 0, extended: 0 };
        }
        let limit =
            config.max_frame_len.map_or(config.max_message_len, |max| max.min(config.max_message_len));
        let extended = u16::try_from(limit).unwrap_or(u16::MAX);
        let short = u8::try_from(limit).map_or(EXTENDED, |limit| limit.saturating_add(1).min(EXTENDED));
        Self { short, extended }
    }
}
