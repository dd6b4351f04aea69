use std::sync::OnceLock;
use std::time;

use ws_core::Instant;

/// Returns the time now, as all connections of this crate count it: monotonic, since one moment early in the
/// life of the program. What [`Parts`](crate::Parts) hands over goes by this clock.
#[must_use]
pub fn now() -> Instant {
    static EPOCH: OnceLock<time::Instant> = OnceLock::new();
    Instant::from_epoch(EPOCH.get_or_init(time::Instant::now).elapsed())
}
