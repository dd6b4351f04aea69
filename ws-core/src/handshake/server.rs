use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::accept_for;
use super::check::{self, Asked, Proposal, RequestError};
use super::head::{Head, HeadReader};
use super::line::Kind;
use super::opened::Opened;
use super::request::{Request, offered};
use super::response::{self, Response};
use super::server_config::{Accept, AnswerError, ServerConfig, Subprotocol};
use crate::parked::Parked;
use crate::{Chunk, Connection, Deadline, Event, Instant, Outcome, SendBuffer};

/// The opening handshake of a server (RFC 6455, section 4.2), usable alone: in front of
/// [`Connection`](crate::Connection) or of any other framing. [`Endpoint`](crate::Endpoint) joins both.
///
/// Driven as a connection is. It ends with [`Event::Open`]: what follows the request is still in the chunk,
/// and the 101 goes to the output with the next [`poll_transmit`](Self::poll_transmit). Or it ends with
/// [`Event::Closed`], after the request was refused or answered and that answer had time to arrive: the
/// output is flushed, the write half shut down, and input discarded until the client's end of the stream,
/// for [`close_timeout`](crate::Config::close_timeout) at most.
///
/// | fault, the first of these | answer |
/// |---|---|
/// | malformed head, HTTP below 1.1 | 400 |
/// | head too large, too many fields / target too long | 431 / 414 |
/// | head in too many chunks | 400 |
/// | too slow | 408 |
/// | shutting down or full | 503 with `Retry-After` |
/// | not GET | 405 with `Allow: GET` |
/// | a body is announced | 400 |
/// | no, repeated or malformed `Host` | 400 |
/// | no `Upgrade: websocket` | 426 with `Upgrade: websocket`, or to the application |
/// | no `Connection: Upgrade` | 400 |
/// | version not 13 | 426 with `Sec-WebSocket-Version: 13` |
/// | no, repeated or malformed `Sec-WebSocket-Key` | 400 |
/// | resource not served | 404 |
/// | `Origin` not accepted, or repeated | 403 |
/// | subprotocol required and none in common | 400 |
///
/// Extension offers are declined, but for permessage-deflate where the settings want it.
#[derive(Debug)]
pub struct ServerHandshake {
    config: Arc<ServerConfig>,
    state: State,
    /// For the request to be complete and answered; after a refusal, for the answer to arrive.
    deadline: Instant,
    unavailable: Option<Duration>,
    request: Vec<u8>,
    response: Vec<u8>,
    response_due: bool,
    /// The client's stream ended.
    ended: bool,
}

#[derive(Debug)]
enum State {
    Reading(HeadReader),
    /// The application has the request. What arrives meanwhile is parked.
    Asking {
        request: Request,
        proposal: Option<Proposal>,
        parked: Parked,
    },
    /// `Event::Open` is due.
    Accepted {
        opened: Box<Opened>,
        parked: Parked,
    },
    Open {
        parked: Parked,
    },
    /// Between two states: the request was taken out.
    Kept,
    /// An answer other than the 101 goes out; input is discarded.
    Answering {
        outcome: Outcome,
        flushed: bool,
    },
    /// `Event::Closed` is due.
    Ended(Outcome),
    Closed,
}

impl ServerHandshake {
    /// Starts to wait for the request.
    #[must_use]
    pub fn new(config: &Arc<ServerConfig>, now: Instant) -> Self {
        Self {
            config: Arc::clone(config),
            state: State::Reading(HeadReader::new(Kind::Request, &config.connection)),
            deadline: config
                .connection
                .opening_handshake_timeout
                .map_or(Instant::NEVER, |timeout| now + timeout),
            unavailable: config.unavailable,
            request: Vec::new(),
            response: Vec::new(),
            response_due: false,
            ended: false,
        }
    }

