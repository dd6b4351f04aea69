//! yawc: a `Stream` and a `Sink` of frames over tokio's traits.

use ::yawc::{Frame, Options, Role, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt as _;

use super::ready;
use crate::floor::BATCH;
use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::Workload;

fn socket(wire: Wire, role: Role) -> WebSocket<Wire> {
    let options = Options::default().without_compression().with_utf8().with_limits(64 << 20, 128 << 20);
    WebSocket::from_stream(wire, role, options).expect("the options are sound")
}

/// A server that compresses each message, whatever its length.
#[cfg(feature = "deflate")]
fn deflating(wire: Wire, takeover: bool) -> WebSocket<Wire> {
    let level = ::yawc::CompressionLevel::new(crate::deflate::LEVEL.into());
    let mut options = Options::default()
        .with_compression_level(level)
        .with_compression_threshold(0)
        .with_utf8()
        .with_limits(64 << 20, 128 << 20);
    let mut extensions = "permessage-deflate";
    if !takeover {
        options = options.server_no_context_takeover();
        extensions = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    }
    WebSocket::from_stream_with_extensions(wire, Role::Server, Some(extensions), options)
        .expect("the options are sound")
}

pub(super) struct Decode(WebSocket<Wire>);

impl Decode {
    pub(super) fn new(wire: Wire) -> Self {
        Self(socket(wire, Role::Server))
    }
}

#[cfg(feature = "deflate")]
impl Decode {
    pub(super) fn inflating(wire: Wire, takeover: bool) -> Self {
        Self(deflating(wire, takeover))
    }
}

impl Contestant for Decode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for _ in 0..messages {
                // Text is validated, but handed out as bytes.
                sink.binary(self.0.next_frame().await.expect("the input is sound").payload());
            }
        });
    }
}

pub(super) struct Encode {
    socket: WebSocket<Wire>,
    payloads: Vec<Bytes>,
}

impl Encode {
    pub(super) fn new(workload: &Workload, wire: Wire, client: bool) -> Self {
        Self {
            socket: socket(wire, if client { Role::Client } else { Role::Server }),
            payloads: workload.payloads.iter().cloned().map(Bytes::from).collect(),
        }
    }
}

#[cfg(feature = "deflate")]
impl Encode {
    pub(super) fn deflating(workload: &Workload, wire: Wire, takeover: bool) -> Self {
        Self {
            socket: deflating(wire, takeover),
            payloads: workload.payloads.iter().cloned().map(Bytes::from).collect(),
        }
    }
}

impl Contestant for Encode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        ready(async {
            for i in 1..=messages {
                let payload = self.payloads[(i - 1) % self.payloads.len()].clone();
                self.socket.feed(Frame::text(payload)).await.expect("the wire takes everything");
                if i % BATCH == 0 || i == messages {
                    self.socket.flush().await.expect("the wire takes everything");
                }
            }
        });
        sink.messages += messages as u64;
    }
}
