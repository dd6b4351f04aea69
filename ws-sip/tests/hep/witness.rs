//! A collector that keeps what transports trace.

use core::net::SocketAddr;
use core::time::Duration;
use std::net::UdpSocket;
use std::time::{SystemTime, UNIX_EPOCH};

use ws_sip::hep::{PROTOCOL_WS, Packet, PayloadKind, Sender, Transport};
use ws_sip::trace::{Tracer, TracerOptions};
use ws_sip::{Settings, Tracing};

use crate::collector::{PATIENCE, destination, hasty, udp};
use crate::common::Node;

pub(crate) struct Witness {
    socket: UdpSocket,
    pub(crate) sender: Sender,
    pub(crate) tracing: Tracing,
    pub(crate) seen: Vec<Seen>,
}

/// A packet, its payload read as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) kind: u8,
    pub(crate) correlation: String,
    pub(crate) payload: String,
}

impl Seen {
    /// A member of the JSON object; empty if it is not there.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> String {
        assert_eq!(self.kind, PayloadKind::Net as u8, "{self:?}");
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.payload).unwrap();
        match members.get(key) {
            Some(value) => value.as_str().expect("all values are strings").to_owned(),
            None => String::new(),
        }
    }

    /// What happened, how, and in which words.
    #[track_caller]
    pub(crate) fn what(&self) -> [String; 3] {
        [self.get("Event"), self.get("Status"), self.get("Message")]
    }
}

impl Witness {
    pub(crate) fn new() -> Self {
        let socket = udp();
        let (sender, _) =
            crate::collector::start(&destination(Transport::Udp, socket.local_addr().unwrap()), &hasty());
        Self { socket, sender, tracing: Tracing::new(true), seen: Vec::new() }
    }

    pub(crate) fn watch(&self, node: &mut Node, options: TracerOptions) {
        node.transport.set_tracer(Tracer::new(self.sender.clone(), self.tracing.clone(), options));
    }

    /// Waits until there are `n` records in all.
    #[track_caller]
    pub(crate) fn see(&mut self, n: usize) {
        while self.seen.len() < n {
            let mut datagram = vec![0; 65_536];
            let len = self.socket.recv(&mut datagram).expect("there are fewer records");
            self.note(&datagram[..len]);
        }
    }

    /// Whether there are no records but those that were seen: what was sent is there, over loopback.
    pub(crate) fn is_exhausted(&self) -> bool {
        crate::collector::until(|| self.sender.counters().sent >= self.seen.len() as u64);
        self.sender.counters().sent == self.seen.len() as u64
    }

    #[track_caller]
    fn note(&mut self, datagram: &[u8]) {
        let (packet, len) = Packet::decode(datagram).unwrap().unwrap();
        assert_eq!(len, datagram.len());
        assert_eq!((packet.protocol, packet.capture_id), (PROTOCOL_WS, 2001));
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().abs_diff(packet.time);
        assert!(age < PATIENCE, "{age:?}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let correlation = text(packet.correlation);
        assert_eq!(correlation.parse::<u64>().unwrap().to_string(), correlation);
        self.seen.push(Seen {
            source: packet.source,
            destination: packet.destination,
            kind: packet.kind,
            correlation,
            payload: text(packet.payload),
        });
    }
}

/// Options whose capture id the witness knows.
pub(crate) fn options() -> TracerOptions {
    let mut options = TracerOptions::default();
    options.capture_id = 2001;
    options
}

/// Settings in which our own client, which sends no Origin unless told, may connect.
pub(crate) fn open() -> Settings {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings.ws_handshake_timeout = Duration::from_millis(500);
    settings
}
