use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Deadline, Instant, Outcome};

use super::Driver;

/// The stream keeps some of what it took, such as a TLS record for which the socket has no room.
///
/// Only the stream knows how much that is. But it wakes who waits for it when it can go on, so when something left:
/// it is polled with a waker of its own, which remembers that it was called.
pub(super) struct Kept {
    /// When something left last, or the stream was found to keep something.
    since: Instant,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    is_made: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Kept {
    /// Returns the waker to poll the stream with, which wakes the task of `cx`.
    fn waker(&self, cx: &Context<'_>) -> Waker {
        let task = &mut *self.progress.task.lock().unwrap_or_else(PoisonError::into_inner);
        match task {
            Some(task) => task.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        Waker::from(Arc::clone(&self.progress))
    }
}

impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_made.store(true, Ordering::Release);
        // Woken outside of the lock: a waker may run anything.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<S> Driver<S> {
    /// Returns when what the stream keeps has to have left: within `send_timeout`, as all else.
    pub(super) fn kept_until(&self) -> Option<Instant> {
        let kept = self.kept.as_ref()?;
        Some(kept.since + self.endpoint.config().send_timeout?)
    }

    /// Returns the earliest deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.endpoint.poll_timeout(), self.kept_until()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Returns what the connection ends in for the application: the engine knows nothing of what the stream keeps.
    pub(super) fn outcome_of(&self, outcome: Outcome) -> Outcome {
        if self.is_stuck { Outcome::TimedOut(Deadline::Send) } else { outcome }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The stream did not pass all on.
    #[cold]
    pub(super) fn keep(&mut self, cx: &Context<'_>) {
        let is_timed = self.endpoint.config().send_timeout.is_some();
        if is_timed && self.kept.is_none() && !self.is_shutting_down {
            self.kept = Some(Box::new(Kept { since: self.now, progress: Arc::default() }));
            // It is to know the waker.
            self.write_kept(cx);
        }
    }

    /// Writes while the stream keeps something, and gives the connection up when nothing left for too long.
    #[cold]
    pub(super) fn write_kept(&mut self, cx: &Context<'_>) {
        let Some(kept) = &self.kept else { return };
        let waker = kept.waker(cx);
        self.write_all(&mut Context::from_waker(&waker));
        if !self.unflushed || self.is_shutting_down {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept
            && kept.progress.is_made.swap(false, Ordering::AcqRel)
        {
            kept.since = self.now;
        }
        // At the end it is no longer waited for, and the end is what it is.
        if self.kept_until().is_some_and(|at| at <= self.now) && !self.endpoint.is_closed() {
            self.kept = None;
            self.is_stuck = true;
            self.endpoint.abort();
            self.due = true;
        }
    }
}
