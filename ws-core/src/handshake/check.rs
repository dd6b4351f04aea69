//! The rules that a complete request must keep (RFC 6455, section 4.2.1), and what each fault is answered.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::head::{Head, HeadError};
use super::line::StartLine;
use super::request::{offered, path_of};
use super::response::{self, reason_phrase, write_decimal};
use super::server_config::ServerConfig;
use super::tokens::{elements, is, is_host, list_holds};
use super::{KEY_LEN, is_key};

/// Why a server refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The head is malformed or beyond a limit.
    Head(HeadError),
    /// A method other than GET (or HEAD, where plain requests are served): 405.
    Method,
    /// A body is announced, by a `Content-Length` other than 0 or by `Transfer-Encoding`: 400.
    Body,
    /// `Host` is missing, there twice, empty or malformed: 400.
    Host,
    /// A plain request, without `Upgrade: websocket`, where none is served: 426.
    NotWebSocket,
    /// `Connection` does not name `Upgrade`: 400.
    Connection,
    /// `Sec-WebSocket-Version` is not 13: 426.
    Version,
    /// `Sec-WebSocket-Key` is missing, there twice, or not base64 of 16 bytes: 400.
    Key,
    /// Not the resource that is served: 404.
    Resource,
    /// `Origin` is not what the policy accepts, or there twice: 403.
    Origin,
    /// None of the subprotocols is offered and one is required: 400.
    Subprotocol,
    /// The server shuts down or is full: 503.
    Unavailable,
    /// More than [`max_head_len`](crate::Config::max_head_len) bytes followed the request before it was
    /// answered: 400.
    DataBeforeAnswer,
}

impl RequestError {
    /// Returns the HTTP status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Head(HeadError::TooLong | HeadError::TooManyFields) => 431,
            Self::Head(HeadError::TargetTooLong) => 414,
            Self::Head(_)
            | Self::Body
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Subprotocol
            | Self::DataBeforeAnswer => 400,
            Self::Method => 405,
            Self::NotWebSocket | Self::Version => 426,
            Self::Resource => 404,
            Self::Origin => 403,
            Self::Unavailable => 503,
        }
    }

    /// Returns a short text, which is also the body of the answer.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Head(HeadError::StartLine) => "malformed request line",
            Self::Head(HeadError::Version) => "HTTP version is not 1.1",
            Self::Head(HeadError::BareLf) => "line ends in LF without CR",
            Self::Head(HeadError::BareCr) => "CR without LF",
            Self::Head(HeadError::ObsFold) => "header is folded over lines",
            Self::Head(HeadError::SpaceBeforeColon) => "whitespace before a colon",
            Self::Head(HeadError::FieldName) => "malformed header name",
            Self::Head(HeadError::ControlCharacter) => "control character in the head",
            Self::Head(HeadError::TooLong) => "head too large",
            Self::Head(HeadError::TargetTooLong) => "request target too long",
            Self::Head(HeadError::TooManyFields) => "too many headers",
            Self::Head(HeadError::TooManyChunks) => "head in too many chunks",
            Self::Method => "method not allowed",
            Self::Body => "a body is announced",
            Self::Host => "missing, repeated or malformed Host",
            Self::NotWebSocket => "only WebSocket is spoken here",
            Self::Connection => "Connection does not name Upgrade",
            Self::Version => "Sec-WebSocket-Version must be 13",
            Self::Key => "missing, repeated or malformed Sec-WebSocket-Key",
            Self::Resource => "no such resource",
            Self::Origin => "origin not allowed",
            Self::Subprotocol => "no subprotocol in common",
            Self::Unavailable => "try again later",
            Self::DataBeforeAnswer => "data before the answer",
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason(), self.status())
    }
}

impl core::error::Error for RequestError {}

/// What a request that may go on asks for.
pub(super) enum Asked {
    /// A plain request, for the application.
    Plain,
    WebSocket(Proposal),
}

/// What the 101 is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposal {
    pub(super) key: [u8; KEY_LEN],
    /// Which of the configured subprotocols is preferred of those offered.
    pub(super) preferred: Option<usize>,
}

/// The values of a field that may be there once.
#[derive(Clone, Copy)]
enum Once<'a> {
    Missing,
    One(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    const fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::One(value),
            _ => Self::Repeated,
        };
    }

    const fn get(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            _ => None,
        }
    }
}

