//! tokio-websockets: a `Stream` and a `Sink` of messages over tokio's traits.

use ::tokio_websockets::{ClientBuilder, Message, Payload, ServerBuilder, WebSocketStream};
use futures_util::{SinkExt as _, StreamExt as _};

use super::ready;
use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

pub(super) struct Decode(WebSocketStream<Wire>);

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        Self(ServerBuilder::new().serve(wire))
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for _ in 0..messages {
                let message = self.0.next().await.expect("the input is endless").expect("the input is sound");
                match message.as_text() {
                    Some(text) => sink.text(text),
                    None => sink.binary(message.as_payload()),
                }
            }
        });
    }
}

pub(super) struct Encode {
    socket: WebSocketStream<Wire>,
    payloads: Vec<Payload>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let payload =
            |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8").into();
        Self {
            socket: if client {
                ClientBuilder::new().take_over(wire)
            } else {
                ServerBuilder::new().serve(wire)
            },
            payloads: workload.payloads.iter().map(payload).collect(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for i in 1..=messages {
                let payload = self.payloads[(i - 1) % self.payloads.len()].clone();
                self.socket.feed(Message::text(payload)).await.expect("the wire takes everything");
                if i % BATCH == 0 || i == messages {
                    self.socket.flush().await.expect("the wire takes everything");
                }
            }
        });
        sink.messages += messages as u64;
    }
}

pub(super) fn accept(wire: Wire, _: &mut [u8]) {
    core::hint::black_box(ready(ServerBuilder::new().accept(wire)).expect("the request is sound"));
}

pub(super) fn connect(wire: Wire, _: &mut [u8]) {
    let builder = ClientBuilder::new().uri("ws://sip.example.org:8080/sip").expect("the URI is sound");
    core::hint::black_box(ready(builder.connect_on(wire)).expect("the answer is sound"));
}
