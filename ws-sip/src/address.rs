//! Where to listen, and where to send.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

/// Where to listen: `ws:IP` or `ws:IP:PORT`, or the same with `wss` for TLS, an IPv6 address in brackets.
///
/// ```
/// use ws_sip::ListenAddress;
/// let address: ListenAddress = "ws:127.0.0.1:5060".parse()?;
/// assert_eq!(address.with_default_port(80).to_string(), "127.0.0.1:5060");
/// let address: ListenAddress = "ws:[::1]".parse()?;
/// assert_eq!(address.with_default_port(80).to_string(), "[::1]:80");
/// # Ok::<(), ws_sip::AddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// The local address.
    pub ip: IpAddr,
    /// The port, if one was given; 0 lets the system choose.
    pub port: Option<u16>,
    /// Whether over TLS.
    pub is_secure: bool,
}

impl ListenAddress {
    /// Returns the socket address, with `port` if none was given.
    #[must_use]
    pub fn with_default_port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: Some(address.port()), is_secure: false }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_secure { "wss:" } else { "ws:" })?;
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None if self.ip.is_ipv6() => write!(f, "[{}]", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (transport, rest) = text.split_once(':').ok_or(AddressError::Transport)?;
        let is_secure = match transport {
            "ws" => false,
            "wss" => true,
            _ => return Err(AddressError::Transport),
        };
        let (host, port) = split_port(rest)?;
        Ok(Self { ip: host.parse().map_err(|_| AddressError::Ip)?, port, is_secure })
    }
}

/// Where to send over an outgoing flow: `ws://HOST[:PORT][/PATH]` or `sip:HOST[:PORT];transport=ws`; over TLS
/// `wss://HOST[:PORT][/PATH]`, `sips:HOST[:PORT];transport=ws` (RFC 7118, section 5.2.2) or `sip:HOST[:PORT];transport=wss`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port, if one was given.
    pub port: Option<u16>,
    /// The resource to ask for; `/` unless given.
    pub path: String,
    /// Whether over TLS.
    pub is_secure: bool,
}

impl FromStr for Destination {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once(':').ok_or(AddressError::Transport)?;
        let (authority, path, is_secure) = match scheme {
            "ws" | "wss" => {
                let rest = rest.strip_prefix("//").ok_or(AddressError::Transport)?;
                let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
                (authority, path, scheme == "wss")
            }
            "sip" | "sips" => {
                let (authority, parameters) = rest.split_once(';').ok_or(AddressError::Transport)?;
                let names = |transport: &str| {
                    parameters.split(';').any(|parameter| parameter.eq_ignore_ascii_case(transport))
                };
                let is_secure = scheme == "sips" || names("transport=wss");
                if !names("transport=ws") && !names("transport=wss") {
                    return Err(AddressError::Transport);
                }
                // What a user part asks for is not the transport's business.
                (authority.rsplit_once('@').map_or(authority, |(_, host)| host), "", is_secure)
            }
            _ => return Err(AddressError::Transport),
        };
        let (host, port) = split_port(authority)?;
        if host.is_empty() || port == Some(0) {
            return Err(AddressError::Host);
        }
        // RFC 7118, appendix B.1: a browser's own name, which nobody can reach.
        if host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase().ends_with(".invalid") {
            return Err(AddressError::Invalid);
        }
        let path = match path.as_bytes().first() {
            None => "/".into(),
            Some(b'/') => path.into(),
            Some(_) => format!("/{path}"),
        };
        Ok(Self { host: host.into(), port, path, is_secure })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = self.host.contains(':');
        write!(
            f,
            "{}://{}{}{}",
            if self.is_secure { "wss" } else { "ws" },
            if brackets { "[" } else { "" },
            self.host,
            if brackets { "]" } else { "" }
        )?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
///
/// ```
/// let prefix: ws_sip::Prefix = "10.0.0.0/8".parse()?;
/// assert!(prefix.contains("10.1.2.3".parse().unwrap()));
/// assert!(!prefix.contains("11.1.2.3".parse().unwrap()));
/// # Ok::<(), ws_sip::AddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    ip: IpAddr,
    len: u8,
}

impl Prefix {
    /// Returns whether an address is one of these. An IPv4 address that is written as an IPv6 one counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.ip, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= u32::from(self.len)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= u32::from(self.len)
            }
            _ => false,
        }
    }
}

