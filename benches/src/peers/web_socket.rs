//! web-socket: small events over tokio's traits; it neither validates text nor joins fragments.

use ::web_socket::{DataType, Event, Stream, WebSocket};
use tokio::io::BufReader;

use super::ready;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

pub(super) struct Decode {
    socket: WebSocket<BufReader<Wire>>,
    message: Vec<u8>,
}

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        let socket = WebSocket::server(BufReader::with_capacity(64 * 1024, wire));
        Self { socket, message: Vec::new() }
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let deliver = |data: &[u8], text: bool, sink: &mut Sink| {
            if text {
                sink.text(simdutf8::basic::from_utf8(data).expect("the workload's texts are UTF-8"));
            } else {
                sink.binary(data);
            }
        };
        ready(async {
            let mut left = messages;
            while left > 0 {
                let Event::Data { ty, data } = self.socket.recv().await.expect("the input is sound") else {
                    unreachable!("the workload has data frames only");
                };
                match ty {
                    DataType::Complete(kind) => deliver(&data, kind.is_text(), sink),
                    DataType::Stream(Stream::End(kind)) => {
                        self.message.extend_from_slice(&data);
                        deliver(&self.message, kind.is_text(), sink);
                        self.message.clear();
                    }
                    DataType::Stream(_) => {
                        self.message.extend_from_slice(&data);
                        continue;
                    }
                }
                left -= 1;
            }
        });
    }
}

pub(super) struct Encode {
    socket: WebSocket<Wire>,
    texts: Vec<String>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        let text = |payload: &Vec<u8>| String::from_utf8(payload.clone()).expect("the texts are UTF-8");
        Self {
            socket: if client { WebSocket::client(wire) } else { WebSocket::server(wire) },
            texts: workload.payloads.iter().map(text).collect(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for i in 0..messages {
                let text = &self.texts[i % self.texts.len()][..];
                self.socket.send(text).await.expect("the wire takes everything");
            }
        });
        sink.messages += messages as u64;
    }
}
