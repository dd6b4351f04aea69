use std::collections::VecDeque;

use ws_core::Instant;

use super::{Rng, ms};

/// One direction of a transport in virtual time: it takes bytes as it likes, and delivers them in order, late,
/// and cut elsewhere.
pub(crate) struct Wire {
    rng: Rng,
    /// The longest way of a byte, in ms.
    latency: usize,
    /// How many bytes are on the way at most.
    capacity: usize,
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    len: usize,
    writable_at: Instant,
    stalled_until: Option<Option<Instant>>,
    /// How it ends for the reader, and from when.
    end: Option<(End, Instant)>,
    /// The reader was told of the end.
    is_over: bool,
    /// Nobody reads any more: what is written goes nowhere.
    is_void: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Reset,
}

/// What one read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    End(End),
}

impl Wire {
    pub(crate) fn new(rng: &mut Rng, now: Instant) -> Self {
        let mut rng = Rng::new(rng.next());
        Self {
            latency: *rng.pick(&[0, 2, 30]),
            capacity: *rng.pick(&[100, 300, 3000, 100_000]),
            rng,
            in_flight: VecDeque::new(),
            len: 0,
            writable_at: now,
            stalled_until: None,
            end: None,
            is_over: false,
            is_void: false,
        }
    }

    /// Takes some of `bytes`, perhaps none.
    pub(crate) fn write(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.is_void || self.end.is_some() {
            return bytes.len();
        }
        if now < self.writable_at {
            return 0;
        }
        let mut n = bytes.len().min(self.capacity.saturating_sub(self.len));
        if n > 1 && self.rng.one_in(3) {
            n = self.rng.between(1, n);
        }
        if n < bytes.len() {
            self.writable_at = now + ms(self.rng.between(1, 3) as u64);
        }
        self.push(now, &bytes[..n]);
        n
    }

    /// Puts bytes on the way, room or not.
    pub(crate) fn push(&mut self, now: Instant, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        let at = now + ms(self.rng.between(0, self.latency) as u64);
        // In order: not before what went ahead.
        let at = self.in_flight.back().map_or(at, |&(before, _)| at.max(before));
        self.in_flight.push_back((at, bytes.to_vec()));
    }

    /// Returns when a writer that was refused may try again, if ever.
    pub(crate) fn writable_at(&self) -> Option<Instant> {
        (self.len < self.capacity).then_some(self.writable_at)
    }

    /// Returns when [`read`](Self::read) will give something, if ever.
    pub(crate) fn readable_at(&self) -> Option<Instant> {
        if self.is_over || self.is_void {
            return None;
        }
        let at = self.in_flight.front().map(|&(at, _)| at).or_else(|| self.end.map(|(_, at)| at))?;
        self.stalled_until.map_or(Some(at), |until| until.map(|until| at.max(until)))
    }

    pub(crate) fn read(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Read> {
        if self.readable_at().is_none_or(|at| at > now) {
            return None;
        }
        let mut n = 0;
        while n < buffer.len()
            && let Some((at, bytes)) = self.in_flight.front_mut()
            && *at <= now
        {
            let some = bytes.len().min(buffer.len() - n);
            buffer[n..n + some].copy_from_slice(&bytes[..some]);
            n += some;
            if some < bytes.len() {
                bytes.drain(..some);
            } else {
                self.in_flight.pop_front();
            }
        }
        self.len -= n;
        if n > 0 {
            return Some(Read::Bytes(n));
        }
        self.is_over = true;
        self.end.map(|(end, _)| Read::End(end))
    }

    /// Delivers nothing until then, not even its end; `None`: for ever.
    pub(crate) fn stall(&mut self, until: Option<Instant>) {
        if self.stalled_until != Some(None) {
            self.stalled_until = Some(until);
        }
    }

    /// A stall for ever is over; what was on the way is lost.
    pub(crate) fn release(&mut self) {
        if self.stalled_until == Some(None) {
            self.stalled_until = None;
            self.in_flight.clear();
            self.len = 0;
        }
    }

    pub(crate) const fn narrow(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Ends for the reader: after what is on the way, or at once and without it.
    pub(crate) fn end(&mut self, now: Instant, end: End) {
        if self.end.is_some() {
            return;
        }
        if end == End::Reset {
            self.in_flight.clear();
            self.len = 0;
        }
        self.end = Some((end, self.in_flight.back().map_or(now, |&(at, _)| at)));
    }

    /// The reader is gone.
    pub(crate) fn forget(&mut self) {
        self.is_void = true;
        self.in_flight.clear();
        self.len = 0;
    }
}
