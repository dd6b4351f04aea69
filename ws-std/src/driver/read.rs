use core::cell::Cell;
use core::mem;
use core::time::Duration;

use ws_core::{Chunk, Event};

use super::input::{Input, Received, Rest};
use super::{Driver, Guard, State};
use crate::{Interest, Transport};

/// What a read waits with: the thread's, so that an idle connection holds no buffer.
const SMALL: usize = 4 << 10;
/// What a read waits with after one that filled its buffer, until one brings less than [`SMALL`]: a batch of short
/// messages comes in one read, and its replies leave in one write.
const WIDE: usize = 16 << 10;
/// What reads grow to while they fill their buffers.
const LARGE: usize = 64 << 10;
/// How many Pings of one chunk are answered one by one; of further ones the latest is.
const PONGS: u32 = 16;

/// Calls `f` with a buffer to wait with. One call inside of another gets a buffer of its own.
pub(super) fn with_small<R>(wide: bool, f: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let mut small = SPARE.try_with(Cell::take).unwrap_or_default();
    let len = if wide { WIDE } else { SMALL };
    if small.len() > len {
        small = Vec::new();
    }
    small.resize(len, 0);
    let result = f(&mut small);
    // There is none any more when the thread ends.
    let _ = SPARE.try_with(|spare| spare.set(small));
    result
}

impl<S: Transport> Driver<S> {
    /// Waits for the next event for the application and hands it to `take`, without a lock. Returns false at the
    /// end. `alone`: no other thread uses the connection, nor does `take` wait for it.
    pub(crate) fn next(&self, alone: bool, take: &mut dyn FnMut(Event<'_>)) -> bool {
        let mut state = self.lock_now();
        let mut input = loop {
            if let Some(event) = state.inbox.pop() {
                drop(state);
                take(event);
                return true;
            }
            if state.end.is_some() {
                return false;
            }
            match state.input.take() {
                Some(input) => break input,
                // A writer reads meanwhile; what it gets goes to the inbox.
                None => state = self.wait_changed(state, None),
            }
        };
        if !state.is_due() {
            if alone && input.has_rest() {
                match self.lend_rest(state, input, take) {
                    None => return true,
                    Some(unused) => (state, input) = unused,
                }
            }
            let event;
            (state, event) = self.poll_rest(state, &mut input);
            if let Some(event) = event {
                self.deliver(state, input);
                take(event);
                return true;
            }
        }
        with_small(input.wide, |small| self.wait_next(state, input, small, take))
    }

    /// Waits for the next event. The input is out.
    fn wait_next<'a>(
        &'a self,
        mut state: Guard<'a>,
        mut input: Input,
        small: &mut [u8],
        take: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        let mut large = Vec::new();
        loop {
            if state.is_due() || state.broken {
                state = self.catch_up(state, &mut input);
                state = self.expire(state);
            }
            if let Some(event) = state.inbox.pop() {
                self.put_back_input(&mut state, input);
                drop(state);
                take(event);
                return true;
            }
            if state.end.is_some() {
                self.put_back_input(&mut state, input);
                return false;
            }
            let event;
            (state, event) = self.poll_rest(state, &mut input);
            if let Some(event) = event {
                self.deliver(state, input);
                take(event);
                return true;
            }
            let buffer = if large.is_empty() { &mut *small } else { &mut large[..] };
            let received;
            (state, received) = self.receive(state, &mut input, buffer);
            let Received::Bytes(n) = received else {
                self.handle_nothing(&mut state, received);
                continue;
            };
            let capacity = buffer.len();
            input.wide = n == capacity || (input.wide && n >= SMALL);
            let mut chunk = if n == capacity { Chunk::cut(buffer) } else { Chunk::within(buffer, n) };
            let event;
            (state, event) = self.poll(state, &mut chunk);
            if let Some(event) = event {
                if !chunk.is_empty() {
                    input.keep(chunk.rest(), is_opening(&event) && n < capacity);
                }
                self.deliver(state, input);
                take(event);
                return true;
            }
            self.settle(&mut state);
            resize(&mut large, capacity, n);
        }
    }

    /// Hands the next event in what is left of the last chunk to `take` without a copy. The input, which is out,
    /// stays out meanwhile: it is returned, with the lock, if there was no event.
    fn lend_rest<'a>(
        &'a self,
        mut state: Guard<'a>,
        mut input: Input,
        take: &mut dyn FnMut(Event<'_>),
    ) -> Option<(Guard<'a>, Input)> {
        let rest = input.take_rest();
        let mut lent = Lent { driver: self, input: Some(input), rest, left: 0, fresh: false };
        let mut chunk = lent.rest.chunk();
        let event;
        (state, event) = self.poll(state, &mut chunk);
        lent.left = chunk.len();
        let Some(event) = event else {
            self.settle(&mut state);
            return lent.input.take().map(|input| (state, input));
        };
        lent.fresh = is_opening(&event);
        self.flush_due(state);
        take(event);
        None
    }

