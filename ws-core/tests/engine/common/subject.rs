use core::time::Duration;
use std::sync::Arc;

use ws_core::{Chunk, Config, Connection, Event, Instant, KeySource, Outcome, Role, SendBuffer};

use super::{Frame, decode};

/// One connection whose peer and transport the test plays by hand.
pub(crate) struct Subject {
    pub(crate) conn: Connection,
    pub(crate) out: SendBuffer,
    pub(crate) now: Instant,
    closed: Option<Outcome>,
}

impl Subject {
    pub(crate) fn new(role: Role, config: Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let keys = (role == Role::Client).then(|| KeySource::counter(7));
        let conn = Connection::new(role, &Arc::new(config), now, keys);
        Self { conn, out: SendBuffer::new(), now, closed: None }
    }

    /// One that agreed on permessage-deflate.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflating(role: Role, config: Config, params: ws_core::DeflateParams) -> Self {
        let mut subject = Self::new(role, config);
        subject.conn = subject.conn.with_deflate(params);
        subject
    }

    /// Encodes frames as this endpoint's peer would, masked if that is a client.
    pub(crate) fn encode(&self, frames: &[Frame]) -> Vec<u8> {
        encode_for(self.conn.role(), frames)
    }

    /// Receives frames in one chunk; returns the events.
    #[track_caller]
    pub(crate) fn receive(&mut self, frames: &[Frame]) -> Vec<Event<'static>> {
        let bytes = self.encode(frames);
        self.receive_bytes(&bytes)
    }

    /// Receives one chunk; returns the events.
    #[track_caller]
    pub(crate) fn receive_bytes(&mut self, bytes: &[u8]) -> Vec<Event<'static>> {
        let mut bytes = bytes.to_vec();
        self.receive_chunk(Chunk::new(&mut bytes))
    }

    #[track_caller]
    pub(crate) fn receive_chunk(&mut self, mut chunk: Chunk<'_>) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        let most = chunk.len() + 2;
        while let Some(event) = self.conn.poll_event(self.now, &mut chunk) {
            assert_eq!(self.closed, None, "{event:?} after the last event");
            if let Event::Closed(outcome) = &event {
                self.closed = Some(outcome.clone());
            }
            events.push(event.into_owned());
            assert!(events.len() <= most, "more events than bytes");
        }
        assert!(chunk.is_empty(), "{} bytes were not taken in", chunk.len());
        events
    }

    #[track_caller]
    fn events(&mut self) -> Vec<Event<'static>> {
        self.receive_chunk(Chunk::empty())
    }

    #[track_caller]
    pub(crate) fn eof(&mut self) -> Vec<Event<'static>> {
        self.conn.handle_eof(self.now);
        self.events()
    }

    #[track_caller]
    pub(crate) fn lose(&mut self) -> Vec<Event<'static>> {
        self.conn.handle_transport_lost(self.now);
        self.events()
    }

    #[track_caller]
    pub(crate) fn abort(&mut self) -> Vec<Event<'static>> {
        self.conn.abort();
        self.events()
    }

    /// Lets time pass, stopping at each deadline on the way; nothing is written meanwhile.
    #[track_caller]
    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<Event<'static>> {
        let end = self.now + duration;
        let mut events = Vec::new();
        let mut stops = 0;
        while let Some(at) = self.conn.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.conn.handle_timeout(self.now);
            events.extend(self.events());
            stops += 1;
            assert!(stops < 100, "deadlines never end");
        }
        self.now = end;
        self.conn.handle_timeout(self.now);
        events.extend(self.events());
        events
    }

    /// Writes all that is due; returns the frames.
    #[track_caller]
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        let bytes = self.sent_bytes(usize::MAX);
        let frames = decode(&bytes);
        for frame in &frames {
            assert_eq!(frame.key.is_some(), self.conn.role() == Role::Client, "MASK of {frame:?}");
            assert_eq!((frame.rsv, frame.length_form), (0, None), "{frame:?}");
        }
        frames.into_iter().map(|frame| Frame { key: None, ..frame }).collect()
    }

    /// Lets the transport take at most `most` bytes, in writes of what is pending in one piece, then block.
    pub(crate) fn sent_bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.conn.poll_transmit(self.now, &mut self.out) {
            let n = self.out.pending().len().min(most - bytes.len());
            bytes.extend_from_slice(&self.out.pending()[..n]);
            self.conn.handle_transmitted(self.now, n, &mut self.out);
            if n == 0 {
                break;
            }
        }
        bytes
    }

    /// Asserts that the end is reported now, and as `outcome`.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self, outcome: &Outcome) {
        self.events();
        assert_eq!(self.closed.as_ref(), Some(outcome));
        assert!(self.conn.is_closed() && !self.conn.is_open());
        assert_eq!(self.conn.poll_timeout(), None, "an ended connection has no deadline");
    }

    #[track_caller]
    pub(crate) fn assert_not_closed(&mut self) {
        assert_eq!(self.events(), []);
        assert!(!self.conn.is_closed());
    }
}

/// Encodes frames as the peer of an endpoint in `role` would.
pub(crate) fn encode_for(role: Role, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let i = u8::try_from(i % 251).unwrap();
        match (role, frame.key) {
            (Role::Server, None) => bytes.extend(frame.clone().masked([0x1d ^ i, 0xf2, 7, 0xa8]).encode()),
            _ => bytes.extend(frame.encode()),
        }
    }
    bytes
}
