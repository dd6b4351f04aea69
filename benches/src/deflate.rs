//! permessage-deflate (RFC 7692): level 6, windows of 32 KiB, each message for itself or with context takeover.

use core::cell::LazyCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use ws_core::{
    Chunk, Config, Connection, DeflateConfig, DeflateParams, Event, Instant, Message, Role, SendBuffer,
};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::{Case, Contestant, Entry, Line, payloads};
use crate::wire::Wire;
use crate::workload::{self, Spec, Workload};

/// How hard everybody looks for repetitions.
pub const LEVEL: u8 = 6;
const WINDOW_BITS: u8 = 15;
/// What a message ends in that is not sent (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// FIN, RSV1, text.
const HEAD: u8 = 0xc1;
const READ: usize = 64 * 1024;

/// A server with or without context takeover.
pub type Start = fn(&Workload, Wire, bool) -> Box<dyn Contestant>;

/// The cases of the group.
pub fn cases() -> Vec<Case> {
    const NAMES: [[&str; 4]; 3] = [
        [
            "send 700 B SIP text",
            "send 700 B SIP text, context takeover",
            "receive 700 B SIP text",
            "receive 700 B SIP text, context takeover",
        ],
        [
            "send 4 KiB JSON",
            "send 4 KiB JSON, context takeover",
            "receive 4 KiB JSON",
            "receive 4 KiB JSON, context takeover",
        ],
        [
            "send 64 KiB JSON",
            "send 64 KiB JSON, context takeover",
            "receive 64 KiB JSON",
            "receive 64 KiB JSON, context takeover",
        ],
    ];
    let specs = workload::deflate().into_iter().zip(NAMES);
    specs
        .flat_map(|(spec, names)| {
            [
                send(names[0], spec, false),
                send(names[1], spec, true),
                receive(names[2], spec, false),
                receive(names[3], spec, true),
            ]
        })
        .collect()
}

fn send(name: &'static str, spec: Spec, takeover: bool) -> Case {
    let mut lines: Vec<Line<Start>> = vec![
        ("zlib-rs", "compressed into one buffer that is kept; no frame", |w, _, takeover| {
            Box::new(RawSend::new(w, takeover))
        }),
        ("ws-core", "16 a write; from a borrowed text; memory level 6", |w, wire, takeover| {
            Box::new(Send::new(w, wire, takeover))
        }),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::deflate_send());
    let input = Rc::new(LazyCell::new(move || Workload::new(&spec)));
    let entry = |(name, does, make): Line<Start>| {
        let (started, checked) = (Rc::clone(&input), Rc::clone(&input));
        Entry {
            name,
            does,
            start: Box::new(move || make(&started, Wire::new(&started.arrivals), takeover)),
            check: Box::new(move || {
                let tape = Arc::new(Mutex::new(Vec::new()));
                make(&checked, Wire::recording(&tape), takeover)
                    .run(checked.payloads.len(), &mut Sink::touching());
                let tape = tape.lock().expect("no writer panicked");
                name == "zlib-rs" || unpacked(&tape, spec.len, takeover) == checked.payloads
            }),
        }
    };
    let entries = lines.drain(..).map(entry).collect();
    Case { group: "deflate", name, len: spec.len, base: "zlib-rs", contains_base: false, entries }
}

fn receive(name: &'static str, spec: Spec, takeover: bool) -> Case {
    let mut lines: Vec<Line<Start>> = vec![
        ("zlib-rs", "decompressed into one buffer that is kept; no frame, not unmasked", |w, _, takeover| {
            Box::new(RawReceive::new(w, takeover))
        }),
        (
            "ws-core",
            "all rules and limits, each piece checked against them; UTF-8; owned messages",
            |_, wire, takeover| Box::new(Receive::new(wire, takeover)),
        ),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::deflate_receive());
    let input = Rc::new(LazyCell::new(move || {
        let mut packer = Packer::new(takeover);
        let mut pack = |payload: &[u8]| packer.pack(payload).to_vec();
        Workload::compressed(&spec, Some(&mut pack))
    }));
    let entry = |(name, does, make): Line<Start>| {
        let (started, checked) = (Rc::clone(&input), Rc::clone(&input));
        Entry {
            name,
            does,
            start: Box::new(move || make(&started, Wire::new(&started.arrivals), takeover)),
            check: Box::new(move || {
                let mut sink = Sink::checking();
                make(&checked, Wire::new(&checked.arrivals), takeover).run(checked.payloads.len(), &mut sink);
                sink == checked.expected()
            }),
        }
    };
    let entries = lines.drain(..).map(entry).collect();
    Case { group: "deflate", name, len: spec.len, base: "zlib-rs", contains_base: false, entries }
}

/// The library that compresses, and nothing around it.
struct Packer {
    deflate: Deflate,
    takeover: bool,
    out: Vec<u8>,
}

impl Packer {
    fn new(takeover: bool) -> Self {
        Self { deflate: Deflate::new(LEVEL.into(), false, WINDOW_BITS), takeover, out: Vec::new() }
    }

