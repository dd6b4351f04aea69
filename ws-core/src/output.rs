use core::mem;
use core::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::frame;

/// Bytes to write and not yet taken by the transport, owned by the writer.
///
/// Write what [`pending`](Self::pending) lends, then tell the connection how much the transport accepted with
/// `handle_transmitted`. Data leave in the order they were queued; a control frame that comes due while the
/// transport is behind goes out at the next frame boundary, before the data that wait.
///
/// Holds no memory until something is queued, and gives it back on [`release`](Self::release).
#[derive(Debug, Default)]
pub struct SendBuffer {
    data: BytesMut,
    /// Control frames that overtake `data`; empty unless the transport is behind.
    urgent: BytesMut,
    /// Bytes at the front of `data` that belong to a frame whose start the transport took already.
    boundary: usize,
    /// Where in `data` the [replies](Self::append_reply) lie that wait; empty once the transport is behind.
    replies: Range<usize>,
    /// The front of `urgent` was partly written: it must be finished first.
    urgent_begun: bool,
    /// The transport did not take all of it last time: what is in `data` waits.
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
        } else if self.urgent_begun || self.boundary == 0 {
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

    /// Returns the memory held, in bytes.
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
        self.data.reserve(header.len() + payload.len());
        self.data.extend_from_slice(header);
        self.data.extend_from_slice(payload);
    }

    /// Appends a frame whose payload is masked with `key`.
    #[inline]
    pub(crate) fn append_masked(&mut self, header: &[u8], payload: &[u8], key: [u8; 4]) {
        self.append(header, payload);
        let at = self.data.len() - payload.len();
        crate::mask::apply(&mut self.data[at..], key);
    }

    /// Queues bytes that are not frames, before anything else.
    pub(crate) fn append_opaque(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty());
        self.data.extend_from_slice(bytes);
        self.boundary = bytes.len();
    }

    /// Queues a control frame: before the data that wait, if the transport is behind.
    pub(crate) fn append_control(&mut self, frame: &[u8]) {
        if self.behind { &mut self.urgent } else { &mut self.data }.extend_from_slice(frame);
    }

    /// Queues a control frame that overtakes the data also if the transport gets behind only later.
    pub(crate) fn append_reply(&mut self, frame: &[u8]) {
        let start = self.data.len();
        self.append_control(frame);
        if !self.behind {
            debug_assert!(self.replies.is_empty() || self.replies.end == start, "replies wait one at a time");
            self.replies = if self.replies.is_empty() { start } else { self.replies.start }..self.data.len();
        }
    }

    /// Queues a control frame before all that waits.
    pub(crate) fn append_urgent(&mut self, frame: &[u8]) {
        self.urgent.extend_from_slice(frame);
    }

    /// Whether a reply waits for the transport, or another control frame that overtakes the data.
    pub(crate) fn is_reply_waiting(&self) -> bool {
        !self.urgent.is_empty() || !self.replies.is_empty()
    }

    /// Drops the data that wait because the transport is behind, from the next frame boundary on.
    pub(crate) fn drop_waiting_data(&mut self) {
        if self.behind {
            self.data.truncate(self.boundary);
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
            self.replies = 0..0;
            self.behind = false;
            return;
        }
        self.advance_partly(n);
    }

    #[cold]
    fn advance_partly(&mut self, n: usize) {
        assert!(n <= self.pending().len(), "more taken than was pending");
        if !self.urgent.is_empty() && (self.urgent_begun || self.boundary == 0) {
            self.urgent.advance(n);
            self.urgent_begun = !self.urgent.is_empty() && (self.urgent_begun || n > 0);
        } else {
            while self.boundary < n {
                // All that is not opaque was written by us frame by frame, so each header parses.
                let Some(len) = frame::own_frame_len(&self.data[self.boundary..]) else {
                    self.boundary = self.data.len();
                    break;
                };
                self.boundary += len;
            }
            self.hurry_replies();
            self.boundary -= n;
            self.data.advance(n);
        }
        self.behind = true;
        if self.urgent.is_empty() {
            self.urgent = BytesMut::new();
            self.behind = !self.data.is_empty();
        }
    }

    /// Moves the replies that lie behind the next frame boundary before the data that wait.
    fn hurry_replies(&mut self) {
        let Range { start, end } = mem::take(&mut self.replies);
        let start = start.max(self.boundary);
        if start < end {
            self.urgent.extend_from_slice(&self.data[start..end]);
            self.data.copy_within(end.., start);
            self.data.truncate(self.data.len() - (end - start));
        }
    }

    /// Takes the whole content out, for tests and for transports that take all at once.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        mem::take(self).into_bytes()
    }
}
