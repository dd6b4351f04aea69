//! Time on a processor: what others do on the machine meanwhile is not in it.

use core::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// This thread's time on a processor so far.
pub fn thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// This process's time on a processor so far, all threads together.
pub fn process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("these clocks start at zero")
}
