use ws_core::{Accept, Chunk, CloseFrame, Endpoint, Event, Instant, Kind, Outcome, SendBuffer};

use super::app::App;
use crate::common::{End, Read, Rng, Wire, ms};

/// A header, and a Pong, a keepalive Ping and a Close frame of the engine may wait beyond the cap.
const BEYOND: usize = 14 + (6 + 125) + (6 + 4) + (6 + 125);

/// One endpoint, its application and what came of both.
pub(super) struct Peer {
    rng: Rng,
    pub(super) endpoint: Endpoint,
    pub(super) out: SendBuffer,
    pub(super) app: App,
    buffer: Vec<u8>,
    /// When a request that waits is accepted.
    accept_at: Option<Instant>,
    pub(super) is_open: bool,
    /// How many messages came in full, and what came of the next.
    pub(super) received: usize,
    part: Option<(Kind, Vec<u8>)>,
    pub(super) close: Option<Option<CloseFrame>>,
    pub(super) failed: bool,
    pub(super) closed: Option<Outcome>,
    is_shut: bool,
    /// How its transport ends for the other side once it is dropped.
    pub(super) leaves: End,
}

impl Peer {
    pub(super) fn new(rng: &mut Rng, endpoint: Endpoint, app: App) -> Self {
        let mut rng = Rng::new(rng.next());
        let buffer = vec![0; *rng.pick(&[1, 7, 64, 600, 4096])];
        Self {
            rng,
            endpoint,
            out: SendBuffer::new(),
            app,
            buffer,
            accept_at: None,
            is_open: false,
            received: 0,
            part: None,
            close: None,
            failed: false,
            closed: None,
            is_shut: false,
            leaves: End::Eof,
        }
    }

    /// Does all there is to do at `now`, as an adapter would.
    pub(super) fn turn(&mut self, now: Instant, other: &App, inbound: &mut Wire, outbound: &mut Wire) {
        if self.closed.is_some() {
            return;
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
            self.poll(now, other, 0, false);
        }
        for _ in 0..self.rng.between(1, 4) {
            match inbound.read(now, &mut self.buffer) {
                None => break,
                Some(Read::Bytes(n)) => self.poll(now, other, n, n == self.buffer.len()),
                Some(Read::End(end)) => {
                    match end {
                        End::Eof => self.endpoint.handle_eof(now),
                        End::Reset => self.endpoint.handle_transport_lost(now),
                    }
                    self.poll(now, other, 0, false);
                    break;
                }
            }
        }
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept_at = None;
            if self.endpoint.is_request_waiting() {
                self.endpoint.accept(&Accept::default()).unwrap();
                self.poll(now, other, 0, false);
            }
        }
        if self.closed.is_none() {
            self.app.act(now, &mut self.endpoint, &mut self.out);
        }
        self.write(now, outbound);
        // What was written may have been the last that was to be done.
        self.poll(now, other, 0, false);
        if self.closed.is_some() {
            outbound.end(now, self.leaves);
            inbound.forget();
        }
    }

    /// Takes in `n` bytes of the buffer.
    fn poll(&mut self, now: Instant, other: &App, n: usize, is_full: bool) {
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut chunk = match n {
            0 => Chunk::empty(),
            n if is_full => Chunk::cut(&mut buffer[..n]),
            n => Chunk::new(&mut buffer[..n]),
        };
        while let Some(event) = self.endpoint.poll_event(now, &mut chunk) {
            assert!(self.closed.is_none(), "{event:?} after the last event");
            let is_over = self.failed || self.close.is_some();
            assert!(!is_over || matches!(event, Event::Closed(_)), "{event:?} after the end of what counts");
            match event {
                Event::Request(_) => self.accept_at = Some(now + ms(self.rng.below(30) as u64)),
                Event::Open(_) => self.open(now),
                Event::Message(message) => {
                    assert!(self.part.is_none());
                    self.deliver(other, message.kind(), message.as_bytes());
                    self.app.react(&mut self.endpoint, &mut self.out);
                }
                Event::Part(part) => {
                    assert_eq!(part.first, self.part.is_none());
                    let (kind, mut data) = self.part.take().unwrap_or_else(|| (part.data.kind(), Vec::new()));
                    data.extend_from_slice(part.data.as_bytes());
                    if part.last {
                        self.deliver(other, kind, &data);
                        self.app.react(&mut self.endpoint, &mut self.out);
                    } else {
                        self.part = Some((kind, data));
                    }
                }
                Event::Ping(data) => assert!(data.len() <= 125),
                // Of Pings that are not answered yet the latest is: earlier ones may be passed over.
                Event::Pong(data) => {
                    if data.starts_with(b"app") {
                        let is_mine = self.app.pings.iter().position(|ping| *ping == *data);
                        let at = is_mine.expect("a Pong answers a Ping, once and in order");
                        self.app.pings.drain(..=at);
                    }
                }
                Event::Close(frame) => self.close = Some(frame),
                Event::Failed(_) => self.failed = true,
                Event::Closed(outcome) => {
                    self.closed = Some(outcome);
                    assert!(self.endpoint.is_closed());
                }
                _ => unreachable!("no other event is known"),
            }
        }
        assert!(chunk.is_empty() || self.endpoint.is_request_waiting());
        self.buffer = buffer;
    }

    pub(super) fn open(&mut self, now: Instant) {
        assert!(!self.is_open && self.endpoint.is_open());
        self.is_open = true;
        self.app.start(now);
    }

    /// A message came: it is the next that the other application sent.
    fn deliver(&mut self, other: &App, kind: Kind, data: &[u8]) {
        let sent = &other.sent[self.received];
        assert!(kind == sent.kind && data == sent.data, "message {} is not what was sent", self.received);
        self.received += 1;
    }

    /// Asserts that what came of a message that did not end is the start of what was sent.
    pub(super) fn assert_rest(&self, other: &App) {
        if let Some((kind, data)) = &self.part {
            let sent = &other.sent[self.received];
            assert!(*kind == sent.kind && sent.data.starts_with(data));
        }
    }

    fn write(&mut self, now: Instant, outbound: &mut Wire) {
        while self.endpoint.poll_transmit(now, &mut self.out) {
            let most = self.endpoint.config().max_output_len + BEYOND + 500 * usize::from(!self.is_open);
            assert!(self.out.len() <= most, "{} bytes wait", self.out.len());
            assert!(!self.is_shut || self.endpoint.is_closed(), "frames after the last");
            let pending = self.out.pending().len();
            let n = outbound.write(now, self.out.pending());
            self.endpoint.handle_transmitted(now, n, &mut self.out);
            if n < pending {
                return;
            }
        }
        if self.endpoint.is_write_closed() && !self.is_shut {
            self.is_shut = true;
            outbound.end(now, End::Eof);
        }
    }

    /// When there is something to do next, by itself.
    pub(super) fn next(&self, inbound: &Wire, outbound: &Wire) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let writable = if self.out.is_empty() { None } else { outbound.writable_at() };
        [self.endpoint.poll_timeout(), inbound.readable_at(), writable, self.app.next, self.accept_at]
            .into_iter()
            .flatten()
            .min()
    }
}
