use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::LazyLock;
use std::time;

use async_io::Timer;
use ws_core::Instant;

static EPOCH: LazyLock<time::Instant> = LazyLock::new(time::Instant::now);

/// Returns the present on the clock that all connections of this crate are driven by: the monotonic one of the
/// operating system, counted from its first use here.
///
/// For an [`Endpoint`](ws_core::Endpoint) or [`Connection`](ws_core::Connection) that is made elsewhere and
/// handed to [`WebSocket::from_parts`](crate::WebSocket::from_parts).
#[must_use]
pub fn now() -> Instant {
    Instant::from_epoch(EPOCH.elapsed())
}

/// Wakes the task when a deadline passes.
///
/// Arming costs a turn of the reactor, so it is put off: a deadline that moved later, or went, leaves the timer
/// alone, and the early wake-up that follows finds out from the clock that nothing is due.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Box<Armed>>);

#[derive(Debug)]
struct Armed {
    timer: Timer,
    at: Instant,
    waker: Waker,
}

impl Alarm {
    /// Sees to it that the task is woken at `deadline`. Ready: it passed by `now`, or while arming.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>, now: Instant) -> Poll<()> {
        if self.0.as_ref().is_some_and(|armed| armed.at <= now) {
            self.0 = None;
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        if deadline <= now {
            return Poll::Ready(());
        }
        match &mut self.0 {
            Some(armed) if armed.at <= deadline && armed.waker.will_wake(cx.waker()) => Poll::Pending,
            Some(armed) => {
                armed.waker.clone_from(cx.waker());
                if deadline < armed.at {
                    armed.at = deadline;
                    armed.timer.set_at(std_instant(deadline));
                }
                Pin::new(&mut armed.timer).poll(cx).map(|_| ())
            }
            None => {
                let mut timer = Timer::at(std_instant(deadline));
                let passed = Pin::new(&mut timer).poll(cx).map(|_| ());
                self.0 = Some(Box::new(Armed { timer, at: deadline, waker: cx.waker().clone() }));
                passed
            }
        }
    }

    /// Gives up the timer and its memory.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

fn std_instant(at: Instant) -> time::Instant {
    *EPOCH + (at - Instant::EPOCH)
}
