//! A connection in either role, under a script of chunks and operations.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use arbitrary::Arbitrary;
use ws_core::frame::{Header, Opcode};
use ws_core::{
    Chunk, Config, Connection, Delivery, Event, Instant, KeySource, Kind, Outcome, Role, SendBuffer,
    SendError, StatusCode, mask,
};

/// What the docs of `Connection` allow the engine to queue beyond the cap.
const ENGINE_FRAMES: usize = 3358;
const MAX_OUTPUT: usize = 4096;

/// What happens to a connection, in order.
#[derive(Arbitrary, Debug)]
pub struct Script {
    is_client: bool,
    in_parts: bool,
    is_silent: bool,
    is_lenient: bool,
    has_keepalive: bool,
    has_deadlines: bool,
    max_message_len: u16,
    max_message_chunks: u8,
    steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Arbitrary, Debug)]
enum Step {
    /// Any bytes arrive.
    Bytes(Vec<u8>),
    /// A frame arrives that is masked as it should be, in chunks of so many bytes.
    Frame {
        fin: bool,
        opcode: u8,
        payload: Vec<u8>,
        chunk_len: u8,
    },
    SendText(String),
    SendBinary(u16),
    /// A text is sent in two parts, cut anywhere.
    SendParts {
        text: String,
        cut: u8,
        last: bool,
    },
    Ping(Vec<u8>),
    Close(Option<u16>, String),
    /// The transport takes so many bytes.
    Write(u16),
    Wait(u16),
    Eof,
    Lost,
    Abort,
}

struct Run {
    conn: Connection,
    out: SendBuffer,
    now: Instant,
    /// Its peer, to which all that is written must make sense.
    reader: Connection,
    failed: bool,
    closing: bool,
    closed: Option<Outcome>,
}

