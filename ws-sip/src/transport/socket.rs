//! The byte stream of a flow: TCP, and what lies over it.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::tls::TlsSession;

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    layer: Layer,
}

#[derive(Debug)]
enum Layer {
    None,
    /// A PROXY header comes first.
    Fronted,
    Tls(Box<TlsSession>),
}

impl Socket {
    /// One that begins with a PROXY header; what lies over it is told when that came.
    pub(super) const fn fronted(stream: TcpStream) -> Self {
        Self { stream, layer: Layer::Fronted }
    }

    /// Goes on without a further header.
    pub(super) fn identified(&mut self, session: Option<TlsSession>) {
        self.layer = session.map_or(Layer::None, |session| Layer::Tls(Box::new(session)));
    }

    pub(super) fn tls(stream: TcpStream, session: TlsSession) -> Self {
        Self { stream, layer: Layer::Tls(Box::new(session)) }
    }

    /// What is registered with the system's poll.
    pub(super) const fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Returns the TCP connection, if nothing lies over it.
    pub(super) fn into_tcp(self) -> io::Result<TcpStream> {
        match self.layer {
            Layer::None => Ok(self.stream),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::None => self.stream.read(buffer),
            Layer::Tls(session) => session.read(&mut self.stream, buffer),
            Layer::Fronted => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether a read that does not fill its buffer leaves nothing behind.
    #[inline]
    pub(super) const fn is_read_out(&self) -> bool {
        matches!(self.layer, Layer::None)
    }

    /// Whether it waits for a PROXY header.
    pub(super) const fn is_fronted(&self) -> bool {
        matches!(self.layer, Layer::Fronted)
    }

    /// Whether TLS lies over it whose handshake is not done: of what was written nothing has left.
    pub(super) fn is_handshaking(&self) -> bool {
        matches!(&self.layer, Layer::Tls(session) if session.is_handshaking())
    }

    /// Whether the peer has sent a part of TLS's handshake, which is not done.
    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(&self.layer, Layer::Tls(session) if session.is_handshaking() && session.has_begun())
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Tls(session) => session.write(&mut self.stream, bytes),
            // Before a header, only an answer to a connection that never said whose it is.
            Layer::None | Layer::Fronted => self.stream.write(bytes),
        }
    }

    /// Writes what it keeps of what it took; returns whether that is all.
    #[inline]
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.layer {
            Layer::Tls(session) => session.flush(&mut self.stream),
            Layer::None | Layer::Fronted => Ok(true),
        }
    }

    /// Ends what we write. A peer that is gone already is no error here.
    pub(super) fn shut_down_write(&mut self) {
        if let Layer::Tls(session) = &mut self.layer {
            session.end(&mut self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { stream, layer: Layer::None }
    }
}
