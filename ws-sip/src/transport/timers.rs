use core::cmp::Reverse;
use std::collections::BinaryHeap;

use ws_core::Instant;

/// Deadlines of many flows. Entries are not taken back: one that is no longer wanted is told by its flow, which
/// knows for when it is armed.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Instant, u64)>>);

impl Deadlines {
    /// Wakes `flow` at `at`.
    pub(super) fn arm(&mut self, at: Instant, flow: u64) {
        self.0.push(Reverse((at, flow)));
    }

    /// Returns the earliest entry's time.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes off an entry that is due.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(Instant, u64)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}
