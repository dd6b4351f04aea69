//! The loop, the clock and the socket: one connection, used by up to two threads at once.
//!
//! All state lies under one lock, which is held for single steps and never while a thread waits for the
//! transport. Who reads takes the [`Input`] out of the state, which tells every other thread that somebody does.
//! Who writes takes the `SendBuffer` out for the one write, which does not wait. So
//! - frames never interleave: they are queued whole, under the lock, and written in order;
//! - a reader never waits for a writer: if the output is out, what it caused to be sent stays in the endpoint, and
//!   the writer, which looks there before it is done, sends it next;
//! - a writer that waits for room takes in what arrives meanwhile, if nobody else reads: two peers that both
//!   write before they read do not wait for each other for ever.

mod calls;
mod inbox;
mod input;
mod opening;
mod read;
mod write;

use core::mem;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ws_core::{Chunk, Deadline, Delivery, Endpoint, Event, Instant, Outcome, SendBuffer};

use crate::{Ended, Error, Interest, Parts, Transport, clock};
use inbox::Inbox;
use input::Input;

type Guard<'a> = MutexGuard<'a, State>;

#[derive(Debug)]
pub(crate) struct Driver<S> {
    stream: S,
    delivery: Delivery,
    state: Mutex<State>,
    /// Signalled when something was received, put back or ended, if a thread waits for that.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    endpoint: Endpoint,
    /// What is to be sent; with the thread that writes while one does.
    output: SendBuffer,
    writing: bool,
    /// `None` while a thread reads.
    input: Option<Input>,
    inbox: Inbox,
    /// The clock, as it was when a call began or a wait ended, whatever was later.
    now: Instant,
    /// When we last looked whether something arrived.
    looked: Instant,
    /// The outcome, once it is known; everything that is left to do was done then.
    end: Option<Outcome>,
    /// The transport took no more when we last tried.
    blocked: bool,
    /// The transport keeps some of what it took, until then at most.
    kept_until: Option<Instant>,
    /// What it told last of what left.
    passed_on: usize,
    /// Nothing is left to do but to see that leave.
    leaving: bool,
    /// Writing failed: what arrived before is still taken in, then the connection ends.
    broken: bool,
    /// Why the transport broke.
    cause: Option<Arc<io::Error>>,
    /// The stream's write half was shut down.
    write_shut: bool,
    /// All of the stream was.
    shut: bool,
    /// Threads that wait for `changed`.
    waiting: usize,
}

impl<S: Transport> Driver<S> {
    pub(crate) fn new(parts: Parts<S>) -> Self {
        let Parts { stream, endpoint, input, output, received, outcome } = parts;
        // What is wrong with the stream shows in the first read or write.
        let _ = stream.prepare();
        let delivery = endpoint.config().delivery;
        let now = clock::now();
        let mut state = State {
            endpoint,
            output,
            writing: false,
            input: Some(Input::new(input)),
            inbox: received.into(),
            now,
            looked: now,
            end: outcome,
            blocked: false,
            kept_until: None,
            passed_on: stream.passed_on(),
            leaving: false,
            broken: false,
            cause: None,
            write_shut: false,
            shut: false,
            waiting: 0,
        };
        // Who had the stream before may have left something in it.
        if state.end.is_none() {
            state.handle_kept(stream.try_flush(), stream.passed_on());
        }
        Self { stream, delivery, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(crate) fn into_parts(self) -> Parts<S> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A stream that is handed over waits as long as it likes; one that broke has other worries.
        let _ = self.stream.set_read_timeout(None);
        Parts {
            stream: self.stream,
            endpoint: state.endpoint,
            input: state.input.map(Input::into_rest).unwrap_or_default(),
            output: state.output,
            received: state.inbox.into(),
            outcome: state.end,
        }
    }

    pub(crate) const fn stream(&self) -> &S {
        &self.stream
    }

    /// Calls `f` with the endpoint, for what needs no transport.
    pub(crate) fn with_endpoint<R>(&self, f: impl FnOnce(&mut Endpoint) -> R) -> R {
        f(&mut self.lock().endpoint)
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.lock().end.clone()
    }

    /// Returns how many bytes are queued.
    pub(crate) fn output_len(&self) -> usize {
        self.wait_written(self.lock()).output.len()
    }

    fn lock(&self) -> Guard<'_> {
        // Nothing panics under the lock but a defect, and no step leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the state when time may have passed.
    fn lock_now(&self) -> Guard<'_> {
        let mut state = self.lock();
        state.now = clock::now();
        state
    }

