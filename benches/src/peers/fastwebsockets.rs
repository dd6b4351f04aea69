//! fastwebsockets: tokio's traits, frames with owned payloads.

use ::fastwebsockets::{FragmentCollector, Frame, Payload, Role, WebSocket};

use super::ready;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

pub(super) struct Decode(FragmentCollector<Wire>);

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        Self(FragmentCollector::new(WebSocket::after_handshake(wire, Role::Server)))
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for _ in 0..messages {
                // Text is validated, but handed out as bytes.
                sink.binary(&self.0.read_frame().await.expect("the input is sound").payload);
            }
        });
    }
}

pub(super) struct Encode {
    socket: WebSocket<Wire>,
    client: bool,
    payloads: Vec<Vec<u8>>,
    scratch: Vec<u8>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let role = if client { Role::Client } else { Role::Server };
        Self {
            socket: WebSocket::after_handshake(wire, role),
            client,
            payloads: workload.payloads.clone(),
            scratch: vec![0; workload.len],
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for i in 0..messages {
                let payload = &self.payloads[i % self.payloads.len()][..];
                let frame = if self.client {
                    self.scratch.copy_from_slice(payload);
                    Frame::text(Payload::BorrowedMut(&mut self.scratch))
                } else {
                    Frame::text(Payload::Borrowed(payload))
                };
                self.socket.write_frame(frame).await.expect("the wire takes everything");
            }
        });
        sink.messages += messages as u64;
    }
}
