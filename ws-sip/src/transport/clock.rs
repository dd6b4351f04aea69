use ws_core::Instant;

/// The monotonic clock, counted from when the transport started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(std::time::Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn now(self) -> Instant {
        Instant::from_epoch(self.0.elapsed())
    }
}
