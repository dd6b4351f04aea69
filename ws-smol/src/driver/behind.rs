use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Deadline, Instant, Outcome};

use super::Driver;

/// The stream is behind: it did not take all, or keeps some of what it took, such as a TLS record for which the socket has
/// no room.
///
/// How much it keeps only the stream knows. But it wakes who waits for it when it can go on, so when something left: it is
/// polled with a waker of its own, which remembers that it was called.
#[derive(Default)]
pub(super) struct Behind {
    /// When something of what it keeps left last, or when it was found to keep something.
    kept_since: Option<Instant>,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    is_found: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Behind {
    /// Returns the waker to poll the stream with, which wakes the task of `cx`.
    fn waker(&self, cx: &Context<'_>) -> Waker {
        let task = &mut *self.room.task.lock().unwrap_or_else(PoisonError::into_inner);
        match task {
            Some(task) => task.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        Waker::from(Arc::clone(&self.room))
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_found.store(true, Ordering::Release);
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
        Some(self.behind.as_ref()?.kept_since? + self.endpoint.config().send_timeout?)
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
    /// The stream did not take all, or keeps something of it.
    #[cold]
    pub(super) fn fall_behind(&mut self, cx: &Context<'_>, keeps: bool) {
        if self.endpoint.config().send_timeout.is_none() || self.is_shutting_down {
            return;
        }
        let is_new = self.behind.is_none();
        let behind = self.behind.get_or_insert_default();
        if keeps {
            behind.kept_since.get_or_insert(self.now);
        }
        if is_new {
            // It is to know the waker.
            self.write_behind(cx);
        }
    }

    /// Writes to a stream that is behind. Once time is up it is tried no more, unless it said that it has room: if we are
    /// late, it need not be. Gives the connection up when nothing of what the stream keeps left in time.
    #[cold]
    pub(super) fn catch_up(&mut self, cx: &Context<'_>) {
        let Some(behind) = &mut self.behind else { return };
        if behind.room.is_found.swap(false, Ordering::AcqRel) {
            behind.kept_since = behind.kept_since.map(|_| self.now);
        } else if self.kept_until().is_some_and(|at| at <= self.now) {
            // At the end it is no longer waited for, and the end is what it is.
            if !self.endpoint.is_closed() {
                self.behind = None;
                self.is_stuck = true;
                self.endpoint.abort();
                self.due = true;
            }
            return;
        } else if self.is_late() {
            return;
        }
        self.write_behind(cx);
    }

    fn write_behind(&mut self, cx: &Context<'_>) {
        let Some(behind) = &self.behind else { return };
        let waker = behind.waker(cx);
        self.write_all(&mut Context::from_waker(&waker));
        if (self.out.is_empty() && !self.unflushed) || self.is_shutting_down {
            self.behind = None;
        }
    }
}
