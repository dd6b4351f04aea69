use core::mem;
use core::task::{Context, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// Which of the two tasks that may use one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Reader,
    Writer,
}

/// Wakes the reading and the writing task of one connection.
///
/// A stream remembers one waker per direction, but here both tasks read and write. So the stream is given a waker
/// that wakes both: neither can take the other's place, nor keep it from being woken.
#[derive(Debug)]
pub(crate) struct Pair {
    tasks: Arc<Tasks>,
    both: Waker,
}

#[derive(Debug, Default)]
struct Tasks(Mutex<[Option<Waker>; 2]>);

impl Pair {
    pub(crate) fn new() -> Self {
        let tasks = Arc::new(Tasks::default());
        Self { both: Waker::from(Arc::clone(&tasks)), tasks }
    }

    /// Notes that `half` is polled by the task of `cx`, and returns the context to poll the stream with.
    pub(crate) fn enter(&self, half: Half, cx: &Context<'_>) -> Context<'_> {
        let slot = &mut self.tasks.lock()[half as usize];
        match slot {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *slot = Some(cx.waker().clone()),
        }
        Context::from_waker(&self.both)
    }

    /// Wakes the task of the other half, if it waits.
    pub(crate) fn wake_other(&self, half: Half) {
        let other = match half {
            Half::Reader => Half::Writer,
            Half::Writer => Half::Reader,
        };
        let waker = self.tasks.lock()[other as usize].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Woken outside of the lock: a waker may run anything.
        let wakers = mem::take(&mut *self.lock());
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}
