use core::mem;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::{frame, mask};

/// What memory for control frames is kept when they have left, in bytes: the engine's own fit.
const URGENT_KEPT: usize = 512;

/// Bytes to write and not yet taken by the transport, owned by the writer.
///
/// Write what [`pending`](Self::pending) lends, then tell the connection how much the transport accepted with
/// `handle_transmitted`; in between, do nothing else with the buffer. Data leave in the order they were queued;
/// Pings and Pongs go out at the next frame boundary, before the data that wait.
///
/// Holds no memory until something is queued, and gives it back on [`release`](Self::release).
#[derive(Debug, Default)]
pub struct SendBuffer {
    /// Whole frames, but for the front one, which may be partly written.
    data: BytesMut,
    /// Control frames, which overtake `data`.
    urgent: BytesMut,
    /// Bytes at the front of `data` that belong to a frame whose start the transport took already. While there are any, the
    /// front of `urgent` was not begun.
    boundary: usize,
    /// Bytes at the front of `urgent` up to the end of the last [reply](Self::append_reply).
    reply_end: usize,
    /// The transport did not take all that was lent last time: what is in `data` waits.
    behind: bool,
}

impl SendBuffer {
    /// Returns an empty buffer without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes to write next: all that can go in one piece. Empty if nothing is pending.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        if self.urgent.is_empty() {
            &self.data
        } else if self.boundary == 0 {
            &self.urgent
        } else {
            &self.data[..self.boundary]
        }
    }

    /// Returns the number of bytes that wait, control frames included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() + self.urgent.len()
    }

    /// Returns whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.urgent.is_empty()
    }

    /// Gives the memory back if nothing waits.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }

    /// Returns how many bytes the memory at hand has room for, those that wait included.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.data.capacity() + self.urgent.capacity()
    }

    /// Ends the use of the buffer and returns what was not sent, in the order it would have left.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.urgent.is_empty() {
            return self.data.freeze();
        }
        let mut all = BytesMut::with_capacity(self.len());
        while !self.is_empty() {
            let n = self.pending().len();
            all.extend_from_slice(self.pending());
            self.advance(n);
        }
        all.freeze()
    }

    /// Appends `parts`, together one frame (or bytes that are no frame, at the start of a connection).
    #[inline]
    pub(crate) fn append(&mut self, header: &[u8], payload: &[u8]) {
        reserve(&mut self.data, header.len() + payload.len());
        self.data.extend_from_slice(header);
        self.data.extend_from_slice(payload);
    }

    /// The same where the header's length is known when this is compiled, which spares a call.
    #[inline(always)]
    pub(crate) fn append_sized<const N: usize>(&mut self, header: [u8; N], payload: &[u8]) {
        reserve(&mut self.data, N + payload.len());
        self.data.extend_from_slice(&header);
        self.data.extend_from_slice(payload);
    }

    /// Appends a frame whose payload is masked with `key`.
    #[inline]
    pub(crate) fn append_masked(&mut self, header: &[u8], payload: &[u8], key: [u8; 4]) {
        self.append(header, payload);
        self.mask_last(payload.len(), key);
    }

    /// Masks the last `len` bytes, a payload.
    #[inline(always)]
    pub(crate) fn mask_last(&mut self, len: usize, key: [u8; 4]) {
        let at = self.data.len() - len;
        let payload = &mut self.data[at..];
        if payload.len() <= frame::MAX_CONTROL_LEN {
            mask::apply_short(payload, key);
        } else {
            mask::apply(payload, key);
        }
    }

    /// Queues bytes that are not frames, before anything else, of which nothing has left.
    pub(crate) fn append_opaque(&mut self, bytes: &[u8]) {
        self.boundary = bytes.len();
        if !self.data.is_empty() {
            self.data = [bytes, &self.data].concat().as_slice().into();
            return;
        }
        reserve(&mut self.data, bytes.len());
        self.data.extend_from_slice(bytes);
    }

    /// Queues a control frame, before the data.
    pub(crate) fn append_control(&mut self, frame: &[u8]) {
        reserve(&mut self.urgent, frame.len());
        self.urgent.extend_from_slice(frame);
    }

    /// Queues a control frame as [`append_control`](Self::append_control) does, and remembers that it waits.
    pub(crate) fn append_reply(&mut self, frame: &[u8]) {
        self.append_control(frame);
        self.reply_end = self.urgent.len();
    }

    /// Whether a reply waits for the transport.
    #[inline]
    pub(crate) const fn is_reply_waiting(&self) -> bool {
        self.reply_end > 0
    }

    /// Queues the last frame: behind the data, or instead of those that wait if the transport is behind.
    pub(crate) fn append_last(&mut self, frame: &[u8]) {
        if self.behind {
            self.data.truncate(self.boundary);
            self.append_control(frame);
        } else {
            self.append(frame, &[]);
        }
    }

    /// Takes off `n` bytes of what `pending` lent.
    ///
    /// # Panics
    /// If `n` exceeds the length of `pending`.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize) {
        if self.urgent.is_empty() && n == self.data.len() {
            // BytesMut keeps its memory for the next frame only if it is cleared, not advanced.
            self.data.clear();
            self.boundary = 0;
            self.behind = false;
            return;
        }
        self.advance_partly(n);
    }

    #[cold]
    fn advance_partly(&mut self, n: usize) {
        let lent = self.pending().len();
        assert!(n <= lent, "more taken than was pending");
        self.behind = n < lent;
        if self.urgent.is_empty() || self.boundary > 0 {
            while self.boundary < n {
                // All that is not opaque was written by us frame by frame, so each header parses.
                let Some(len) = frame::own_frame_len(&self.data[self.boundary..]) else {
                    self.boundary = self.data.len();
                    break;
                };
                self.boundary += len;
            }
            self.boundary -= n;
            self.data.advance(n);
        } else if n == lent {
            if self.urgent.capacity() > URGENT_KEPT {
                self.urgent = BytesMut::new();
            }
            self.urgent.clear();
            self.reply_end = 0;
        } else {
            self.urgent.advance(n);
            self.reply_end = self.reply_end.saturating_sub(n);
        }
    }

    /// Takes the whole content out, for tests and for transports that take all at once: then tell the connection with
    /// `handle_transmitted` that nothing is left, zero bytes of the empty buffer.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        mem::take(self).into_bytes()
    }
}

/// Makes room for `more` bytes, in memory of at most twice what waits then.
#[inline]
fn reserve(queue: &mut BytesMut, more: usize) {
    if queue.capacity() - queue.len() < more {
        grow(queue, more);
    }
}

#[cold]
fn grow(queue: &mut BytesMut, more: usize) {
    // `BytesMut::reserve` would grow with the bytes at the front that have left already.
    if queue.try_reclaim(more) {
        return;
    }
    let len = queue.len();
    let mut grown = BytesMut::with_capacity((len + more).max(2 * len));
    grown.extend_from_slice(queue);
    *queue = grown;
}
