//! ws-core as a contestant.

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use ws_core::{
    Chunk, ClientRequest, Config, Connection, Delivery, Endpoint, Event, Instant, KeySource, Message, Role,
    SendBuffer, ServerConfig, mask as masking, utf8 as text,
};

use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

const READ: usize = 64 * 1024;

fn connection(role: Role) -> Connection {
    configured(role, Config::default())
}

fn configured(role: Role, config: Config) -> Connection {
    let keys = match role {
        Role::Client => Some(KeySource::from_seed([7; 32])),
        Role::Server => None,
    };
    Connection::new(role, &Arc::new(config), Instant::EPOCH, keys)
}

/// Writes what is due.
#[inline(always)]
fn transmit(connection: &mut Connection, wire: &mut Wire, out: &mut SendBuffer) {
    if connection.poll_transmit(Instant::EPOCH, out) {
        wire.write_all(out.pending()).expect("the wire takes everything");
        let all = out.len();
        connection.handle_transmitted(Instant::EPOCH, all, out);
    }
}

/// A server that reads with a buffer of 64 KiB; with `PARTS`, messages are handed out in parts as they arrive.
pub struct Decode<const PARTS: bool> {
    wire: Wire,
    connection: Connection,
    buffer: Vec<u8>,
    /// What is left of the chunk that the last call ended in.
    rest: core::ops::Range<usize>,
}

impl<const PARTS: bool> Decode<PARTS> {
    /// With the default limits and deadlines.
    pub fn new(wire: Wire) -> Self {
        let mut config = Config::default();
        if PARTS {
            config.delivery = Delivery::Parts;
        }
        Self { wire, connection: configured(Role::Server, config), buffer: vec![0; READ], rest: 0..0 }
    }
}

impl<const PARTS: bool> Contestant for Decode<PARTS> {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let end = sink.messages + messages as u64;
        let mut chunk = Chunk::resumed(&mut self.buffer, self.rest.start, self.rest.end);
        let mut read = self.rest.end;
        while sink.messages < end {
            match self.connection.poll_event(Instant::EPOCH, &mut chunk) {
                Some(Event::Message(Message::Text(text))) => sink.text(&text),
                Some(Event::Message(Message::Binary(data))) => sink.binary(&data),
                Some(Event::Part(part)) if PARTS => sink.part(part.data.as_bytes(), part.last),
                None => {
                    read = self.wire.fetch(&mut self.buffer);
                    chunk = Chunk::new(&mut self.buffer[..read]);
                }
                Some(other) => unreachable!("the workload has no {other:?}"),
            }
        }
        self.rest = read - chunk.len()..read;
    }
}

/// A server that sends back what it reads, one write for a read: all that a message costs but for the system.
pub struct Echo {
    wire: Wire,
    connection: Connection,
    buffer: Vec<u8>,
    out: SendBuffer,
}

impl Echo {
    /// With the default limits and deadlines.
    pub fn new(wire: Wire) -> Self {
        Self { wire, connection: connection(Role::Server), buffer: vec![0; READ], out: SendBuffer::new() }
    }
}

impl Contestant for Echo {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let end = sink.messages + messages as u64;
        while sink.messages < end {
            let read = self.wire.fetch(&mut self.buffer);
            let mut chunk = Chunk::new(&mut self.buffer[..read]);
            while let Some(event) = self.connection.poll_event(Instant::EPOCH, &mut chunk) {
                let Event::Message(Message::Text(text)) = event else { unreachable!("only texts come") };
                sink.text(&text);
                self.connection.send_text(&text, &mut self.out).expect("the connection is open");
            }
            transmit(&mut self.connection, &mut self.wire, &mut self.out);
            core::hint::black_box(self.connection.poll_timeout());
        }
    }
}

/// Either role, sending borrowed texts.
pub struct Encode {
    wire: Wire,
    connection: Connection,
    texts: Vec<String>,
    out: SendBuffer,
}

impl Encode {
    /// A client has a cryptographic source of keys.
    pub fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let text = |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8");
        Self {
            wire,
            connection: connection(if client { Role::Client } else { Role::Server }),
            texts: workload.payloads.iter().map(text).collect(),
            out: SendBuffer::new(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 1..=messages {
            let text = &self.texts[(i - 1) % self.texts.len()];
            self.connection.send_text(text, &mut self.out).expect("the connection is open");
            if i % BATCH == 0 || i == messages {
                transmit(&mut self.connection, &mut self.wire, &mut self.out);
            }
        }
        sink.messages += messages as u64;
    }
}

static SERVER: LazyLock<Arc<ServerConfig>> = LazyLock::new(Default::default);
static CLIENT: LazyLock<Arc<Config>> = LazyLock::new(Default::default);

/// Drives an endpoint until it is open.
fn open(mut endpoint: Endpoint, wire: &mut Wire, buffer: &mut [u8]) -> Endpoint {
    let mut out = SendBuffer::new();
    let mut opened = false;
    loop {
        if endpoint.poll_transmit(Instant::EPOCH, &mut out) {
            wire.write_all(out.pending()).expect("the wire takes everything");
            let all = out.len();
            endpoint.handle_transmitted(Instant::EPOCH, all, &mut out);
        }
        if opened {
            return endpoint;
        }
        let n = wire.fetch(buffer);
        let mut chunk = Chunk::new(&mut buffer[..n]);
        while let Some(event) = endpoint.poll_event(Instant::EPOCH, &mut chunk) {
            assert!(matches!(event, Event::Open(_)), "the head is sound");
            opened = true;
        }
    }
}

/// A server's opening handshake; `buffer` is the one receive buffer of all connections.
pub fn accept(mut wire: Wire, buffer: &mut [u8]) {
    core::hint::black_box(open(Endpoint::server(&SERVER, Instant::EPOCH), &mut wire, buffer));
}

/// A client's opening handshake.
pub fn connect(mut wire: Wire, buffer: &mut [u8]) {
    let request = ClientRequest::new("ws://sip.example.org:8080/sip").expect("the URL is sound");
    let endpoint = Endpoint::client(&request, &CLIENT, KeySource::from_seed([7; 32]), Instant::EPOCH);
    core::hint::black_box(open(endpoint, &mut wire, buffer));
}

/// The public masking function.
pub fn mask(data: &mut [u8], key: [u8; 4]) {
    masking::apply(data, key);
}

/// The public validation.
pub fn utf8(bytes: &[u8]) -> bool {
    text::validate(bytes).is_ok()
}
