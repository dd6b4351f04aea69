use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{fmt, mem, str};

use super::body::BodyReader;
use super::head::{Head, HeadError, HeadReader};
use super::line::{Kind, StartLine};
use super::opened::Opened;
use super::response::ResponseHead;
use super::tokens::{is, list_holds};
use super::url::ClientRequest;
use super::{ACCEPT_LEN, accept_for};
use crate::{Chunk, Config, Deadline, Event, Instant, KeySource, Outcome, SendBuffer};

/// The opening handshake of a client (RFC 6455, section 4.1), usable alone: in front of
/// [`Connection`](crate::Connection) or of any other framing. [`Endpoint`](crate::Endpoint) joins both.
///
/// Driven as a connection is. It ends with [`Event::Open`]: what follows the response is still in the chunk.
/// Or it ends with [`Event::Closed`]; [`Outcome::Rejected`] then tells what came instead of a valid 101.
/// Interim responses (1xx) before it are passed over. Nothing but the request is sent before the 101 was
/// checked.
#[derive(Debug)]
pub struct ClientHandshake {
    state: State,
    deadline: Instant,
    request: Vec<u8>,
    request_due: bool,
    expected: [u8; ACCEPT_LEN],
    /// The subprotocols offered, as a list.
    offered: String,
    subprotocol_required: bool,
    /// What was offered.
    #[cfg(feature = "deflate")]
    deflate: Option<crate::DeflateConfig>,
    /// What the 101 agrees to of that.
    #[cfg(feature = "deflate")]
    agreed: Option<crate::DeflateParams>,
}

#[derive(Debug)]
enum State {
    Reading(HeadReader),
    /// The response is no 101: its body is read.
    Body {
        head: Head,
        body: BodyReader,
    },
    Open,
    /// `Event::Closed` is due.
    Ended(Outcome),
    Closed,
}

impl ClientHandshake {
    /// Starts with the request, which the next [`poll_transmit`](Self::poll_transmit) sends. `keys` gives the
    /// nonce of its `Sec-WebSocket-Key`.
    #[must_use]
    pub fn new(request: &ClientRequest, config: &Arc<Config>, keys: &mut KeySource, now: Instant) -> Self {
        #[cfg(feature = "deflate")]
        let extensions = config.deflate.as_ref().map(super::deflate::offer).unwrap_or_default();
        #[cfg(not(feature = "deflate"))]
        let extensions = [];
        let (raw, key) = request.write(keys.next_nonce(), &extensions);
        Self {
            state: State::Reading(HeadReader::new(Kind::Response, config)),
            deadline: config.opening_handshake_timeout.map_or(Instant::NEVER, |timeout| now + timeout),
            request: raw,
            request_due: true,
            expected: accept_for(&key),
            offered: request.subprotocol_list().into(),
            subprotocol_required: request.is_subprotocol_required(),
            #[cfg(feature = "deflate")]
            deflate: config.deflate,
            #[cfg(feature = "deflate")]
            agreed: None,
        }
    }