/// Runs the script.
///
/// # Panics
/// If an event comes that must not, if more is queued than may be, or if what is written makes no sense.
pub fn run(script: Script) {
    let (role, other) =
        if script.is_client { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
    let now = Instant::from_nanos(1);
    let mut run = Run {
        conn: connection(role, settings(&script), now),
        out: SendBuffer::new(),
        now,
        reader: connection(other, Config::default(), now),
        failed: false,
        closing: false,
        closed: None,
    };
    for step in script.steps {
        run.step(step);
        assert!(run.out.len() <= MAX_OUTPUT + ENGINE_FRAMES);
    }
    run.write(usize::MAX);
    run.conn.abort();
    run.poll(Chunk::empty());
    assert!(run.closed.is_some(), "the end is always told");
    assert_eq!(run.conn.poll_timeout(), None);
    assert_eq!(run.conn.send_text("", &mut run.out), Err(SendError::Closing));
}

fn connection(role: Role, config: Config, now: Instant) -> Connection {
    let keys = (role == Role::Client).then(|| KeySource::counter(0));
    Connection::new(role, &Arc::new(config), now, keys)
}

fn settings(script: &Script) -> Config {
    let mut config = Config::default();
    config.max_message_len = usize::from(script.max_message_len);
    config.max_message_chunks = NonZeroU32::new(script.max_message_chunks.into());
    config.max_output_len = MAX_OUTPUT;
    config.control_events = !script.is_silent;
    config.accept_unmasked = script.is_lenient;
    config.accept_non_minimal_lengths = script.is_lenient;
    if script.in_parts {
        config.delivery = Delivery::Parts;
    }
    if script.has_keepalive {
        config.ping_interval = Some(Duration::from_millis(300));
        config.pong_timeout = Duration::from_millis(200);
    }
    if script.has_deadlines {
        config.message_timeout = Some(Duration::from_secs(2));
        config.idle_timeout = Some(Duration::from_secs(3));
        config.send_timeout = Some(Duration::from_secs(4));
    }
    config
}

impl Run {
    fn step(&mut self, step: Step) {
        let (conn, out) = (&mut self.conn, &mut self.out);
        let was_open = conn.is_open();
        let sent = match step {
            Step::Bytes(mut bytes) => return self.poll(Chunk::new(&mut bytes)),
            Step::Frame { fin, opcode, payload, chunk_len } => {
                return self.receive(fin, opcode, payload, chunk_len);
            }
            Step::SendText(text) => conn.send_text(&text, out),
            Step::SendBinary(len) => conn.send_binary(&vec![7; usize::from(len)], out),
            Step::SendParts { text, cut, last } => {
                let (one, two) = text.as_bytes().split_at(usize::from(cut).min(text.len()));
                let sent = conn.send_part(Kind::Text, one, false, out);
                if sent.is_ok() && conn.send_part(Kind::Text, two, last, out).is_err() {
                    // The text cannot be finished: half a code point may be out.
                    conn.abort();
                    return self.poll(Chunk::empty());
                }
                sent
            }
            Step::Ping(data) => conn.ping(&data, out),
            Step::Close(code, reason) => conn.close(self.now, code.and_then(StatusCode::new), &reason, out),
            Step::Write(most) => return self.write(most.into()),
            Step::Wait(millis) => return self.wait(Duration::from_millis(millis.into())),
            Step::Eof => {
                conn.handle_eof(self.now);
                return self.poll(Chunk::empty());
            }
            Step::Lost => {
                conn.handle_transport_lost(self.now);
                return self.poll(Chunk::empty());
            }
            Step::Abort => {
                conn.abort();
                return self.poll(Chunk::empty());
            }
        };
        assert_eq!(was_open, sent != Err(SendError::Closing));
    }

    fn receive(&mut self, fin: bool, opcode: u8, mut payload: Vec<u8>, chunk_len: u8) {
        let Some(opcode) = Opcode::new(opcode % 16) else { return };
        let key = (self.conn.role() == Role::Server).then_some([0x11, 0xa2, 0, 0x7c]);
        let (header, len) = Header { fin, rsv: 0, opcode, key, len: payload.len() as u64 }.write();
        if let Some(key) = key {
            mask::apply(&mut payload, key);
        }
        let mut bytes = [&header[..len], &payload].concat();
        for chunk in bytes.chunks_mut(usize::from(chunk_len).max(1)) {
            self.poll(Chunk::new(chunk));
        }
    }

    /// Polls all events, and asserts that each may come.
    fn poll(&mut self, mut chunk: Chunk<'_>) {
        let mut most = chunk.len() + 2;
        while let Some(event) = self.conn.poll_event(self.now, &mut chunk) {
            assert!(self.closed.is_none(), "{event:?} after the end");
            let is_over = self.failed || self.closing;
            match event {
                Event::Closed(outcome) => {
                    assert!(!self.failed || matches!(outcome, Outcome::Failed(_)));
                    self.closed = Some(outcome);
                }
                _ if is_over => panic!("{event:?} after what counts"),
                Event::Failed(_) => self.failed = true,
                Event::Close(_) => self.closing = true,
                Event::Part(part) => assert!(part.last || !part.data.as_bytes().is_empty()),
                _ => {}
            }
            most = most.checked_sub(1).expect("not more events than bytes");
        }
        assert!(chunk.is_empty());
        assert_eq!(self.closed.is_some(), self.conn.is_closed());
    }

    /// Writes up to `most` bytes; they make sense to the peer.
    fn write(&mut self, mut most: usize) {
        while self.conn.poll_transmit(self.now, &mut self.out) {
            let n = self.out.pending().len().min(most);
            let mut bytes = self.out.pending()[..n].to_vec();
            self.conn.handle_transmitted(self.now, n, &mut self.out);
            self.poll(Chunk::empty());
            let mut chunk = Chunk::new(&mut bytes);
            while let Some(event) = self.reader.poll_event(self.now, &mut chunk) {
                assert!(!matches!(event, Event::Failed(_)), "{event:?} from what was written");
            }
            most -= n;
            if n == 0 || self.closed.is_some() {
                return;
            }
        }
    }

    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..1000 {
            let Some(at) = self.conn.poll_timeout().filter(|&at| at <= end) else {
                self.now = end;
                return self.poll(Chunk::empty());
            };
            self.now = self.now.max(at);
            self.conn.handle_timeout(self.now);
            self.poll(Chunk::empty());
        }
        panic!("deadlines never end");
    }
}
