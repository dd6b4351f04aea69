//! Collectors, which take nothing but well-formed packets.

use core::time::Duration;
use std::io::Read;
use std::net::UdpSocket;
use std::sync::mpsc;

use ws_sip::hep::{Change, Destination, PROTOCOL_WS, Packet, PayloadKind, Sender, SenderOptions, Transport};

/// Longer than anything takes, however loaded the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn destination(transport: Transport, address: core::net::SocketAddr) -> Destination {
    format!("[hep] {address};transport={transport}").parse().unwrap()
}

/// Options with which a test need not wait.
pub(crate) fn hasty() -> SenderOptions {
    let mut options = SenderOptions::default();
    options.min_backoff = Duration::from_millis(5);
    options.max_backoff = Duration::from_millis(20);
    options
}

/// What a sender tells.
pub(crate) struct Told(mpsc::Receiver<Change>);

impl Told {
    #[track_caller]
    pub(crate) fn next(&self) -> Change {
        self.0.recv_timeout(PATIENCE).expect("nothing is told")
    }

    #[track_caller]
    pub(crate) fn up(&self) {
        let change = self.next();
        assert!(matches!(change, Change::Up(_)), "{change:?}");
    }

    #[track_caller]
    pub(crate) fn down(&self) -> std::io::Error {
        match self.next() {
            Change::Down(error) => error,
            change => panic!("{change:?}"),
        }
    }

    /// What was told by now, and not asked for.
    pub(crate) fn rest(&self) -> Vec<Change> {
        self.0.try_iter().collect()
    }

    /// Whether nothing will be told any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.0.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }
}

pub(crate) fn start(destination: &Destination, options: &SenderOptions) -> (Sender, Told) {
    let (tell, told) = mpsc::channel();
    let sender = Sender::start(destination, options, move |change| drop(tell.send(change))).unwrap();
    (sender, Told(told))
}

/// Sends packet `number`, with a payload of `len` bytes.
pub(crate) fn send(sender: &Sender, number: usize, len: usize) -> bool {
    let number = number.to_string();
    sender.send(&Packet {
        source: "192.0.2.1:5060".parse().unwrap(),
        destination: "192.0.2.9:80".parse().unwrap(),
        protocol: PROTOCOL_WS,
        time: Duration::from_secs(1),
        kind: PayloadKind::Net as u8,
        capture_id: 7,
        payload: &vec![b'x'; len],
        correlation: number.as_bytes(),
    })
}

/// Waits until `done`, which something that goes on by itself brings about.
#[track_caller]
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it did not happen");
        std::thread::yield_now();
    }
}

pub(crate) fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Receives one datagram, which must be one packet, and returns its number.
#[track_caller]
pub(crate) fn receive(socket: &UdpSocket) -> usize {
    let mut datagram = vec![0; 65_536];
    let len = socket.recv(&mut datagram).unwrap();
    let (packet, packet_len) = Packet::decode(&datagram[..len]).unwrap().unwrap();
    assert_eq!(packet_len, len);
    number(&packet)
}

fn number(packet: &Packet<'_>) -> usize {
    core::str::from_utf8(packet.correlation).unwrap().parse().unwrap()
}

/// Packets out of a stream.
pub(crate) struct Stream<S> {
    stream: S,
    bytes: Vec<u8>,
}

impl<S: Read> Stream<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    /// The next packet's number; `None` at the end of the stream.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<usize> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some((packet, len)) = Packet::decode(&self.bytes).unwrap() {
                let number = number(&packet);
                self.bytes.drain(..len);
                return Some(number);
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                n => self.bytes.extend_from_slice(&buffer[..n]),
            }
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Whether the stream ended within a packet.
    pub(crate) const fn is_torn(&self) -> bool {
        !self.bytes.is_empty()
    }
}
