//! The loop of one connection: a stream, a clock, and the engine between them.
//!
//! All state is here and none in a future, so that a future that polls a driver can be dropped at any time.

mod ahead;
mod behind;
mod input;
mod output;

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Endpoint, Event, Instant, Opened, Outcome, SendBuffer};

use crate::clock::{self, Alarm};
use crate::memory::{give_input, take_output};
use crate::wakers::Half;
use crate::{Ended, Parts, Replies};
use ahead::Ahead;
pub(crate) use ahead::part_of;
use behind::Behind;
pub(crate) use input::Input;

/// Output beyond this leaves even while there is input to look at first.
const HIGH_WATER: usize = 64 * 1024;

/// Reads in a row that all delivered something, after which deadlines and other tasks get their turn.
const MAX_READS: u8 = 32;

pub(crate) struct Driver<S> {
    pub(crate) stream: S,
    pub(crate) endpoint: Endpoint,
    pub(crate) out: SendBuffer,
    pub(crate) input: Input,
    pub(crate) ahead: Ahead,
    pub(crate) opened: Option<Box<Opened>>,
    alarm: Alarm,
    /// When the clock was looked at last.
    now: Instant,
    /// When a read was tried last.
    read_at: Instant,
    end: Option<Outcome>,
    /// Why the transport broke.
    cause: Option<Arc<io::Error>>,
    /// An event may be due without further input.
    due: bool,
    /// Nothing more can be read.
    read_closed: bool,
    /// Nothing more can be written.
    write_broken: bool,
    /// The stream may still hold what was written to it.
    unflushed: bool,
    /// The stream is behind, while there is a `send_timeout`.
    behind: Option<Box<Behind>>,
    /// It kept something for too long.
    is_stuck: bool,
    /// Until when the last frame may take to leave the stream, once the engine has no deadline any more.
    flush_until: Option<Instant>,
    /// The stream's write half is being shut down: nothing but that is left to do there.
    is_shutting_down: bool,
    /// The stream's write half was shut down.
    shut_down: bool,
    /// The application started the closing handshake before the peer did.
    closing: bool,
    /// Output left since this was cleared: who sends may wait for that.
    pub(crate) room: bool,
    /// Something came since this was cleared that who reads may wait for, or has to see to.
    pub(crate) news: bool,
    /// How many reads in a row delivered something.
    reads: u8,
}

impl<S> Driver<S> {
    pub(crate) fn new(parts: Parts<S>) -> Box<Self> {
        let Parts { stream, endpoint, input, output, received, outcome } = parts;
        let now = clock::now();
        Box::new(Self {
            stream,
            endpoint,
            out: output,
            input: Input::with_leftover(input),
            ahead: received.into(),
            opened: None,
            alarm: Alarm::default(),
            now,
            read_at: now,
            end: outcome,
            cause: None,
            due: true,
            read_closed: false,
            write_broken: false,
            unflushed: true,
            behind: None,
            is_stuck: false,
            flush_until: None,
            is_shutting_down: false,
            shut_down: false,
            closing: false,
            room: false,
            news: false,
            reads: 0,
        })
    }

    pub(crate) fn into_parts(self) -> Parts<S> {
        Parts {
            stream: self.stream,
            endpoint: self.endpoint,
            input: self.input.rest().to_vec(),
            output: self.out,
            received: self.ahead.into(),
            outcome: self.end,
        }
    }

    /// The opening handshake is done, and its deadline, which was far off, is not needed any more.
    pub(crate) fn handle_open(&mut self, opened: Box<Opened>) {
        self.opened = Some(opened);
        self.alarm.clear();
    }

    /// Returns how the connection ended, once it did.
    pub(crate) const fn outcome(&self) -> Option<&Outcome> {
        self.end.as_ref()
    }

    pub(crate) const fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Returns how the connection ended, or is about to since nothing can be written any more.
    #[cold]
    pub(crate) fn ended(&self) -> Ended {
        let outcome = self.end.clone().unwrap_or(Outcome::TransportLost);
        let io = matches!(outcome, Outcome::TransportLost).then(|| self.cause.clone()).flatten();
        Ended { outcome, io }
    }

