//! Both opening handshakes, fed with any bytes in any chunks.

use std::sync::Arc;

use ws_core::{
    Accept, Chunk, ClientRequest, Config, Endpoint, Event, Instant, KeySource, Response, SendBuffer,
    ServerConfig,
};

const NOW: Instant = Instant::EPOCH;

/// What comes in, and how: so that a file that a person wrote can be one, the first byte chooses the settings, the
/// second how the rest is cut, and the rest is what the peer sends.
struct Input<'a> {
    settings: u8,
    cuts: u8,
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    const fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [settings, cuts, bytes @ ..] => Some(Self { settings: *settings, cuts: *cuts, bytes }),
            _ => None,
        }
    }

    /// Returns the length of the chunk that starts at `at`: one byte each, or anything up to 32.
    const fn chunk_len(&self, at: usize) -> usize {
        let cuts = self.cuts as usize;
        if cuts == 0 { 1 } else { 1 + (at.wrapping_mul(31) ^ cuts.wrapping_mul(at / 3 + 7)) % 32 }
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    events: Vec<Event<'static>>,
    written: Vec<u8>,
}

/// Runs a server, in one chunk and in many: the same must come of it.
///
/// # Panics
/// If it does not, or if an answer is no HTTP.
pub fn server(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let mut config = ServerConfig::default();
    config.ask = input.settings & 1 != 0;
    config.plain_requests = input.settings & 2 != 0;
    config.resource = (input.settings & 4 != 0).then(|| "/".to_owned());
    config.require_subprotocol = input.settings & 8 != 0;
    config.subprotocols = vec!["sip".to_owned(), "chat".to_owned()];
    config.connection = Arc::new(limits(input.settings));
    let config = Arc::new(config);
    let whole = story(&mut Endpoint::server(&config, NOW), &input, false);
    let split = story(&mut Endpoint::server(&config, NOW), &input, true);
    assert_eq!(whole, split);
    assert!(whole.written.is_empty() || whole.written.starts_with(b"HTTP/1.1 "));
}

/// Runs a client, in one chunk and in many: the same must come of it.
///
/// # Panics
/// If it does not.
pub fn client(bytes: &[u8]) {
    let Some(input) = Input::new(bytes) else { return };
    let request = ClientRequest::new("ws://server.example/path?query");
    let request = request.and_then(|request| request.subprotocol("sip")).expect("a good request");
    let config = Arc::new(limits(input.settings));
    let [whole, split] = [false, true].map(|split| {
        story(&mut Endpoint::client(&request, &config, KeySource::counter(0), NOW), &input, split)
    });
    assert_eq!(whole, split);
    assert!(whole.written.starts_with(b"GET /path?query HTTP/1.1\r\n"));
}

fn limits(settings: u8) -> Config {
    let mut config = Config::default();
    if settings & 0x80 != 0 {
        config.max_head_len = 512;
        config.max_headers = 8;
        config.max_message_len = 100;
    }
    config
}

fn story(endpoint: &mut Endpoint, input: &Input<'_>, split: bool) -> Story {
    let mut bytes = input.bytes.to_vec();
    let mut story = Story { events: Vec::new(), written: Vec::new() };
    let mut out = SendBuffer::new();
    let mut rest = &mut bytes[..];
    // A client speaks first.
    story.poll(endpoint, input, &mut out, Chunk::empty());
    while !rest.is_empty() {
        let at = input.bytes.len() - rest.len();
        let len = if split { input.chunk_len(at).min(rest.len()) } else { rest.len() };
        let (chunk, behind) = rest.split_at_mut(len);
        rest = behind;
        story.poll(endpoint, input, &mut out, Chunk::new(chunk));
    }
    endpoint.handle_eof(NOW);
    story.poll(endpoint, input, &mut out, Chunk::empty());
    endpoint.abort();
    story.poll(endpoint, input, &mut out, Chunk::empty());
    assert!(endpoint.is_closed());
    let ends = story.events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
    assert_eq!(ends, 1, "one end");
    assert!(matches!(story.events.last(), Some(Event::Closed(_))), "and nothing after it");
    assert_eq!(endpoint.poll_timeout(), None);
    story
}

impl Story {
    fn poll(
        &mut self,
        endpoint: &mut Endpoint,
        input: &Input<'_>,
        out: &mut SendBuffer,
        mut chunk: Chunk<'_>,
    ) {
        self.write(endpoint, out);
        while let Some(event) = endpoint.poll_event(NOW, &mut chunk).map(Event::into_owned) {
            let is_request = matches!(event, Event::Request(_));
            self.events.push(event);
            if is_request && endpoint.accept(&Accept::default()).is_err() {
                let status = 200 + u16::from(input.settings);
                let _ = endpoint.respond(NOW, &Response::new(status));
            }
            self.write(endpoint, out);
        }
        self.write(endpoint, out);
    }

    fn write(&mut self, endpoint: &mut Endpoint, out: &mut SendBuffer) {
        while endpoint.poll_transmit(NOW, out) {
            let n = out.pending().len();
            self.written.extend_from_slice(out.pending());
            endpoint.handle_transmitted(NOW, n, out);
        }
    }
}
