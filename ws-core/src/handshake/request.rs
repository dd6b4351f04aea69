use alloc::vec::Vec;
use core::{fmt, str};

use super::extensions::{self, Extension};
use super::head::Head;
use super::line::{StartLine, authority_of};
use super::tokens::elements;

/// The head of a request that a server received, as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    head: Head,
    websocket: bool,
}

impl Request {
    pub(super) const fn new(head: Head, websocket: bool) -> Self {
        Self { head, websocket }
    }

    /// Returns whether this asks for a WebSocket connection: then it kept all rules of the opening handshake.
    /// Otherwise it is a plain request, which can only be answered.
    #[must_use]
    pub const fn is_websocket(&self) -> bool {
        self.websocket
    }

    /// Returns the method: `GET`, or `HEAD` of a plain request.
    #[must_use]
    pub fn method(&self) -> &str {
        match self.head.start() {
            StartLine::Request { method_end, .. } => text(self.head.slice(0, method_end)),
            _ => "",
        }
    }

    /// Returns the request target as it was sent: visible ASCII, a path with an optional query, or an
    /// absolute URI.
    #[must_use]
    pub fn target(&self) -> &str {
        text(target_of(&self.head))
    }

    /// Returns the path in the target, not decoded. Starts with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        text(path_of(&self.head))
    }

    /// Returns what follows the `?` in the target, not decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
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

    /// Returns the value of the `Origin` header.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.header("Origin")
    }

    /// Returns the value of the `Host` header. It is there and not empty.
    #[must_use]
    pub fn host(&self) -> &str {
        self.header("Host").unwrap_or_default()
    }

    /// Returns the subprotocols that the client offers, in its order of preference, from all
    /// `Sec-WebSocket-Protocol` fields.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        offered(&self.head).filter_map(|element| str::from_utf8(element).ok())
    }

    /// Returns the extensions that the client offers, in its order of preference. Malformed offers are left
    /// out.
    #[must_use]
    pub fn extensions(&self) -> Vec<Extension> {
        let mut found = Vec::new();
        for value in self.head.values(b"Sec-WebSocket-Extensions") {
            extensions::parse(value, &mut found);
        }
        found
    }

    /// Returns the whole head verbatim, up to and with the empty line.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.head.raw()
    }

    pub(super) fn into_raw(self) -> Vec<u8> {
        self.head.into_raw()
    }

    pub(super) const fn head(&self) -> &Head {
        &self.head
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request(\"{}\")", self.raw().escape_ascii())
    }
}

/// The reader let only ASCII through where this is used.
pub(super) fn text(ascii: &[u8]) -> &str {
    str::from_utf8(ascii).unwrap_or_default()
}

fn target_of(head: &Head) -> &[u8] {
    match head.start() {
        StartLine::Request { method_end, target_end } => head.slice(method_end + 1, target_end),
        _ => &[],
    }
}

pub(super) fn path_of(head: &Head) -> &[u8] {
    let target = target_of(head);
    let path =
        if target.starts_with(b"/") { target } else { authority_of(target).map_or(target, |(_, path)| path) };
    let end = path.iter().position(|&byte| byte == b'?').unwrap_or(path.len());
    // RFC 9110, section 4.2.3: the empty path of an absolute URI is the same as "/".
    if end == 0 { b"/" } else { &path[..end] }
}

/// The elements of all `Sec-WebSocket-Protocol` fields.
pub(super) fn offered(head: &Head) -> impl Iterator<Item = &[u8]> {
    head.values(b"Sec-WebSocket-Protocol").flat_map(elements)
}
