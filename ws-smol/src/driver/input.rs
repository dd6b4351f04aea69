use core::mem;

use ws_core::Chunk;

use crate::memory::{READ_LEN, give_input, take_input};

/// What one read delivered and was not used yet.
#[derive(Default)]
pub(crate) struct Input {
    /// Holds `start..end`; `None` if that is empty, or was before the last event was looked at.
    memory: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// No event was looked for yet in what was read.
    fresh: bool,
    /// The input is with the reading half of a split connection, which looks at an event in it.
    away: bool,
    /// Meanwhile the writing half would have read.
    missed: bool,
}

impl Input {
    /// Starts with bytes that came before.
    pub(crate) fn with_leftover(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        let memory = (end > 0).then(|| bytes.into_boxed_slice());
        Self { memory, end, ..Self::default() }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the bytes not used yet.
    pub(crate) fn rest(&self) -> &[u8] {
        self.memory.as_deref().map_or(&[], |memory| &memory[self.start..self.end])
    }

    /// Shows the unused bytes to `look` as the chunk they came in.
    #[inline]
    pub(crate) fn look<'b, R>(&'b mut self, look: impl FnOnce(&mut Chunk<'b>) -> R) -> R {
        let memory = self.memory.as_deref_mut().unwrap_or_default();
        let mut chunk = match mem::take(&mut self.fresh) {
            // More than fits may have come at once, which is not the peer's doing.
            true if self.end == memory.len() => Chunk::cut(memory),
            true => Chunk::within(memory, self.end),
            false => Chunk::resumed(memory, self.start, self.end),
        };
        let result = look(&mut chunk);
        self.start = self.end - chunk.len();
        result
    }

    /// Takes the memory for a read, once nothing is left in it.
    #[inline]
    pub(crate) fn take(&mut self) -> Box<[u8]> {
        debug_assert!(self.is_empty());
        (self.start, self.end) = (0, 0);
        self.memory.take().filter(|memory| memory.len() == READ_LEN).unwrap_or_else(take_input)
    }

    /// Keeps the memory of [`take`](Self::take), in which a read left `n` bytes.
    #[inline]
    pub(crate) fn fill(&mut self, memory: Box<[u8]>, n: usize) {
        (self.start, self.end, self.fresh) = (0, n.min(memory.len()), true);
        self.memory = Some(memory);
    }

    /// Gives the input away, until it is put back in this place.
    pub(crate) fn lend(&mut self) -> Self {
        let mut place = Self::default();
        place.away = true;
        mem::replace(self, place)
    }

    /// Returns whether the input is not here, so that nothing can be read.
    pub(crate) const fn is_missed(&mut self) -> bool {
        self.missed |= self.away;
        self.away
    }

    /// Returns whether somebody waits for the input that was lent from this place.
    pub(crate) const fn was_missed(&self) -> bool {
        self.missed
    }

    /// Forgets what is there and gives the memory back.
    pub(crate) fn clear(&mut self) {
        if let Some(memory) = self.memory.take() {
            give_input(memory);
        }
        (self.start, self.end, self.fresh) = (0, 0, false);
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.clear();
    }
}