    /// Returns the next event in what is left of the last chunk, and what follows from an accepted request. The
    /// input is out.
    fn poll_rest<'a>(
        &'a self,
        mut state: Guard<'a>,
        input: &mut Input,
    ) -> (Guard<'a>, Option<Event<'static>>) {
        let mut event = None;
        if input.has_rest() {
            let mut rest = input.take_rest();
            let mut chunk = rest.chunk();
            let found;
            (state, found) = self.poll(state, &mut chunk);
            event = found.map(Event::into_owned);
            let left = chunk.len();
            input.put_back(rest, left, event.as_ref().is_some_and(is_opening));
        } else if !state.endpoint.is_open() {
            (state, event) = self.poll(state, &mut Chunk::empty());
        }
        self.settle(&mut state);
        (state, event)
    }

    /// Returns the next event that is for the application, or `None` when the chunk is used up. What has to be
    /// answered meanwhile is.
    fn poll<'a, 'b>(&'a self, mut state: Guard<'a>, chunk: &mut Chunk<'b>) -> (Guard<'a>, Option<Event<'b>>) {
        let (now, mut pings) = (state.now, 0);
        while !state.must_leave_first()
            && let Some(event) = state.endpoint.poll_event(now, chunk)
        {
            match event {
                Event::Closed(outcome) => state.end = Some(outcome),
                Event::Message(_) | Event::Part(_) | Event::Open(_) | Event::Request(_) => {
                    return (state, Some(event));
                }
                Event::Ping(_) => {
                    pings += 1;
                    if pings <= PONGS && !state.blocked {
                        state = self.flush_now(state);
                    }
                }
                // What fails or closes the connection shows in its end.
                _ => {}
            }
        }
        (state, None)
    }

    /// Before an event goes to the application, which may take its time: puts the input back and sends what is
    /// due.
    fn deliver<'a>(&'a self, mut state: Guard<'a>, input: Input) {
        self.put_back_input(&mut state, input);
        self.flush_due(state);
    }

    /// Sends the control frames that are due, but not what the application queued without asking to send it.
    fn flush_due<'a>(&'a self, mut state: Guard<'a>) {
        let queued = state.output.len();
        if state.queue_due() && state.output.len() > queued {
            state = self.flush_now(state);
        }
        drop(state);
    }

    /// Sends what can be sent at once, then waits until something arrives, room for output is found, or the
    /// next deadline. The input is out, and holds no rest.
    pub(super) fn receive<'a>(
        &'a self,
        state: Guard<'a>,
        input: &mut Input,
        buffer: &mut [u8],
    ) -> (Guard<'a>, Received) {
        let mut state = self.flush_now(state);
        if state.end.is_some() || state.broken {
            return (state, Received::Nothing);
        }
        let pending = !state.writing && (!state.output.is_empty() || state.kept_until.is_some());
        state.output.release();
        let timeout = state.timeout();
        if timeout == Some(Duration::ZERO) {
            return (state, Received::Nothing);
        }
        if input.eof && !pending {
            return (self.wait_changed(state, timeout), Received::Nothing);
        }
        drop(state);
        let received = if pending {
            let interest = Interest { read: !input.eof, write: true };
            match self.stream.wait(interest, timeout) {
                Ok(ready) if ready.read => input.read_ready(&self.stream, buffer),
                Ok(_) => Received::Nothing,
                Err(error) => Received::Lost(error),
            }
        } else {
            input.read(&self.stream, buffer, timeout)
        };
        let mut state = self.lock_now();
        state.looked = state.now;
        (state, received)
    }

    /// Acts on what a read brought besides bytes.
    pub(super) fn handle_nothing(&self, state: &mut State, received: Received) {
        match received {
            Received::Eof if state.broken => self.lose(state, None),
            Received::Eof => state.endpoint.handle_eof(state.now),
            Received::Lost(cause) => self.lose(state, Some(cause)),
            Received::Bytes(_) | Received::Nothing => {}
        }
        self.settle(state);
    }

    /// Takes in what has arrived, without waiting, as far as the inbox has room. The input is out.
    ///
    /// Done before a deadline is judged: if we are late, the peer need not be. And after a failed write, before
    /// the connection ends.
    pub(super) fn catch_up<'a>(&'a self, mut state: Guard<'a>, input: &mut Input) -> Guard<'a> {
        let mut buffer = Vec::new();
        // Bounds the work, whatever arrives while we read.
        let mut budget = state.endpoint.config().max_output_len;
        state = self.take_in_rest(state, input);
        while budget > 0 && state.has_room() && !input.eof && state.end.is_none() {
            drop(state);
            let received = match self.stream.wait(Interest::READ, Some(Duration::ZERO)) {
                Ok(ready) if ready.read => {
                    if buffer.is_empty() {
                        buffer.resize(LARGE, 0);
                    }
                    Some(input.read_ready(&self.stream, &mut buffer))
                }
                Ok(_) => None,
                Err(error) => Some(Received::Lost(error)),
            };
            state = self.lock_now();
            let Some(received) = received else { break };
            match received {
                // Not all of a TLS record, or one without data: what follows it may be there.
                Received::Nothing => budget -= 1,
                Received::Bytes(n) => budget = budget.saturating_sub(n),
                Received::Eof | Received::Lost(_) => {}
            }
            state = self.take_in(state, &mut buffer, received);
        }
        state.looked = state.now;
        if state.broken && state.end.is_none() {
            self.lose(&mut state, None);
        }
        state
    }

    /// Puts what was received into the inbox.
    pub(super) fn take_in<'a>(
        &'a self,
        mut state: Guard<'a>,
        buffer: &mut [u8],
        received: Received,
    ) -> Guard<'a> {
        let Received::Bytes(n) = received else {
            self.handle_nothing(&mut state, received);
            return state;
        };
        let mut chunk = if n == buffer.len() { Chunk::cut(buffer) } else { Chunk::within(buffer, n) };
        self.take_in_chunk(state, &mut chunk)
    }

    /// Puts the rest of the last chunk into the inbox.
    pub(super) fn take_in_rest<'a>(&'a self, state: Guard<'a>, input: &mut Input) -> Guard<'a> {
        if !input.has_rest() {
            return state;
        }
        self.take_in_chunk(state, &mut input.take_rest().chunk())
    }

    fn take_in_chunk<'a>(&'a self, mut state: Guard<'a>, chunk: &mut Chunk<'_>) -> Guard<'a> {
        loop {
            let event;
            (state, event) = self.poll(state, chunk);
            match event {
                Some(event) => state.inbox.push(event.into_owned()),
                None => break,
            }
        }
        self.settle(&mut state);
        self.notify(&state);
        state
    }
}

