use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;

use super::assembly::Assembly;
use super::{Connection, Timer};
use crate::chunk::Arrival;
use crate::close_payload::parse_close;
use crate::frame::{Header, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use crate::utf8::{self, Incomplete, InvalidUtf8};
use crate::{Chunk, Config, Delivery, Event, Instant, Kind, Message, Part, ProtocolError, Role, mask};

/// Frames becoming events: where we are in the peer's bytes, and what waits between chunks.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Payload bytes of this frame still to come.
    pub(super) remaining: u64,
    /// Payload bytes that the headers of this message announced.
    message_len: u64,
    /// What is assembled of a message that does not lie whole in one chunk.
    pub(super) assembly: Assembly,
    /// The payload of a control frame that is cut.
    control: Option<Box<CutControl>>,
    /// Frames of this message.
    fragments: u32,
    /// Counted chunks since the first byte of this message.
    chunks: u32,
    /// A header that is cut. Invariant: `parked[..parked_len]` is not a whole header.
    parked: [u8; MAX_HEADER_LEN],
    parked_len: u8,
    /// A code point of a text message that is cut.
    pub(super) incomplete: Incomplete,
    /// The masking key as it applies to the next payload byte.
    pub(super) key: Option<[u8; 4]>,
    inside: Inside,
    /// The message that is under way.
    pub(super) message: Option<Kind>,
    /// It is compressed.
    #[cfg(feature = "deflate")]
    pub(super) compressed: bool,
    /// No part of it was handed out.
    pub(super) first: bool,
    /// The chunk that is looked at counts.
    chunk_counts: bool,
}

/// Payload is unmasked, checked and appended in strides, so that it stays in the nearest cache from one to the
/// next; also, a long copy between unaligned places is slow on some processors. Divisible by 4, as the masking
/// key stays as it is from stride to stride.
const STRIDE_LEN: usize = 2048;

/// The header of a masked frame of at most 125 bytes.
const SHORT_HEADER_LEN: usize = 6;
const MASK: u8 = 0x80;
/// The 7-bit length that says that 16 bits of length follow.
const EXTENDED: u8 = 126;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    /// Before or in a header.
    #[default]
    Header,
    /// In the payload of a data frame.
    Data { fin: bool },
    /// In the payload of a data frame of a compressed message.
    #[cfg(feature = "deflate")]
    Compressed { fin: bool },
    /// In the payload of a control frame.
    Control(Opcode),
}

#[derive(Debug)]
struct CutControl {
    bytes: [u8; MAX_CONTROL_LEN],
    len: usize,
}

impl Receiver {
    /// Drops all that was received in part.
    pub(super) fn discard(&mut self) {
        *self = Self::default();
    }

    /// Whether a message has begun and not ended.
    const fn is_message_begun(&self) -> bool {
        self.message.is_some() || (self.parked_len > 0 && self.parked[0] & 0x8 == 0)
    }

    /// Whether a message or frame has begun and not ended.
    const fn is_midway(&self) -> bool {
        self.message.is_some() || self.parked_len > 0 || !matches!(self.inside, Inside::Header)
    }

    /// Counts the chunk in which a message begins.
    const fn begin_message(&mut self) {
        self.chunks = self.chunk_counts as u32;
    }

    /// Moves the key and the count over `n` bytes of payload.
    pub(super) const fn pass(&mut self, n: usize) {
        self.remaining -= n as u64;
        if let Some(key) = self.key {
            self.key = Some(mask::rotate(key, n));
        }
    }
}