/// Checks a complete head. Faults are looked for in the order of the table in the documentation of
/// [`ServerHandshake`](super::ServerHandshake), and the first is the one that counts.
pub(super) fn check(head: &Head, config: &ServerConfig) -> Result<Asked, RequestError> {
    let (mut host, mut key, mut version, mut origin) =
        (Once::Missing, Once::Missing, Once::Missing, Once::Missing);
    let mut protocols = Once::Missing;
    let (mut upgrade, mut connection, mut body) = (false, false, false);
    for (name, value) in head.fields() {
        match name.len() {
            4 if is(name, b"host") => host.add(value),
            6 if is(name, b"origin") => origin.add(value),
            7 if is(name, b"upgrade") => upgrade |= list_holds(value, b"websocket"),
            10 if is(name, b"connection") => connection |= list_holds(value, b"upgrade"),
            14 if is(name, b"content-length") => body |= value != b"0",
            17 if is(name, b"sec-websocket-key") => key.add(value),
            17 if is(name, b"transfer-encoding") => body = true,
            21 if is(name, b"sec-websocket-version") => version.add(value),
            22 if is(name, b"sec-websocket-protocol") => protocols.add(value),
            _ => {}
        }
    }
    let is_get = match method_of(head) {
        b"GET" => true,
        b"HEAD" if config.plain_requests => false,
        _ => return Err(RequestError::Method),
    };
    if body {
        return Err(RequestError::Body);
    }
    if !host.get().is_some_and(is_host) {
        return Err(RequestError::Host);
    }
    if !upgrade || !is_get {
        return if config.plain_requests { Ok(Asked::Plain) } else { Err(RequestError::NotWebSocket) };
    }
    if !connection {
        return Err(RequestError::Connection);
    }
    if version.get() != Some(b"13") {
        return Err(RequestError::Version);
    }
    let Some(key) = key.get().filter(|key| is_key(key)).and_then(|key| key.first_chunk()) else {
        return Err(RequestError::Key);
    };
    if config.resource.as_ref().is_some_and(|resource| path_of(head) != resource.as_bytes()) {
        return Err(RequestError::Resource);
    }
    if matches!(origin, Once::Repeated) || !config.origins.accepts(origin.get()) {
        return Err(RequestError::Origin);
    }
    let own = config.subprotocols.iter().map(String::as_bytes);
    let preferred = match protocols {
        Once::Missing => None,
        Once::One(list) => {
            own.map(|own| elements(list).any(|element| element == own)).position(|offers| offers)
        }
        Once::Repeated => {
            own.map(|own| offered(head).any(|element| element == own)).position(|offers| offers)
        }
    };
    if preferred.is_none() && config.require_subprotocol {
        return Err(RequestError::Subprotocol);
    }
    Ok(Asked::WebSocket(Proposal { key: *key, preferred }))
}

pub(super) fn method_of(head: &Head) -> &[u8] {
    match head.start() {
        StartLine::Request { method_end, .. } => head.slice(0, method_end),
        _ => &[],
    }
}

/// Writes the answer to a fault.
pub(super) fn write_refusal(
    error: RequestError,
    config: &ServerConfig,
    retry_after: Duration,
    out: &mut Vec<u8>,
) {
    let mut fields = Vec::new();
    let mut connection: &[u8] = b"close";
    match error {
        RequestError::Method if config.plain_requests => fields.extend_from_slice(b"Allow: GET, HEAD\r\n"),
        RequestError::Method => fields.extend_from_slice(b"Allow: GET\r\n"),
        RequestError::NotWebSocket | RequestError::Version => {
            // RFC 9110, section 7.8: who sends Upgrade names it in Connection.
            connection = b"close, Upgrade";
            fields.extend_from_slice(b"Upgrade: websocket\r\n");
            if error == RequestError::Version {
                fields.extend_from_slice(b"Sec-WebSocket-Version: 13\r\n");
            }
        }
        RequestError::Unavailable => {
            fields.extend_from_slice(b"Retry-After: ");
            write_decimal(retry_after.as_secs(), &mut fields);
            fields.extend_from_slice(b"\r\n");
        }
        _ => {}
    }
    write_text(error.status(), &mut fields, connection, error.reason(), out);
}

/// Writes an answer whose body is one line of text.
pub(super) fn write_text(
    status: u16,
    fields: &mut Vec<u8>,
    connection: &[u8],
    line: &str,
    out: &mut Vec<u8>,
) {
    fields.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
    let len = Some(line.len() + 1);
    response::write(status, reason_phrase(status), fields, connection, len, line.as_bytes(), out);
    out.push(b'\n');
}
