use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{
    ClientRequest, ClientRequestError, Config, Endpoint, Event, KeySource, Proxy, ProxyError, ProxyHandshake,
};

use crate::dial::{dial, resolve, within};
use crate::driver::Driver;
use crate::{ClientStream, ConnectError, Ended, Parts, TcpStream, WebSocket, now};

/// Opens a connection to a `ws` URL, or with the feature `tls` a `wss` URL, with defaults for all else. [`ClientBuilder`] has the settings.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ws = ws_smol::connect("ws://localhost:8080/chat").await?;
/// ws.send_text("hello").await?;
/// while let Some(message) = ws.read().await? {
///     println!("{message:?}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(url: &str) -> Result<WebSocket<ClientStream>, ConnectError> {
    ClientBuilder::new(url).connect().await
}

/// What a client asks for, and how.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// let ws = ws_smol::ClientBuilder::new("ws://sip.example.com/ws")
///     .subprotocol("sip")
///     .origin("https://example.com")
///     .header("Authorization", "Bearer abc")
///     .connect_timeout(Duration::from_secs(3))
///     .connect()
///     .await?;
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

    /// Limits how long it may take to find the host's addresses and connect to one, and with `wss` to do the TLS
    /// handshake; `None` leaves it to the system. Default 10 s. The opening handshake has its own limit,
    /// [`opening_handshake_timeout`](Config::opening_handshake_timeout).
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// Connects and does the opening handshake.
    ///
    /// All addresses of the host are tried, in the system's order; the next one as soon as one fails or takes
    /// longer than 250 ms, and the first that connects is taken.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(self) -> Result<WebSocket<ClientStream>, ConnectError> {
        let request = self.request.as_ref().map_err(|&error| ConnectError::Request(error))?;
        if request.is_secure() && cfg!(not(feature = "tls")) {
            return Err(ConnectError::NoTls);
        }
        #[cfg(feature = "tls")]
        let start = now();
        let proxy = self.proxy.as_ref().map(Result::as_ref).transpose().map_err(|&error| error)?;
        let (host, port) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (request.host(), request.port()),
        };
        let handshake = match proxy {
            Some(proxy) => Some(ProxyHandshake::new(proxy, request.host(), request.port())?),
            None => None,
        };
        let (stream, refused) = within(self.connect_timeout, "connect timeout", async {
            let addresses = resolve(host, port).await?;
            let mut stream = dial(addresses).await?;
            stream.get_ref().set_nodelay(true)?;
            let refused = match handshake {
                Some(handshake) => ask(&mut stream, handshake).await?,
                None => None,
            };
            Ok((stream, refused))
        })
        .await?;
        if let Some(error) = refused {
            return Err(error.into());
        }
        #[cfg(feature = "tls")]
        if request.is_secure() {
            let config = match &self.tls {
                Some(config) => Arc::clone(config),
                // Reads files.
                None => blocking::unblock(crate::tls::client_config).await.map_err(ConnectError::Tls)?,
            };
            let left = self.connect_timeout.map(|timeout| timeout.saturating_sub(now() - start));
            let stream = crate::TlsStream::connect(stream, request.host(), &config, left)
                .await
                .map_err(ConnectError::Tls)?;
            return self.connect_over(ClientStream::Tls(Box::new(stream))).await;
        }
        self.connect_over(ClientStream::Tcp(stream)).await
    }

    /// Does the opening handshake over a stream that is connected already; `wss` URLs are for TLS streams.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_over<S>(self, stream: S) -> Result<WebSocket<S>, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = self.request?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let endpoint = Endpoint::client(&request, &self.config, KeySource::from_seed(seed), now());
        let mut driver = Driver::new(Parts::new(stream, endpoint));
        loop {
            // A client gets no other event before.
            if let Event::Open(opened) = poll_fn(|cx| driver.poll_opening(cx)).await? {
                driver.handle_open(opened);
                return Ok(WebSocket::over(driver));
            }
        }
    }

    fn edit(mut self, edit: impl FnOnce(ClientRequest) -> Result<ClientRequest, ClientRequestError>) -> Self {
        self.request = self.request.and_then(edit);
        self
    }
}

/// Has a proxy make the connection; returns why it does not.
async fn ask(stream: &mut TcpStream, mut handshake: ProxyHandshake) -> io::Result<Option<ProxyError>> {
    let mut buffer = [0; 1024];
    while !handshake.is_done() {
        if !handshake.pending().is_empty() {
            let n = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, handshake.pending())).await?;
            handshake.handle_written(n);
            continue;
        }
        let n = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await?;
        if n == 0 {
            return Ok(Some(ProxyError::Ended));
        }
        if let Err(error) = handshake.handle_read(&buffer[..n]) {
            return Ok(Some(error));
        }
    }
    Ok(None)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Waits for the next event of the opening handshake.
    pub(crate) fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<'static>, Ended>> {
        self.poll_event(cx, &mut |event, _| Some(event.into_owned()))
            .map(|event| event.ok_or_else(|| self.ended()))
    }
}
