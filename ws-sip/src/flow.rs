//! Flows: the identity of a connection, and the tokens that name one inside SIP messages.

use core::fmt;

/// Names one connection for as long as the process runs.
///
/// The transport chooses the numbers. A number is never given to a second connection: a message that was
/// routed to a flow must not reach whoever came after it. The upper 8 bits are those of the
/// [transport](Self::transport), 0 unless there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

impl FlowId {
    /// Returns which of several transports the flow belongs to: see
    /// [`Transport::another`](crate::Transport::another).
    #[must_use]
    pub const fn transport(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Letters that open every token, so that an ordinary user part is never taken for one.
const PREFIX: &[u8] = b"fl-";

/// A flow as it is written in the user part of our Record-Route URIs (RFC 5626 section 5.2).
///
/// A token holds the flow's number and the epoch of the process that wrote it, so that a token kept by a client
/// over a restart names no flow instead of somebody else's. It is not authenticated: it is a capability to reach
/// a flow of the same process, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowToken {
    epoch: u32,
    flow: FlowId,
}

impl FlowToken {
    /// The token of `flow` in the process known by `epoch`.
    pub fn new(epoch: u32, flow: FlowId) -> Self {
        Self { epoch, flow }
    }

    /// Reads a token from a URI's user part; `None` when it is something else.
    pub fn parse(user: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(user.strip_prefix(PREFIX)?).ok()?;
        let (epoch, flow) = text.split_once('-')?;
        // `from_str_radix` takes a sign, which no token has.
        if text.contains('+') || epoch.len() != 8 {
            return None;
        }
        Some(Self {
            epoch: u32::from_str_radix(epoch, 16).ok()?,
            flow: FlowId(u64::from_str_radix(flow, 16).ok()?),
        })
    }

    /// The flow, if the token was written under `epoch`.
    pub fn flow(self, epoch: u32) -> Option<FlowId> {
        (self.epoch == epoch).then_some(self.flow)
    }
}

impl fmt::Display for FlowToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fl-{:08x}-{:x}", self.epoch, self.flow.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_written() {
        for flow in [0, 1, 0xabc, u64::MAX] {
            let token = FlowToken::new(7, FlowId(flow));
            assert_eq!(FlowToken::parse(token.to_string().as_bytes()), Some(token));
            assert_eq!(token.flow(7), Some(FlowId(flow)));
            assert_eq!(token.flow(8), None, "a token of another run names no flow");
        }
    }

    #[test]
    fn what_is_no_token_is_not_read_as_one() {
        for user in
            ["", "alice", "fl-", "fl-1-2", "fl-0000000g-1", "fl-00000001-", "fl-00000001-+1", "FL-00000001-1"]
        {
            assert_eq!(FlowToken::parse(user.as_bytes()), None, "{user}");
        }
    }
}
