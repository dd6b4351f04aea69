use core::task::Context;
use std::collections::VecDeque;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Chunk, Event, Part};

use super::Driver;

/// Bytes of messages that are received ahead before reading stops. At least one message is.
const MAX_AHEAD: usize = 64 * 1024;

/// Messages, or parts of messages, that came while the application waited for something else than to read.
#[derive(Default)]
pub(crate) struct Ahead {
    parts: VecDeque<Part<'static>>,
    len: usize,
    /// Nobody will ask for them.
    unwanted: bool,
}

impl Ahead {
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Part<'static>> {
        if self.parts.is_empty() {
            return None;
        }
        let part = self.parts.pop_front()?;
        self.len -= cost(&part);
        if self.parts.is_empty() {
            self.parts = VecDeque::new();
        }
        Some(part)
    }

    fn push(&mut self, part: Part<'static>) {
        if !self.unwanted {
            self.len += cost(&part);
            self.parts.push_back(part);
        }
    }

    /// From here on nobody asks for messages: they are dropped.
    pub(crate) fn refuse(&mut self) {
        *self = Self { unwanted: true, ..Self::default() };
    }

    const fn is_full(&self) -> bool {
        self.len >= MAX_AHEAD
    }
}

impl From<VecDeque<Part<'static>>> for Ahead {
    fn from(parts: VecDeque<Part<'static>>) -> Self {
        Self { len: parts.iter().map(cost).sum(), parts, unwanted: false }
    }
}

impl From<Ahead> for VecDeque<Part<'static>> {
    fn from(ahead: Ahead) -> Self {
        ahead.parts
    }
}

/// Counts the part itself too, since messages may be empty.
fn cost(part: &Part<'_>) -> usize {
    part.data.as_bytes().len() + size_of::<Part<'static>>()
}

/// A message is a part that is both first and last. `None`: the event has no data.
#[inline]
pub(crate) fn part_of(event: Event<'_>) -> Option<Part<'_>> {
    match event {
        Event::Message(data) => Some(Part { data, first: true, last: true }),
        Event::Part(part) => Some(part),
        _ => None,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Does all that can be done now, while the application waits for something else than to read: Pings and
    /// Close frames are answered and deadlines kept, and messages wait until it reads, in bounded number.
    ///
    /// On return the connection is over, or the task is woken when there is more to do.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        loop {
            let read = !self.input.is_missed() && (self.ahead.unwanted || !self.ahead.is_full());
            if read && let Some(part) = self.next_event(&mut |event, _| part_of(event).map(Part::into_owned))
            {
                self.ahead.push(part);
                self.news = true;
                continue;
            }
            if self.is_ended() {
                return self.shut_down(cx);
            }
            if self.poll_turn(cx, read).is_pending() {
                return;
            }
            if !read && self.due {
                self.next_without_input();
            }
        }
    }

    /// Looks for what is due while the input is left alone: the end.
    pub(super) fn next_without_input(&mut self) {
        self.due = false;
        while let Some(event) = self.endpoint.poll_event(self.now, &mut Chunk::empty()) {
            match event {
                Event::Closed(outcome) => return self.finish(outcome),
                event => {
                    if let Some(part) = part_of(event) {
                        self.ahead.push(part.into_owned());
                    }
                }
            }
        }
    }
}
