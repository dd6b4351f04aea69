use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Instant;

use core::net::SocketAddr;
use core::time::Duration;

use ws_core::{
    ClientRequest, ClientRequestError, Config, Endpoint, Event, KeySource, Proxy, ProxyError, ProxyHandshake,
};

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
    proxy: Option<Result<Proxy, ProxyError>>,
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
            proxy: None,
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

    /// Refuses a server that agrees to none of the subprotocols offered, as browsers do. RFC 6455 lets a server do so, and
    /// without this the application finds out by [`WebSocket::subprotocol`].
    pub fn require_subprotocol(self) -> Self {
        self.edit(|request| Ok(request.require_subprotocol()))
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

    /// Connects through a proxy: `http://[user:password@]host[:port]` with CONNECT, or `socks5://...`. It looks the server's
    /// name up, and sees no more of the connection than any other host on the way.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.parse());
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
        let proxy = self.proxy.as_ref().map(Result::as_ref).transpose().map_err(|&error| error)?;
        let (host, port) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (request.host(), request.port()),
        };
        let addresses = (host, port).to_socket_addrs()?.collect::<Vec<_>>();
        let start = Instant::now();
        let stream = connect_any(&addresses, self.connect_timeout)?;
        if let Some(proxy) = proxy {
            let handshake = ProxyHandshake::new(proxy, request.host(), request.port())?;
            let until = self.connect_timeout.and_then(|timeout| start.checked_add(timeout));
            ask(&stream, handshake, until)?;
        }
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

/// Has a proxy make the connection.
fn ask(
    mut stream: &TcpStream,
    mut handshake: ProxyHandshake,
    until: Option<Instant>,
) -> Result<(), ConnectError> {
    let mut buffer = [0; 1024];
    while !handshake.is_done() {
        let left = match until {
            None => None,
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "connect timeout").into());
                }
                Some(left)
            }
        };
        stream.set_read_timeout(left)?;
        stream.set_write_timeout(left)?;
        let done = if handshake.pending().is_empty() {
            stream.read(&mut buffer).map(|n| (n, true))
        } else {
            stream.write(handshake.pending()).map(|n| (n, false))
        };
        match done {
            Ok((0, true)) => return Err(ProxyError::Ended.into()),
            Ok((n, true)) => handshake.handle_read(&buffer[..n])?,
            Ok((n, false)) => handshake.handle_written(n),
            Err(error) if is_early(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    stream.set_write_timeout(None)?;
    Ok(())
}

/// Whether the time that was set passed, by whichever name the system has for that, or a signal came.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
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
