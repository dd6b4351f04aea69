use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{self, AddressFamily, SocketType, sockopt};
use ws_core::Instant;

use super::MAX_LISTENERS;

/// Connections that the system keeps until they are accepted, as far as it is set up for so many.
const BACKLOG: i32 = 1024;
/// How long a listener rests when the system has no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: mio::net::TcpListener,
    local: SocketAddr,
    /// Goes on accepting then: the edge was seen, and it does not come again.
    pub(super) retry_at: Option<Instant>,
    pub(super) serves: Serves,
}

/// What is spoken on the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// WebSocket.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
    /// SIP over TCP.
    Trunk,
}

/// Listeners that a handler asked for, until the transport takes them in.
#[derive(Debug, Default)]
pub(super) struct NewListeners {
    made: Vec<Listener>,
    /// How many there are in all: the next one's token.
    count: usize,
}

impl NewListeners {
    /// Makes a listener by `bind`; returns where it listens.
    pub(super) fn add(&mut self, bind: impl FnOnce(Token) -> io::Result<Listener>) -> io::Result<SocketAddr> {
        if self.count == MAX_LISTENERS {
            return Err(io::Error::other("too many listeners"));
        }
        let listener = bind(Token(self.count))?;
        let local = listener.local();
        self.count += 1;
        self.made.push(listener);
        Ok(local)
    }

    /// Moves them behind those that there are.
    pub(super) fn move_to(&mut self, listeners: &mut Vec<Listener>) {
        listeners.append(&mut self.made);
    }
}

impl Listener {
    pub(super) fn bind(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        serves: Serves,
    ) -> io::Result<Self> {
        Self::with(mio::net::TcpListener::bind(address)?, registry, token, serves)
    }

    /// Binds an address that others may bind too, by the same means.
    pub(super) fn bind_shared(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        serves: Serves,
    ) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = net::socket(family, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        net::bind(&socket, &address)?;
        net::listen(&socket, BACKLOG)?;
        let socket = std::net::TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        Self::with(mio::net::TcpListener::from_std(socket), registry, token, serves)
    }

    /// The same, if nobody has bound it yet: of two programs that share by mistake, each gets some of the connections.
    pub(super) fn bind_first_of_many(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
        serves: Serves,
    ) -> io::Result<Self> {
        drop(mio::net::TcpListener::bind(address)?);
        Self::bind_shared(address, registry, token, serves)
    }

    fn with(
        mut socket: mio::net::TcpListener,
        registry: &Registry,
        token: Token,
        serves: Serves,
    ) -> io::Result<Self> {
        let local = socket.local_addr()?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Self { socket, local, retry_at: None, serves })
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Returns a connection, `Ok(None)` when none waits, an error when this one or all cannot be accepted.
    pub(super) fn accept(&mut self, now: Instant) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        self.retry_at = None;
        loop {
            match self.socket.accept() {
                Ok(connection) => return Ok(Some(connection)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // The peer was gone before it was accepted: its trouble alone.
                    io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset => {}
                    _ => {
                        self.retry_at = Some(now + PAUSE);
                        return Err(error);
                    }
                },
            }
        }
    }
}
