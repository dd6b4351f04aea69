use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem;
use core::time::Duration;

use crate::{
    Accept, AnswerError, Chunk, ClientHandshake, ClientRequest, Config, Connection, Event, Instant,
    KeySource, Kind, Message, Opened, PreparedMessage, Response, Role, SendBuffer, SendError, ServerConfig,
    ServerHandshake, StatusCode,
};

/// One WebSocket connection from its first byte to its last: the opening handshake of either role, then the
/// messages, the closing handshake and the end. One object and one loop for the usual caller.
///
/// The verbs are those of [`Connection`]. [`Event::Open`] says that the connection is open; before, sending is
/// refused with [`SendError::NotOpen`], and after it, what was sent together with the handshake follows from
/// the same chunk.
#[derive(Debug)]
pub struct Endpoint(State);

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are open, and an open one holds no heap memory")]
enum State {
    Server(Box<ServerHandshake>),
    Client(Box<ClientOpening>),
    /// A server's handshake stays until its 101 was queued and what it parked was used up.
    Open(Connection, Option<Box<ServerHandshake>>),
}

#[derive(Debug)]
struct ClientOpening {
    handshake: ClientHandshake,
    config: Arc<Config>,
    /// Taken when the connection opens.
    keys: Option<KeySource>,
}

impl Endpoint {
    /// Returns a server's end of a transport that was just accepted.
    #[must_use]
    pub fn server(config: &Arc<ServerConfig>, now: Instant) -> Self {
        Self(State::Server(Box::new(ServerHandshake::new(config, now))))
    }