    /// Returns the settings.
    #[must_use]
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Returns the next event: [`Event::Request`], [`Event::Open`] or [`Event::Closed`].
    ///
    /// `None`: all bytes were taken in; after `Open` they are left where they are. While the application
    /// decides about a request, what the client sends after it is kept: stop reading until then. It is
    /// refused when that grows beyond [`max_head_len`](crate::Config::max_head_len).
    pub fn poll_event(&mut self, now: Instant, chunk: &mut Chunk<'_>) -> Option<Event<'static>> {
        if let State::Reading(reader) = &mut self.state {
            let arrival = chunk.arrival();
            reader.count(arrival);
            if !chunk.is_empty() {
                match reader.read(chunk.rest()) {
                    Ok((used, complete)) => {
                        chunk.skip(used);
                        if !complete {
                            return None;
                        }
                        let event = self.handle_head(now);
                        if event.is_some() {
                            // What follows is chunk 1 of the first message.
                            chunk.restore(arrival);
                            return event;
                        }
                    }
                    Err(error) => self.refuse(now, RequestError::Head(error)),
                }
            }
        }
        match &mut self.state {
            State::Reading(_) | State::Open { .. } => return None,
            State::Accepted { .. } => return self.open(),
            State::Asking { parked, .. } => {
                if parked.len() + chunk.len() <= self.config.connection.max_head_len {
                    parked.add(chunk.rest());
                } else {
                    self.refuse(now, RequestError::DataBeforeAnswer);
                }
            }
            State::Ended(_) => {
                chunk.skip_all();
                if let State::Ended(outcome) = mem::replace(&mut self.state, State::Closed) {
                    return Some(Event::Closed(outcome));
                }
            }
            State::Kept | State::Answering { .. } | State::Closed => {}
        }
        chunk.skip_all();
        None
    }

    /// Accepts the WebSocket request that waits; [`Event::Open`] follows.
    ///
    /// # Errors
    /// [`AnswerError`]; the request still waits then.
    pub fn accept(&mut self, accept: &Accept) -> Result<(), AnswerError> {
        let State::Asking { request, proposal, .. } = &self.state else { return Err(AnswerError::NoRequest) };
        let Some(proposal) = *proposal else { return Err(AnswerError::PlainRequest) };
        if let Subprotocol::Named(name) = &accept.subprotocol
            && !offered(request.head()).any(|element| element == name.as_bytes())
        {
            return Err(AnswerError::SubprotocolNotOffered);
        }
        if let State::Asking { request, parked, .. } = mem::replace(&mut self.state, State::Kept) {
            self.switch(request, proposal, accept, parked);
        }
        Ok(())
    }

    /// Answers the request that waits. The connection closes after it, with [`Outcome::Responded`].
    ///
    /// # Errors
    /// [`AnswerError`]; the request still waits then.
    pub fn respond(&mut self, now: Instant, response: &Response) -> Result<(), AnswerError> {
        let State::Asking { request, .. } = &self.state else { return Err(AnswerError::NoRequest) };
        if !response.is_valid() {
            return Err(AnswerError::InvalidResponse);
        }
        response.write(request.method() == "HEAD", &mut self.response);
        self.answer(now, Outcome::Responded(response.status));
        Ok(())
    }

    /// Answers the request that is being received with 503 and `Retry-After`, for a server that shuts down.
    /// One that the application decides about is left to it.
    pub fn refuse_unavailable(&mut self, retry_after: Duration) {
        self.unavailable = Some(retry_after);
    }

    /// Appends what is due to `out`; returns whether anything is pending in `out`.
    pub fn poll_transmit(&mut self, out: &mut SendBuffer) -> bool {
        if mem::take(&mut self.response_due) {
            out.append_opaque(&self.response);
        }
        !out.is_empty()
    }

    /// Takes in that the transport accepted the first `n` bytes of [`SendBuffer::pending`]; 0 if it would block.
    ///
    /// # Panics
    /// If `n` exceeds what was pending.
    pub fn handle_transmitted(&mut self, n: usize, out: &mut SendBuffer) {
        out.advance(n);
        if let State::Answering { flushed, .. } = &mut self.state
            && !self.response_due
            && out.is_empty()
        {
            *flushed = true;
            self.finish();
        }
    }

    /// Takes in that the client's stream ended. A request that the application decides about can still be
    /// answered.
    pub fn handle_eof(&mut self) {
        self.ended = true;
        match self.state {
            State::Reading(_) => self.end(Outcome::Vanished),
            _ => self.finish(),
        }
    }

    /// Takes in that the transport broke.
    pub fn handle_transport_lost(&mut self) {
        self.end(Outcome::TransportLost);
    }

    /// Gives the connection up; [`Event::Closed`] follows.
    pub fn abort(&mut self) {
        self.end(Outcome::Aborted);
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Reading(_) | State::Asking { .. } | State::Answering { .. }
                if self.deadline < Instant::NEVER =>
            {
                Some(self.deadline)
            }
            _ => None,
        }
    }

