//! Drives an endpoint through its opening handshake, with the input cut as a test likes.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod requests;

use std::sync::Arc;

use ws_core::{
    Chunk, ClientRequest, Config, Endpoint, Event, Instant, KeySource, Outcome, SendBuffer, ServerConfig,
};

pub(crate) const NOW: Instant = Instant::EPOCH;

/// The key and accept value of RFC 6455, section 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An endpoint, what it has to send, and what it said.
pub(crate) struct Driven {
    pub(crate) endpoint: Endpoint,
    pub(crate) out: SendBuffer,
    pub(crate) events: Vec<Event<'static>>,
    pub(crate) sent: Vec<u8>,
}

impl Driven {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, out: SendBuffer::new(), events: Vec::new(), sent: Vec::new() }
    }

    pub(crate) fn server(config: &Arc<ServerConfig>) -> Self {
        Self::new(Endpoint::server(config, NOW))
    }

    pub(crate) fn client(request: &ClientRequest, config: &Config) -> Self {
        Self::new(Endpoint::client(request, &Arc::new(config.clone()), KeySource::counter(0), NOW))
    }

    /// Gives one chunk and polls until nothing is due.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut chunk = Chunk::new(&mut bytes);
        while let Some(event) = self.endpoint.poll_event(NOW, &mut chunk) {
            self.events.push(event.into_owned());
        }
        assert!(chunk.is_empty(), "None means that all was taken in");
        self.transmit();
    }

    /// Lets the transport take all that is due.
    pub(crate) fn transmit(&mut self) {
        while self.endpoint.poll_transmit(NOW, &mut self.out) {
            let n = self.out.pending().len();
            self.sent.extend_from_slice(self.out.pending());
            self.endpoint.handle_transmitted(NOW, n, &mut self.out);
        }
    }

    pub(crate) fn eof(&mut self) {
        self.endpoint.handle_eof(NOW);
        self.feed(&[]);
    }

    pub(crate) fn sent_text(&self) -> &str {
        core::str::from_utf8(&self.sent).unwrap()
    }

    /// The outcome, if the only event was the last one.
    pub(crate) fn only_outcome(&self) -> Option<&Outcome> {
        match &self.events[..] {
            [Event::Closed(outcome)] => Some(outcome),
            _ => None,
        }
    }
}

/// The ways of cutting that each case is fed in: whole, byte by byte, in two halves, in lines.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let (front, back) = bytes.split_at(bytes.len() / 2);
    vec![
        vec![bytes],
        bytes.chunks(1).collect(),
        vec![front, back],
        bytes.split_inclusive(|&byte| byte == b'\n').collect(),
        bytes.chunks(7).collect(),
    ]
}
