use core::future::poll_fn;
use std::fmt;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Accept, AnswerError, Endpoint, Event, Instant, Request, Response, ServerConfig};

use crate::driver::Driver;
use crate::{AcceptError, Parts, TcpStream, WebSocket, now};

/// Does a server's opening handshake on a stream that was accepted.
///
/// A request that is refused is answered, and the answer given the time to arrive, before this returns. With
/// [`ServerConfig::ask`] or [`ServerConfig::plain_requests`] use [`accept_with`] or [`Acceptor`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = ws_smol::Listener::bind("127.0.0.1:0")?;
/// let (stream, _) = listener.accept().await?;
/// let mut ws = ws_smol::accept(stream, &config).await?;
/// while let Some(message) = ws.read().await? {
///     ws.send(message).await?;
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`AcceptError`] if the connection did not open.
pub async fn accept<S>(stream: S, config: &Arc<ServerConfig>) -> Result<WebSocket<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    accept_with(stream, config, default_answer).await
}

fn default_answer(request: &Request) -> Answer {
    match request.is_websocket() {
        true => Answer::Accept(Accept::default()),
        false => Answer::Respond(Response::new(404)),
    }
}

/// Does a server's opening handshake, and lets `decide` answer the request at once; [`Acceptor`] lets it take its
/// time.
///
/// It is asked for WebSocket requests if the configuration says [`ask`](ServerConfig::ask), and for plain ones if
/// it says [`plain_requests`](ServerConfig::plain_requests); else everything is decided by the rest of the
/// configuration.
///
/// # Errors
/// [`AcceptError`] if the connection did not open: also, with
/// [`Outcome::Responded`](ws_core::Outcome::Responded), because `decide` answered otherwise.
pub async fn accept_with<S>(
    stream: S,
    config: &Arc<ServerConfig>,
    decide: impl FnOnce(&Request) -> Answer,
) -> Result<WebSocket<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // In a box, so that a task that goes on with the connection is not as large as this for its whole life.
    Box::pin(async {
        match receive(stream, config).await? {
            Received::Open(ws) => Ok(ws),
            Received::Request(acceptor) => {
                let answer = decide(acceptor.request());
                acceptor.answer(answer).await
            }
        }
    })
    .await
}

/// Does the TLS handshake and then the opening handshake of a server on a stream that was accepted, both together within
/// [`opening_handshake_timeout`](ws_core::Config::opening_handshake_timeout). [`TlsStream::accept`](crate::TlsStream::accept)
/// does the first alone.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ws_smol::tls::server_config("certificate.pem", "key.pem")?;
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = ws_smol::Listener::bind("127.0.0.1:0")?;
/// let (stream, _) = listener.accept().await?;
/// let mut ws = ws_smol::accept_tls(stream, &tls, &config).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`AcceptError`] if the connection did not open.
#[cfg(feature = "tls")]
pub async fn accept_tls<S>(
    stream: S,
    tls: &Arc<rustls::ServerConfig>,
    config: &Arc<ServerConfig>,
) -> Result<WebSocket<crate::TlsStream<S>>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Box::pin(async {
        let start = now();
        let timeout = config.connection.opening_handshake_timeout;
        let stream = crate::TlsStream::accept(stream, tls, timeout).await.map_err(AcceptError::Tls)?;
        match receive_since(stream, config, start).await? {
            Received::Open(ws) => Ok(ws),
            Received::Request(acceptor) => {
                let answer = default_answer(acceptor.request());
                acceptor.answer(answer).await
            }
        }
    })
    .await
}

/// What a server's application does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Accept it, if it asks for a WebSocket connection.
    Accept(Accept),
    /// Answer it otherwise, and close.
    Respond(Response),
}

