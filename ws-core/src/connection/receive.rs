use alloc::boxed::Box;

use super::assembly::Assembly;
use super::control::CutControl;
use super::{Connection, Timer};
use crate::chunk::Arrival;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode};
use crate::utf8::{Incomplete, InvalidUtf8};
use crate::{Chunk, Delivery, Event, Instant, Kind, ProtocolError, Role, mask};

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
    pub(super) control: Option<Box<CutControl>>,
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
    pub(super) inside: Inside,
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
const STRIDE_LEN: usize = 8192;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Inside {
    /// Between messages: nothing of one, nor of a control frame, is here.
    #[default]
    Nothing,
    /// In a header that is cut, or between the frames of a message.
    Header,
    /// In the payload of a data frame.
    Data { fin: bool },
    /// In the payload of a data frame of a compressed message.
    #[cfg(feature = "deflate")]
    Compressed { fin: bool },
    /// In the payload of a control frame.
    Control(Opcode),
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
    pub(super) const fn is_midway(&self) -> bool {
        !matches!(self.inside, Inside::Nothing)
    }

    /// Goes to where a frame may begin: between messages, or inside of one.
    pub(super) const fn leave_frame(&mut self) {
        self.inside = if self.message.is_some() { Inside::Header } else { Inside::Nothing };
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

    /// Returns the next event. `None`: the chunk is used up.
    #[inline]
    pub(super) fn receive<'b>(
        &mut self,
        now: Instant,
        chunk: &mut Chunk<'b>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        loop {
            match self.receiver.inside {
                Inside::Nothing | Inside::Header => {
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
                    if self.config.delivery == Delivery::Messages {
                        if self.assemble(fin, chunk)? {
                            return Ok(Some(Event::Message(self.receiver.assembly.finish())));
                        }
                    } else if let Some(part) = self.next_part(fin, chunk)? {
                        return Ok(Some(Event::Part(part)));
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
            self.receiver.leave_frame();
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
        receiver.inside = Inside::Header;
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

    /// Unmasks what the chunk holds of the frame, where it lies, and returns how many bytes that is.
    pub(super) fn unmask_available(&mut self, chunk: &mut Chunk<'_>) -> usize {
        let n = usize::try_from(self.receiver.remaining).unwrap_or(usize::MAX).min(chunk.len());
        if let Some(key) = self.receiver.key {
            mask::apply(&mut chunk.rest_mut()[..n], key);
        }
        n
    }

    /// Adds what the chunk holds of the frame to the message; returns whether it is complete.
    fn assemble(&mut self, fin: bool, chunk: &mut Chunk<'_>) -> Result<bool, ProtocolError> {
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
            if let (Assembly::Binary(data), Some(key)) = (&mut receiver.assembly, receiver.key) {
                mask::append(data, &chunk.rest()[..n], key);
            } else {
                for stride in chunk.rest_mut()[..n].chunks_mut(STRIDE_LEN) {
                    if let Some(key) = receiver.key {
                        mask::apply(stride, key);
                    }
                    receiver.assembly.push(stride, &mut receiver.incomplete)?;
                }
            }
            chunk.skip(n);
            receiver.pass(n);
        }
        self.end_frame(fin)
    }

    /// Ends the frame if all its payload came; returns whether that ends the message, which is then whole.
    pub(super) fn end_frame(&mut self, fin: bool) -> Result<bool, ProtocolError> {
        let receiver = &mut self.receiver;
        if receiver.remaining > 0 {
            return Ok(false);
        }
        if !fin {
            receiver.inside = Inside::Header;
            return Ok(false);
        }
        // 8.1: a text that ends inside a code point is not UTF-8.
        if !receiver.incomplete.is_empty() {
            return Err(ProtocolError::InvalidUtf8);
        }
        receiver.inside = Inside::Nothing;
        receiver.message = None;
        self.timers.clear(Timer::Message);
        Ok(true)
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

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}
