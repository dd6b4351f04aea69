//! sockudo-ws: its protocol part, which needs no stream.

use std::io::Write as _;

use ::sockudo_ws::handshake::{client_handshake, server_handshake};
use ::sockudo_ws::protocol::{Message, Protocol, Role};
use bytes::{Bytes, BytesMut};

use super::ready;
use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

const READ: usize = 64 * 1024;
const LIMIT: usize = 64 << 20;

pub(super) struct Decode {
    wire: Wire,
    protocol: Protocol,
    buffer: BytesMut,
    messages: Vec<Message>,
    /// Of `messages`, how many the sink has.
    taken: usize,
}

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            protocol: Protocol::new(Role::Server, LIMIT, LIMIT),
            buffer: BytesMut::with_capacity(READ),
            messages: Vec::new(),
            taken: 0,
        }
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let mut left = messages;
        while left > 0 {
            if self.taken == self.messages.len() {
                self.read();
                self.protocol.process_into(&mut self.buffer, &mut self.messages).expect("the input is sound");
                self.taken = 0;
            }
            for message in self.messages[self.taken..].iter().take(left) {
                // Text is validated, but kept as bytes; `as_text` would do it again.
                sink.binary(message.as_bytes());
                self.taken += 1;
                left -= 1;
            }
        }
    }
}

impl Decode {
    /// Reads as the stream around it does: behind what is left, without clearing the space first.
    fn read(&mut self) {
        self.buffer.reserve(READ);
        ready(tokio::io::AsyncReadExt::read_buf(&mut self.wire, &mut self.buffer))
            .expect("the wire never fails");
    }
}

pub(super) struct Encode {
    wire: Wire,
    protocol: Protocol,
    texts: Vec<Message>,
    out: BytesMut,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        let text = |payload: &Vec<u8>| Message::Text(Bytes::from(payload.clone()));
        Self {
            wire,
            protocol: Protocol::new(role, LIMIT, LIMIT),
            texts: workload.payloads.iter().map(text).collect(),
            out: BytesMut::new(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 1..=messages {
            let text = &self.texts[(i - 1) % self.texts.len()];
            self.protocol.encode_message(text, &mut self.out).expect("the message is sound");
            if i % BATCH == 0 || i == messages {
                self.wire.write_all(&self.out).expect("the wire takes everything");
                self.out.clear();
            }
        }
        sink.messages += messages as u64;
    }
}

pub(super) fn accept(mut wire: Wire, _: &mut [u8]) {
    core::hint::black_box(ready(server_handshake(&mut wire)).expect("the request is sound"));
}

pub(super) fn connect(mut wire: Wire, _: &mut [u8]) {
    let answer = ready(client_handshake(&mut wire, "sip.example.org:8080", "/sip", None));
    core::hint::black_box(answer.expect("the answer is sound"));
}
