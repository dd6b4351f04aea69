use core::fmt;
use core::num::NonZeroU16;

/// The status code of a Close frame (RFC 6455, section 7.4).
///
/// Holds only codes that may stand in a Close frame: 1000-1003, 1007-1014 and 3000-4999. What the RFC
/// reserves for local use (1004, 1005, 1006, 1015) and what nobody assigned cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(NonZeroU16);

impl StatusCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self::literal(1000);
    /// 1001: a server goes down, or a page is left.
    pub const GOING_AWAY: Self = Self::literal(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self::literal(1002);
    /// 1003: a type of data that this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self::literal(1003);
    /// 1007: data not of the message's type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self::literal(1007);
    /// 1008: a policy was broken and no other code fits.
    pub const POLICY_VIOLATION: Self = Self::literal(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self::literal(1009);
    /// 1010: the server did not agree to an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self::literal(1010);
    /// 1011: an unexpected condition kept the server from fulfilling the request.
    pub const INTERNAL_ERROR: Self = Self::literal(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self::literal(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self::literal(1013);
    /// 1014: a gateway got a bad response from its upstream.
    pub const BAD_GATEWAY: Self = Self::literal(1014);

    /// Returns the status code `code`, or `None` if it must not appear in a Close frame.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self::literal(code)),
            _ => None,
        }
    }

    const fn literal(code: u16) -> Self {
        Self(NonZeroU16::new(code).expect("no code is zero"))
    }

    /// Returns the code as the number that stands in the frame.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<StatusCode> for u16 {
    fn from(code: StatusCode) -> Self {
        code.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, sections 7.4.1 and 7.4.2, and the IANA registry: every number there is.
    #[test]
    fn exactly_the_sendable_codes() {
        for code in 0..=u16::MAX {
            let sendable =
                matches!(code, 1000..=1003) || (1007..1015).contains(&code) || (3000..5000).contains(&code);
            assert_eq!(StatusCode::new(code).is_some(), sendable, "{code}");
        }
    }
}