    /// Returns a client's end of a transport that was just connected. The request leaves with the next
    /// [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn client(request: &ClientRequest, config: &Arc<Config>, mut keys: KeySource, now: Instant) -> Self {
        let handshake = ClientHandshake::new(request, config, &mut keys, now);
        Self(State::Client(Box::new(ClientOpening {
            handshake,
            config: Arc::clone(config),
            keys: Some(keys),
        })))
    }

    /// Returns which half of the connection this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        match &self.0 {
            State::Server(_) => Role::Server,
            State::Client(_) => Role::Client,
            State::Open(connection, _) => connection.role(),
        }
    }

    /// Returns the limits and deadlines in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        match &self.0 {
            State::Server(handshake) => &handshake.config().connection,
            State::Client(opening) => &opening.config,
            State::Open(connection, _) => connection.config(),
        }
    }

    /// Puts other limits and deadlines in force on an open connection: [`Connection::set_config`]. Before it is open,
    /// nothing changes.
    pub fn set_config(&mut self, now: Instant, config: &Arc<Config>) {
        if let State::Open(connection, _) = &mut self.0 {
            connection.set_config(now, config);
        }
    }

    /// Returns the next event in `chunk`, or `None` when all its bytes were taken in.
    ///
    /// `now` is when the chunk arrived. After a timeout or the end of the stream, and after
    /// [`accept`](Self::accept), call it with [`Chunk::empty`]: an event may be due.
    ///
    /// While a request waits for its answer, bytes that follow it are kept for later; stop reading until then
    /// ([`is_request_waiting`](Self::is_request_waiting)). A client that sends more than
    /// [`max_head_len`](Config::max_head_len) bytes by then is refused.
    #[inline]
    pub fn poll_event<'b>(&mut self, now: Instant, chunk: &mut Chunk<'b>) -> Option<Event<'b>> {
        if let State::Open(connection, None) = &mut self.0 {
            return connection.poll_event(now, chunk);
        }
        self.poll_opening(now, chunk)
    }

    #[inline(never)]
    fn poll_opening<'b>(&mut self, now: Instant, chunk: &mut Chunk<'b>) -> Option<Event<'b>> {
        let event = match &mut self.0 {
            State::Server(handshake) => handshake.poll_event(now, chunk),
            State::Client(opening) => opening.handshake.poll_event(now, chunk),
            State::Open(connection, handshake) => {
                if let Some(handshake) = handshake
                    && let Some(event) = handshake.poll_parked(now, connection)
                {
                    return Some(event);
                }
                return connection.poll_event(now, chunk);
            }
        };
        if let Some(Event::Open(opened)) = &event {
            self.open(now, opened);
        }
        event
    }

    /// Goes on from a handshake that is done.
    fn open(&mut self, now: Instant, opened: &Opened) {
        let connection = match &mut self.0 {
            State::Server(handshake) => {
                Connection::new(Role::Server, &handshake.config().connection, now, None)
            }
            State::Client(opening) => {
                Connection::new(Role::Client, &opening.config, now, opening.keys.take())
            }
            State::Open(..) => return,
        };
        #[cfg(feature = "deflate")]
        let connection = match opened.deflate() {
            Some(params) => connection.with_deflate(params),
            None => connection,
        };
        #[cfg(not(feature = "deflate"))]
        let _ = opened;
        if let State::Server(handshake) = mem::replace(&mut self.0, State::Open(connection, None))
            && let State::Open(_, unsettled) = &mut self.0
        {
            *unsettled = Some(handshake);
        }
    }

    /// Accepts the WebSocket request that waits; [`Event::Open`] follows.
    ///
    /// # Errors
    /// [`AnswerError`]; the request still waits then.
    pub fn accept(&mut self, accept: &Accept) -> Result<(), AnswerError> {
        match &mut self.0 {
            State::Server(handshake) => handshake.accept(accept),
            _ => Err(AnswerError::NoRequest),
        }
    }

    /// Answers the request that waits, a plain one or one that is not to be accepted. The connection closes
    /// after it, with [`Outcome::Responded`](crate::Outcome::Responded).
    ///
    /// # Errors
    /// [`AnswerError`]; the request still waits then.
    pub fn respond(&mut self, now: Instant, response: &Response) -> Result<(), AnswerError> {
        match &mut self.0 {
            State::Server(handshake) => handshake.respond(now, response),
            _ => Err(AnswerError::NoRequest),
        }
    }

    /// Returns whether a request waits for [`accept`](Self::accept) or [`respond`](Self::respond).
    #[must_use]
    pub fn is_request_waiting(&self) -> bool {
        matches!(&self.0, State::Server(handshake) if handshake.is_request_waiting())
    }

    /// Answers a request that is still being received with 503 and `Retry-After`, for a server that shuts down.
    /// Does nothing in any other state.
    pub fn refuse_unavailable(&mut self, retry_after: Duration) {
        if let State::Server(handshake) = &mut self.0 {
            handshake.refuse_unavailable(retry_after);
        }
    }

    /// Returns the request's head verbatim, as far as it came, for those who trace handshakes that failed.
    /// Empty once the connection is open: then [`Event::Open`] has it.
    #[must_use]
    pub fn raw_request(&self) -> &[u8] {
        match &self.0 {
            State::Server(handshake) => handshake.raw_request(),
            State::Client(opening) => opening.handshake.raw_request(),
            State::Open(..) => &[],
        }
    }

    /// Returns a server's answer that did not open the connection, verbatim; empty as long as there is none.
    #[must_use]
    pub fn raw_response(&self) -> &[u8] {
        match &self.0 {
            State::Server(handshake) => handshake.raw_response(),
            _ => &[],
        }
    }

    /// Takes in that the peer's stream ended.
    pub fn handle_eof(&mut self, now: Instant) {
        match &mut self.0 {
            State::Server(handshake) => handshake.handle_eof(),
            State::Client(opening) => opening.handshake.handle_eof(),
            State::Open(connection, handshake) => match handshake {
                Some(handshake) if handshake.has_parked() => handshake.handle_eof(),
                _ => connection.handle_eof(now),
            },
        }
    }

    /// Takes in that the transport broke: a reset, a failed write, or any other error of its own.
    pub fn handle_transport_lost(&mut self, now: Instant) {
        match &mut self.0 {
            State::Server(handshake) => handshake.handle_transport_lost(),
            State::Client(opening) => opening.handshake.handle_transport_lost(),
            State::Open(connection, _) => connection.handle_transport_lost(now),
        }
    }

    /// Gives the connection up, without a closing handshake; [`Event::Closed`] follows.
    pub fn abort(&mut self) {
        match &mut self.0 {
            State::Server(handshake) => handshake.abort(),
            State::Client(opening) => opening.handshake.abort(),
            State::Open(connection, _) => connection.abort(),
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.0 {
            State::Server(handshake) => handshake.poll_timeout(),
            State::Client(opening) => opening.handshake.poll_timeout(),
            State::Open(connection, _) => connection.poll_timeout(),
        }
    }

    /// Acts on the deadlines that passed by `now`. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.0 {
            State::Server(handshake) => handshake.handle_timeout(now),
            State::Client(opening) => opening.handshake.handle_timeout(now),
            State::Open(connection, _) => connection.handle_timeout(now),
        }
    }

    /// Appends the handshake's bytes or the control frames that are due to `out`; returns whether anything is
    /// pending in `out`.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut SendBuffer) -> bool {
        match &mut self.0 {
            State::Open(connection, None) => connection.poll_transmit(now, out),
            State::Server(handshake) => handshake.poll_transmit(out),
            State::Client(opening) => opening.handshake.poll_transmit(out),
            State::Open(..) => self.opened(out).is_ok_and(|connection| connection.poll_transmit(now, out)),
        }
    }

    /// Takes in that the transport accepted the first `n` bytes of [`SendBuffer::pending`]; 0 if it would block.
    ///
    /// # Panics
    /// If `n` exceeds what was pending.
    #[inline]
    pub fn handle_transmitted(&mut self, now: Instant, n: usize, out: &mut SendBuffer) {
        match &mut self.0 {
            State::Open(connection, _) => connection.handle_transmitted(now, n, out),
            State::Server(handshake) => handshake.handle_transmitted(n, out),
            State::Client(opening) => opening.handshake.handle_transmitted(n, out),
        }
    }

    /// Appends a whole text message to `out`.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    #[inline]
    pub fn send_text(&mut self, text: &str, out: &mut SendBuffer) -> Result<(), SendError> {
        self.opened(out)?.send_text(text, out)
    }

    /// Appends a whole binary message to `out`.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.opened(out)?.send_binary(data, out)
    }

    /// Appends a whole message to `out` without compressing it. See [`Connection::send_uncompressed`].
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_uncompressed(
        &mut self,
        message: &Message<'_>,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.opened(out)?.send_uncompressed(message, out)
    }

    /// Appends a message that was prepared to `out`. See [`Connection::send_prepared`].
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_prepared(
        &mut self,
        message: &PreparedMessage,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.opened(out)?.send_prepared(message, out)
    }

    /// Appends a part of a message as a frame of its own; `last` ends the message. See
    /// [`Connection::send_part`].
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_part(
        &mut self,
        kind: Kind,
        data: &[u8],
        last: bool,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.opened(out)?.send_part(kind, data, last, out)
    }

    /// Appends a Ping with up to 125 bytes of Application data.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn ping(&mut self, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.opened(out)?.ping(data, out)
    }

    /// Starts the closing handshake. See [`Connection::close`]. An opening handshake is given up with
    /// [`abort`](Self::abort) instead.
    ///
    /// # Errors
    /// [`SendError`]; nothing changed then.
    pub fn close(
        &mut self,
        now: Instant,
        code: Option<StatusCode>,
        reason: &str,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.opened(out)?.close(now, code, reason, out)
    }

    /// Returns whether the application may send: the opening handshake is done, and no Close frame was sent or
    /// received.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.0 {
            State::Server(_) | State::Client(_) => false,
            State::Open(connection, _) => connection.is_open(),
        }
    }

    /// Returns whether to shut down the transport's write half once `out` is flushed.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        match &self.0 {
            State::Server(handshake) => handshake.is_write_closed(),
            State::Client(_) => false,
            State::Open(connection, None) => connection.is_write_closed(),
            State::Open(connection, Some(handshake)) => {
                handshake.is_settled() && connection.is_write_closed()
            }
        }
    }

    /// Returns whether the connection ended: [`Event::Closed`] was delivered or is the next event.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.0 {
            State::Server(handshake) => handshake.is_closed(),
            State::Client(opening) => opening.handshake.is_closed(),
            State::Open(connection, _) => connection.is_closed(),
        }
    }

    /// Returns the connection to send on, its 101 queued before anything else.
    #[inline]
    fn opened(&mut self, out: &mut SendBuffer) -> Result<&mut Connection, SendError> {
        match &mut self.0 {
            State::Open(connection, handshake) => {
                if handshake.is_some() {
                    settle(handshake, out);
                }
                Ok(connection)
            }
            State::Server(_) | State::Client(_) => Err(SendError::NotOpen),
        }
    }
}

/// Queues the 101 if it was not yet, and lets go of a handshake that has nothing left to do.
#[cold]
fn settle(slot: &mut Option<Box<ServerHandshake>>, out: &mut SendBuffer) {
    if let Some(handshake) = slot {
        handshake.poll_transmit(out);
        if handshake.is_settled() {
            *slot = None;
        }
    }
}

impl From<Connection> for Endpoint {
    /// Goes on from a connection whose opening handshake was done elsewhere.
    fn from(connection: Connection) -> Self {
        Self(State::Open(connection, None))
    }
}

const _: () = assert!(size_of::<Endpoint>() <= 256, "what an idle connection costs");
