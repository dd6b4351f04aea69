//! Lines on their way out: a thread writes them, so that whoever logs never waits for whoever reads.

use core::time::Duration;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What the thread keeps of a buffer that it wrote out.
const KEPT: usize = 64 << 10;

/// A bounded queue of lines, in their order.
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    more: Condvar,
    written: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that came after these, and found no room.
    dropped: u64,
    /// The thread has taken some, and they are not out yet.
    is_writing: bool,
}

impl Waiting {
    const fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.dropped == 0
    }
}

impl Lines {
    /// Of what waits there are `max_bytes` at most, and as much again is being written.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), more: Condvar::new(), written: Condvar::new(), max_bytes }
    }

    /// Adds a line; it is dropped and counted when there is no room for it.
    pub(super) fn push(&self, line: &str) {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        // After one that was dropped none is taken, however short: the count stands where they are missing.
        if waiting.dropped == 0 && waiting.bytes.len() + line.len() <= self.max_bytes {
            waiting.bytes.extend_from_slice(line.as_bytes());
        } else {
            waiting.dropped += 1;
        }
        drop(waiting);
        if was_empty {
            self.more.notify_one();
        }
    }

    /// Waits for lines and writes them, then the line that `tell` makes of how many were dropped, if any were. `batch` is
    /// empty memory to use again.
    pub(super) fn write_to(&self, out: &mut impl Write, batch: &mut Vec<u8>, tell: impl Fn(u64) -> String) {
        let waiting = self.more.wait_while(self.lock(), |waiting| waiting.is_empty());
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        core::mem::swap(&mut waiting.bytes, batch);
        let dropped = core::mem::take(&mut waiting.dropped);
        waiting.is_writing = true;
        drop(waiting);
        if dropped > 0 {
            batch.extend_from_slice(tell(dropped).as_bytes());
        }
        // Where the reader is gone there is nobody to tell.
        let _ = out.write_all(batch);
        batch.clear();
        batch.shrink_to(KEPT);
        self.lock().is_writing = false;
        self.written.notify_all();
    }

    /// Waits until all is written, at most for `timeout`; returns whether it is.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let is_left = |waiting: &mut Waiting| !waiting.is_empty() || waiting.is_writing;
        let waited = self.written.wait_timeout_while(self.lock(), timeout, is_left);
        let timeout = waited.unwrap_or_else(PoisonError::into_inner).1;
        !timeout.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(lines: &Lines) -> String {
        let mut out = Vec::new();
        lines.write_to(&mut out, &mut Vec::new(), |dropped| format!("{dropped} dropped\n"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn all_that_waits_is_written_in_its_order() {
        let lines = Lines::new(100);
        lines.push("one\n");
        lines.push("two\n");
        assert!(!lines.flush(Duration::ZERO), "it waits still");
        assert_eq!(write(&lines), "one\ntwo\n");
        assert!(lines.flush(Duration::ZERO));
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let lines = Lines::new(8);
        for line in ["one\n", "three\n", "4\n", "5\n"] {
            lines.push(line);
        }
        assert_eq!(write(&lines), "one\n3 dropped\n");
        lines.push("six\n");
        assert_eq!(write(&lines), "six\n", "there is room again, and nothing more to tell");
        lines.push("longer than it can be\n");
        assert_eq!(write(&lines), "1 dropped\n");
    }
}
