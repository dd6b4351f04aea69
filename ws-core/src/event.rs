use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::{Deadline, Opened, ProtocolError, Request, RequestError, ResponseError, StatusCode};

/// What happened on a connection.
///
/// `'b` is the lifetime of the chunk's memory: payloads are lent out of it where they lie in it whole.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A server received a request that the application is to [`accept`](crate::Endpoint::accept) or
    /// [`respond`](crate::Endpoint::respond) to, at once or later (with [`ServerConfig::ask`] or
    /// [`ServerConfig::plain_requests`]).
    ///
    /// [`ServerConfig::ask`]: crate::ServerConfig::ask
    /// [`ServerConfig::plain_requests`]: crate::ServerConfig::plain_requests
    Request(Box<Request>),
    /// The opening handshake is done: messages can be sent, and may follow from the same chunk.
    Open(Box<Opened>),
    /// A whole message (with [`Delivery::Messages`](crate::Delivery::Messages), the default).
    Message(Message<'b>),
    /// A part of a message (with [`Delivery::Parts`](crate::Delivery::Parts)), in order.
    Part(Part<'b>),
    /// A Ping and its Application data; its Pong is already pending.
    Ping(Cow<'b, [u8]>),
    /// A Pong and its Application data, solicited or not.
    Pong(Cow<'b, [u8]>),
    /// The peer's Close frame; the reply is already pending, and nothing more is received. `None`: the frame
    /// carried no status code (1005).
    Close(Option<CloseFrame>),
    /// The peer broke a rule, and the connection fails; nothing more is received.
    Failed(ProtocolError),
    /// The end, always the last event and exactly once. Drop the transport.
    Closed(Outcome),
}

impl Event<'_> {
    /// Copies what is borrowed, so that the event can be kept.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Request(request) => Event::Request(request),
            Self::Open(opened) => Event::Open(opened),
            Self::Message(message) => Event::Message(message.into_owned()),
            Self::Part(part) => Event::Part(part.into_owned()),
            Self::Ping(data) => Event::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Event::Pong(Cow::Owned(data.into_owned())),
            Self::Close(frame) => Event::Close(frame),
            Self::Failed(error) => Event::Failed(error),
            Self::Closed(outcome) => Event::Closed(outcome),
        }
    }
}

/// The two kinds of messages (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// A message: borrowed from the chunk when it lies in it whole, owned when it had to be assembled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'b> {
    /// Text, checked to be UTF-8.
    Text(Cow<'b, str>),
    /// Binary data.
    Binary(Cow<'b, [u8]>),
}

impl Message<'_> {
    /// Returns the data as bytes, whichever kind it is.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Returns which kind of message this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(data) => Message::Binary(Cow::Owned(data.into_owned())),
        }
    }
}

/// A part of a message, as it arrived.
///
/// Frames and chunks cut a message into parts; where the cuts fall means nothing. Text is cut between code
/// points only. Only the last part may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// The data of this part.
    pub data: Message<'b>,
    /// Whether it starts a message.
    pub first: bool,
    /// Whether it ends the message.
    pub last: bool,
}

impl Part<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Part<'static> {
        Part { data: self.data.into_owned(), first: self.first, last: self.last }
    }
}

/// The content of a Close frame (RFC 6455, section 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// Why the peer closes.
    pub code: StatusCode,
    /// Further words, at most 123 bytes, often none. Not meant for end users.
    pub reason: String,
}

/// Which side did something first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This endpoint.
    Us,
    /// The other one.
    Peer,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Both Close frames went over the wire (RFC 6455, section 7.1.4).
    Clean {
        /// Who started the closing handshake.
        initiator: Side,
        /// The WebSocket Connection Close Code (section 7.1.5): of the first Close frame received, `None` for
        /// 1005, no status received.
        code: Option<StatusCode>,
    },
    /// The peer's stream ended without a closing handshake (1006).
    Vanished,
    /// The transport broke without a closing handshake (1006): reset, or another error of its own.
    TransportLost,
    /// We failed the connection because the peer broke this rule.
    Failed(ProtocolError),
    /// A deadline passed.
    TimedOut(Deadline),
    /// The application gave the connection up.
    Aborted,
    /// A server refused the request; the client got the answer that goes with it, or had the time to.
    Refused(RequestError),
    /// A server's application answered the request with this status instead of opening the connection.
    Responded(u16),
    /// A client got something else than a valid 101.
    Rejected(Box<ResponseError>),
}

impl Outcome {
    /// Returns the number that the RFC gives this end: the peer's code, 1005, or 1006 when the peer's Close
    /// frame never came.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Clean { code, .. } => code.map_or(1005, StatusCode::get),
            _ => 1006,
        }
    }

    /// Returns whether both Close frames went over the wire.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::Clean { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean { initiator, code } => {
                f.write_str(match initiator {
                    Side::Us => "closed by us",
                    Side::Peer => "closed by the peer",
                })?;
                match code {
                    Some(code) => write!(f, ", code {code}"),
                    None => f.write_str(", no code"),
                }
            }
            Self::Vanished => f.write_str("the peer vanished"),
            Self::TransportLost => f.write_str("the transport was lost"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::TimedOut(deadline) => deadline.fmt(f),
            Self::Aborted => f.write_str("aborted"),
            Self::Refused(error) => write!(f, "request refused: {error}"),
            Self::Responded(status) => write!(f, "request answered with {status}"),
            Self::Rejected(error) => error.fmt(f),
        }
    }
}