    /// Waits until another thread changed something, or `timeout` passed.
    fn wait_changed<'a>(&'a self, mut state: Guard<'a>, timeout: Option<Duration>) -> Guard<'a> {
        state.waiting += 1;
        let mut state = match timeout {
            Some(timeout) => {
                self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.waiting -= 1;
        state.now = clock::now();
        state
    }

    fn notify(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    fn put_back_input(&self, state: &mut State, input: Input) {
        state.input = Some(input);
        self.notify(state);
    }

    /// Waits until no other thread writes.
    fn wait_written<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        while state.writing {
            state = self.wait_changed(state, None);
        }
        state
    }

    /// Acts on the deadlines that passed.
    fn expire<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        let now = state.now;
        if state.is_kept_too_long() {
            if !state.writing {
                self.flush_late(&mut state);
            }
            if state.broken {
                // It will not leave any more. Who reads ends the connection.
                state.kept_until = None;
                return state;
            }
            if !state.is_kept_too_long() {
                self.settle(&mut state);
            } else if state.leaving {
                // The end was reached before that.
                state.kept_until = None;
                self.settle(&mut state);
            } else {
                self.give_up_sending(&mut state);
            }
        }
        let was_broken = state.broken;
        if state.is_timed_out(now) {
            state = self.write_late(state);
        }
        // What came due during that write is judged when what arrived by then was taken in.
        if state.is_timed_out(now) {
            state.endpoint.handle_timeout(now);
            if state.endpoint.is_closed() {
                // The time for all that was to leave is over.
                state.kept_until = None;
            }
            self.settle(&mut state);
            if state.broken && !was_broken && state.end == Some(Outcome::TimedOut(Deadline::Send)) {
                // That it failed was found out before it was given up.
                state.end = Some(Outcome::TransportLost);
            }
        }
        state
    }

    /// Has the transport take some of what waits, if it has room now, as [`flush_late`](Self::flush_late) does with what it
    /// keeps.
    fn write_late<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        if state.broken || state.endpoint.is_closed() || !state.queue_due() {
            return state;
        }
        match self.stream.wait(Interest::WRITE, Some(Duration::ZERO)) {
            Ok(ready) if ready.write => {
                (state, _) = self.write_once(state);
                if state.broken {
                    // Wakes the one that reads; what arrived is still read, then the end of the stream.
                    self.stream.shutdown();
                }
                self.settle(&mut state);
            }
            Ok(_) => {}
            Err(error) => self.lose(&mut state, Some(error)),
        }
        state
    }

