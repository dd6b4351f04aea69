use core::mem;
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
/// polled with a waker of its own, which remembers that it was called. It also tells by taking something after it took
/// nothing; what it takes else says nothing, since it may keep any amount.
///
/// Each poll may move a little, so a stream that is polled at each send is not always found to have room by whoever wakes us,
/// nor to be full by us. So once half the time is up without a sign it is left alone until it wakes us.
#[derive(Default)]
pub(super) struct Behind {
    /// When something of what it keeps left last, or when it was found to keep something.
    kept_since: Option<Instant>,
    /// It takes nothing since then. The engine's deadline for that is as old.
    refused_since: Option<Instant>,
    /// It woke us, and is asked again if it takes nothing at first: rustls tells so of a buffer that was full before it
    /// passed some of that on.
    ask_again: bool,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    is_found: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Room {
    /// Wakes the task of `cx` from here on.
    fn enter(&self, cx: &Context<'_>) {
        let task = &mut *self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match task {
            Some(task) => task.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
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

    /// Returns whether nothing of what the stream keeps left in time. At the end it is no longer waited for, and the end is
    /// what it is.
    #[inline]
    pub(super) fn is_kept_too_long(&self) -> bool {
        self.behind.is_some()
            && self.kept_until().is_some_and(|at| at <= self.now)
            && !self.endpoint.is_closed()
    }

    /// Gives the connection up because what the stream keeps does not leave.
    #[cold]
    pub(super) fn give_up_sending(&mut self) {
        self.behind = None;
        self.is_stuck = true;
        self.endpoint.abort();
        self.due = true;
    }

    /// Returns whether the time is up for the stream to take something, or to let it leave. Other deadlines hold nothing back.
    pub(super) fn is_time_up(&self) -> bool {
        let (Some(behind), Some(timeout)) = (&self.behind, self.endpoint.config().send_timeout) else {
            return false;
        };
        let since = [behind.kept_since, behind.refused_since];
        since.into_iter().flatten().any(|since| since + timeout <= self.now)
    }

    /// Returns whether to wait for the stream to wake us.
    fn is_left_alone(&self) -> bool {
        let half = self.endpoint.config().send_timeout.unwrap_or_default() / 2;
        let since = self.behind.as_ref().and_then(|behind| behind.kept_since);
        since.is_some_and(|since| since + half <= self.now)
    }

    /// The stream took something.
    #[inline]
    pub(super) fn handle_taken(&mut self) {
        if let Some(behind) = &mut self.behind
            && behind.refused_since.take().is_some()
        {
            behind.kept_since = behind.kept_since.map(|_| self.now);
        }
    }

    /// The stream took nothing. Returns whether to ask it again at once.
    #[cold]
    pub(super) fn handle_refused(&mut self) -> bool {
        let Some(behind) = &mut self.behind else { return false };
        behind.refused_since.get_or_insert(self.now);
        mem::take(&mut behind.ask_again)
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
        match outcome {
            // What had come to a verdict before ends so.
            Outcome::Aborted if self.is_stuck => Outcome::TimedOut(Deadline::Send),
            outcome => outcome,
        }
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
    /// late, it need not be.
    #[cold]
    pub(super) fn catch_up(&mut self, cx: &Context<'_>) {
        let Some(behind) = &mut self.behind else { return };
        // Before it is looked at whether the other task was woken.
        behind.room.enter(cx);
        if behind.room.is_found.swap(false, Ordering::AcqRel) {
            behind.kept_since = behind.kept_since.map(|_| self.now);
            behind.ask_again = true;
        } else if self.is_time_up() || self.is_left_alone() {
            return;
        }
        self.write_behind(cx);
    }

    fn write_behind(&mut self, cx: &Context<'_>) {
        let Some(behind) = &self.behind else { return };
        behind.room.enter(cx);
        let waker = Waker::from(Arc::clone(&behind.room));
        self.write_all(&mut Context::from_waker(&waker));
        if let Some(behind) = &mut self.behind {
            behind.ask_again = false;
        }
        if (self.out.is_empty() && !self.unflushed) || self.is_shutting_down {
            self.behind = None;
        }
    }
}
