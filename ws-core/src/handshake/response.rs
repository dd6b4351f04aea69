use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::{fmt, str};

use bytes::Bytes;

use super::ACCEPT_LEN;
use super::fields::Headers;
use super::head::Head;
use super::line::{REASON_AT, StartLine};
use super::request::text;

/// An answer of the application to a request, other than the 101. The connection closes after it.
///
/// `Connection: close` and `Content-Length` are added when it is sent.
///
/// ```
/// # fn main() -> Result<(), ws_core::HeaderError> {
/// use ws_core::{Headers, Response};
/// let mut page = Response::new(200);
/// page.headers = Headers::new().with("Content-Type", "text/html; charset=utf-8")?;
/// page.body = "<!doctype html><title>Hello</title>".into();
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status code: 200 to 599.
    pub status: u16,
    /// The reason phrase: visible ASCII and spaces. Empty (the default) for the usual one.
    pub reason: Cow<'static, str>,
    /// Further header fields.
    pub headers: Headers,
    /// The body. Left out in answer to a HEAD request; must be empty with 204, 205 and 304.
    pub body: Bytes,
}

impl Response {
    /// Returns a response without headers and body.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, reason: Cow::Borrowed(""), headers: Headers::new(), body: Bytes::new() }
    }

    /// Whether it can be sent as it is.
    pub(super) fn is_valid(&self) -> bool {
        let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        (200..=599).contains(&self.status)
            && self.reason.bytes().all(printable)
            && (self.body.is_empty() || !matches!(self.status, 204 | 205 | 304))
    }

    /// Writes it; without the body in answer to HEAD.
    pub(super) fn write(&self, head_only: bool, out: &mut Vec<u8>) {
        let phrase = if self.reason.is_empty() { reason_phrase(self.status) } else { &self.reason };
        // RFC 9110, section 8.6: none in a 204.
        let len = (self.status != 204).then_some(self.body.len());
        let body = if head_only { &[] } else { &self.body[..] };
        write(self.status, phrase, self.headers.as_bytes(), b"close", len, body, out);
    }
}

/// Writes the 101 (RFC 6455, section 4.2.2), `fields` being whole lines, and returns it, and where in it the subprotocol
/// stands.
pub(super) fn write_switching(
    accept: &[u8; ACCEPT_LEN],
    subprotocol: Option<&String>,
    fields: [&[u8]; 3],
) -> (Vec<u8>, Option<Range<usize>>) {
    const START: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    const PROTOCOL: &[u8] = b"\r\nSec-WebSocket-Protocol: ";
    let protocol_len = subprotocol.map_or(0, |name| PROTOCOL.len() + name.len());
    let fields_len = fields[0].len() + fields[1].len() + fields[2].len();
    let len = START.len() + accept.len() + protocol_len + 2 + fields_len + 2;
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(START);
    out.extend_from_slice(accept);
    let subprotocol = subprotocol.map(|name| {
        out.extend_from_slice(PROTOCOL);
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        start..out.len()
    });
    out.extend_from_slice(b"\r\n");
    for field in fields {
        out.extend_from_slice(field);
    }
    out.extend_from_slice(b"\r\n");
    debug_assert_eq!(out.len(), len);
    (out, subprotocol)
}

/// Writes a response that ends the connection.
pub(super) fn write(
    status: u16,
    phrase: &str,
    fields: &[u8],
    connection: &[u8],
    content_len: Option<usize>,
    body: &[u8],
    out: &mut Vec<u8>,
) {
    out.reserve(phrase.len() + fields.len() + body.len() + 96);
    out.extend_from_slice(b"HTTP/1.1 ");
    write_decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(phrase.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(fields);
    out.extend_from_slice(b"Connection: ");
    out.extend_from_slice(connection);
    out.extend_from_slice(b"\r\n");
    if let Some(len) = content_len {
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(len as u64, out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends a number in decimal.
pub(super) fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Returns the phrase that usually goes with a status code (RFC 9110, section 15, and the IANA registry).
pub(super) const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// The head of a response that a client received, as it was sent. Of a malformed one, what came of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead {
    head: Head,
}

impl ResponseHead {
    pub(super) const fn new(head: Head) -> Self {
        Self { head }
    }

    /// Returns the status code; 0 if the status line is malformed or did not come.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.head.start() {
            StartLine::Response { status, .. } => status,
            _ => 0,
        }
    }

    /// Returns the reason phrase, often empty. Not meant for programs.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        match self.head.start() {
            StartLine::Response { end, .. } => self.head.slice(REASON_AT, end),
            _ => &[],
        }
    }

    /// Returns the value of the first field of that name, in any case of letters; `None` if there is none,
    /// and if it is not UTF-8 (then [`header_bytes`](Self::header_bytes) tells).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_bytes(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// Returns the value of the first field of that name, in any case of letters.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.head.fields().find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Returns all fields in order: names as they were written, values without the whitespace around them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.fields().map(|(name, value)| (text(name), value))
    }

    /// Returns the head verbatim, up to and with the empty line, or with the line at fault.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.head.raw()
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseHead(\"{}\")", self.raw().escape_ascii())
    }
}