    /// Has the transport pass on what it keeps, if it has room now: if we are late, it need not be. Where we waited for
    /// room until the deadline, it told that there is none, and that is final, as for what it did not take.
    fn flush_late(&self, state: &mut State) {
        let result = match self.stream.wait(Interest::WRITE, Some(Duration::ZERO)) {
            Ok(ready) if ready.write => self.stream.try_flush(),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        state.handle_kept(result, self.stream.passed_on());
    }

    /// Ends the connection because what the transport keeps does not leave. To the engine it left, so its own deadline
    /// for that does not stand.
    fn give_up_sending(&self, state: &mut State) {
        let is_new = state.end.is_none();
        self.lose(state, None);
        if is_new && state.end == Some(Outcome::TransportLost) {
            state.end = Some(Outcome::TimedOut(Deadline::Send));
        }
    }

    /// Ends the connection because the transport broke.
    fn lose(&self, state: &mut State, cause: Option<io::Error>) {
        if state.cause.is_none() {
            state.cause = cause.map(Arc::new);
        }
        state.endpoint.handle_transport_lost(state.now);
        state.kept_until = None;
        self.settle(state);
    }

    /// Does what is due at the end of either direction.
    fn settle(&self, state: &mut State) {
        if state.must_leave_first() {
            return;
        }
        if state.end.is_none() && state.endpoint.is_closed() {
            // Nothing but the end can come of no input.
            while let Some(event) = state.endpoint.poll_event(state.now, &mut Chunk::empty()) {
                if let Event::Closed(outcome) = event {
                    state.end = Some(outcome);
                }
            }
        }
        if state.end.is_some() {
            state.output = SendBuffer::new();
            if !state.shut {
                state.shut = true;
                // Also wakes the threads that wait for the transport.
                self.stream.shutdown();
                self.notify(state);
            }
        } else if !state.write_shut
            && state.endpoint.is_write_closed()
            && !state.writing
            && state.output.is_empty()
            && state.kept_until.is_none()
        {
            state.write_shut = true;
            // If that fails, so do the reads that follow.
            let _ = self.stream.shutdown_write();
        }
    }
}

impl State {
    /// Whether the connection is over but for what the transport keeps, such as the TLS record with our Close frame: the
    /// end is told, and the stream shut down, when that left, or after `close_timeout`.
    fn must_leave_first(&mut self) -> bool {
        if self.end.is_some() || self.broken || !self.endpoint.is_closed() {
            return false;
        }
        let Some(until) = self.kept_until else { return false };
        if !self.leaving {
            self.leaving = true;
            self.kept_until = Some(until.min(self.now + self.endpoint.config().close_timeout));
        }
        true
    }

    fn is_kept_too_long(&self) -> bool {
        self.kept_until.is_some_and(|at| at <= self.now)
    }

    /// Whether one of the engine's deadlines passed by `now`.
    fn is_timed_out(&self, now: Instant) -> bool {
        self.endpoint.poll_timeout().is_some_and(|at| at <= now)
    }

    /// Whether a deadline passed.
    fn is_due(&self) -> bool {
        self.next_deadline().is_some_and(|at| at <= self.now)
    }

    /// Returns how long to wait at most.
    fn timeout(&self) -> Option<Duration> {
        self.next_deadline().map(|at| at - self.now)
    }

    fn next_deadline(&self) -> Option<Instant> {
        match (self.endpoint.poll_timeout(), self.kept_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Takes in whether the transport keeps nothing of what it took. What it keeps has to leave within `send_timeout`, as
    /// what it takes; anew from when some of it left, where the transport tells, or took more, which it does only when
    /// all it kept had left.
    fn handle_kept(&mut self, result: io::Result<bool>, passed_on: usize) {
        // The end waits no longer for a peer that takes its time.
        let renewed = mem::replace(&mut self.passed_on, passed_on) != passed_on && !self.leaving;
        match result {
            Ok(true) => self.kept_until = None,
            Ok(false) if self.kept_until.is_none() || renewed => {
                let timeout = self.endpoint.config().send_timeout.unwrap_or(Duration::MAX);
                self.kept_until = Some(self.now + timeout);
            }
            Ok(false) => {}
            Err(error) => {
                self.broken = true;
                self.cause = Some(Arc::new(error));
            }
        }
    }

    /// Queues what is due, unless another thread writes and will do so. Returns whether output waits.
    fn queue_due(&mut self) -> bool {
        !self.writing && self.endpoint.poll_transmit(self.now, &mut self.output)
    }

    /// Returns the error that tells how the connection ended, once it did.
    fn ended(&self) -> Option<Error> {
        let outcome = self.end.clone()?;
        Some(Error::Ended(Ended { outcome, io: self.cause.clone() }))
    }
}
