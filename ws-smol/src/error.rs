use std::sync::Arc;
use std::{error, fmt, io};

use ws_core::{AnswerError, ClientRequestError, Outcome, ProxyError, SendError};

/// What a call on an open connection can fail with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The connection is over and did not end cleanly, or is over and something was to be sent.
    Ended(Ended),
    /// The call was refused because of its arguments or the order of calls, and changed nothing.
    Refused(SendError),
    /// Messages are delivered in parts on this connection ([`Delivery::Parts`](ws_core::Delivery::Parts)):
    /// [`read_part`](crate::WebSocket::read_part) is the call that reads them.
    DeliveredInParts,
}

impl Error {
    /// Returns how the connection ended, if that is what this tells.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(ended) => Some(&ended.outcome),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::DeliveredInParts => f.write_str("messages are delivered in parts on this connection"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Ended(ended) => ended.source(),
            _ => None,
        }
    }
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Refused(error)
    }
}

/// How a connection ended, and the transport's own error if there was one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// What the transport reported, as with [`Outcome::TransportLost`].
    pub io: Option<Arc<io::Error>>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        match &self.io {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Ended {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.io.as_deref().map(|error| error as _)
    }
}

/// Why a client's connection did not open.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// What was to be asked for cannot be sent; nothing was.
    Request(ClientRequestError),
    /// The URL is `wss`, and the feature `tls` is not built in.
    NoTls,
    /// The TLS handshake failed, or there is nothing to trust servers by.
    Tls(io::Error),
    /// The proxy is none, or refused.
    Proxy(ProxyError),
    /// The host was not found or could not be connected to; with a proxy, the proxy.
    Io(io::Error),
    /// The opening handshake failed. [`Outcome::Rejected`] has what the server answered.
    Ended(Ended),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::NoTls => f.write_str("wss needs the feature tls"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::Proxy(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Ended(ended) => ended.fmt(f),
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Io(error) | Self::Tls(error) => Some(error),
            Self::Proxy(error) => Some(error),
            Self::Ended(ended) => Some(ended),
            Self::NoTls => None,
        }
    }
}

impl From<ClientRequestError> for ConnectError {
    fn from(error: ClientRequestError) -> Self {
        Self::Request(error)
    }
}

impl From<ProxyError> for ConnectError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Ended> for ConnectError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

/// Why a server's connection did not open.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The opening handshake failed, or was answered otherwise.
    Ended(Ended),
    /// What the application answered cannot be sent; the client got 500.
    Answer(AnswerError),
    /// The TLS handshake failed.
    Tls(io::Error),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "TLS: {error}"),
        }
    }
}

impl error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Ended(ended) => Some(ended),
            Self::Answer(error) => Some(error),
            Self::Tls(error) => Some(error),
        }
    }
}

impl From<Ended> for AcceptError {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}
