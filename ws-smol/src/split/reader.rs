use core::future::poll_fn;
use core::mem;
use core::task::{Context, Poll, ready};
use std::fmt;
use std::sync::{Arc, PoisonError};

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Outcome, Part};

use super::{Shared, Writer};
use crate::driver::{Driver, Input, part_of};
use crate::wakers::Half;
use crate::{Error, Message, MessageRef, TcpStream, WebSocket};

/// The half of a connection that receives, from [`WebSocket::split`].
///
/// As cancel-safe as the whole. Once it is dropped, messages that still come are dropped too.
pub struct Reader<S = TcpStream> {
    shared: Arc<Shared<S>>,
    /// Whole again: there is nothing to do on drop.
    whole: bool,
}

impl<S> Reader<S> {
    pub(super) const fn new(shared: Arc<Shared<S>>) -> Self {
        Self { shared, whole: false }
    }

    /// As [`WebSocket::outcome`].
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.lock().outcome().cloned()
    }

    /// Makes the connection whole again, if `writer` is its other half.
    ///
    /// # Errors
    /// Both halves as they were, if they are not of the same connection.
    pub fn join(mut self, writer: Writer<S>) -> Result<WebSocket<S>, (Self, Writer<S>)> {
        if !Arc::ptr_eq(&self.shared, writer.shared()) {
            return Err((self, writer));
        }
        self.whole = true;
        let shared = Arc::clone(&self.shared);
        drop((self, writer));
        let shared = Arc::into_inner(shared).expect("there are two halves and no more");
        Ok(WebSocket::over(shared.driver.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// As [`WebSocket::read`].
    ///
    /// # Errors
    /// As there.
    pub fn read(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
        self.read_ref(|message| message.into())
    }

    /// Waits for the next message and lends it to `take`, as [`WebSocket::read_ref`] does. Replies are for the
    /// other half, which can be used while `take` runs, and in it.
    ///
    /// # Errors
    /// As there.
    pub fn read_ref<R>(
        &mut self,
        take: impl FnOnce(MessageRef<'_>) -> R,
    ) -> impl Future<Output = Result<Option<R>, Error>> {
        let mut take = Some(take);
        poll_fn(move |cx| {
            self.poll_taken(cx, Driver::check_whole, &mut |part| {
                let take = take.take()?;
                Some(take(part.data))
            })
        })
    }

    /// As [`WebSocket::read_part`]. The other half can be used while `take` runs, and in it.
    ///
    /// # Errors
    /// As there.
    pub fn read_part<R>(
        &mut self,
        take: impl FnOnce(Part<'_>) -> R,
    ) -> impl Future<Output = Result<Option<R>, Error>> {
        let mut take = Some(take);
        poll_fn(move |cx| {
            self.poll_taken(cx, |_| Ok(()), &mut |part| {
                let take = take.take()?;
                Some(take(part))
            })
        })
    }

    fn poll_taken<R>(
        &self,
        cx: &Context<'_>,
        check: impl Fn(&Driver<S>) -> Result<(), Error>,
        take: &mut impl FnMut(Part<'_>) -> Option<R>,
    ) -> Poll<Result<Option<R>, Error>> {
        let mut cx = self.shared.tasks.enter(Half::Reader, cx);
        loop {
            if let Some(taken) = self.next_taken(&check, take)? {
                return Poll::Ready(Ok(Some(taken)));
            }
            let mut driver = self.shared.lock();
            if driver.is_ended() {
                driver.shut_down(&mut cx);
                return Poll::Ready(driver.end_of_messages());
            }
            let turn = driver.poll_turn(&mut cx, true);
            self.shared.end_step(Half::Reader, driver);
            ready!(turn);
        }
    }

    /// Shows the parts at hand to `take`, until it returns something.
    ///
    /// The lock is not held while `take` runs, so the input that a part lies in is taken out of it.
    fn next_taken<R>(
        &self,
        check: &impl Fn(&Driver<S>) -> Result<(), Error>,
        take: &mut impl FnMut(Part<'_>) -> Option<R>,
    ) -> Result<Option<R>, Error> {
        loop {
            let mut driver = self.shared.lock();
            check(&driver)?;
            if let Some(part) = driver.ahead.pop() {
                drop(driver);
                return Ok(take(part));
            }
            if !driver.may_have_event() {
                return Ok(None);
            }
            let mut loan = Loan { shared: &self.shared, input: driver.input.lend() };
            let event = driver.next_event_in(&mut loan.input);
            self.shared.end_step(Half::Reader, driver);
            let Some(event) = event else { return Ok(None) };
            if let Some(part) = part_of(event) {
                return Ok(take(part));
            }
        }
    }
}

/// Input that is put back when its use ends, however it does.
struct Loan<'a, S> {
    shared: &'a Shared<S>,
    input: Input,
}

impl<S> Drop for Loan<'_, S> {
    fn drop(&mut self) {
        let mut driver = self.shared.lock();
        mem::swap(&mut driver.input, &mut self.input);
        if driver.is_ended() {
            driver.input.clear();
        }
        drop(driver);
        if self.input.was_missed() {
            // It waits without having tried to read.
            self.shared.tasks.wake_other(Half::Reader);
        }
    }
}

impl<S> Drop for Reader<S> {
    fn drop(&mut self) {
        if !self.whole {
            self.shared.lock().ahead.refuse();
            // The other half may wait for room that comes only when more is read.
            self.shared.tasks.wake_other(Half::Reader);
        }
    }
}

impl<S> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("outcome", &self.outcome()).finish_non_exhaustive()
    }
}
