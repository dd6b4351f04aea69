//! Lines on their way out: a thread writes them, so that whoever logs never waits for whoever reads.

use core::time::Duration;
use std::io::{ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What the thread keeps of a buffer that it wrote out.
const KEPT: usize = 64 << 10;

/// Lines that were taken, and what became of those before them.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Lines that could not be written, which is not told yet.
    lost: u64,
    /// The output ends within a line.
    is_cut: bool,
}

impl Batch {
    /// Writes the lines, and before and after them how many are missing there.
    fn write_to(
        &mut self,
        out: &mut impl Write,
        pause: impl Fn(),
        tell: impl Fn(u64) -> String,
        dropped_after: u64,
    ) {
        let lines = core::mem::take(&mut self.bytes);
        if self.lost > 0 {
            let begin = if self.is_cut { "\n" } else { "" };
            let told = format!("{begin}{}", tell(self.lost));
            if self.put(out, told.as_bytes(), &pause) == told.len() {
                self.lost = 0;
            }
        }
        // The count stands where they are missing: nothing comes before it.
        let written = if self.lost == 0 { self.put(out, &lines, &pause) } else { 0 };
        let left = lines[written..].iter().filter(|byte| **byte == b'\n').count();
        self.lost += u64::try_from(left).unwrap_or(u64::MAX);
        if dropped_after > 0 {
            let told = tell(dropped_after);
            if self.lost > 0 || self.put(out, told.as_bytes(), &pause) < told.len() {
                self.lost += dropped_after;
            }
        }
        self.bytes = lines;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }

    /// Writes bytes and returns how many of them the output took: all, unless it fails.
    fn put(&mut self, out: &mut impl Write, bytes: &[u8], pause: impl Fn()) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match out.write(&bytes[written..]) {
                Ok(n) if n > 0 => {
                    written += n;
                    self.is_cut = bytes[written - 1] != b'\n';
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another program that has the same output may have made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => pause(),
                _ => break,
            }
        }
        written
    }
}

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

    /// Waits for lines and writes them, then the line that `tell` makes of how many were dropped, if any were. What cannot be
    /// written is dropped as well, and told before the next that can. `pause` waits a little for an output that would block.
    /// `batch` is the same each time.
    pub(super) fn write_to(
        &self,
        out: &mut impl Write,
        batch: &mut Batch,
        pause: impl Fn(),
        tell: impl Fn(u64) -> String,
    ) {
        let waiting = self.more.wait_while(self.lock(), |waiting| waiting.is_empty());
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        core::mem::swap(&mut waiting.bytes, &mut batch.bytes);
        let dropped = core::mem::take(&mut waiting.dropped);
        waiting.is_writing = true;
        drop(waiting);
        batch.write_to(out, pause, tell, dropped);
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
    use std::collections::VecDeque;
    use std::io;

    use super::*;

    fn write(lines: &Lines) -> String {
        let mut out = Vec::new();
        write_to(lines, &mut out, &mut Batch::default());
        String::from_utf8(out).unwrap()
    }

    fn write_to(lines: &Lines, out: &mut impl Write, batch: &mut Batch) {
        lines.write_to(out, batch, || (), |dropped| format!("{dropped} dropped\n"));
    }

    /// Takes as much at a time as is told, or fails; all after that.
    #[derive(Default)]
    struct Scripted {
        turns: VecDeque<Result<usize, ErrorKind>>,
        taken: Vec<u8>,
    }

    impl Scripted {
        fn write(&mut self, lines: &Lines, batch: &mut Batch, turns: &[Result<usize, ErrorKind>]) -> String {
            self.turns.extend(turns);
            write_to(lines, self, batch);
            assert!(self.turns.is_empty(), "left: {:?}", self.turns);
            String::from_utf8(core::mem::take(&mut self.taken)).unwrap()
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = self.turns.pop_front().unwrap_or(Ok(bytes.len()))?;
            self.taken.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
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

    #[test]
    fn an_output_that_would_block_loses_nothing() {
        let lines = Lines::new(100);
        lines.push("one\n");
        lines.push("two\n");
        let turns =
            [Err(ErrorKind::WouldBlock), Ok(5), Err(ErrorKind::Interrupted), Err(ErrorKind::WouldBlock)];
        assert_eq!(Scripted::default().write(&lines, &mut Batch::default(), &turns), "one\ntwo\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_where_it_is_missing() {
        let (lines, mut out, mut batch) = (Lines::new(12), Scripted::default(), Batch::default());
        let full = Err(ErrorKind::StorageFull);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            lines.push(line);
        }
        assert_eq!(out.write(&lines, &mut batch, &[Ok(5), full]), "one\nt");
        lines.push("five\n");
        assert_eq!(out.write(&lines, &mut batch, &[full]), "", "still full");
        lines.push("six\n");
        assert_eq!(out.write(&lines, &mut batch, &[Ok(3), full]), "\n4 ", "the count itself is cut");
        lines.push("seven\n");
        assert_eq!(out.write(&lines, &mut batch, &[]), "\n5 dropped\nseven\n");
        lines.push("eight\n");
        assert_eq!(out.write(&lines, &mut batch, &[full]), "");
        lines.push("nine\n");
        assert_eq!(out.write(&lines, &mut batch, &[]), "1 dropped\nnine\n", "no line was cut");
    }
}
