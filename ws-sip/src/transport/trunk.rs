//! Connections to a SIP server that speaks no WebSocket: SIP over TCP and UDP (RFC 3261 section 18).

use core::fmt;
use core::str::FromStr;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use bytes::{Buf as _, BytesMut};
use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use ws_core::{Instant, Outcome};

use rustix::io::Errno;

use super::flows::SendError;
use crate::address::{AddressError, split_port};
use crate::sip::{Header, Message};

/// Bytes of a message that one datagram carries over IPv4; over IPv6 it would be 20 more.
pub(crate) const MAX_DATAGRAM_LEN: usize = 65_507;

/// How SIP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrunkTransport {
    /// A stream in which Content-Length tells where a message ends.
    Tcp,
    /// A message a datagram.
    Udp,
}

/// Where a SIP server is: `HOST[:PORT]`, port 5060 unless given, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrunkAddress {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for TrunkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for TrunkAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = split_port(text)?;
        if host.is_empty() || port == Some(0) {
            return Err(AddressError::Host);
        }
        Ok(Self { host: host.into(), port: port.unwrap_or(5060) })
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Trunk {
    socket: Socket,
    /// What the socket did not take yet; with UDP whole datagrams, each with its length in front.
    out: BytesMut,
    /// Lengths of the datagrams that the network does not take, since the last look.
    pub(super) too_long: Vec<usize>,
    decoder: Decoder,
    /// How it ended, once it did.
    pub(super) end: Option<Outcome>,
    /// Since when output waits and the socket takes none.
    pub(super) blocked_since: Option<Instant>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Trunk {
    pub(super) fn tcp(stream: TcpStream, max_message_len: usize) -> Self {
        Self::new(Socket::Tcp(stream), max_message_len)
    }

    pub(super) fn udp(socket: UdpSocket, max_message_len: usize) -> Self {
        Self::new(Socket::Udp(socket), max_message_len)
    }

    fn new(socket: Socket, max_message_len: usize) -> Self {
        let decoder = Decoder::new(max_message_len);
        Self { socket, out: BytesMut::new(), too_long: Vec::new(), decoder, end: None, blocked_since: None }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.socket {
            Socket::Tcp(stream) => registry.register(stream, token, interest),
            Socket::Udp(socket) => registry.register(socket, token, interest),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        // The descriptor is closed next, which takes it out anyway.
        drop(match &mut self.socket {
            Socket::Tcp(stream) => registry.deregister(stream),
            Socket::Udp(socket) => registry.deregister(socket),
        });
    }

    pub(super) const fn is_datagram(&self) -> bool {
        matches!(self.socket, Socket::Udp(_))
    }

    #[cfg(test)]
    pub(super) const fn stream(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(stream) => Some(stream),
            Socket::Udp(_) => None,
        }
    }

    /// Queues a message.
    pub(super) fn queue(&mut self, message: &[u8], max_output_len: usize) -> Result<(), SendError> {
        if self.end.is_some() {
            return Err(SendError::Refused(ws_core::SendError::Closing));
        }
        if self.is_datagram() && message.len() > MAX_DATAGRAM_LEN {
            return Err(SendError::TooLong);
        }
        if self.out.len() + message.len() > max_output_len {
            return Err(SendError::Refused(ws_core::SendError::OutputFull));
        }
        if self.is_datagram() {
            let len = u16::try_from(message.len());
            let len = len.map_err(|_| SendError::TooLong)?;
            self.out.extend_from_slice(&len.to_be_bytes());
        }
        self.out.extend_from_slice(message);
        Ok(())
    }

    /// Writes what waits. `Ok(true)`: the socket took all of it.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let written = match &mut self.socket {
                Socket::Tcp(stream) => stream.write(&self.out),
                Socket::Udp(socket) => {
                    let len = usize::from(self.out.first_chunk().map_or(0, |len| u16::from_be_bytes(*len)));
                    let datagram = self.out.get(2..2 + len).unwrap_or_default();
                    // The error may be that of an earlier datagram, and this one has not been sent.
                    let sent = socket.send(datagram).or_else(|error| {
                        if is_of_one_datagram(&error) { socket.send(datagram) } else { Err(error) }
                    });
                    match sent {
                        Err(error) if is_of_one_datagram(&error) => {
                            if is_too_long(&error) {
                                self.too_long.push(len);
                            }
                            // A server that is not there now may be there for the retransmission.
                            Ok(2 + len)
                        }
                        sent => sent.map(|_| 2 + len),
                    }
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.out.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out = BytesMut::new();
        Ok(true)
    }

    /// Reads once into `scratch`: `Ok(None)` when nothing waits.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(scratch),
                Socket::Udp(socket) => socket.recv(scratch),
            };
            return match read {
                Ok(n) => Ok(Some(n)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    // The answer to a datagram that nobody took.
                    _ if self.is_datagram() && is_of_one_datagram(&error) => continue,
                    _ => Err(error),
                },
            };
        }
    }

    /// Lends the decoder out, while a handler may use the flow.
    pub(super) fn take_decoder(&mut self) -> Decoder {
        core::mem::replace(&mut self.decoder, Decoder::new(0))
    }

    pub(super) fn put_decoder(&mut self, decoder: Decoder) {
        self.decoder = decoder;
    }

    pub(super) fn shut_down(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            // A peer that is gone already is no error here.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Whether an error says what became of one datagram, and nothing of those to come.
fn is_of_one_datagram(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused || is_too_long(error)
}

/// Whether a datagram is longer than the system, or a network on the way, takes.
fn is_too_long(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MSGSIZE)
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A message of so many bytes, at the front of [`Decoder::bytes`].
    Message(usize),
    /// `CRLF CRLF` of so many bytes: a keepalive that wants a CRLF (RFC 5626 section 4.4.1).
    Keepalive(usize),
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamError {
    /// A head, or head and body, beyond the limit.
    TooLong,
    /// No Content-Length, or one that is no number (section 18.3).
    NoLength,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "message too long",
            Self::NoLength => "no Content-Length in a stream",
        })
    }
}

