//! The two halves of a connection, for two tasks.

mod reader;
mod writer;

use core::task::Context;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::Driver;
use crate::wakers::{Half, Pair};
pub use reader::Reader;
pub use writer::Writer;

/// What both halves use.
struct Shared<S> {
    /// Locked for single steps, never across an await nor while the application's code runs.
    driver: Mutex<Box<Driver<S>>>,
    tasks: Pair,
}

pub(crate) fn split<S>(driver: Box<Driver<S>>) -> (Reader<S>, Writer<S>) {
    let shared = Arc::new(Shared { driver: Mutex::new(driver), tasks: Pair::new() });
    (Reader::new(Arc::clone(&shared)), Writer::new(shared))
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Box<Driver<S>>> {
        // If the stream's own code panicked, the protocol state is still as it was.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a step of `half`, and lets the other half know if it changed something.
    fn end_step(&self, half: Half, mut driver: MutexGuard<'_, Box<Driver<S>>>) {
        let concerned = driver.concerns_other(half);
        drop(driver);
        if concerned {
            self.tasks.wake_other(half);
        }
    }

    /// Takes one step of `half`. `step` gets the context to poll the stream with.
    fn step<R>(
        &self,
        half: Half,
        cx: &Context<'_>,
        step: impl FnOnce(&mut Driver<S>, &mut Context<'_>) -> R,
    ) -> R {
        let mut cx = self.tasks.enter(half, cx);
        let mut driver = self.lock();
        let result = step(&mut driver, &mut cx);
        self.end_step(half, driver);
        result
    }
}