/// A request that waits for the application's answer.
///
/// The answer may take as long as [`opening_handshake_timeout`](ws_core::Config::opening_handshake_timeout) leaves;
/// after that the client gets 503. Dropping this closes the transport without an answer.
///
/// ```no_run
/// # async fn allowed(path: &str) -> bool { path == "/chat" }
/// # async fn run(stream: ws_smol::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use ws_core::{Accept, Response, ServerConfig};
/// use ws_smol::{Acceptor, Answer};
/// let mut config = ServerConfig::default();
/// config.ask = true;
/// let acceptor = Acceptor::receive(stream, &config.into()).await?;
/// let answer = match allowed(acceptor.request().path()).await {
///     true => Answer::Accept(Accept::default()),
///     false => Answer::Respond(Response::new(403)),
/// };
/// let ws = acceptor.answer(answer).await?;
/// # Ok(()) }
/// ```
pub struct Acceptor<S = TcpStream> {
    driver: Box<Driver<S>>,
    request: Box<Request>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Acceptor<S> {
    /// Receives a request.
    ///
    /// # Errors
    /// [`AcceptError`] if the request did not come or was refused by the configuration, and, with
    /// [`AnswerError::NoRequest`], if the configuration asks nobody ([`ServerConfig::ask`]).
    pub async fn receive(stream: S, config: &Arc<ServerConfig>) -> Result<Self, AcceptError> {
        match receive(stream, config).await? {
            Received::Request(acceptor) => Ok(acceptor),
            Received::Open(_) => Err(AcceptError::Answer(AnswerError::NoRequest)),
        }
    }

    /// Returns the request.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// Answers the request, and waits until the connection is open, or closed after the answer arrived.
    ///
    /// # Errors
    /// [`AcceptError::Answer`] if the answer cannot be sent. [`AcceptError::Ended`] if the connection did not
    /// open: also, with [`Outcome::Responded`](ws_core::Outcome::Responded), because of the answer.
    pub async fn answer(self, answer: Answer) -> Result<WebSocket<S>, AcceptError> {
        let mut driver = self.driver;
        let fault = match driver.answer(answer) {
            // Its deadline passed, and it was answered so.
            Ok(()) | Err(AnswerError::NoRequest) => None,
            Err(error) => {
                // This one is valid.
                let _ = driver.answer(Answer::Respond(Response::new(500)));
                Some(error)
            }
        };
        let result = open(driver).await;
        match (result, fault) {
            (Err(_), Some(fault)) => Err(AcceptError::Answer(fault)),
            (Ok(Received::Open(ws)), _) => Ok(ws),
            (Err(error), None) => Err(error),
            // The engine asks once.
            (Ok(Received::Request(_)), _) => Err(AcceptError::Answer(AnswerError::NoRequest)),
        }
    }
}

impl<S> fmt::Debug for Acceptor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("request", &self.request).finish_non_exhaustive()
    }
}

enum Received<S> {
    Open(WebSocket<S>),
    Request(Acceptor<S>),
}

async fn receive<S>(stream: S, config: &Arc<ServerConfig>) -> Result<Received<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    receive_since(stream, config, now()).await
}

/// Receives a request whose time began at `start`.
async fn receive_since<S>(
    stream: S,
    config: &Arc<ServerConfig>,
    start: Instant,
) -> Result<Received<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    open(Driver::new(Parts::new(stream, Endpoint::server(config, start)))).await
}

/// Waits for the next step of the opening handshake.
async fn open<S>(mut driver: Box<Driver<S>>) -> Result<Received<S>, AcceptError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|cx| driver.poll_opening(cx)).await? {
            Event::Open(opened) => {
                driver.handle_open(opened);
                // The 101 leaves now, whatever the application does next. If it cannot, the first read says so.
                let _ = poll_fn(|cx| driver.poll_flush(cx)).await;
                return Ok(Received::Open(WebSocket::over(driver)));
            }
            Event::Request(request) => return Ok(Received::Request(Acceptor { driver, request })),
            // A server gets no other event before.
            _ => {}
        }
    }
}

impl<S> Driver<S> {
    /// Answers the request that waits, in time.
    fn answer(&mut self, answer: Answer) -> Result<(), AnswerError> {
        self.tell_time();
        self.expire();
        self.expect_event();
        let now = self.now();
        match answer {
            Answer::Accept(accept) => self.endpoint.accept(&accept),
            Answer::Respond(response) => self.endpoint.respond(now, &response),
        }
    }
}
