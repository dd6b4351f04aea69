use alloc::vec::Vec;
use core::fmt;

use super::tokens::{is_control, is_token, trim};

/// Header fields to send, checked when they are added: nothing in them can end a line or start another field.
///
/// Kept in the form in which they go over the wire, so that sending them is a copy.
///
/// ```
/// # fn main() -> Result<(), ws_core::HeaderError> {
/// let mut headers = ws_core::Headers::new();
/// headers.push("Server", "example")?;
/// assert!(headers.push("X-Bad", "a\r\nInjected: yes").is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Headers {
    lines: Vec<u8>,
}

impl Headers {
    /// Returns no fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a field. The value may be empty, and holds visible ASCII, spaces and tabs.
    ///
    /// # Errors
    /// A name that is not a token, a value with other bytes or with whitespace at an end, and the fields that
    /// the handshake writes itself or that would change where the message ends: `Host`, `Connection`, `Upgrade`,
    /// `Content-Length`, `Transfer-Encoding`, `Trailer`, `TE` and all that start with `Sec-WebSocket-`.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        if is_reserved(name) {
            return Err(HeaderError::Reserved);
        }
        let value = value.as_bytes();
        if !value.is_ascii() || value.iter().any(|&byte| is_control(byte)) || trim(value) != value {
            return Err(HeaderError::Value);
        }
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        Ok(())
    }

    /// Adds a field and returns the list, to build it in one expression.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, HeaderError> {
        self.push(name, value)?;
        Ok(self)
    }

    /// Returns whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the fields as they go over the wire, each line with its end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.lines
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers(\"{}\")", self.lines.escape_ascii())
    }
}

fn is_reserved(name: &str) -> bool {
    const PREFIX: &str = "Sec-WebSocket-";
    ["Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Trailer", "TE"]
        .iter()
        .any(|reserved| name.eq_ignore_ascii_case(reserved))
        || name.get(..PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

/// Why a header field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110, section 5.6.2).
    Name,
    /// The value holds a control character or something beyond ASCII, or has whitespace at an end.
    Value,
    /// The handshake writes this field itself, or it would change where the message ends.
    Reserved,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "header name is not a token",
            Self::Value => "header value holds a byte that it must not",
            Self::Reserved => "header is written by the handshake itself",
        })
    }
}

impl core::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_when_added() {
        let mut headers = Headers::new();
        assert!(headers.is_empty());
        headers.push("X-Empty", "").unwrap();
        assert!(!headers.is_empty());
        headers.push("Authorization", "Basic eA==").unwrap();
        let before = headers.clone();
        for (name, value, error) in [
            ("", "x", HeaderError::Name),
            ("a b", "x", HeaderError::Name),
            ("a:", "x", HeaderError::Name),
            ("a\r\nb", "x", HeaderError::Name),
            ("\u{e4}", "x", HeaderError::Name),
            ("a", "x\r\nb: c", HeaderError::Value),
            ("a", "x\n", HeaderError::Value),
            ("a", "x\r", HeaderError::Value),
            ("a", "\0", HeaderError::Value),
            ("a", "\u{7f}", HeaderError::Value),
            ("a", "\u{e4}", HeaderError::Value),
            ("a", " x", HeaderError::Value),
            ("a", "x\t", HeaderError::Value),
            ("HOST", "x", HeaderError::Reserved),
            ("connection", "x", HeaderError::Reserved),
            ("Upgrade", "x", HeaderError::Reserved),
            ("Content-length", "0", HeaderError::Reserved),
            ("transfer-encoding", "chunked", HeaderError::Reserved),
            ("sec-websocket-anything", "x", HeaderError::Reserved),
        ] {
            assert_eq!(headers.push(name, value), Err(error), "{name:?}: {value:?}");
            assert_eq!(headers, before, "unchanged by a refusal");
        }
        assert_eq!(headers.as_bytes(), b"X-Empty: \r\nAuthorization: Basic eA==\r\n");
    }
}
