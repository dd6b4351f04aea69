//! The byte stream of a flow: TCP, or TLS over it.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::tls::TlsSocket;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsSocket>),
}

impl Socket {
    /// What is registered with the system's poll.
    pub(super) const fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(socket) => socket.tcp_mut(),
        }
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(socket) => socket.read(buffer),
        }
    }

    /// Whether a read that does not fill its buffer leaves nothing behind.
    #[inline]
    pub(super) const fn is_read_out(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    /// Writes what it keeps of what it took; returns whether that is all.
    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(_) => Ok(true),
            Self::Tls(socket) => socket.flush(),
        }
    }

    /// Ends what we write. A peer that is gone already is no error here.
    pub(super) fn shut_down_write(&mut self) {
        if let Self::Tls(socket) = self {
            socket.end();
        }
        let _ = self.tcp_mut().shutdown(Shutdown::Write);
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}
