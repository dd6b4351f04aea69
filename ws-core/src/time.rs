use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time, counted in nanoseconds since an epoch of the caller's choice.
///
/// The engine reads no clock: each call that needs the time takes it as an argument. Use one epoch for
/// all calls on one connection (the moment the program or the connection started is a good one) and
/// a monotonic clock. Arithmetic saturates, so a deadline in the far future is just "never".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const EPOCH: Self = Self(0);
    /// Stands for "no deadline" in the timer table; no time that a caller can reach.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Returns the instant that lies `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the instant that lies `since_epoch` after the epoch.
    #[must_use]
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(saturating_nanos(since_epoch))
    }

    /// Returns the nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time that passed from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("never") } else { Duration::from_nanos(self.0).fmt(f) }
    }
}

const fn saturating_nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let late = Instant::from_nanos(u64::MAX - 1);
        assert_eq!(late + Duration::from_secs(9), Instant::NEVER);
        assert_eq!(Instant::EPOCH - late, Duration::ZERO);
        assert_eq!(Instant::from_epoch(Duration::MAX), Instant::NEVER);
        assert_eq!(
            Instant::EPOCH + Duration::from_nanos(3) - Instant::from_nanos(1),
            Duration::from_nanos(2)
        );
        assert_eq!((Instant::EPOCH + Duration::new(2, 3)).as_nanos(), 2_000_000_003);
    }
}
