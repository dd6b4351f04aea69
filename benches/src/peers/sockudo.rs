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
                read(&mut self.wire, &mut self.buffer);
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

/// Reads as the stream around it does: behind what is left, without clearing the space first.
fn read(wire: &mut Wire, buffer: &mut BytesMut) {
    buffer.reserve(READ);
    ready(tokio::io::AsyncReadExt::read_buf(wire, buffer)).expect("the wire never fails");
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

#[cfg(feature = "deflate")]
mod deflate {
    use ::sockudo_ws::deflate::DeflateConfig;
    use ::sockudo_ws::protocol::CompressedProtocol;

    use super::*;

    fn protocol(takeover: bool) -> CompressedProtocol {
        let config = DeflateConfig {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            compression_level: crate::deflate::LEVEL.into(),
            compression_threshold: 0,
            ..DeflateConfig::default()
        };
        CompressedProtocol::server(LIMIT, LIMIT, config)
    }

    pub(in super::super) struct Deflate {
        wire: Wire,
        protocol: CompressedProtocol,
        texts: Vec<Message>,
        out: BytesMut,
    }

    impl Deflate {
        pub(in super::super) fn new(workload: &Workload, wire: Wire, takeover: bool) -> Self {
            let text = |payload: &Vec<u8>| Message::Text(Bytes::from(payload.clone()));
            let texts = workload.payloads.iter().map(text).collect();
            Self { wire, protocol: protocol(takeover), texts, out: BytesMut::new() }
        }
    }

    impl Contestant for Deflate {
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

    pub(in super::super) struct Inflate {
        wire: Wire,
        protocol: CompressedProtocol,
        buffer: BytesMut,
        messages: Vec<Message>,
        /// Of `messages`, how many the sink has.
        taken: usize,
    }

    impl Inflate {
        pub(in super::super) fn new(wire: Wire, takeover: bool) -> Self {
            Self {
                wire,
                protocol: protocol(takeover),
                buffer: BytesMut::with_capacity(READ),
                messages: Vec::new(),
                taken: 0,
            }
        }
    }

    impl Contestant for Inflate {
        fn run(&mut self, messages: usize, sink: &mut Sink) {
            let mut left = messages;
            while left > 0 {
                if self.taken == self.messages.len() {
                    read(&mut self.wire, &mut self.buffer);
                    self.protocol
                        .process_into(&mut self.buffer, &mut self.messages)
                        .expect("the input is sound");
                    self.taken = 0;
                }
                for message in self.messages[self.taken..].iter().take(left) {
                    sink.binary(message.as_bytes());
                    self.taken += 1;
                    left -= 1;
                }
            }
        }
    }
}
#[cfg(feature = "deflate")]
pub(super) use deflate::{Deflate, Inflate};

pub(super) fn accept(mut wire: Wire, _: &mut [u8]) {
    core::hint::black_box(ready(server_handshake(&mut wire)).expect("the request is sound"));
}

pub(super) fn connect(mut wire: Wire, _: &mut [u8]) {
    let answer = ready(client_handshake(&mut wire, "sip.example.org:8080", "/sip", None));
    core::hint::black_box(answer.expect("the answer is sound"));
}
