use crate::{Deadline, Instant};

/// What a deadline of an open connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Timer {
    /// An incomplete message or frame.
    Message,
    /// No byte received.
    Idle,
    /// A keepalive Ping is due.
    Ping,
    /// Its Pong is overdue.
    Pong,
    /// The end of the TCP connection is overdue.
    Close,
    /// Output waits and the transport takes none.
    Send,
}

impl Timer {
    const ALL: [Self; 6] = [Self::Message, Self::Idle, Self::Ping, Self::Pong, Self::Close, Self::Send];

    /// Returns the deadline that the outcome names.
    pub(super) const fn deadline(self) -> Deadline {
        match self {
            Self::Message => Deadline::Message,
            Self::Idle => Deadline::Idle,
            Self::Ping | Self::Pong => Deadline::Pong,
            Self::Close => Deadline::ClosingHandshake,
            Self::Send => Deadline::Send,
        }
    }
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Timers([Instant; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Instant::NEVER; Timer::ALL.len()])
    }

    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    pub(super) const fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = Instant::NEVER;
    }

    pub(super) const fn set_or_clear(&mut self, timer: Timer, at: Option<Instant>) {
        self.0[timer as usize] = match at {
            Some(at) => at,
            None => Instant::NEVER,
        };
    }

    pub(super) const fn clear_all(&mut self) {
        self.0 = [Instant::NEVER; Timer::ALL.len()];
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != Instant::NEVER
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        let earliest = self.0.iter().copied().min().unwrap_or(Instant::NEVER);
        (earliest != Instant::NEVER).then_some(earliest)
    }

    /// Clears and returns the deadline that passed first, if one did.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().min_by_key(|&timer| self.0[timer as usize])?;
        if self.0[timer as usize] > now || !self.is_set(timer) {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_expire_in_their_order_and_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        assert_eq!(timers.expire(Instant::NEVER), None);
        timers.set(Timer::Idle, Instant::from_nanos(20));
        timers.set(Timer::Close, Instant::from_nanos(10));
        assert_eq!(timers.next(), Some(Instant::from_nanos(10)));
        assert_eq!(timers.expire(Instant::from_nanos(9)), None);
        assert_eq!(timers.expire(Instant::from_nanos(20)), Some(Timer::Close));
        assert_eq!(timers.expire(Instant::from_nanos(20)), Some(Timer::Idle));
        assert_eq!(timers.expire(Instant::from_nanos(20)), None);
        timers.set(Timer::Send, Instant::EPOCH);
        timers.clear_all();
        assert!(!timers.is_set(Timer::Send));
    }
}
