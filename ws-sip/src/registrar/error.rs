//! Why a REGISTER is refused.

use core::error::Error;
use core::fmt;

/// Why a registration changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Less time was asked for than the minimum, in seconds.
    IntervalTooBrief(u32),
    /// A binding was changed by a request with a higher CSeq of the same Call-ID.
    OutOfOrder,
    /// `*` without an expiry of 0 (RFC 3261 section 10.2.2).
    Wildcard,
    /// A contact's URI is malformed or neither `sip` nor `sips`: no flow leads there.
    ContactUri,
    /// Several contacts are to be bound, one of them with a `reg-id`: that names the flow of a single user agent, the
    /// one that the request came on (RFC 5626 section 6).
    SeveralFlows,
    /// A binding would be longer than the limit.
    TooLong,
    /// The address-of-record, or the flow, would have more bindings than the limit.
    TooManyContacts,
    /// The registrar holds as many bindings as it may.
    Full,
}

impl RegisterError {
    /// The status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::IntervalTooBrief(_) => 423,
            Self::OutOfOrder => 500,
            Self::Wildcard | Self::ContactUri | Self::SeveralFlows => 400,
            Self::TooLong => 513,
            Self::TooManyContacts => 403,
            Self::Full => 503,
        }
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IntervalTooBrief(_) => "Interval Too Brief",
            Self::OutOfOrder => "CSeq Out Of Order",
            Self::Wildcard => "Wildcard Contact Without Zero Expires",
            Self::ContactUri => "Bad Contact URI",
            Self::SeveralFlows => "Several Contacts With Reg-Id",
            Self::TooLong => "Contact Too Long",
            Self::TooManyContacts => "Too Many Contacts",
            Self::Full => "Registrar Full",
        })
    }
}

impl Error for RegisterError {}
