use core::mem;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use ws_core::{Endpoint, Instant, Outcome, SendBuffer, SendError};

use super::input::Received;
use super::{Driver, Guard, State};
use crate::{Ended, Error, Interest, Transport};

/// How often an application that only sends has us look for Pings and Closes.
const LOOK: Duration = Duration::from_millis(100);
/// How often a writer that waits for room looks whether the thread that read still does. Only if that one went
/// on to wait for this writer is anything lost by a longer wait.
const RECHECK: Duration = Duration::from_millis(50);
/// What a writer reads with meanwhile.
const SCRATCH: usize = 64 << 10;

/// Puts something into the output.
type Queue<'a> = dyn FnMut(&mut Endpoint, Instant, &mut SendBuffer) -> Result<(), SendError> + 'a;

impl<S: Transport> Driver<S> {
    /// Has `queue` put something into the output, without writing it.
    pub(super) fn queue(&self, queue: &mut Queue<'_>) -> Result<(), Error> {
        let mut state = self.wait_written(self.lock_now());
        state.queue(queue).map_err(|refused| state.ended().unwrap_or(Error::Refused(refused)))
    }

    /// Has `queue` put something into the output as soon as there is room, and waits until the transport took
    /// all of it.
    pub(super) fn send(&self, queue: &mut Queue<'_>) -> Result<(), Error> {
        let mut scratch = Vec::new();
        let mut state = self.look(self.lock_now());
        loop {
            state = self.wait_written(state);
            if let Some(error) = state.ended() {
                return Err(error);
            }
            match state.queue(queue) {
                Ok(()) => break,
                // Room can be made.
                Err(SendError::OutputFull) if !state.output.is_empty() => {
                    (state, _) = self.write(state, &mut scratch);
                }
                Err(refused) => return Err(state.ended().unwrap_or(Error::Refused(refused))),
            }
        }
        let was_open = state.endpoint.is_open();
        let mut waited = false;
        loop {
            let progress;
            (state, progress) = self.write(state, &mut scratch);
            match progress {
                Progress::Some => {}
                Progress::Waited => waited = true,
                Progress::Done => break,
            }
        }
        self.settle(&mut state);
        if let Some(error) = state.ended() {
            return Err(error);
        }
        if state.broken {
            return Err(Error::Ended(Ended { outcome: Outcome::TransportLost, io: state.cause.clone() }));
        }
        // The peer closed while we waited: what was not sent by then was dropped.
        if waited && was_open && !state.endpoint.is_open() {
            return Err(SendError::Closing.into());
        }
        Ok(())
    }

