use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Instant;

use core::net::SocketAddr;
use core::time::Duration;

use ws_core::{ClientRequest, ClientRequestError, Config, Endpoint, Event, KeySource};

use crate::driver::Driver;
use crate::{ClientStream, ConnectError, Parts, Transport, WebSocket, now};

/// Opens a connection to a `ws` URL, or with the feature `tls` a `wss` URL, with defaults for all else. [`ClientBuilder`] has the settings.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ws = ws_std::connect("ws://localhost:8080/chat")?;
/// ws.send_text("hello")?;
/// while let Some(message) = ws.read()? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<ClientStream>, ConnectError> {
    ClientBuilder::new(url).connect()
}

/// What a client asks for, and how.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use core::time::Duration;
/// let ws = ws_std::ClientBuilder::new("ws://sip.example.com/ws")
///     .subprotocol("sip")
///     .origin("https://example.com")
///     .header("Authorization", "Bearer abc")
///     .connect_timeout(Duration::from_secs(3))
///     .connect()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    /// The first thing that was wrong is told by `connect`.
    request: Result<ClientRequest, ClientRequestError>,
    config: Arc<Config>,
    connect_timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl ClientBuilder {
    /// Starts with `ws://host[:port][/path][?query]`, or the same with `wss`: port 80 if there is none, or 443, IPv6
    /// addresses in brackets.
    pub fn new(url: &str) -> Self {
        Self {
            request: ClientRequest::new(url),
            config: Arc::default(),
            connect_timeout: Some(Duration::from_secs(10)),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Adds a header field to the request.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.edit(|request| request.header(name, value))
    }

    /// Offers a subprotocol, after those offered already. What the server agreed on is told by
    /// [`WebSocket::subprotocol`].
    pub fn subprotocol(self, name: &str) -> Self {
        self.edit(|request| request.subprotocol(name))
    }

    /// Sets the `Origin` header.
    pub fn origin(self, origin: &str) -> Self {
        self.edit(|request| request.origin(origin))
    }

    /// Sets limits and deadlines, a [`Config`] or one that is shared in an `Arc`.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets what TLS goes by: which servers are trusted, a certificate of our own, and so on; ALPN is `http/1.1` or
    /// nothing. Default: [`tls::client_config`](crate::tls::client_config). `ws` URLs have no use for it.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Limits how long it may take to connect the TCP stream, all addresses of the host together, and with `wss` the TLS
    /// handshake; `None` leaves it to the system. Default 10 s. The lookup of a name cannot be limited; the opening handshake is by
    /// [`opening_handshake_timeout`](Config::opening_handshake_timeout).
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// Connects and does the opening handshake. All addresses that the host resolves to are tried, in order.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(self) -> Result<WebSocket<ClientStream>, ConnectError> {
        let request = self.request.as_ref().map_err(|&error| ConnectError::Request(error))?;
        if request.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        let addresses = (request.host(), request.port()).to_socket_addrs()?.collect::<Vec<_>>();
        #[cfg(feature = "tls")]
        let start = Instant::now();
        let stream = connect_any(&addresses, self.connect_timeout)?;
        #[cfg(feature = "tls")]
        if request.is_secure() {
            let config = match &self.tls {
                Some(config) => Arc::clone(config),
                None => crate::tls::client_config().map_err(ConnectError::Tls)?,
            };
            let left = self.connect_timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            let stream = crate::TlsStream::connect(stream, request.host(), &config, left)
                .map_err(ConnectError::Tls)?;
            return self.connect_over(ClientStream::Tls(Box::new(stream)));
        }
        self.connect_over(ClientStream::Tcp(stream))
    }

    /// Does the opening handshake over a stream that is connected already; `wss` URLs are for TLS streams.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect_over<S: Transport>(self, stream: S) -> Result<WebSocket<S>, ConnectError> {
        let request = self.request?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let endpoint = Endpoint::client(&request, &self.config, KeySource::from_seed(seed), now());
        let driver = Driver::new(Parts::new(stream, endpoint));
        loop {
            // A client gets no other event before.
            if let Event::Open(opened) = driver.next_opening()? {
                return Ok(WebSocket::over(Arc::new(driver), Some(opened)));
            }
        }
    }

    fn edit(mut self, edit: impl FnOnce(ClientRequest) -> Result<ClientRequest, ClientRequestError>) -> Self {
        self.request = self.request.and_then(edit);
        self
    }
}

/// Connects to the first of the addresses that lets it, each given its share of the time that is left.
fn connect_any(addresses: &[SocketAddr], timeout: Option<Duration>) -> io::Result<TcpStream> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for (i, address) in addresses.iter().enumerate() {
        result = match until {
            None => TcpStream::connect(address),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let shares = u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
                // Zero would be an error of its own.
                TcpStream::connect_timeout(address, (left / shares).max(Duration::from_millis(1)))
            }
        };
        if result.is_ok() {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn all_addresses_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody listens there any more.
        let bad = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for timeout in [None, Some(Duration::from_secs(60)), Some(Duration::MAX)] {
            let stream = connect_any(&[bad, bad, good], timeout).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good);
            let error = connect_any(&[bad, bad], timeout).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(connect_any(&[], timeout).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