    /// Returns the next event: [`Event::Open`] or [`Event::Closed`]. `None`: all bytes were taken in; after
    /// `Open` they are left where they are.
    pub fn poll_event(&mut self, _now: Instant, chunk: &mut Chunk<'_>) -> Option<Event<'static>> {
        let arrival = chunk.arrival();
        if let State::Reading(reader) = &mut self.state {
            reader.count(arrival);
        }
        loop {
            match &mut self.state {
                State::Reading(_) | State::Body { .. } if chunk.is_empty() => return None,
                State::Reading(reader) => match reader.read(chunk.rest()) {
                    Ok((used, complete)) => {
                        chunk.skip(used);
                        if !complete {
                            return None;
                        }
                        if self.handle_head() {
                            // What follows is chunk 1 of the first message.
                            chunk.restore(arrival);
                            return self.open();
                        }
                    }
                    Err(error) => self.reject(ResponseFault::Head(error)),
                },
                State::Body { body, .. } => {
                    let complete = body.read(chunk.rest());
                    chunk.skip_all();
                    if complete {
                        self.reject(ResponseFault::Status);
                    }
                }
                State::Open => return None,
                State::Ended(_) | State::Closed => {
                    chunk.skip_all();
                    return match mem::replace(&mut self.state, State::Closed) {
                        State::Ended(outcome) => Some(Event::Closed(outcome)),
                        _ => None,
                    };
                }
            }
        }
    }

    /// Appends what is due to `out`; returns whether anything is pending in `out`.
    pub fn poll_transmit(&mut self, out: &mut SendBuffer) -> bool {
        if mem::take(&mut self.request_due) {
            out.append_opaque(&self.request);
        }
        !out.is_empty()
    }

    /// Takes in that the transport accepted the first `n` bytes of [`SendBuffer::pending`]; 0 if it would block.
    ///
    /// # Panics
    /// If `n` exceeds what was pending.
    pub fn handle_transmitted(&mut self, n: usize, out: &mut SendBuffer) {
        out.advance(n);
    }

    /// Takes in that the server's stream ended.
    pub fn handle_eof(&mut self) {
        match self.state {
            State::Body { .. } => self.reject(ResponseFault::Status),
            _ => self.end(Outcome::Vanished),
        }
    }

    /// Takes in that the transport broke.
    pub fn handle_transport_lost(&mut self) {
        match self.state {
            State::Body { .. } => self.reject(ResponseFault::Status),
            _ => self.end(Outcome::TransportLost),
        }
    }

    /// Gives the connection up; [`Event::Closed`] follows.
    pub fn abort(&mut self) {
        self.end(Outcome::Aborted);
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Reading(_) | State::Body { .. } if self.deadline < Instant::NEVER => Some(self.deadline),
            _ => None,
        }
    }

    /// Acts on the deadline if it passed by `now`. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Body { .. } => self.reject(ResponseFault::Status),
            _ => self.end(Outcome::TimedOut(Deadline::OpeningHandshake)),
        }
    }

    /// Returns whether [`Event::Open`] was delivered: the handshake is done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Returns whether the connection ended without opening: [`Event::Closed`] was delivered or is the next
    /// event.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Closed)
    }

    /// Returns the request; moves to [`Event::Open`] if the connection opens.
    #[must_use]
    pub fn raw_request(&self) -> &[u8] {
        &self.request
    }

    /// Decides about a complete head; returns whether the connection is open.
    fn handle_head(&mut self) -> bool {
        let State::Reading(reader) = &mut self.state else { return false };
        let StartLine::Response { status, minor, .. } = reader.head().start() else { return false };
        let fault = match status {
            101 if minor == 0 => ResponseFault::Head(HeadError::Version),
            101 => match check(reader.head(), &self.expected, &self.offered, self.subprotocol_required) {
                Ok(extension) => {
                    #[cfg(feature = "deflate")]
                    let extension = extension && !self.agree();
                    if !extension {
                        return true;
                    }
                    ResponseFault::Extension
                }
                Err(fault) => fault,
            },
            // RFC 9110, section 15.2: a client passes over those that it did not expect.
            100..=199 => {
                reader.restart();
                return false;
            }
            _ => {
                let body = BodyReader::new(reader.head());
                if body.is_complete() {
                    ResponseFault::Status
                } else {
                    if let State::Reading(reader) = mem::replace(&mut self.state, State::Closed) {
                        self.state = State::Body { head: reader.into_head(), body };
                    }
                    return false;
                }
            }
        };
        self.reject(fault);
        false
    }

    /// Whether the extensions in the 101 are an answer to what was offered.
    #[cfg(feature = "deflate")]
    fn agree(&mut self) -> bool {
        let State::Reading(reader) = &self.state else { return false };
        let Some(config) = &self.deflate else { return false };
        let agreed = super::deflate::agree(config, reader.head());
        self.agreed = agreed.flatten();
        agreed.is_some()
    }

    fn open(&mut self) -> Option<Event<'static>> {
        let State::Reading(reader) = mem::replace(&mut self.state, State::Open) else { return None };
        let response = ResponseHead::new(reader.into_head());
        let request = mem::take(&mut self.request);
        let opened = Opened::client(request, response);
        #[cfg(feature = "deflate")]
        let opened = opened.with_deflate(self.agreed);
        Some(Event::Open(Box::new(opened)))
    }

    fn reject(&mut self, fault: ResponseFault) {
        let (head, body) = match mem::replace(&mut self.state, State::Closed) {
            State::Reading(reader) => (reader.into_head(), Vec::new()),
            State::Body { head, body } => (head, body.into_data()),
            other => {
                self.state = other;
                return;
            }
        };
        let error = ResponseError { fault, head: ResponseHead::new(head), body };
        self.state = State::Ended(Outcome::Rejected(Box::new(error)));
    }

    fn end(&mut self, outcome: Outcome) {
        if let State::Reading(_) | State::Body { .. } = self.state {
            self.state = State::Ended(outcome);
        }
    }
}

