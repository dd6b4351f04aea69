use core::fmt;
use core::str::FromStr;

use super::UpstreamTransport;
use crate::address::{AddressError, Destination};
use crate::transport::TrunkAddress;

/// The SIP server that an edge stands in front of: `sip:HOST[:PORT];transport=tcp|udp|ws|wss`, or
/// `ws://HOST[:PORT]/PATH` or the same with `wss`.
///
/// Without a transport it is UDP, as RFC 3263 has it for a `sip` URI. The port is 5060 unless given, and that of WebSocket
/// for WebSocket.
///
/// ```
/// use ws_sip::edge::{Upstream, UpstreamTransport};
/// let upstream: Upstream = "sip:10.0.0.9;transport=tcp".parse()?;
/// assert_eq!(upstream.transport(), UpstreamTransport::Tcp);
/// # Ok::<(), ws_sip::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upstream {
    /// SIP over TCP.
    Tcp(TrunkAddress),
    /// SIP over UDP.
    Udp(TrunkAddress),
    /// SIP over WebSocket, this side the client.
    Ws(Destination),
}

impl Upstream {
    /// Returns what is spoken with it.
    #[must_use]
    pub const fn transport(&self) -> UpstreamTransport {
        match self {
            Self::Tcp(_) => UpstreamTransport::Tcp,
            Self::Udp(_) => UpstreamTransport::Udp,
            Self::Ws(destination) if destination.is_secure => UpstreamTransport::Wss,
            Self::Ws(_) => UpstreamTransport::Ws,
        }
    }
}

impl FromStr for Upstream {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(rest) = text.strip_prefix("sip:") else {
            return text.parse().map(Self::Ws).map_err(|error| match error {
                AddressError::Transport if text.starts_with("sips:") => AddressError::SecureUpstream,
                AddressError::Transport => AddressError::Upstream,
                other => other,
            });
        };
        let mut parts = rest.split(';');
        let address = parts.next().unwrap_or_default();
        let mut transport = UpstreamTransport::Udp;
        for part in parts {
            transport = match part.to_ascii_lowercase().as_str() {
                "transport=tcp" => UpstreamTransport::Tcp,
                "transport=udp" => UpstreamTransport::Udp,
                "transport=ws" => UpstreamTransport::Ws,
                "transport=wss" => UpstreamTransport::Wss,
                other if other.starts_with("transport=") => return Err(AddressError::UpstreamTransport),
                _ => return Err(AddressError::UpstreamParameter),
            };
        }
        match transport {
            UpstreamTransport::Tcp => address.parse().map(Self::Tcp),
            UpstreamTransport::Udp => address.parse().map(Self::Udp),
            UpstreamTransport::Ws | UpstreamTransport::Wss => text.parse().map(Self::Ws),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Ws(destination) => destination.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stand_upstream() {
        let parse = |text: &str| text.parse::<Upstream>().map(|upstream| upstream.to_string());
        assert_eq!(parse("sip:10.0.0.9"), Ok("udp:10.0.0.9:5060".into()));
        assert_eq!(parse("sip:sip.example:5080;transport=TCP"), Ok("tcp:sip.example:5080".into()));
        assert_eq!(parse("sip:[::1];transport=udp"), Ok("udp:[::1]:5060".into()));
        assert_eq!(parse("sip:sip.example;transport=ws"), Ok("ws://sip.example/".into()));
        assert_eq!(parse("ws://sip.example/ws"), Ok("ws://sip.example/ws".into()));
        assert_eq!(parse("sips:sip.example;transport=ws"), Ok("wss://sip.example/".into()));
        assert_eq!(parse("sip:sip.example;transport=sctp"), Err(AddressError::UpstreamTransport));
        assert_eq!(parse("sip:sip.example;lr"), Err(AddressError::UpstreamParameter));
        assert_eq!(parse("sips:sip.example;transport=tcp"), Err(AddressError::SecureUpstream));
        assert_eq!(parse("http://sip.example"), Err(AddressError::Upstream));
        assert_eq!(parse("sip:;transport=tcp"), Err(AddressError::Host));
    }
}
