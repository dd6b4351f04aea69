//! tungstenite: blocking, with buffers of its own.

use ::tungstenite::protocol::{Role, WebSocket};
use ::tungstenite::{Message, Utf8Bytes};

use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

pub(super) struct Decode(WebSocket<Wire>);

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        Self(WebSocket::from_raw_socket(wire, Role::Server, None))
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for _ in 0..messages {
            match self.0.read().expect("the input is sound") {
                Message::Text(text) => sink.text(&text),
                Message::Binary(data) => sink.binary(&data),
                other => unreachable!("the workload has no {other:?}"),
            }
        }
    }
}

pub(super) struct Encode {
    socket: WebSocket<Wire>,
    texts: Vec<Utf8Bytes>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        let text =
            |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8").into();
        Self {
            socket: WebSocket::from_raw_socket(wire, role, None),
            texts: workload.payloads.iter().map(text).collect(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 1..=messages {
            let text = self.texts[(i - 1) % self.texts.len()].clone();
            self.socket.write(Message::Text(text)).expect("the wire takes everything");
            if i % BATCH == 0 || i == messages {
                self.socket.flush().expect("the wire takes everything");
            }
        }
        sink.messages += messages as u64;
    }
}

pub(super) fn accept(wire: Wire, _: &mut [u8]) {
    core::hint::black_box(::tungstenite::accept(wire).expect("the request is sound"));
}

pub(super) fn connect(wire: Wire, _: &mut [u8]) {
    core::hint::black_box(
        ::tungstenite::client("ws://sip.example.org:8080/sip", wire).expect("the answer is sound"),
    );
}
