use alloc::vec::Vec;

use crate::{Chunk, Connection, Event, Instant};

/// Bytes that came while the application decided about a request; they precede all chunks that follow.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    bytes: Vec<u8>,
    /// Invariant: at most `bytes.len()`, and less unless both are 0.
    from: usize,
}

impl Parked {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.from
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the next event in the bytes; `None` when they are used up.
    pub(crate) fn poll_event(&mut self, now: Instant, connection: &mut Connection) -> Option<Event<'static>> {
        if self.is_empty() {
            return None;
        }
        let end = self.bytes.len();
        // Together they count as one arrival.
        let mut chunk = match self.from {
            0 => Chunk::new(&mut self.bytes),
            from => Chunk::resumed(&mut self.bytes, from, end),
        };
        let event = connection.poll_event(now, &mut chunk).map(Event::into_owned);
        self.from = end - chunk.len();
        if self.from == end {
            *self = Self::default();
        }
        event
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.drain(..self.from);
        self.bytes
    }
}