/// Finds SIP messages in a stream. Memory follows what arrived, and is bounded by the longest message and a read.
#[derive(Debug)]
pub(super) struct Decoder {
    bytes: BytesMut,
    /// Up to here there is no end of a head.
    scanned: usize,
    max: usize,
}

impl Decoder {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: BytesMut::new(), scanned: 0, max }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
        self.scanned = 0;
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    /// Looks for what is next; `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Decoded>, StreamError> {
        if self.bytes.starts_with(b"\r\n\r\n") {
            return Ok(Some(Decoded::Keepalive(4)));
        }
        if self.bytes.starts_with(b"\r\n") && self.bytes.len() > 2 && self.bytes[2] != b'\r' {
            // An answer to a keepalive, or a spare line end (section 7.5).
            self.advance(2);
            return self.next();
        }
        let from = self.scanned.saturating_sub(3);
        let end = memchr::memmem::find(&self.bytes[from..], b"\r\n\r\n").map(|at| from + at + 4);
        let Some(head_len) = end else {
            self.scanned = self.bytes.len();
            return if self.bytes.len() > self.max { Err(StreamError::TooLong) } else { Ok(None) };
        };
        let message = Message::parse(&self.bytes[..head_len]).map_err(|_| StreamError::NoLength)?;
        let field = message.first(Header::ContentLength).ok_or(StreamError::NoLength)?;
        let digits = core::str::from_utf8(message.value_of(field)).map_err(|_| StreamError::NoLength)?;
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(StreamError::NoLength);
        }
        // More digits than a usize has are a length beyond any limit.
        let body_len: usize = digits.parse().map_err(|_| StreamError::TooLong)?;
        let len =
            head_len.checked_add(body_len).filter(|&len| len <= self.max).ok_or(StreamError::TooLong)?;
        Ok((self.bytes.len() >= len).then_some(Decoded::Message(len)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::flows::{Flows, Link};
    use super::super::{FlowEvent, Transport};
    use super::*;
    use crate::settings::Settings;

    const MESSAGE: &str = "MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 5\r\n\r\nhello";

    /// All that a stream holds, cut into pieces of `step` bytes.
    fn decode(stream: &[u8], step: usize, max: usize) -> Result<Vec<String>, StreamError> {
        let mut decoder = Decoder::new(max);
        let mut all = Vec::new();
        for piece in stream.chunks(step) {
            decoder.push(piece);
            while let Some(decoded) = decoder.next()? {
                let len = match decoded {
                    Decoded::Message(len) => {
                        all.push(String::from_utf8(decoder.bytes()[..len].to_vec()).unwrap());
                        len
                    }
                    Decoded::Keepalive(len) => {
                        all.push("keepalive".into());
                        len
                    }
                };
                decoder.advance(len);
            }
        }
        Ok(all)
    }

    /// RFC 3261 section 18.3.
    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let empty = "BYE sip:a@b SIP/2.0\r\nl: 0\r\n\r\n";
        let stream = format!("\r\n\r\n{MESSAGE}\r\n{empty}\r\n\r\n{MESSAGE}");
        for step in 1..=stream.len() {
            let all = decode(stream.as_bytes(), step, 1000).unwrap();
            assert_eq!(all, ["keepalive", MESSAGE, empty, "keepalive", MESSAGE], "in pieces of {step}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for (stream, error) in [
            ("BYE sip:a@b SIP/2.0\r\n\r\n", StreamError::NoLength),
            ("BYE sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n", StreamError::NoLength),
            ("BYE sip:a@b SIP/2.0\r\nContent-Length: \r\n\r\n", StreamError::NoLength),
            ("no sip\r\n\r\n", StreamError::NoLength),
            ("BYE sip:a@b SIP/2.0\r\nContent-Length: 99\r\n\r\n", StreamError::TooLong),
            ("BYE sip:a@b SIP/2.0\r\nContent-Length: 99999999999999999999999\r\n\r\n", StreamError::TooLong),
        ] {
            for step in [1, 7, 1000] {
                assert_eq!(decode(stream.as_bytes(), step, 100), Err(error), "{stream}");
            }
        }
        assert_eq!(decode(&[b'x'; 101], 10, 100), Err(StreamError::TooLong));
    }

    /// The refusal of an earlier datagram is told by the next send, which does nothing else.
    #[test]
    fn a_server_that_is_back_gets_the_next_datagram() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        drop(server);
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.connect(address).unwrap();
        let mut trunk = Trunk::udp(socket, 1000);
        trunk.queue(b"to nobody", 1000).unwrap();
        assert!(trunk.flush().unwrap());
        let server = std::net::UdpSocket::bind(address).unwrap();
        server.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
        trunk.queue(MESSAGE.as_bytes(), 1000).unwrap();
        assert!(trunk.flush().unwrap());
        let mut received = [0; 100];
        let n = server.recv(&mut received).unwrap();
        assert_eq!(&received[..n], MESSAGE.as_bytes());
    }

    /// A datagram that nobody can carry costs no other: not the one before it, not the one behind it.
    #[test]
    fn a_datagram_that_is_too_long_is_dropped_alone() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.connect(server.local_addr().unwrap()).unwrap();
        let mut trunk = Trunk::udp(socket, 1000);
        let mut received = vec![0; 70_000];
        let long = vec![b'x'; MAX_DATAGRAM_LEN + 1];
        for len in [MAX_DATAGRAM_LEN + 1, 65_535, 65_536, 1 << 20] {
            assert_eq!(trunk.queue(&vec![b'x'; len], usize::MAX), Err(SendError::TooLong), "{len}");
        }
        trunk.queue(&long[..MAX_DATAGRAM_LEN], usize::MAX).unwrap();
        assert!(trunk.flush().unwrap());
        assert_eq!(server.recv(&mut received).unwrap(), MAX_DATAGRAM_LEN);

        // What the path to the server takes may be less.
        trunk.queue(b"before", usize::MAX).unwrap();
        trunk.out.extend_from_slice(&u16::try_from(long.len()).unwrap().to_be_bytes());
        trunk.out.extend_from_slice(&long);
        trunk.queue(b"behind", usize::MAX).unwrap();
        assert!(trunk.flush().unwrap());
        assert_eq!(trunk.too_long, [MAX_DATAGRAM_LEN + 1]);
        for expected in [b"before", b"behind"] {
            let n = server.recv(&mut received).unwrap();
            assert_eq!(&received[..n], expected);
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_is_told_and_counted() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string().parse().unwrap();
        let mut transport = Transport::new(Settings::default()).unwrap();
        let flow = transport.flows().open_trunk(&address, TrunkTransport::Udp);
        let mut told = Vec::new();
        while told.is_empty() {
            let handler = |flows: &mut Flows, event: FlowEvent<'_>| match event {
                FlowEvent::TrunkOpened { flow, .. } => {
                    let Some(Link::Trunk(trunk)) = flows.flow_mut(flow).map(|flow| &mut flow.link) else {
                        panic!("it is no trunk")
                    };
                    trunk.out.extend_from_slice(&u16::MAX.to_be_bytes());
                    trunk.out.extend_from_slice(&[b'x'; u16::MAX as usize]);
                    flows.mark(flow);
                }
                FlowEvent::TooLong { flow, len } => told.push((flow, len)),
                other => panic!("{other:?}"),
            };
            transport.poll(None, handler).unwrap();
        }
        assert_eq!(told, [(flow, 65_535)]);
        assert_eq!(transport.flows().stats().too_long_datagrams, 1);
    }

    #[test]
    fn addresses() {
        let parse = |text: &str| text.parse::<TrunkAddress>().map(|address| (address.host, address.port));
        assert_eq!(parse("sip.example"), Ok(("sip.example".into(), 5060)));
        assert_eq!(parse("[::1]:5080"), Ok(("::1".into(), 5080)));
        assert_eq!(parse(""), Err(AddressError::Host));
        assert_eq!(parse("a:x"), Err(AddressError::Port));
    }
}
