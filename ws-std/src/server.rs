use std::sync::Arc;

use ws_core::{Accept, AnswerError, Endpoint, Event, Request, Response, ServerConfig};

use crate::driver::Driver;
use crate::{AcceptError, Parts, Transport, WebSocket, now};

/// Does a server's opening handshake on a stream that was accepted.
///
/// A request that is refused is answered, and the answer given the time to arrive, before this returns. With
/// [`ServerConfig::ask`] or [`ServerConfig::plain_requests`] use [`accept_with`].
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
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
    accept_with(stream, config, |request| match request.is_websocket() {
        true => Answer::Accept(Accept::default()),
        false => Answer::Respond(Response::new(404)),
    })
}

/// Does a server's opening handshake, and lets `decide` answer the request.
///
/// It is asked for WebSocket requests if the configuration says [`ask`](ServerConfig::ask), and for plain ones if
/// it says [`plain_requests`](ServerConfig::plain_requests); else everything is decided by the rest of the
/// configuration. It may take as long as
/// [`opening_handshake_timeout`](ws_core::Config::opening_handshake_timeout) leaves; after that the client gets 503.
///
/// # Errors
/// [`AcceptError`] if the connection did not open: also, with
/// [`Outcome::Responded`](ws_core::Outcome::Responded), because `decide` answered otherwise.
pub fn accept_with<S: Transport>(
    stream: S,
    config: &Arc<ServerConfig>,
    decide: impl FnOnce(&Request) -> Answer,
) -> Result<WebSocket<S>, AcceptError> {
    let driver = Driver::new(Parts::new(stream, Endpoint::server(config, now())));
    let mut decide = Some(decide);
    let mut fault = None;
    loop {
        let request = match driver.next_opening() {
            Ok(Event::Open(opened)) => return Ok(WebSocket::opened_over(driver, opened)),
            Ok(Event::Request(request)) => request,
            // A server gets no other event before.
            Ok(_) => continue,
            Err(ended) => return Err(fault.map_or(AcceptError::Ended(ended), AcceptError::Answer)),
        };
        let Some(decide) = decide.take() else { continue };
        match driver.answer(decide(&request)) {
            // Its deadline passed, and it was answered so.
            Ok(()) | Err(AnswerError::NoRequest) => {}
            Err(error) => {
                fault = Some(error);
                let _ = driver.answer(Answer::Respond(Response::new(500)));
            }
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