    fn pack(&mut self, payload: &[u8]) -> &[u8] {
        if !self.takeover {
            self.deflate.reset();
        }
        self.out.resize(payload.len() + 64, 0);
        let before = self.deflate.total_out();
        self.deflate
            .compress(payload, &mut self.out, DeflateFlush::SyncFlush)
            .expect("the arguments are sound");
        let len = usize::try_from(self.deflate.total_out() - before).expect("it is in the buffer");
        self.out[..len].strip_suffix(&TAIL).expect("the texts become shorter")
    }
}

/// The library that decompresses, and nothing around it.
struct Unpacker {
    inflate: Inflate,
    takeover: bool,
    out: Vec<u8>,
}

impl Unpacker {
    fn new(len: usize, takeover: bool) -> Self {
        Self { inflate: Inflate::new(false, WINDOW_BITS), takeover, out: vec![0; len + 64] }
    }

    fn unpack(&mut self, packed: &[u8]) -> &[u8] {
        if !self.takeover {
            self.inflate.reset(false);
        }
        let before = self.inflate.total_out();
        let mut len = 0;
        for input in [packed, &TAIL] {
            self.inflate
                .decompress(input, &mut self.out[len..], InflateFlush::SyncFlush)
                .expect("it was packed by the same library");
            len = usize::try_from(self.inflate.total_out() - before).expect("it is in the buffer");
        }
        &self.out[..len]
    }
}

/// The texts of a server's compressed frames.
fn unpacked(bytes: &[u8], len: usize, takeover: bool) -> Vec<Vec<u8>> {
    let packed = payloads(bytes, HEAD, false).unwrap_or_default();
    let mut unpacker = Unpacker::new(len, takeover);
    packed.iter().map(|packed| unpacker.unpack(packed).to_vec()).collect()
}

struct RawSend {
    packer: Packer,
    payloads: Vec<Vec<u8>>,
}

impl RawSend {
    fn new(workload: &Workload, takeover: bool) -> Self {
        Self { packer: Packer::new(takeover), payloads: workload.payloads.clone() }
    }
}

impl Contestant for RawSend {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 0..messages {
            core::hint::black_box(self.packer.pack(&self.payloads[i % self.payloads.len()]));
        }
        sink.messages += messages as u64;
    }
}

struct RawReceive {
    unpacker: Unpacker,
    packed: Vec<Vec<u8>>,
    next: usize,
}

impl RawReceive {
    fn new(workload: &Workload, takeover: bool) -> Self {
        let packed = payloads(workload.arrivals.bytes(), HEAD, true).expect("they are short");
        Self { unpacker: Unpacker::new(workload.len, takeover), packed, next: 0 }
    }
}

impl Contestant for RawReceive {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for _ in 0..messages {
            sink.binary(self.unpacker.unpack(&self.packed[self.next]));
            self.next = (self.next + 1) % self.packed.len();
        }
    }
}

fn connection(takeover: bool) -> Connection {
    let mut deflate = DeflateConfig::default();
    deflate.level = LEVEL;
    let mut config = Config::default();
    config.deflate = Some(deflate);
    let mut params = DeflateParams::default();
    params.server_no_context_takeover = !takeover;
    params.client_no_context_takeover = !takeover;
    Connection::new(Role::Server, &Arc::new(config), Instant::EPOCH, None).with_deflate(params)
}

struct Send {
    wire: Wire,
    connection: Connection,
    texts: Vec<String>,
    out: SendBuffer,
}

impl Send {
    fn new(workload: &Workload, wire: Wire, takeover: bool) -> Self {
        let text = |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8");
        let texts = workload.payloads.iter().map(text).collect();
        Self { wire, connection: connection(takeover), texts, out: SendBuffer::new() }
    }
}

impl Contestant for Send {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 1..=messages {
            let text = &self.texts[(i - 1) % self.texts.len()];
            self.connection.send_text(text, &mut self.out).expect("the connection is open");
            if (i % BATCH == 0 || i == messages)
                && self.connection.poll_transmit(Instant::EPOCH, &mut self.out)
            {
                std::io::Write::write_all(&mut self.wire, self.out.pending())
                    .expect("the wire takes everything");
                let all = self.out.len();
                self.connection.handle_transmitted(Instant::EPOCH, all, &mut self.out);
            }
        }
        sink.messages += messages as u64;
    }
}

struct Receive {
    wire: Wire,
    connection: Connection,
    buffer: Vec<u8>,
    /// What is left of the chunk that the last call ended in.
    rest: core::ops::Range<usize>,
}

impl Receive {
    fn new(wire: Wire, takeover: bool) -> Self {
        Self { wire, connection: connection(takeover), buffer: vec![0; READ], rest: 0..0 }
    }
}

impl Contestant for Receive {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let end = sink.messages + messages as u64;
        let mut chunk = Chunk::resumed(&mut self.buffer, self.rest.start, self.rest.end);
        let mut read = self.rest.end;
        while sink.messages < end {
            match self.connection.poll_event(Instant::EPOCH, &mut chunk) {
                Some(Event::Message(Message::Text(text))) => sink.text(&text),
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