    /// Writes once, or waits once until there is room.
    fn write<'a>(&'a self, mut state: Guard<'a>, scratch: &mut Vec<u8>) -> (Guard<'a>, Progress) {
        if state.is_due() {
            state = self.catch_up_if_free(state);
            state = self.expire(state);
        }
        if state.broken {
            state = self.handle_broken(state);
        }
        if state.end.is_some() || state.broken {
            return (state, Progress::Done);
        }
        state = self.wait_written(state);
        if !state.queue_due() {
            if state.kept_until.is_some() {
                state = self.flush_once(state);
            }
            if state.broken {
                return (state, Progress::Some);
            }
            if state.kept_until.is_some() {
                return (self.wait_for_room(state, scratch), Progress::Waited);
            }
            return (state, Progress::Done);
        }
        let taken;
        (state, taken) = self.write_once(state);
        if taken || state.broken {
            return (state, Progress::Some);
        }
        (self.wait_for_room(state, scratch), Progress::Waited)
    }

    /// Writes what can be written without waiting, if nobody else does.
    pub(super) fn flush_now<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        let mut taken = true;
        while taken && !state.broken && !state.endpoint.is_closed() && state.queue_due() {
            (state, taken) = self.write_once(state);
        }
        if state.kept_until.is_some() && !state.writing && !state.broken {
            state = self.flush_once(state);
        }
        self.settle(&mut state);
        state
    }

    /// Has the transport pass on what it keeps, without the lock. Nobody else writes.
    fn flush_once<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        state.writing = true;
        drop(state);
        let result = self.stream.try_flush();
        let passed_on = self.stream.passed_on();
        let mut state = self.lock_now();
        state.writing = false;
        state.handle_kept(result, passed_on);
        self.notify(&state);
        state
    }

    /// Writes what is pending, without the lock; returns whether anything was taken. Nobody else writes.
    pub(super) fn write_once<'a>(&'a self, mut state: Guard<'a>) -> (Guard<'a>, bool) {
        let output = mem::take(&mut state.output);
        state.writing = true;
        drop(state);
        let result = self.stream.try_write(output.pending());
        let kept = self.stream.try_flush();
        let passed_on = self.stream.passed_on();
        let mut state = self.lock_now();
        state.writing = false;
        state.output = output;
        if matches!(result, Ok(1..)) && !state.leaving {
            // What it kept before has left.
            state.kept_until = None;
        }
        state.handle_kept(kept, passed_on);
        let taken = state.handle_written(result);
        if state.end.is_some() || state.broken {
            // It can go nowhere any more.
            state.output = SendBuffer::new();
        }
        self.notify(&state);
        (state, taken)
    }

    /// Writing failed: sees to it that what arrived is taken in and the connection ends, here or, if another
    /// thread reads, there.
    fn handle_broken<'a>(&'a self, state: Guard<'a>) -> Guard<'a> {
        let state = self.catch_up_if_free(state);
        if state.end.is_none() {
            // Wakes the one that reads; what arrived is still read, then the end of the stream.
            self.stream.shutdown();
        }
        state
    }

    /// Waits until the transport may take more; meanwhile takes in what arrives, unless another thread reads.
    fn wait_for_room<'a>(&'a self, mut state: Guard<'a>, scratch: &mut Vec<u8>) -> Guard<'a> {
        let timeout = state.timeout();
        if !state.has_room() {
            drop(state);
            let result = self.stream.wait(Interest::WRITE, timeout);
            return self.handle_waited(self.lock_now(), result.err());
        }
        let Some(mut input) = state.input.take() else {
            drop(state);
            let timeout = timeout.map_or(RECHECK, |timeout| timeout.min(RECHECK));
            let result = self.stream.wait(Interest::WRITE, Some(timeout));
            return self.handle_waited(self.lock_now(), result.err());
        };
        if input.has_rest() {
            state = self.take_in_rest(state, &mut input);
            self.put_back_input(&mut state, input);
            return state;
        }
        drop(state);
        let interest = Interest { read: !input.eof, write: true };
        let received = match self.stream.wait(interest, timeout) {
            Ok(ready) if ready.read => {
                if scratch.is_empty() {
                    scratch.resize(SCRATCH, 0);
                }
                input.read_ready(&self.stream, scratch)
            }
            Ok(_) => Received::Nothing,
            Err(error) => Received::Lost(error),
        };
        let mut state = self.take_in(self.lock_now(), scratch, received);
        self.put_back_input(&mut state, input);
        state
    }

    fn handle_waited<'a>(&'a self, mut state: Guard<'a>, error: Option<io::Error>) -> Guard<'a> {
        if error.is_some() {
            self.lose(&mut state, error);
        }
        state
    }

    /// Now and then takes in what arrived, for an application that only sends.
    fn look<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        if state.is_due() || state.now - state.looked >= LOOK {
            state = self.catch_up_if_free(state);
            state = self.expire(state);
        }
        state
    }

    /// Takes in what arrived, unless another thread reads: then nothing waits.
    pub(super) fn catch_up_if_free<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        if let Some(mut input) = state.input.take() {
            state = self.catch_up(state, &mut input);
            self.put_back_input(&mut state, input);
        }
        state
    }
}

impl State {
    fn queue(&mut self, queue: &mut Queue<'_>) -> Result<(), SendError> {
        queue(&mut self.endpoint, self.now, &mut self.output)
    }

    /// Takes in what came of an attempt to write; returns whether something was written.
    fn handle_written(&mut self, result: io::Result<usize>) -> bool {
        let error = match result {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(n) => {
                self.endpoint.handle_transmitted(self.now, n, &mut self.output);
                self.blocked = false;
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(error) => error,
        };
        self.endpoint.handle_transmitted(self.now, 0, &mut self.output);
        if error.kind() == io::ErrorKind::WouldBlock {
            self.blocked = true;
        } else {
            self.broken = true;
            self.cause = Some(Arc::new(error));
        }
        false
    }
}

/// What a step of writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// More may be done at once.
    Some,
    /// It had to wait for the transport.
    Waited,
    /// Nothing is left to write.
    Done,
}
