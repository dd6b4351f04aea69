//! soketto: the futures crate's traits; it does not validate text.

use ::soketto::connection::{Builder, Mode};
use ::soketto::handshake::server::Response;
use ::soketto::handshake::{Client, Server, ServerResponse};
use ::soketto::{Data, Receiver, Sender};

use super::ready;
use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

pub(super) struct Decode {
    receiver: Receiver<Wire>,
    _sender: Sender<Wire>,
    message: Vec<u8>,
}

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        let (sender, receiver) = Builder::new(wire, Mode::Server).finish();
        Self { receiver, _sender: sender, message: Vec::new() }
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for _ in 0..messages {
                self.message.clear();
                match self.receiver.receive_data(&mut self.message).await.expect("the input is sound") {
                    Data::Text(_) => {
                        let text = simdutf8::basic::from_utf8(&self.message);
                        sink.text(text.expect("the workload's texts are UTF-8"));
                    }
                    Data::Binary(_) => sink.binary(&self.message),
                }
            }
        });
    }
}

pub(super) struct Encode {
    sender: Sender<Wire>,
    _receiver: Receiver<Wire>,
    texts: Vec<String>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let mode = if client { Mode::Client } else { Mode::Server };
        let (sender, receiver) = Builder::new(wire, mode).finish();
        let text = |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8");
        Self { sender, _receiver: receiver, texts: workload.payloads.iter().map(text).collect() }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for i in 1..=messages {
                let text = &self.texts[(i - 1) % self.texts.len()];
                self.sender.send_text(text).await.expect("the wire takes everything");
                if i % BATCH == 0 || i == messages {
                    self.sender.flush().await.expect("the wire takes everything");
                }
            }
        });
        sink.messages += messages as u64;
    }
}

pub(super) fn accept(wire: Wire, _: &mut [u8]) {
    ready(async {
        let mut server = Server::new(wire);
        let key = server.receive_request().await.expect("the request is sound").key();
        server
            .send_response(&Response::Accept { key, protocol: None })
            .await
            .expect("the wire takes everything");
        core::hint::black_box(server.into_builder().finish());
    });
}

pub(super) fn connect(wire: Wire, _: &mut [u8]) {
    ready(async {
        let mut client = Client::new(wire, "sip.example.org:8080", "/sip");
        let answer = client.handshake().await.expect("the answer is sound");
        assert!(matches!(answer, ServerResponse::Accepted { .. }), "the answer is a 101");
        core::hint::black_box(client.into_builder().finish());
    });
}
