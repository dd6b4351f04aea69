use std::collections::VecDeque;

use ws_core::{Event, Part};

use super::calls::part_of;

/// What was received before the application asked for it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    events: VecDeque<Event<'static>>,
    /// The bytes they take.
    len: usize,
    /// Nobody will ask.
    unwanted: bool,
}

impl Inbox {
    pub(super) fn push(&mut self, event: Event<'static>) {
        if !self.unwanted {
            self.len += size(&event);
            self.events.push_back(event);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event<'static>> {
        let event = self.events.pop_front()?;
        self.len -= size(&event);
        if self.events.is_empty() {
            // Holds no memory between messages.
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Drops what is there and what comes.
    pub(super) fn refuse(&mut self) {
        *self = Self { unwanted: true, ..Self::default() };
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl From<VecDeque<Part<'static>>> for Inbox {
    fn from(parts: VecDeque<Part<'static>>) -> Self {
        let mut inbox = Self::default();
        for part in parts {
            inbox.push(match part {
                Part { data, first: true, last: true } => Event::Message(data),
                part => Event::Part(part),
            });
        }
        inbox
    }
}

impl From<Inbox> for VecDeque<Part<'static>> {
    fn from(inbox: Inbox) -> Self {
        inbox.events.into_iter().filter_map(part_of).collect()
    }
}

/// Counts the event itself too, since messages may be empty.
fn size(event: &Event<'_>) -> usize {
    let data = match event {
        Event::Message(message) => message.as_bytes().len(),
        Event::Part(part) => part.data.as_bytes().len(),
        _ => 0,
    };
    data + size_of::<Event<'_>>()
}