    /// Acts on the deadline if it passed by `now`. Early or repeated calls do nothing.
    ///
    /// A request that is not complete is answered 408, one that the application has not decided about 503.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        let (status, line) = match self.state {
            State::Reading(_) => (408, "request took too long"),
            State::Asking { .. } => (503, "answer took too long"),
            State::Answering { .. } => return self.end(Outcome::Aborted),
            _ => return,
        };
        check::write_text(status, &mut Vec::new(), b"close", line, &mut self.response);
        self.answer(now, Outcome::TimedOut(Deadline::OpeningHandshake));
    }

    /// Returns whether [`Event::Open`] was delivered: the handshake is done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Returns whether a request waits for [`accept`](Self::accept) or [`respond`](Self::respond).
    #[must_use]
    pub const fn is_request_waiting(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// Returns whether to shut down the transport's write half once `out` is flushed.
    #[must_use]
    pub const fn is_write_closed(&self) -> bool {
        !self.response_due && matches!(self.state, State::Answering { .. } | State::Ended(_) | State::Closed)
    }

    /// Returns whether the connection ended without opening: [`Event::Closed`] was delivered or is the next
    /// event.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Closed)
    }

    /// Returns what was read of the request, verbatim; a refused one up to and with the line at fault. Moves
    /// to [`Event::Open`] if the connection opens.
    #[must_use]
    pub fn raw_request(&self) -> &[u8] {
        match &self.state {
            State::Reading(reader) => reader.head().raw(),
            State::Asking { request, .. } => request.raw(),
            _ => &self.request,
        }
    }

    /// Returns the answer, body included; empty as long as there is none.
    #[must_use]
    pub fn raw_response(&self) -> &[u8] {
        &self.response
    }

    /// Ends the use of an open handshake: returns what the client sent after its request while the
    /// application decided. It comes before what is left in the chunk. Empty if nobody was asked or the
    /// answer came at once.
    #[must_use]
    pub fn into_leftover(self) -> Vec<u8> {
        match self.state {
            State::Open { parked } | State::Accepted { parked, .. } | State::Asking { parked, .. } => {
                parked.into_bytes()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the next event in what was parked, the end of the stream last if it came in between.
    pub(crate) fn poll_parked(
        &mut self,
        now: Instant,
        connection: &mut Connection,
    ) -> Option<Event<'static>> {
        if let State::Open { parked } = &mut self.state {
            let event = parked.poll_event(now, connection);
            if event.is_some() {
                return event;
            }
        }
        if mem::take(&mut self.ended) {
            connection.handle_eof(now);
        }
        None
    }

    pub(crate) const fn has_parked(&self) -> bool {
        matches!(&self.state, State::Open { parked } if !parked.is_empty())
    }

    /// Whether an open handshake has nothing left to do.
    pub(crate) const fn is_settled(&self) -> bool {
        !self.response_due && !self.ended && !self.has_parked()
    }

    /// Decides about a request whose head is complete.
    fn handle_head(&mut self, now: Instant) -> Option<Event<'static>> {
        let State::Reading(reader) = mem::replace(&mut self.state, State::Kept) else { return None };
        let head = reader.into_head();
        let asked = match self.unavailable {
            Some(_) => Err(RequestError::Unavailable),
            None => check::check(&head, &self.config),
        };
        let proposal = match asked {
            Ok(Asked::Plain) => None,
            Ok(Asked::WebSocket(proposal)) => {
                if !self.config.ask {
                    self.switch(Request::new(head, true), proposal, &Accept::default(), Parked::default());
                    return self.open();
                }
                Some(proposal)
            }
            Err(error) => {
                self.refuse_head(now, head, error);
                return None;
            }
        };
        let request = Request::new(head, proposal.is_some());
        let event = Event::Request(Box::new(request.clone()));
        self.state = State::Asking { request, proposal, parked: Parked::default() };
        Some(event)
    }

    /// Section 4.2.2: writes the 101.
    fn switch(&mut self, request: Request, proposal: Proposal, accept: &Accept, parked: Parked) {
        let subprotocol = match &accept.subprotocol {
            Subprotocol::Preferred => proposal.preferred.and_then(|at| self.config.subprotocols.get(at)),
            Subprotocol::None => None,
            Subprotocol::Named(name) => Some(name),
        };
        #[cfg(feature = "deflate")]
        let (deflate, extension) = match &self.config.connection.deflate {
            Some(config) => super::deflate::accept(config, &request),
            None => (None, Vec::new()),
        };
        #[cfg(not(feature = "deflate"))]
        let extension = [];
        let fields = [&extension[..], self.config.headers.as_bytes(), accept.headers.as_bytes()];
        let (out, subprotocol) = response::write_switching(&accept_for(&proposal.key), subprotocol, fields);
        self.response = out.clone();
        self.response_due = true;
        let opened = Opened::server(request, out, subprotocol);
        #[cfg(feature = "deflate")]
        let opened = opened.with_deflate(deflate);
        self.state = State::Accepted { opened: Box::new(opened), parked };
    }

    fn open(&mut self) -> Option<Event<'static>> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Accepted { opened, parked } => {
                self.state = State::Open { parked };
                Some(Event::Open(opened))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    fn refuse(&mut self, now: Instant, error: RequestError) {
        self.write_refusal(error);
        self.answer(now, Outcome::Refused(error));
    }

    fn refuse_head(&mut self, now: Instant, head: Head, error: RequestError) {
        self.request = head.into_raw();
        self.refuse(now, error);
    }

    fn write_refusal(&mut self, error: RequestError) {
        let retry_after = self.unavailable.unwrap_or_default();
        check::write_refusal(error, &self.config, retry_after, &mut self.response);
    }

    /// Sends the answer that was written, and gives it `close_timeout` to arrive.
    fn answer(&mut self, now: Instant, outcome: Outcome) {
        self.keep_request();
        self.response_due = true;
        self.deadline = now + self.config.connection.close_timeout;
        self.state = State::Answering { outcome, flushed: false };
    }

    /// Keeps what there is of the request, for those who trace it.
    fn keep_request(&mut self) {
        match mem::replace(&mut self.state, State::Kept) {
            State::Reading(reader) => self.request = reader.into_head().into_raw(),
            State::Asking { request, .. } => self.request = request.into_raw(),
            other => self.state = other,
        }
    }

    /// Ends an answered request when the answer is out and the client's stream ended: nothing can destroy it
    /// any more.
    fn finish(&mut self) {
        if let State::Answering { flushed: true, .. } = self.state
            && self.ended
        {
            self.end(Outcome::Vanished);
        }
    }

    /// Ends the handshake with this outcome, unless another one was clear before.
    fn end(&mut self, outcome: Outcome) {
        self.keep_request();
        let outcome = match mem::replace(&mut self.state, State::Closed) {
            State::Kept | State::Accepted { .. } => outcome,
            State::Answering { outcome, .. } => outcome,
            other => {
                self.state = other;
                return;
            }
        };
        self.response_due = false;
        self.state = State::Ended(outcome);
    }
}
