use std::collections::VecDeque;

use ws_core::{Endpoint, Instant, Kind, SendBuffer, SendError};

use crate::common::{Rng, ms};

/// A random application: what it sends, and when.
pub(super) struct App {
    rng: Rng,
    /// When it does something next, and how much more it does.
    pub(super) next: Option<Instant>,
    left: usize,
    /// The largest message it sends.
    max_len: usize,
    /// What it sent, in order.
    pub(super) sent: Vec<Sent>,
    /// The Application data of its Pings that may still be answered, in order.
    pub(super) pings: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) data: Vec<u8>,
    /// How much of it was sent; all of it is less than a finished message.
    parts: usize,
    pub(super) is_finished: bool,
}

impl App {
    pub(super) fn new(rng: &mut Rng, max_len: usize) -> Self {
        let mut rng = Rng::new(rng.next());
        let left = rng.between(0, 8);
        Self { rng, next: None, left, max_len, sent: Vec::new(), pings: VecDeque::new() }
    }

    /// The connection is open: things begin.
    pub(super) fn start(&mut self, now: Instant) {
        self.next = (self.left > 0).then(|| now + ms(self.rng.below(50) as u64));
    }

    /// Whether a message is sent in parts and not finished.
    pub(super) fn is_midway(&self) -> bool {
        self.sent.last().is_some_and(|sent| !sent.is_finished)
    }

    /// Does what is due. Refusals for lack of room are part of the game.
    pub(super) fn act(&mut self, now: Instant, endpoint: &mut Endpoint, out: &mut SendBuffer) {
        if self.next.is_none_or(|at| at > now) {
            return;
        }
        self.left -= 1;
        let result = match self.rng.below(8) {
            0 => self.ping(endpoint, out),
            _ if self.is_midway() => self.go_on(endpoint, out),
            1 | 2 => self.begin(endpoint, out),
            _ => self.send(endpoint, out),
        };
        assert!(matches!(result, Ok(()) | Err(SendError::OutputFull | SendError::Closing)), "{result:?}");
        self.next = (self.left > 0 && result != Err(SendError::Closing))
            .then(|| now + ms(*self.rng.pick(&[0, 0, 5, 60])));
    }

    /// Answers a message now and then.
    pub(super) fn react(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) {
        if self.rng.one_in(4) && self.sent.len() < 20 && endpoint.is_open() && !self.is_midway() {
            let _ = self.send(endpoint, out);
        }
    }

    fn ping(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) -> Result<(), SendError> {
        let len = *self.rng.pick(&[0, 10, 60, 113]);
        let data = [b"app", &*self.rng.bytes(len)].concat();
        endpoint.ping(&data, out)?;
        self.pings.push_back(data);
        Ok(())
    }

    fn message(&mut self) -> Sent {
        let len = *self.rng.pick(&[0, 1, 5, 20, 125, 126, 300, 1500]);
        let len = len.min(self.max_len);
        if self.rng.one_in(2) {
            // Code points must not push it over the limit.
            let text = self.rng.text(len.saturating_sub(3));
            Sent { kind: Kind::Text, data: text.into_bytes(), parts: 0, is_finished: true }
        } else {
            Sent { kind: Kind::Binary, data: self.rng.bytes(len), parts: 0, is_finished: true }
        }
    }

    fn send(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) -> Result<(), SendError> {
        let message = self.message();
        match message.kind {
            Kind::Text => endpoint.send_text(core::str::from_utf8(&message.data).unwrap(), out)?,
            Kind::Binary => endpoint.send_binary(&message.data, out)?,
        }
        self.sent.push(message);
        Ok(())
    }

    /// Begins a message in parts.
    pub(super) fn begin(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) -> Result<(), SendError> {
        let mut message = self.message();
        message.parts = self.rng.between(0, message.data.len());
        endpoint.send_part(message.kind, &message.data[..message.parts], false, out)?;
        message.is_finished = false;
        self.sent.push(message);
        Ok(())
    }

    /// Goes on with a message in parts.
    fn go_on(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) -> Result<(), SendError> {
        let Some(message) = self.sent.last_mut() else { return Ok(()) };
        let last = self.rng.one_in(2);
        let len = message.data.len() - message.parts;
        let len = if last { len } else { self.rng.between(0, len) };
        endpoint.send_part(message.kind, &message.data[message.parts..message.parts + len], last, out)?;
        message.parts += len;
        message.is_finished = last;
        Ok(())
    }

    /// Finishes a message in parts, and sends one of `len` bytes.
    pub(super) fn send_long(
        &mut self,
        len: usize,
        endpoint: &mut Endpoint,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        if let Some(message) = self.sent.last_mut()
            && !message.is_finished
        {
            endpoint.send_part(message.kind, &message.data[message.parts..], true, out)?;
            message.is_finished = true;
        }
        let data = self.rng.bytes(len);
        endpoint.send_binary(&data, out)?;
        self.sent.push(Sent { kind: Kind::Binary, data, parts: 0, is_finished: true });
        Ok(())
    }
}
