//! What can be wrong with a received message.

use core::error::Error;
use core::fmt;

/// The bytes have not the shape of a SIP message: nothing can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The first line is neither a Request-Line nor a Status-Line (RFC 3261 section 7).
    StartLine,
    /// No empty line ends the head.
    Unfinished,
    /// A CR or LF stands alone.
    BareLineBreak,
    /// There are more than [`MAX_FIELDS`](super::MAX_FIELDS) header fields.
    TooManyFields,
    /// The message is longer than 4 GiB.
    TooLong,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLine => "no request line or status line",
            Self::Unfinished => "no empty line after the header fields",
            Self::BareLineBreak => "bare CR or LF",
            Self::TooManyFields => "too many header fields",
            Self::TooLong => "message too long",
        })
    }
}

impl Error for HeadError {}

/// A single value breaks its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// A quoted string does not end.
    Quote,
    /// A name-addr has no closing angle bracket, or text where none may be.
    Address,
    /// A parameter is malformed.
    Parameter,
    /// A URI is malformed.
    Uri,
    /// A URI is neither `sip` nor `sips`.
    Scheme,
    /// The sent-protocol of a Via is malformed.
    Protocol,
    /// A host or port is malformed.
    Host,
    /// A number is malformed or out of range.
    Number,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quote => "unterminated quoted string",
            Self::Address => "malformed address",
            Self::Parameter => "malformed parameter",
            Self::Uri => "malformed uri",
            Self::Scheme => "unsupported uri scheme",
            Self::Protocol => "malformed sent-protocol",
            Self::Host => "malformed host or port",
            Self::Number => "malformed number",
        })
    }
}

impl Error for ValueError {}

/// The message has the shape of one but breaks a rule: a request gets [`status`](Self::status), a response is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The SIP version is not 2.0.
    Version,
    /// A line of the head is no header field.
    HeaderField,
    /// A header field that every message has is missing (RFC 3261 section 8.1.1).
    Missing(&'static str),
    /// A header field that occurs once occurs again.
    Repeated(&'static str),
    /// A header field's value is malformed.
    Value(&'static str, ValueError),
    /// The method in CSeq is not the method of the request (RFC 3261 section 8.1.1.5).
    CSeqMethod,
    /// The body is shorter than Content-Length says (RFC 3261 section 18.3).
    BodyTooShort,
    /// Octets follow the body: a WebSocket message holds exactly one SIP message (RFC 7118 section 5.1).
    BodyTooLong,
}

impl Fault {
    /// The status code of the answer to a request.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            _ => 400,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("Version Not Supported"),
            Self::HeaderField => f.write_str("Malformed Header Field"),
            Self::Missing(name) => write!(f, "Missing {name}"),
            Self::Repeated(name) => write!(f, "Repeated {name}"),
            Self::Value(name, error) => write!(f, "Bad {name} ({error})"),
            Self::CSeqMethod => f.write_str("CSeq Method Mismatch"),
            Self::BodyTooShort => f.write_str("Body Shorter Than Content-Length"),
            Self::BodyTooLong => f.write_str("Octets After Body"),
        }
    }
}

impl Error for Fault {}