/// Checks a 101 (section 4.1, the second list) but for its extensions; returns whether it names any.
fn check(
    head: &Head,
    expected: &[u8; ACCEPT_LEN],
    offered: &str,
    required: bool,
) -> Result<bool, ResponseFault> {
    let (mut upgrade, mut connection, mut accept) = (None, false, None);
    let (mut subprotocol, mut extension) = (None, false);
    // Whether a field that may be there once was repeated.
    let (mut upgrade_again, mut accept_again, mut subprotocol_again) = (false, false, false);
    for (name, value) in head.fields() {
        match name.len() {
            7 if is(name, b"upgrade") => upgrade_again |= upgrade.replace(value).is_some(),
            10 if is(name, b"connection") => connection |= list_holds(value, b"upgrade"),
            20 if is(name, b"sec-websocket-accept") => accept_again |= accept.replace(value).is_some(),
            22 if is(name, b"sec-websocket-protocol") => {
                subprotocol_again |= subprotocol.replace(value).is_some()
            }
            24 if is(name, b"sec-websocket-extensions") => extension |= !value.is_empty(),
            _ => {}
        }
    }
    if upgrade_again || !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(ResponseFault::Upgrade);
    }
    if !connection {
        return Err(ResponseFault::Connection);
    }
    if accept_again || accept != Some(expected) {
        return Err(ResponseFault::Accept);
    }
    let is_offered = |name: &[u8]| {
        offered.split(',').any(|own| !own.is_empty() && own.trim_ascii_start().as_bytes() == name)
    };
    if subprotocol_again || subprotocol.is_some_and(|name| !is_offered(name)) {
        return Err(ResponseFault::Subprotocol);
    }
    if required && subprotocol.is_none() {
        return Err(ResponseFault::NoSubprotocol);
    }
    Ok(extension)
}

/// What is wrong with a response to an opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseFault {
    /// The head is malformed or beyond a limit.
    Head(HeadError),
    /// The status is not 101: the server refuses, or asks for something, such as authentication.
    Status,
    /// `Upgrade` is not `websocket`.
    Upgrade,
    /// `Connection` does not name `Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is not what follows from the key.
    Accept,
    /// An extension that was not offered.
    Extension,
    /// A subprotocol that was not offered, or more than one.
    Subprotocol,
    /// No subprotocol, where the request requires one.
    NoSubprotocol,
}

/// A response that did not open the connection, with all that came of it: the application decides what follows
/// from it. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseError {
    fault: ResponseFault,
    head: ResponseHead,
    body: Vec<u8>,
}

impl ResponseError {
    /// Returns what is wrong.
    #[must_use]
    pub const fn fault(&self) -> ResponseFault {
        self.fault
    }

    /// Returns the HTTP status; 0 if not even that came.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.head.status()
    }

    /// Returns the value of the first header field of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Returns the head, as far as it came.
    #[must_use]
    pub const fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Returns the body's first 4 KiB, or what came of it in time.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            ResponseFault::Head(error) => return write!(f, "malformed response: {error}"),
            ResponseFault::Status => {
                write!(f, "the server answered {}", self.status())?;
                return match str::from_utf8(self.head.reason()) {
                    Ok(reason) if !reason.is_empty() => write!(f, " {reason}"),
                    _ => Ok(()),
                };
            }
            ResponseFault::Upgrade => "Upgrade is not websocket",
            ResponseFault::Connection => "Connection does not name Upgrade",
            ResponseFault::Accept => "wrong Sec-WebSocket-Accept",
            ResponseFault::Extension => "an extension that was not offered",
            ResponseFault::Subprotocol => "a subprotocol that was not offered",
            ResponseFault::NoSubprotocol => "no subprotocol",
        };
        write!(f, "malformed response: {what}")
    }
}

impl core::error::Error for ResponseError {}