    /// Shows the events at hand to `take`, until it returns something.
    #[inline]
    pub(crate) fn next_event<R>(
        &mut self,
        take: &mut impl FnMut(Event<'_>, &mut Replies<'_>) -> Option<R>,
    ) -> Option<R> {
        if !self.may_have_event() {
            return None;
        }
        loop {
            match next_event(&mut self.endpoint, self.now, &mut self.input) {
                None => {
                    self.due = false;
                    return None;
                }
                Some(Event::Closed(outcome)) => {
                    self.finish(outcome);
                    return None;
                }
                Some(event) => {
                    if self.out.capacity() == 0 {
                        self.out = take_output();
                    }
                    let taken = take(event, &mut Replies::new(&mut self.endpoint, &mut self.out));
                    if taken.is_some() {
                        return taken;
                    }
                }
            }
        }
    }

    /// Returns whether to look for events.
    #[inline]
    pub(crate) const fn may_have_event(&self) -> bool {
        !self.input.is_empty() || self.due
    }

    /// Returns the next event, like [`next_event`](Self::next_event). It lies in `input`, which was lent out.
    pub(crate) fn next_event_in<'i>(&mut self, input: &'i mut Input) -> Option<Event<'i>> {
        match next_event(&mut self.endpoint, self.now, input) {
            None => {
                self.due = false;
                None
            }
            Some(Event::Closed(outcome)) => {
                self.finish(outcome);
                None
            }
            event => event,
        }
    }

    /// The connection is over: nothing is kept that is of no use any more.
    #[cold]
    fn finish(&mut self, outcome: Outcome) {
        self.end = Some(self.outcome_of(outcome));
        self.due = false;
        self.behind = None;
        (self.room, self.news) = (true, true);
        self.input.clear();
        self.out = SendBuffer::new();
        self.alarm.clear();
    }

    /// Returns whether a step of `half` changed something that the other one may wait for.
    pub(crate) fn concerns_other(&mut self, half: Half) -> bool {
        let (room, news) = (mem::take(&mut self.room), mem::take(&mut self.news));
        match half {
            Half::Reader => room,
            Half::Writer => news,
        }
    }

    /// Returns the time as of the last look at the clock.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// Lets events be looked for, after a call to the endpoint that may bring one about.
    pub(crate) const fn expect_event(&mut self) {
        self.due = true;
    }

    /// Looks at the clock.
    #[inline]
    pub(crate) fn tell_time(&mut self) {
        self.now = clock::now();
    }

    /// Returns whether a deadline passed.
    #[inline]
    pub(crate) fn is_late(&self) -> bool {
        self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) || self.is_kept_too_long()
    }

    /// Acts on deadlines that passed, and returns whether there were any. What arrived in time is to be taken in before:
    /// if we are late, the peer need not be.
    #[inline]
    pub(crate) fn expire(&mut self) -> bool {
        let late = self.is_late();
        if late {
            self.expire_endpoint();
            if self.is_kept_too_long() {
                self.give_up_sending();
            }
        }
        late
    }

    /// Acts on deadlines of the engine that passed, and returns whether there were any.
    #[inline]
    fn expire_endpoint(&mut self) -> bool {
        let late = self.endpoint.poll_timeout().is_some_and(|at| at <= self.now);
        if late {
            self.endpoint.handle_timeout(self.now);
            self.due = true;
        }
        late
    }

    /// The engine is done, but its last frame may still be with the stream, such as in a TLS record: the end is told when it
    /// left, or cannot be waited for any longer. Returns until when to wait.
    #[cold]
    fn last_flush(&mut self) -> Option<Instant> {
        if !self.unflushed || self.write_broken {
            return None;
        }
        let timeout = self.endpoint.config().close_timeout;
        let until = *self.flush_until.get_or_insert(self.now + timeout);
        let until = self.kept_until().map_or(until, |at| until.min(at));
        (until > self.now).then_some(until)
    }

    /// The transport broke.
    #[cold]
    fn lose(&mut self, cause: Option<io::Error>) {
        if self.cause.is_none() {
            self.cause = cause.map(Arc::new);
        }
        self.read_closed = true;
        self.write_broken = true;
        self.behind = None;
        self.endpoint.handle_transport_lost(self.now);
        self.due = true;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Shows events to `take` until it returns something, and waits for more of them. `None`: the connection is
    /// over.
    #[inline]
    pub(crate) fn poll_event<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(Event<'_>, &mut Replies<'_>) -> Option<R>,
    ) -> Poll<Option<R>> {
        loop {
            if self.out.len() >= HIGH_WATER && !self.input.is_empty() {
                self.write(cx);
            }
            let taken = self.next_event(take);
            if taken.is_some() {
                return Poll::Ready(taken);
            }
            if self.is_ended() {
                self.shut_down(cx);
                return Poll::Ready(None);
            }
            ready!(self.poll_turn(cx, true));
        }
    }

    /// One turn of the loop: all output in one write, then one read if that is asked for, and deadlines once nothing is there
    /// to read, or many reads were not enough for all of it.
    ///
    /// Ready: there may be events. Pending: all that can be done is done, and the task is woken when there is
    /// more.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<()> {
        self.tell_time();
        self.write(cx);
        if self.due {
            return Poll::Ready(());
        }
        if read && !self.input.is_empty() {
            // The other half read since the caller looked.
            return Poll::Ready(());
        }
        if read && !self.read_closed {
            if self.reads >= MAX_READS {
                self.reads = 0;
                if self.expire() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.read(cx).is_ready() {
                return Poll::Ready(());
            }
            self.reads = 0;
        }
        if self.expire() {
            return Poll::Ready(());
        }
        if self.write_broken && (read || self.read_closed) && !self.endpoint.is_closed() {
            // What the peer said before the connection broke was read by now.
            self.lose(None);
            return Poll::Ready(());
        }
        let mut deadline = self.deadline();
        if self.endpoint.is_closed() {
            let Some(until) = self.last_flush() else {
                self.next_without_input();
                if !self.is_ended() {
                    // Handed over without its outcome.
                    self.finish(Outcome::Aborted);
                }
                return Poll::Ready(());
            };
            deadline = Some(until);
        }
        self.put_output_away();
        self.alarm.poll(cx, deadline, self.now)
    }

    /// Reads once. Ready: something came of it.
    #[inline]
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.read_at = self.now;
        let mut memory = self.input.take();
        loop {
            match Pin::new(&mut self.stream).poll_read(cx, &mut memory) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.reads += 1;
                    self.input.fill(memory, n);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    give_input(memory);
                    match result {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(_)) => {
                            self.read_closed = true;
                            self.endpoint.handle_eof(self.now);
                            self.due = true;
                        }
                        Poll::Ready(Err(error)) => self.lose(Some(error)),
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Returns the next event in `input` that concerns the application, or the end. The others are of the engine's
/// own doing, and what follows from them comes with the end.
#[inline]
fn next_event<'i>(endpoint: &mut Endpoint, now: Instant, input: &'i mut Input) -> Option<Event<'i>> {
    input.look(|chunk| {
        loop {
            match endpoint.poll_event(now, chunk)? {
                Event::Ping(_) | Event::Pong(_) | Event::Close(_) | Event::Failed(_) => {}
                event => return Some(event),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use ws_core::{Connection, Role};

    use super::*;

    /// Brings one byte a read.
    struct Readable;

    impl AsyncRead for Readable {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(1))
        }
    }

    impl AsyncWrite for Readable {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Between the look of a half that finds no input and its turn, the other half may read.
    #[test]
    fn input_that_is_there_is_not_read_over() {
        let connection = Connection::new(Role::Server, &Arc::default(), clock::now(), None);
        let mut parts = Parts::new(Readable, connection);
        parts.input = b"\x81\x85\0\0\0\0hello".to_vec();
        let mut driver = Driver::new(parts);
        driver.due = false;
        let cx = &mut Context::from_waker(core::task::Waker::noop());
        assert!(driver.poll_turn(cx, true).is_ready());
        assert_eq!(driver.input.rest().len(), 11, "as it was");
    }
}
