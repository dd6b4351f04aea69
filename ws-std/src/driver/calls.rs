//! What a whole connection and its halves are asked for.

use ws_core::{Delivery, Event, Kind, Outcome, Part, PreparedMessage, SendError, StatusCode};

use super::Driver;
use super::read::with_small;
use crate::{Error, Message, MessageRef, Transport};

impl<S: Transport> Driver<S> {
    /// Waits for a message. `alone`: no other thread uses the connection, nor does `take` wait for it.
    pub(crate) fn read<R>(
        &self,
        alone: bool,
        take: impl FnOnce(MessageRef<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        if self.delivery == Delivery::Parts {
            return Err(Error::DeliveredInParts);
        }
        self.read_part(alone, |part| take(part.data))
    }

    /// Waits for a part of a message.
    pub(crate) fn read_part<R>(
        &self,
        alone: bool,
        take: impl FnOnce(Part<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let mut take = Some(take);
        let mut taken = None;
        while taken.is_none() {
            let next = self.next(alone, &mut |event| {
                if let Some(part) = part_of(event)
                    && let Some(take) = take.take()
                {
                    taken = Some(take(part));
                }
            });
            if !next {
                return self.end();
            }
        }
        Ok(taken)
    }

    /// What a read returns at the end.
    fn end<R>(&self) -> Result<Option<R>, Error> {
        match self.lock().ended() {
            Some(error) if !error.outcome().is_some_and(Outcome::is_clean) => Err(error),
            _ => Ok(None),
        }
    }

    /// Nobody reads any more: messages are dropped.
    pub(crate) fn refuse_messages(&self) {
        let mut state = self.lock();
        state.inbox.refuse();
        // A closing writer may wait for room.
        self.notify(&state);
    }

    pub(crate) fn send_message(&self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Text(text) => self.send_text(text),
            Message::Binary(data) => self.send_binary(data),
        }
    }

    pub(crate) fn send_text(&self, text: &str) -> Result<(), Error> {
        self.send(&mut |endpoint, _, output| endpoint.send_text(text, output))
    }

    pub(crate) fn send_binary(&self, data: &[u8]) -> Result<(), Error> {
        self.send(&mut |endpoint, _, output| endpoint.send_binary(data, output))
    }

    pub(crate) fn send_uncompressed(&self, message: &Message) -> Result<(), Error> {
        let message = message.lend();
        self.send(&mut |endpoint, _, output| endpoint.send_uncompressed(&message, output))
    }

    pub(crate) fn send_prepared(&self, message: &PreparedMessage) -> Result<(), Error> {
        self.send(&mut |endpoint, _, output| endpoint.send_prepared(message, output))
    }

    pub(crate) fn send_part(&self, kind: Kind, data: &[u8], last: bool) -> Result<(), Error> {
        self.send(&mut |endpoint, _, output| endpoint.send_part(kind, data, last, output))
    }

    pub(crate) fn ping(&self, data: &[u8]) -> Result<(), Error> {
        self.send(&mut |endpoint, _, output| endpoint.ping(data, output))
    }

    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.send(&mut |_, _, _| Ok(()))
    }

    pub(crate) fn feed(&self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Text(text) => self.feed_text(text),
            Message::Binary(data) => self.feed_binary(data),
        }
    }

    pub(crate) fn feed_text(&self, text: &str) -> Result<(), Error> {
        self.queue(&mut |endpoint, _, output| endpoint.send_text(text, output))
    }

    pub(crate) fn feed_binary(&self, data: &[u8]) -> Result<(), Error> {
        self.queue(&mut |endpoint, _, output| endpoint.send_binary(data, output))
    }

    /// Starts the closing handshake, unless it is under way or past.
    pub(crate) fn start_close(&self, code: Option<StatusCode>, reason: &str) -> Result<(), Error> {
        match self.send(&mut |endpoint, now, output| endpoint.close(now, code, reason, output)) {
            // The end is for those who read or wait for it.
            Err(Error::Ended(_) | Error::Refused(SendError::Closing)) => Ok(()),
            result => result,
        }
    }

    /// Starts the closing handshake, or joins in the one that is under way, and waits for the end. `drop`: nobody
    /// will read what comes until then.
    pub(crate) fn close(
        &self,
        code: Option<StatusCode>,
        reason: &str,
        drop_messages: bool,
    ) -> Result<Outcome, Error> {
        self.start_close(code, reason)?;
        if drop_messages {
            self.refuse_messages();
        }
        Ok(with_small(false, |buffer| self.wait_for_end(buffer)))
    }

    fn wait_for_end(&self, buffer: &mut [u8]) -> Outcome {
        let mut state = self.lock_now();
        loop {
            if let Some(outcome) = &state.end {
                return outcome.clone();
            }
            if state.is_due() || (state.broken && state.input.is_some()) {
                state = self.catch_up_if_free(state);
                state = self.expire(state);
                continue;
            }
            let free = if state.has_room() { state.input.take() } else { None };
            let Some(mut input) = free else {
                // Another thread reads, or is to.
                let timeout = state.timeout();
                state = self.wait_changed(state, timeout);
                continue;
            };
            state = self.take_in_rest(state, &mut input);
            let received;
            (state, received) = self.receive(state, &mut input, buffer);
            state = self.take_in(state, buffer, received);
            self.put_back_input(&mut state, input);
        }
    }
}

/// A message is a part that is both first and last.
pub(super) fn part_of(event: Event<'_>) -> Option<Part<'_>> {
    match event {
        Event::Message(data) => Some(Part { data, first: true, last: true }),
        Event::Part(part) => Some(part),
        _ => None,
    }
}
