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
        let (mut state, mut output) = self.take_output(self.lock_now())?;
        let now = state.now;
        let result = queue(&mut state.endpoint, now, &mut output);
        self.put_back_output(&mut state, output);
        result.map_err(|refused| state.ended().unwrap_or(Error::Refused(refused)))
    }

    /// Has `queue` put something into the output as soon as there is room, and waits until the transport took
    /// all of it.
    pub(super) fn send(&self, queue: &mut Queue<'_>) -> Result<(), Error> {
        let mut scratch = Vec::new();
        let (mut state, mut output) = self.take_output(self.look(self.lock_now()))?;
        loop {
            let now = state.now;
            match queue(&mut state.endpoint, now, &mut output) {
                Ok(()) => break,
                // Room can be made.
                Err(SendError::OutputFull) if !output.is_empty() => {
                    (state, _) = self.write(state, &mut output, &mut scratch);
                }
                Err(refused) => {
                    self.put_back_output(&mut state, output);
                    return Err(state.ended().unwrap_or(Error::Refused(refused)));
                }
            }
        }
        let was_open = state.endpoint.is_open();
        let mut waited = false;
        loop {
            let progress;
            (state, progress) = self.write(state, &mut output, &mut scratch);
            match progress {
                Progress::Some => {}
                Progress::Waited => waited = true,
                Progress::Done => break,
            }
        }
        self.put_back_output(&mut state, output);
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

    /// Takes the output out, to be put back.
    fn take_output<'a>(&'a self, mut state: Guard<'a>) -> Result<(Guard<'a>, SendBuffer), Error> {
        loop {
            if let Some(error) = state.ended() {
                return Err(error);
            }
            match state.output.take() {
                Some(output) => return Ok((state, output)),
                None => state = self.wait_changed(state, None),
            }
        }
    }

    /// Writes once, or waits once until there is room. The output is out.
    fn write<'a>(
        &'a self,
        mut state: Guard<'a>,
        output: &mut SendBuffer,
        scratch: &mut Vec<u8>,
    ) -> (Guard<'a>, Progress) {
        if state.is_due() {
            state = self.catch_up_if_free(state);
            self.expire(&mut state);
        }
        if state.broken {
            state = self.handle_broken(state);
        }
        if state.end.is_some() || state.broken {
            *output = SendBuffer::new();
            return (state, Progress::Done);
        }
        let now = state.now;
        if !state.endpoint.poll_transmit(now, output) {
            return (state, Progress::Done);
        }
        drop(state);
        let result = self.stream.try_write(output.pending());
        let mut state = self.lock();
        if self.handle_written(&mut state, result, output) {
            return (state, Progress::Some);
        }
        if state.broken {
            return (state, Progress::Some);
        }
        (self.wait_for_room(state, scratch), Progress::Waited)
    }

    /// Writes what can be written without waiting, if nobody else writes.
    pub(super) fn flush_now<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        if state.broken || state.end.is_some() {
            return state;
        }
        let Some(mut output) = state.output.take() else { return state };
        let now = state.now;
        while state.endpoint.poll_transmit(now, &mut output) && !state.endpoint.is_closed() {
            drop(state);
            let result = self.stream.try_write(output.pending());
            state = self.lock();
            if !self.handle_written(&mut state, result, &mut output) {
                break;
            }
        }
        self.put_back_output(&mut state, output);
        state
    }

    /// Takes in what came of an attempt to write; returns whether something was written.
    fn handle_written(&self, state: &mut State, result: io::Result<usize>, output: &mut SendBuffer) -> bool {
        let error = match result {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(n) => {
                state.endpoint.handle_transmitted(state.now, n, output);
                state.blocked = false;
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(error) => error,
        };
        state.endpoint.handle_transmitted(state.now, 0, output);
        if error.kind() == io::ErrorKind::WouldBlock {
            state.blocked = true;
        } else {
            state.broken = true;
            state.cause = Some(Arc::new(error));
            *output = SendBuffer::new();
        }
        false
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
            self.expire(&mut state);
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
