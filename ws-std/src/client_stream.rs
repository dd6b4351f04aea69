use core::time::Duration;
use std::io;
use std::net::TcpStream;

#[cfg(feature = "tls")]
use crate::TlsStream;
use crate::{Duplex, Interest, Transport};

/// What [`connect`](crate::connect) speaks over: TCP, and TLS over it for `wss`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientStream {
    /// For `ws`.
    Tcp(TcpStream),
    /// For `wss`.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl ClientStream {
    /// Returns the TCP connection, for addresses and options.
    #[must_use]
    pub const fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            ClientStream::Tcp($stream) => $call,
            #[cfg(feature = "tls")]
            ClientStream::Tls($stream) => {
                let $stream = &**$stream;
                $call
            }
        }
    };
}

impl Transport for ClientStream {
    fn prepare(&self) -> io::Result<()> {
        either!(self, stream => Transport::prepare(stream))
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => Transport::read(stream, buffer))
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, stream => Transport::set_read_timeout(stream, timeout))
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => Transport::try_write(stream, bytes))
    }

    fn try_flush(&self) -> io::Result<bool> {
        either!(self, stream => Transport::try_flush(stream))
    }

    fn passed_on(&self) -> usize {
        either!(self, stream => Transport::passed_on(stream))
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        either!(self, stream => Transport::wait(stream, interest, timeout))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        either!(self, stream => Transport::shutdown_write(stream))
    }

    fn shutdown(&self) {
        either!(self, stream => Transport::shutdown(stream));
    }
}

impl Duplex for ClientStream {}