/// The input, while an event in its rest is with the application.
struct Lent<'a, S: Transport> {
    driver: &'a Driver<S>,
    input: Option<Input>,
    rest: Rest,
    /// How much of `rest` is not used up.
    left: usize,
    fresh: bool,
}

/// Puts the input back, also if the application panics.
impl<S: Transport> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        if let Some(mut input) = self.input.take() {
            input.put_back(mem::take(&mut self.rest), self.left, self.fresh);
            self.driver.put_back_input(&mut self.driver.lock(), input);
        }
    }
}

impl State {
    /// Whether more may be received before the application asks: as much may wait there as in the output.
    pub(super) fn has_room(&self) -> bool {
        self.inbox.len() < self.endpoint.config().max_output_len
    }
}

/// Whether what follows in the chunk goes to another reader.
const fn is_opening(event: &Event<'_>) -> bool {
    matches!(event, Event::Request(_) | Event::Open(_))
}

/// Chooses the buffer for the next read, after one filled `n` of `capacity` bytes: larger while they are filled,
/// and none on the heap when little comes.
fn resize(large: &mut Vec<u8>, capacity: usize, n: usize) {
    if n == capacity && capacity < LARGE {
        *large = vec![0; (capacity * 4).min(LARGE)];
    } else if n < SMALL {
        *large = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_what_arrives() {
        let mut large = Vec::new();
        resize(&mut large, SMALL, SMALL - 1);
        assert_eq!(large.len(), 0);
        resize(&mut large, SMALL, SMALL);
        assert_eq!(large.len(), 16 << 10);
        resize(&mut large, 16 << 10, 16 << 10);
        assert_eq!(large.len(), LARGE);
        resize(&mut large, LARGE, LARGE);
        assert_eq!(large.len(), LARGE);
        resize(&mut large, LARGE, SMALL);
        assert_eq!(large.len(), LARGE, "still worth its memory");
        resize(&mut large, LARGE, SMALL - 1);
        assert_eq!(large.len(), 0);
    }
}
