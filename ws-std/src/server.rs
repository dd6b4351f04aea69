use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;

use ws_core::{Accept, AnswerError, Endpoint, Event, Instant, Request, Response, ServerConfig};

use crate::driver::Driver;
use crate::{AcceptError, Parts, Transport, WebSocket, now};

/// Does a server's opening handshake on a stream that was accepted.
///
/// A request that is refused is answered, and the answer given the time to arrive, before this returns. With
/// [`ServerConfig::ask`] or [`ServerConfig::plain_requests`] use [`accept_with`] or [`Acceptor`].
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = ws_std::Listener::bind("127.0.0.1:0")?;
/// let (stream, _) = listener.accept()?;
/// let mut ws = ws_std::accept(stream, &config)?;
/// while let Some(message) = ws.read()? {
///     ws.send(message)?;
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`AcceptError`] if the connection did not open.
pub fn accept<S: Transport>(stream: S, config: &Arc<ServerConfig>) -> Result<WebSocket<S>, AcceptError> {
    accept_with(stream, config, default_answer)
}

fn default_answer(request: &Request) -> Answer {
    match request.is_websocket() {
        true => Answer::Accept(Accept::default()),
        false => Answer::Respond(Response::new(404)),
    }
}

/// Does a server's opening handshake, and lets `decide` answer the request; [`Acceptor`] lets another thread do so.
///
/// It is asked for WebSocket requests if the configuration says [`ask`](ServerConfig::ask), and for plain ones if
/// it says [`plain_requests`](ServerConfig::plain_requests); else everything is decided by the rest of the
/// configuration. It may take as long as
/// [`opening_handshake_timeout`](ws_core::Config::opening_handshake_timeout) leaves; after that the client gets
/// 503.
///
/// # Errors
/// [`AcceptError`] if the connection did not open: also, with
/// [`Outcome::Responded`](ws_core::Outcome::Responded), because `decide` answered otherwise.
pub fn accept_with<S: Transport>(
    stream: S,
    config: &Arc<ServerConfig>,
    decide: impl FnOnce(&Request) -> Answer,
) -> Result<WebSocket<S>, AcceptError> {
    match receive(stream, config)? {
        Received::Open(ws) => Ok(ws),
        Received::Request(acceptor) => {
            let answer = decide(acceptor.request());
            acceptor.answer(answer)
        }
    }
}

/// Does the TLS handshake and then the opening handshake of a server on a stream that was accepted, both together within
/// [`opening_handshake_timeout`](ws_core::Config::opening_handshake_timeout). [`TlsStream::accept`](crate::TlsStream::accept)
/// does the first alone.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ws_std::tls::server_config("certificate.pem", "key.pem")?;
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = ws_std::Listener::bind("127.0.0.1:0")?;
/// let (stream, _) = listener.accept()?;
/// let mut ws = ws_std::accept_tls(stream, &tls, &config)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`AcceptError`] if the connection did not open.
#[cfg(feature = "tls")]
pub fn accept_tls<S: Transport>(
    stream: S,
    tls: &Arc<rustls::ServerConfig>,
    config: &Arc<ServerConfig>,
) -> Result<WebSocket<crate::TlsStream<S>>, AcceptError> {
    let start = now();
    let timeout = config.connection.opening_handshake_timeout;
    let stream = crate::TlsStream::accept(stream, tls, timeout).map_err(AcceptError::Tls)?;
    match receive_since(stream, config, start)? {
        Received::Open(ws) => Ok(ws),
        Received::Request(acceptor) => {
            let answer = default_answer(acceptor.request());
            acceptor.answer(answer)
        }
    }
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
/// after that the client gets 503 instead. Dropping this closes the transport without an answer.
///
/// ```no_run
/// # fn run(stream: std::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use ws_core::{Accept, Response, ServerConfig};
/// use ws_std::{Acceptor, Answer};
/// let mut config = ServerConfig::default();
/// config.ask = true;
/// let acceptor = Acceptor::receive(stream, &config.into())?;
/// let answer = match acceptor.request().path() {
///     "/chat" => Answer::Accept(Accept::default()),
///     _ => Answer::Respond(Response::new(403)),
/// };
/// let ws = acceptor.answer(answer)?;
/// # Ok(()) }
/// ```
pub struct Acceptor<S = TcpStream> {
    driver: Arc<Driver<S>>,
    request: Box<Request>,
}

impl<S: Transport> Acceptor<S> {
    /// Receives a request.
    ///
    /// # Errors
    /// [`AcceptError`] if the request did not come or was refused by the configuration, and, with
    /// [`AnswerError::NoRequest`], if the configuration asks nobody ([`ServerConfig::ask`]).
    pub fn receive(stream: S, config: &Arc<ServerConfig>) -> Result<Self, AcceptError> {
        match receive(stream, config)? {
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
    pub fn answer(self, answer: Answer) -> Result<WebSocket<S>, AcceptError> {
        let fault = match self.driver.answer(answer) {
            // Its deadline passed, and it was answered so.
            Ok(()) | Err(AnswerError::NoRequest) => None,
            Err(error) => {
                // This one is valid.
                let _ = self.driver.answer(Answer::Respond(Response::new(500)));
                Some(error)
            }
        };
        match (open(self.driver), fault) {
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

fn receive<S: Transport>(stream: S, config: &Arc<ServerConfig>) -> Result<Received<S>, AcceptError> {
    receive_since(stream, config, now())
}

/// Receives a request whose time began at `start`.
fn receive_since<S: Transport>(
    stream: S,
    config: &Arc<ServerConfig>,
    start: Instant,
) -> Result<Received<S>, AcceptError> {
    open(Arc::new(Driver::new(Parts::new(stream, Endpoint::server(config, start)))))
}

/// Waits for the next step of the opening handshake.
fn open<S: Transport>(driver: Arc<Driver<S>>) -> Result<Received<S>, AcceptError> {
    loop {
        match driver.next_opening()? {
            Event::Open(opened) => {
                return Ok(Received::Open(WebSocket::over(driver, Some(opened))));
            }
            Event::Request(request) => return Ok(Received::Request(Acceptor { driver, request })),
            // A server gets no other event before.
            _ => {}
        }
    }
}
