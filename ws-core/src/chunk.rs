use core::mem;

/// A chunk: the bytes that one read from the transport delivered, with a cursor over what is not used yet.
///
/// Give it to `poll_event` until that returns `None`; then every byte was taken in, and the memory is free
/// for the next read, of this or any other connection. The engine unmasks in place and lends payloads out
/// of the chunk, so events live as long as the chunk's memory and not longer.
///
/// One `Chunk` is one arrival for [`max_message_chunks`](crate::Config::max_message_chunks). Cloning is not
/// possible on purpose. To keep a half-used chunk aside, remember [`len`](Self::len) and go on later with
/// [`Chunk::resumed`] over the last `len` bytes.
#[derive(Debug)]
pub struct Chunk<'b> {
    /// Invariant: `start <= end <= bytes.len()`. Bytes before `start` are used up, those from `end` on are
    /// spare room that was not read into.
    bytes: &'b mut [u8],
    start: usize,
    end: usize,
    arrival: Arrival,
}

/// What the chunk still has to be accounted for when it is first looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A chunk of this many bytes came in.
    Counted(usize),
    /// Bytes came in, in a chunk that the caller's own buffer cut.
    Cut,
    /// Was accounted for already.
    Seen,
}

impl<'b> Chunk<'b> {
    /// Wraps the bytes that one read delivered.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        let len = bytes.len();
        Self::within(bytes, len)
    }

    /// Wraps the first `len` bytes of `buffer`; [`into_buffer`](Self::into_buffer) gives back all of it.
    ///
    /// # Panics
    /// If `len` exceeds the buffer's length.
    #[inline]
    #[must_use]
    pub const fn within(buffer: &'b mut [u8], len: usize) -> Self {
        assert!(len <= buffer.len());
        let arrival = if len == 0 { Arrival::Seen } else { Arrival::Counted(len) };
        Self { bytes: buffer, start: 0, end: len, arrival }
    }

    /// Wraps what one read delivered when it filled the caller's buffer to the brim: the peer may have sent
    /// more at once, so this chunk does not count against the peer, the one that follows does.
    #[inline]
    #[must_use]
    pub const fn cut(bytes: &'b mut [u8]) -> Self {
        let mut chunk = Self::new(bytes);
        if chunk.end > 0 {
            chunk.arrival = Arrival::Cut;
        }
        chunk
    }

    /// Wraps the rest of a chunk that was begun earlier: it is not another arrival. The memory is
    /// `buffer`, the unused bytes are `buffer[start..end]`.
    ///
    /// # Panics
    /// Unless `start <= end <= buffer.len()`.
    #[inline]
    #[must_use]
    pub const fn resumed(buffer: &'b mut [u8], start: usize, end: usize) -> Self {
        assert!(start <= end && end <= buffer.len());
        Self { bytes: buffer, start, end, arrival: Arrival::Seen }
    }

    /// Returns a chunk of no bytes: for `poll_event` after a timeout or the end of the stream.
    #[inline]
    #[must_use]
    pub const fn empty() -> Self {
        Self { bytes: &mut [], start: 0, end: 0, arrival: Arrival::Seen }
    }

    /// Returns the number of bytes not used yet.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Returns whether all bytes were used.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the bytes not used yet, such as what follows a handshake or the last frame.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Ends the use of the chunk and returns its memory for the next read: all of it, unless a payload was
    /// lent out of it, which then keeps what lies before its own end.
    #[inline]
    #[must_use]
    pub const fn into_buffer(self) -> &'b mut [u8] {
        self.bytes
    }

    /// Returns what is to be accounted for, once.
    #[inline]
    pub(crate) const fn arrival(&mut self) -> Arrival {
        mem::replace(&mut self.arrival, Arrival::Seen)
    }

    /// Puts back what is to be accounted for: the rest of the chunk goes to another reader.
    #[inline]
    pub(crate) const fn restore(&mut self, arrival: Arrival) {
        self.arrival = arrival;
    }

    #[inline]
    pub(crate) fn rest_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Passes over `n` bytes.
    #[inline]
    pub(crate) const fn skip(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n;
    }

    /// Passes over all bytes.
    #[inline]
    pub(crate) const fn skip_all(&mut self) {
        self.start = self.end;
    }

    /// Passes over the next `n` bytes and returns them for the lifetime of the memory.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> &'b mut [u8] {
        let (used, rest) = mem::take(&mut self.bytes).split_at_mut(self.start + n);
        self.bytes = rest;
        self.end -= self.start + n;
        let start = mem::replace(&mut self.start, 0);
        &mut used[start..]
    }
}
