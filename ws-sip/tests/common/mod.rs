//! Transports on loopback, polled in turn until what is waited for has happened.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod program;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use ws_sip::{Destination, FlowEvent, FlowId, NotOpened, Settings, Transport};

/// Longer than anything takes, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a transport reported, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Opened(FlowId),
    Message(FlowId, Vec<u8>, ws_core::Kind),
    Refused(FlowId),
    Closed(FlowId, ws_core::Outcome),
    NotConnected(FlowId, std::io::ErrorKind),
    NotOpened(FlowId, ws_core::Outcome),
    Http(FlowId, String),
}

pub(crate) struct Node {
    pub(crate) transport: Transport,
    pub(crate) seen: Vec<Seen>,
    /// What the system or TLS said of transports that were lost.
    pub(crate) errors: Vec<String>,
}

impl Node {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { transport: Transport::new(settings).unwrap(), seen: Vec::new(), errors: Vec::new() }
    }

    pub(crate) fn server(settings: Settings) -> (Self, SocketAddr) {
        let mut node = Self::new(settings);
        let address = node.transport.listen("ws:127.0.0.1:0".parse().unwrap()).unwrap();
        (node, address)
    }

    /// Polls once, at most for `timeout`.
    pub(crate) fn poll(&mut self, timeout: Duration) {
        let (seen, errors) = (&mut self.seen, &mut self.errors);
        self.transport
            .poll(Some(timeout), |_, event| {
                if let FlowEvent::Closed { error, .. } | FlowEvent::NotOpened { error, .. } = &event {
                    errors.extend(error.map(ToString::to_string));
                }
                seen.push(match event {
                    FlowEvent::Opened { flow, .. } | FlowEvent::TrunkOpened { flow, .. } => {
                        Seen::Opened(flow)
                    }
                    FlowEvent::Message { flow, message, kind } => {
                        Seen::Message(flow, message.bytes().to_vec(), kind)
                    }
                    FlowEvent::Refused { flow, .. } => Seen::Refused(flow),
                    FlowEvent::Closed { flow, outcome, .. } => Seen::Closed(flow, outcome.clone()),
                    FlowEvent::NotOpened { flow, why: NotOpened::Connect(error), .. } => {
                        Seen::NotConnected(flow, error.kind())
                    }
                    FlowEvent::NotOpened { flow, why: NotOpened::Handshake(outcome), .. } => {
                        Seen::NotOpened(flow, outcome.clone())
                    }
                    FlowEvent::Http { flow, request, .. } => Seen::Http(flow, request.target().into()),
                    other => panic!("unexpected {other:?}"),
                });
            })
            .unwrap();
    }

    pub(crate) fn opened(&self) -> Vec<FlowId> {
        self.seen
            .iter()
            .filter_map(|seen| if let Seen::Opened(flow) = seen { Some(*flow) } else { None })
            .collect()
    }

    pub(crate) fn messages(&self) -> Vec<&[u8]> {
        self.seen
            .iter()
            .filter_map(
                |seen| if let Seen::Message(_, bytes, _) = seen { Some(bytes.as_slice()) } else { None },
            )
            .collect()
    }

    pub(crate) fn closed(&self) -> Vec<&ws_core::Outcome> {
        self.seen
            .iter()
            .filter_map(|seen| if let Seen::Closed(_, outcome) = seen { Some(outcome) } else { None })
            .collect()
    }
}

/// Polls the nodes in turn until `done`.
#[track_caller]
pub(crate) fn until(nodes: &mut [&mut Node], done: impl Fn(&[&mut Node]) -> bool) {
    let start = Instant::now();
    while !done(nodes) {
        for node in nodes.iter_mut() {
            node.poll(Duration::from_millis(2));
        }
        if start.elapsed() > PATIENCE {
            let seen: Vec<_> = nodes.iter().map(|node| &node.seen).collect();
            panic!("it did not happen: {seen:?}");
        }
    }
}

pub(crate) fn destination(address: SocketAddr) -> Destination {
    format!("ws://{address}/").parse().unwrap()
}

/// A request as small as it can be.
pub(crate) fn options(call_id: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    .into_bytes()
}

/// A client of bare TCP, which sends what no WebSocket library would.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub(crate) fn handshake(&mut self, headers: &str) {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        );
        self.send(head.as_bytes());
    }

    /// One that has opened a flow.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.handshake("Sec-WebSocket-Protocol: sip\r\n");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            raw.0.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        raw
    }

    /// Reads one short or medium text frame.
    pub(crate) fn text(&mut self) -> String {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 0x81);
        let mut len = usize::from(header[1]);
        if len == 126 {
            let mut extended = [0; 2];
            self.0.read_exact(&mut extended).unwrap();
            len = usize::from(u16::from_be_bytes(extended));
        }
        let mut text = vec![0; len];
        self.0.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// A masked frame; `first` is its first byte.
    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&frame(first, payload));
    }

    /// Reads in another thread, so that the transport can be polled meanwhile, until the end of the stream or
    /// `len` bytes.
    pub(crate) fn read(&self, len: usize) -> std::thread::JoinHandle<Vec<u8>> {
        let mut stream = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut all = Vec::new();
            let mut buffer = [0; 4096];
            while all.len() < len {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => all.extend_from_slice(&buffer[..n]),
                }
            }
            all
        })
    }
}

pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [7, 77, 177, 17];
    let opcode = ws_core::frame::Opcode::new(first & 0xf).unwrap();
    let header = ws_core::frame::Header {
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode,
        key: Some(key),
        len: payload.len() as u64,
    };
    let (bytes, len) = header.write();
    let mut frame = bytes[..len].to_vec();
    frame.extend_from_slice(payload);
    ws_core::mask::apply(&mut frame[len..], key);
    frame
}