impl Connection {
    /// Takes in that a chunk arrived.
    #[inline]
    pub(super) fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        if let Some(timeout) = self.config.idle_timeout
            && self.closing.is_open()
        {
            self.timers.set(Timer::Idle, now + timeout);
        }
        self.receiver.chunk_counts = match (arrival, self.config.counted_chunk_len) {
            (Arrival::Counted(len), Some(limit)) => len < limit,
            (Arrival::Counted(_), None) => true,
            (Arrival::Cut | Arrival::Seen, _) => false,
        };
        if self.receiver.chunk_counts && self.receiver.is_message_begun() {
            self.receiver.chunks = self.receiver.chunks.saturating_add(1);
        }
    }

    /// Lends the next message if it is one short frame that lies whole in the chunk: what nearly all messages are.
    /// `None`: it is something else, and nothing happened; [`receive`](Self::receive) has all the rules.
    #[inline]
    pub(super) fn lend_short<'b>(
        &mut self,
        chunk: &mut Chunk<'b>,
    ) -> Option<Result<Message<'b>, ProtocolError>> {
        if self.receiver.is_midway() {
            return None;
        }
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
        if self.receiver.is_midway() {
            return None;
        }
        let &[first, second, high, low, k0, k1, k2, k3, ref rest @ ..] = chunk.rest() else { return None };
        let len = u16::from_be_bytes([high, low]);
        if !matches!(first, 0x81 | 0x82)
            || second != MASK | EXTENDED
            || len < u16::from(EXTENDED)
            || u32::from(len) >= self.lend_ends.extended
            || rest.len() < usize::from(len)
        {
            return None;
        }
        chunk.skip(SHORT_HEADER_LEN + 2);
        let payload = chunk.take(usize::from(len));
        mask::apply(payload, [k0, k1, k2, k3]);
        Some(lent(first, payload))
    }

    /// Returns the next event. `None`: the chunk is used up.
    #[inline]
    pub(super) fn receive<'b>(
        &mut self,
        now: Instant,
        chunk: &mut Chunk<'b>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        loop {
            match self.receiver.inside {
                Inside::Header => {
                    let Some(header) = self.next_header(chunk)? else {
                        return self.handle_used_up(now);
                    };
                    if header.opcode.is_control() {
                        self.begin_control(header);
                    } else if let Some(kind) = self.begin_data(header, chunk.len())? {
                        return self.lend(kind, header, chunk).map(Some);
                    }
                }
                Inside::Data { fin } => {
                    if self.receiver.remaining > 0 && chunk.is_empty() {
                        return self.handle_used_up(now);
                    }
                    let message = match self.config.delivery {
                        Delivery::Messages => self.assemble(fin, chunk)?.map(Event::Message),
                        Delivery::Parts => self.next_part(fin, chunk)?.map(Event::Part),
                    };
                    if message.is_some() {
                        return Ok(message);
                    }
                }
                #[cfg(feature = "deflate")]
                Inside::Compressed { fin } => {
                    if self.receiver.remaining > 0 && chunk.is_empty() && !self.is_inflating() {
                        return self.handle_used_up(now);
                    }
                    if let Some(event) = self.inflate(fin, chunk)? {
                        return Ok(Some(event));
                    }
                }
                Inside::Control(opcode) => {
                    let Some(payload) = self.control_payload(chunk) else {
                        return self.handle_used_up(now);
                    };
                    if let Some(event) = self.handle_control(now, opcode, payload)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Reads the next header and checks it against the role and what was agreed on.
    #[inline]
    fn next_header(&mut self, chunk: &mut Chunk<'_>) -> Result<Option<Header>, ProtocolError> {
        let parsed = if self.receiver.parked_len == 0 {
            if self.receiver.message.is_none() {
                self.receiver.begin_message();
            }
            Header::parse_with(chunk.rest(), self.config.accept_non_minimal_lengths)?
        } else {
            self.parse_parked(chunk)?
        };
        let Some((header, len)) = parsed else {
            self.park(chunk);
            return Ok(None);
        };
        chunk.skip(len);
        if header.rsv != 0 && !self.may_compress(header) {
            return Err(ProtocolError::ReservedBits);
        }
        match (self.role(), header.key) {
            (Role::Server, None) if !self.config.accept_unmasked => Err(ProtocolError::Unmasked),
            (Role::Client, Some(_)) => Err(ProtocolError::Masked),
            _ => Ok(Some(header)),
        }
    }

    /// Whether the reserved bits of `header` say that its message is compressed, and it may be (RFC 7692, section 6).
    #[cold]
    fn may_compress(&self, header: Header) -> bool {
        #[cfg(feature = "deflate")]
        return header.rsv == crate::frame::COMPRESSED
            && matches!(header.opcode, Opcode::Text | Opcode::Binary)
            && self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        {
            let _ = header;
            false
        }
    }

    /// Reads a header whose start is parked; the length is what of it lies in the chunk.
    #[cold]
    fn parse_parked(&mut self, chunk: &Chunk<'_>) -> Result<Option<(Header, usize)>, ProtocolError> {
        let parked = usize::from(self.receiver.parked_len);
        let mut bytes = self.receiver.parked;
        let more = chunk.len().min(MAX_HEADER_LEN - parked);
        bytes[parked..parked + more].copy_from_slice(&chunk.rest()[..more]);
        let parsed = Header::parse_with(&bytes[..parked + more], self.config.accept_non_minimal_lengths)?;
        Ok(parsed.map(|(header, len)| {
            self.receiver.parked_len = 0;
            (header, len - parked)
        }))
    }

    /// Keeps the start of a header, all that is left of the chunk, for the next one.
    #[cold]
    fn park(&mut self, chunk: &mut Chunk<'_>) {
        if chunk.is_empty() {
            return;
        }
        let receiver = &mut self.receiver;
        let parked = usize::from(receiver.parked_len);
        // A header of 14 bytes parses, so what does not is shorter.
        receiver.parked[parked..parked + chunk.len()].copy_from_slice(chunk.rest());
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_HEADER_LEN - 1 bytes")]
        {
            receiver.parked_len += chunk.len() as u8;
        }
        chunk.skip_all();
    }

    /// Starts a data frame: checks order and limits (section 5.4). Returns the kind of message if the frame is
    /// one by itself and lies whole in the `available` bytes of the chunk, to be lent.
    #[inline]
    fn begin_data(&mut self, header: Header, available: usize) -> Result<Option<Kind>, ProtocolError> {
        let config = &*self.config;
        let receiver = &mut self.receiver;
        let kind = match (header.opcode, receiver.message) {
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Continuation, Some(kind)) => kind,
            (_, Some(_)) => return Err(ProtocolError::ExpectedContinuation),
            (Opcode::Text, None) => Kind::Text,
            (_, None) => Kind::Binary,
        };
        if config.max_frame_len.is_some_and(|max| header.len > max as u64) {
            return Err(ProtocolError::FrameTooLong);
        }
        if header.opcode != Opcode::Continuation && header.rsv == 0 {
            if header.len > config.max_message_len as u64 {
                return Err(ProtocolError::MessageTooLong);
            }
            if header.fin && header.len <= available as u64 && config.delivery == Delivery::Messages {
                return Ok(Some(kind));
            }
        }
        self.begin_fragment(header, kind)?;
        Ok(None)
    }

    /// Starts a frame whose message does not lie whole in the chunk, or is not to be delivered whole.
    fn begin_fragment(&mut self, header: Header, kind: Kind) -> Result<(), ProtocolError> {
        let receiver = &mut self.receiver;
        if receiver.message.is_none() {
            receiver.message = Some(kind);
            receiver.first = true;
            receiver.fragments = 0;
            receiver.message_len = 0;
            #[cfg(feature = "deflate")]
            {
                receiver.compressed = header.rsv != 0;
            }
            if self.config.delivery == Delivery::Messages {
                receiver.assembly.start(kind);
            }
        }
        receiver.fragments = receiver.fragments.saturating_add(1);
        // A message is one fragment at least, as it is when it is lent.
        if receiver.fragments > self.config.max_fragments.max(1) {
            return Err(ProtocolError::TooManyFragments);
        }
        receiver.message_len = receiver.message_len.saturating_add(header.len);
        #[cfg(feature = "deflate")]
        let (max, inside) = if receiver.compressed {
            (
                crate::deflate::max_deflated_len(self.config.max_message_len),
                Inside::Compressed { fin: header.fin },
            )
        } else {
            (self.config.max_message_len, Inside::Data { fin: header.fin })
        };
        #[cfg(not(feature = "deflate"))]
        let (max, inside) = (self.config.max_message_len, Inside::Data { fin: header.fin });
        if receiver.message_len > max as u64 {
            return Err(ProtocolError::MessageTooLong);
        }
        receiver.remaining = header.len;
        receiver.key = header.key;
        receiver.inside = inside;
        Ok(())
    }

    /// Lends a message that lies whole in the chunk.
    #[inline]
    fn lend<'b>(
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

    /// Unmasks what the chunk holds of the frame, where it lies, and returns how many bytes that is.
    fn unmask_available(&mut self, chunk: &mut Chunk<'_>) -> usize {
        let n = usize::try_from(self.receiver.remaining).unwrap_or(usize::MAX).min(chunk.len());
        if let Some(key) = self.receiver.key {
            mask::apply(&mut chunk.rest_mut()[..n], key);
        }
        n
    }

    /// Adds what the chunk holds of the frame to the message; returns the message when it is complete.
    fn assemble(
        &mut self,
        fin: bool,
        chunk: &mut Chunk<'_>,
    ) -> Result<Option<Message<'static>>, ProtocolError> {
        let receiver = &mut self.receiver;
        let n = usize::try_from(receiver.remaining).unwrap_or(usize::MAX).min(chunk.len());
        let (hint, declared) = if fin {
            (n, receiver.remaining)
        } else {
            (
                chunk.len(),
                (self.config.max_message_len as u64).saturating_sub(receiver.message_len)
                    + receiver.remaining,
            )
        };
        if n > 0 {
            receiver.assembly.reserve(n, hint, declared);
            for stride in chunk.rest_mut()[..n].chunks_mut(STRIDE_LEN) {
                if let Some(key) = receiver.key {
                    mask::apply(stride, key);
                }
                receiver.assembly.push(stride, &mut receiver.incomplete)?;
            }
            chunk.skip(n);
            receiver.pass(n);
        }
        if !self.end_frame(fin)? {
            return Ok(None);
        }
        Ok(Some(self.receiver.assembly.finish()))
    }

    /// Returns the next part of a message, if the chunk holds one.
    fn next_part<'b>(&mut self, fin: bool, chunk: &mut Chunk<'b>) -> Result<Option<Part<'b>>, ProtocolError> {
        let kind = self.receiver.message.unwrap_or(Kind::Binary);
        let data = if kind == Kind::Text && !self.receiver.incomplete.is_empty() {
            let point = self.complete_code_point(chunk)?;
            Message::Text(Cow::Owned(point.map(String::from).unwrap_or_default()))
        } else {
            let n = self.unmask_available(chunk);
            self.receiver.pass(n);
            let bytes = &*chunk.take(n);
            match kind {
                Kind::Text => Message::Text(Cow::Borrowed(self.receiver.incomplete.split(bytes)?)),
                Kind::Binary => Message::Binary(Cow::Borrowed(bytes)),
            }
        };
        let last = self.end_frame(fin)?;
        if data.as_bytes().is_empty() && !last {
            return Ok(None);
        }
        let first = core::mem::replace(&mut self.receiver.first, false);
        Ok(Some(Part { data, first, last }))
    }

    /// Takes the rest of a cut code point from the chunk.
    fn complete_code_point(&mut self, chunk: &mut Chunk<'_>) -> Result<Option<char>, ProtocolError> {
        let receiver = &mut self.receiver;
        let mut bytes = [0; 3];
        let n = usize::try_from(receiver.remaining).unwrap_or(usize::MAX).min(chunk.len()).min(bytes.len());
        bytes[..n].copy_from_slice(&chunk.rest()[..n]);
        if let Some(key) = receiver.key {
            mask::apply(&mut bytes[..n], key);
        }
        let (point, used) = receiver.incomplete.complete(&bytes[..n])?;
        chunk.skip(used);
        receiver.pass(used);
        Ok(point)
    }

    /// Ends the frame if all its payload came; returns whether that ends the message, which is then whole.
    pub(super) fn end_frame(&mut self, fin: bool) -> Result<bool, ProtocolError> {
        let receiver = &mut self.receiver;
        if receiver.remaining > 0 {
            return Ok(false);
        }
        receiver.inside = Inside::Header;
        if !fin {
            return Ok(false);
        }
        // 8.1: a text that ends inside a code point is not UTF-8.
        if !receiver.incomplete.is_empty() {
            return Err(ProtocolError::InvalidUtf8);
        }
        receiver.message = None;
        self.timers.clear(Timer::Message);
        Ok(true)
    }

    /// Starts a control frame.
    fn begin_control(&mut self, header: Header) {
        self.receiver.inside = Inside::Control(header.opcode);
        // A data frame is never open here: control frames come between frames (section 5.4).
        self.receiver.remaining = header.len;
        self.receiver.key = header.key;
    }

    /// Returns the payload of the control frame when it is complete.
    fn control_payload<'b>(&mut self, chunk: &mut Chunk<'b>) -> Option<Cow<'b, [u8]>> {
        let n = self.unmask_available(chunk);
        let receiver = &mut self.receiver;
        receiver.pass(n);
        let whole = receiver.remaining == 0;
        if whole {
            receiver.inside = Inside::Header;
            if receiver.control.is_none() {
                return Some(Cow::Borrowed(chunk.take(n)));
            }
        }
        if n > 0 || whole {
            let cut = receiver
                .control
                .get_or_insert_with(|| Box::new(CutControl { bytes: [0; MAX_CONTROL_LEN], len: 0 }));
            cut.bytes[cut.len..cut.len + n].copy_from_slice(&chunk.rest()[..n]);
            cut.len += n;
            chunk.skip(n);
        }
        if !whole {
            return None;
        }
        receiver.control.take().map(|cut| Cow::Owned(cut.bytes[..cut.len].to_vec()))
    }

    /// Acts on a control frame (section 5.5).
    fn handle_control<'b>(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: Cow<'b, [u8]>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if self.receiver.message.is_none() {
            self.timers.clear(Timer::Message);
        }
        let event = match opcode {
            Opcode::Ping => {
                self.pongs.push(&payload);
                Event::Ping(payload)
            }
            Opcode::Close => {
                let frame = parse_close(&payload)?;
                self.closing.handle_close(frame.as_ref().map(|frame| frame.code), self.role());
                self.stop_receiving(now);
                self.settle();
                return Ok(Some(Event::Close(frame)));
            }
            _ => {
                // 5.5.3: only the Pong that answers our keepalive Ping counts as its answer.
                if self.keepalive.awaited && *payload == self.keepalive.last.to_be_bytes() {
                    self.keepalive.awaited = false;
                    self.timers.clear(Timer::Pong);
                    if let Some(interval) = self.config.ping_interval {
                        self.timers.set(Timer::Ping, now + interval);
                    }
                }
                Event::Pong(payload)
            }
        };
        Ok(self.config.control_events.then_some(event))
    }

    /// The chunk is used up: what is incomplete now starts or keeps its deadline, and its chunks are limited.
    fn handle_used_up<'b>(&mut self, now: Instant) -> Result<Option<Event<'b>>, ProtocolError> {
        if !self.receiver.is_midway() {
            return Ok(None);
        }
        if let Some(timeout) = self.config.message_timeout
            && !self.timers.is_set(Timer::Message)
        {
            self.timers.set(Timer::Message, now + timeout);
        }
        if let Some(max) = self.config.max_message_chunks
            && self.receiver.is_message_begun()
            && self.receiver.chunks >= max.get()
        {
            return Err(ProtocolError::TooManyChunks);
        }
        Ok(None)
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

/// The lengths below which payloads may be lent at once, by the settings; 0 for none at all.
#[derive(Debug)]
pub(super) struct LendEnds {
    /// For [`Connection::lend_short`].
    short: u8,
    /// For [`Connection::lend_extended`].
    extended: u32,
}

impl LendEnds {
    pub(super) fn new(role: Role, config: &Config) -> Self {
        if role == Role::Client || config.delivery != Delivery::Messages {
            return Self { short: 0, extended: 0 };
        }
        let limit =
            config.max_frame_len.map_or(config.max_message_len, |max| max.min(config.max_message_len));
        let extended = u16::try_from(limit).map_or(1 << 16, |limit| u32::from(limit) + 1);
        #[expect(clippy::cast_possible_truncation, reason = "at most 126")]
        let short = extended.min(u32::from(EXTENDED)) as u8;
        Self { short, extended }
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}