impl FromStr for Prefix {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (ip, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
        let ip: IpAddr = ip.parse().map_err(|_| AddressError::Prefix)?;
        let all = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => all,
            Some(len) if len.bytes().all(|byte| byte.is_ascii_digit()) => {
                len.parse().ok().filter(|&len| len <= all).ok_or(AddressError::Prefix)?
            }
            Some(_) => return Err(AddressError::Prefix),
        };
        Ok(Self { ip, len })
    }
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a transport that is spoken here.
    Transport,
    /// Not what an [`Upstream`](crate::edge::Upstream) can be.
    Upstream,
    /// Not a transport that is spoken with an upstream.
    UpstreamTransport,
    /// A parameter that says nothing of an upstream.
    UpstreamParameter,
    /// An upstream over TLS without WebSocket.
    SecureUpstream,
    /// Not an IP address, IPv6 in brackets.
    Ip,
    /// No host.
    Host,
    /// Not a port.
    Port,
    /// Not an address with or without the length of a prefix.
    Prefix,
    /// A name below `.invalid`: such a host is never dialled.
    Invalid,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "expected `ws:` or `wss:`",
            Self::Upstream => {
                "expected `sip:HOST[:PORT];transport=tcp|udp|ws|wss` or `ws://HOST[:PORT][/PATH]`, or that with `wss`"
            }
            Self::UpstreamTransport => "the transport can be tcp, udp, ws or wss",
            Self::UpstreamParameter => "the only parameter can be `transport`, of tcp, udp, ws or wss",
            Self::SecureUpstream => "`sips:` needs `;transport=ws`, for WebSocket over TLS",
            Self::Ip => "expected an IP address, IPv6 in brackets",
            Self::Host => "expected a host",
            Self::Port => "expected a port from 0 to 65535",
            Self::Prefix => "expected an IP address, or a prefix such as 10.0.0.0/8",
            Self::Invalid => "a host below .invalid cannot be reached",
        })
    }
}

impl core::error::Error for AddressError {}

/// Splits `HOST[:PORT]`; the host without its brackets.
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(AddressError::Ip)?;
        if !host.contains(':') {
            return Err(AddressError::Ip);
        }
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(AddressError::Port)?) })
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map(|port| {
        // `parse` takes a sign, which no port has.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| port.parse().ok()).flatten().ok_or(AddressError::Port)
    });
    Ok((host, port.transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners() {
        let parse = |text: &str| {
            text.parse::<ListenAddress>().map(|address| address.with_default_port(80).to_string())
        };
        assert_eq!(parse("ws:127.0.0.1"), Ok("127.0.0.1:80".into()));
        assert_eq!(parse("ws:127.0.0.1:0"), Ok("127.0.0.1:0".into()));
        assert_eq!(parse("ws:[::1]:5060"), Ok("[::1]:5060".into()));
        assert_eq!(parse("wss:[::1]:5061"), Ok("[::1]:5061".into()));
        assert!("wss:127.0.0.1".parse::<ListenAddress>().unwrap().is_secure);
        assert_eq!(parse("udp:127.0.0.1"), Err(AddressError::Transport));
        assert_eq!(parse("ws:localhost"), Err(AddressError::Ip));
        assert_eq!(parse("ws:::1"), Err(AddressError::Port));
        assert_eq!(parse("ws:[::1"), Err(AddressError::Ip));
        assert_eq!(parse("ws:[127.0.0.1]"), Err(AddressError::Ip));
        assert_eq!(parse("ws:127.0.0.1:65536"), Err(AddressError::Port));
        assert_eq!(parse("ws:127.0.0.1:+5"), Err(AddressError::Port));
    }

    #[test]
    fn destinations() {
        let parse = |text: &str| text.parse::<Destination>().map(|destination| destination.to_string());
        assert_eq!(parse("ws://sip.example"), Ok("ws://sip.example/".into()));
        assert_eq!(parse("ws://sip.example:8080/ws?x=1"), Ok("ws://sip.example:8080/ws?x=1".into()));
        assert_eq!(parse("ws://sip.example?x"), Ok("ws://sip.example/?x".into()));
        assert_eq!(parse("ws://[::1]:80/"), Ok("ws://[::1]:80/".into()));
        assert_eq!(parse("sip:a@sip.example:5062;transport=WS;lr"), Ok("ws://sip.example:5062/".into()));
        assert_eq!(parse("wss://sip.example/x"), Ok("wss://sip.example/x".into()));
        assert_eq!(parse("sips:sip.example;transport=ws"), Ok("wss://sip.example/".into()));
        assert_eq!(parse("sip:sip.example:7443;transport=wss"), Ok("wss://sip.example:7443/".into()));
        assert_eq!(parse("wss:sip.example"), Err(AddressError::Transport));
        assert_eq!(parse("sip:sip.example"), Err(AddressError::Transport));
        assert_eq!(parse("sip:sip.example;transport=tcp"), Err(AddressError::Transport));
        assert_eq!(parse("ws://"), Err(AddressError::Host));
        assert_eq!(parse("ws://x:0/"), Err(AddressError::Host));
    }

    #[test]
    fn prefixes() {
        let contains = |prefix: &str, address: &str| {
            prefix.parse::<Prefix>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("0.0.0.0/0", "255.255.255.255") && contains("::/0", "ffff::"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("192.0.2.128/25", "192.0.2.200") && !contains("192.0.2.128/25", "192.0.2.127"));
        assert!(
            contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::1")
        );
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1") && !contains("10.0.0.0/8", "::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0/8", "x/8"] {
            assert_eq!(wrong.parse::<Prefix>(), Err(AddressError::Prefix), "{wrong}");
        }
    }

    /// RFC 7118, appendix B.1.
    #[test]
    fn nobody_dials_a_browsers_own_name() {
        for host in ["df7jal23ls0d.invalid", "x.INVALID.", "a.b.invalid"] {
            assert_eq!(format!("ws://{host}/").parse::<Destination>(), Err(AddressError::Invalid));
        }
        assert!("ws://invalid.example/".parse::<Destination>().is_ok());
    }
}
