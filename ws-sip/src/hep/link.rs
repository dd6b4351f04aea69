//! What leads to a collector: a socket that never blocks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use mio::{Interest, Registry, Token};

use super::destination::Transport;
use super::packet::encoded_len;
use super::tls::{Session, Tls};

/// How long the first datagram over a new socket has to come back as undeliverable. Until then no other leaves, so that
/// a collector that is not there costs no record.
const PROBE_TIME: Duration = Duration::from_millis(200);

/// How long to wait when no more datagrams fit into the socket's buffer.
const DATAGRAM_PAUSE: Duration = Duration::from_millis(2);
/// Reads that look whether the other side is there.
pub(super) const READS_A_CHECK: usize = 16;

/// A socket that leads to a collector.
#[derive(Debug)]
pub(super) enum Link {
    Udp { socket: mio::net::UdpSocket, probe: Probe },
    Tcp(mio::net::TcpStream),
    Tls(mio::net::TcpStream, Box<Session>),
}

/// Whether somebody takes the datagrams, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing was sent yet.
    Due,
    /// The first datagram is on its way: it counts as sent then, unless it comes back.
    Until(Instant),
    /// Nothing came back.
    Passed,
}

impl Link {
    /// Connects, which blocks until `deadline` at most.
    pub(super) fn connect(
        transport: Transport,
        address: SocketAddr,
        tls: Option<&Tls>,
        deadline: Instant,
    ) -> io::Result<Self> {
        if transport == Transport::Udp {
            let any = match address {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let socket = mio::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.connect(address)?;
            return Ok(Self::Udp { socket, probe: Probe::Due });
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let stream = std::net::TcpStream::connect_timeout(&address, left)?;
        stream.set_nodelay(true)?;
        let session = tls.map(|tls| tls.handshake(&stream, deadline)).transpose()?;
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(match session {
            Some(session) => Self::Tls(stream, Box::new(session)),
            None => Self::Tcp(stream),
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            // Its errors come with either; that each datagram left is nothing to be woken for.
            Self::Udp { socket, .. } => registry.register(socket, token, Interest::READABLE),
            Self::Tcp(stream) | Self::Tls(stream, _) => {
                registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
            }
        }
    }

    /// Returns an error if the other side is known to be gone. What it sends is passed over.
    pub(super) fn check(&mut self) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => socket.take_error()?.map_or(Ok(()), Err),
            Self::Tcp(stream) => discard_input(stream),
            Self::Tls(stream, session) => session.check(stream),
        }
    }

    /// Whether the collector is known to take what is sent.
    pub(super) fn is_proven(&self) -> bool {
        !matches!(self, Self::Udp { probe: Probe::Due | Probe::Until(_), .. })
    }

    /// Writes some of `packets`, which are not empty, and returns how many bytes are on their way. Over TLS, and as long
    /// as the first datagram is not proven, the call after one that would block must begin with the same packet.
    pub(super) fn write(&mut self, packets: &[u8], now: Instant) -> io::Result<usize> {
        let (socket, probe) = match self {
            Self::Tcp(stream) => return stream.write(packets),
            Self::Tls(stream, session) => return session.write(stream, packets),
            Self::Udp { socket, probe } => (socket, probe),
        };
        let len = encoded_len(packets);
        match *probe {
            Probe::Due => {
                socket.send(&packets[..len])?;
                *probe = Probe::Until(now + PROBE_TIME);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Probe::Until(at) if now < at => Err(io::ErrorKind::WouldBlock.into()),
            Probe::Until(_) => {
                *probe = Probe::Passed;
                Ok(len)
            }
            Probe::Passed => socket.send(&packets[..len]),
        }
    }

    /// Returns when to write again after it would have blocked, if the socket does not tell.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Udp { probe: Probe::Until(at), .. } => Some(*at),
            Self::Udp { .. } => Some(now + DATAGRAM_PAUSE),
            Self::Tcp(_) | Self::Tls(..) => None,
        }
    }

    /// Ends the stream in order.
    pub(super) fn close(&mut self) {
        match self {
            Self::Udp { .. } => {}
            Self::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
            Self::Tls(stream, session) => {
                session.close(stream);
                drop(stream.shutdown(Shutdown::Write));
            }
        }
    }
}

/// Passes over what the other side sends, which no collector does, for a bounded time.
fn discard_input(stream: &mut mio::net::TcpStream) -> io::Result<()> {
    let mut scratch = [0; 1024];
    for _ in 0..READS_A_CHECK {
        match stream.read(&mut scratch) {
            Ok(0) => return Err(closed()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the collector closed the connection")
}
