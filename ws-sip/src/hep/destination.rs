use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// A collector that HEP records can be sent to, known by a name.
///
/// It is written `[name] host[:port][;transport=udp|tcp|tls][;version=3]`, an IPv6 address in brackets.
///
/// ```
/// use ws_sip::hep::{Destination, Transport};
/// let destination: Destination = "[hep_dest]10.0.0.2;transport=tcp;version=3".parse()?;
/// assert_eq!(destination.name, "hep_dest");
/// assert_eq!((destination.host.as_str(), destination.port), ("10.0.0.2", 9060));
/// assert_eq!(destination.transport, Transport::Tcp);
/// # Ok::<(), ws_sip::hep::DestinationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// What `trace_destination` calls it.
    pub name: String,
    /// A host name or an address, IPv6 without brackets.
    pub host: String,
    /// The port. Default 9060.
    pub port: u16,
    /// How records get there. Default TCP.
    pub transport: Transport,
}

/// What carries HEP records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One record a datagram; a record that gets lost is lost.
    Udp,
    /// Records one after the other in a stream.
    #[default]
    Tcp,
    /// As TCP, encrypted.
    Tls,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        })
    }
}

const DEFAULT_PORT: u16 = 9060;

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let rest = text.trim_start().strip_prefix('[').ok_or(DestinationError::Name)?;
        let (name, rest) = rest.split_once(']').ok_or(DestinationError::Name)?;
        let name = name.trim();
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '[';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(DestinationError::Name);
        }
        let mut parts = rest.split(';');
        let (host, port) = address(parts.next().unwrap_or_default().trim())?;
        let mut transport = None;
        let mut has_version = false;
        while let Some(part) = parts.next() {
            let part = part.trim();
            if part.is_empty() && parts.clone().next().is_none() {
                break;
            }
            let (key, value) = part.split_once('=').ok_or(DestinationError::Parameter)?;
            let value = value.trim();
            match key.trim() {
                "transport" if transport.is_none() => transport = Some(parse_transport(value)?),
                "version" if !has_version => {
                    has_version = true;
                    match value {
                        "3" => {}
                        "1" | "2" => return Err(DestinationError::OldVersion),
                        _ => return Err(DestinationError::Version),
                    }
                }
                "transport" | "version" => return Err(DestinationError::Repeated),
                _ => return Err(DestinationError::Parameter),
            }
        }
        Ok(Self { name: name.into(), host, port, transport: transport.unwrap_or_default() })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, host, port, transport } = self;
        if host.contains(':') {
            write!(f, "[{name}] [{host}]:{port};transport={transport}")
        } else {
            write!(f, "[{name}] {host}:{port};transport={transport}")
        }
    }
}

/// What is wrong with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestinationError {
    /// It does not start with a name in brackets.
    Name,
    /// No host name, IPv4 address, or IPv6 address in brackets.
    Host,
    /// Not a port.
    Port,
    /// Not a transport.
    Transport,
    /// Not a version.
    Version,
    /// A version that has no place for what is to be sent.
    OldVersion,
    /// Neither `transport=` nor `version=`.
    Parameter,
    /// The same parameter again.
    Repeated,
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "expected a name in brackets first, as in `[hep] 10.0.0.2`",
            Self::Host => {
                "expected a host name, an IPv4 address, or an IPv6 address in brackets after the name"
            }
            Self::Port => "expected a port from 1 to 65535 after the host",
            Self::Transport => "expected `udp`, `tcp` or `tls` after `transport=`",
            Self::Version => "expected `3` after `version=`",
            Self::OldVersion => {
                "HEP versions 1 and 2 have no place for WebSocket events; expected `version=3`"
            }
            Self::Parameter => "expected `transport=` or `version=` after `;`",
            Self::Repeated => "expected `transport=` and `version=` only once",
        })
    }
}

impl core::error::Error for DestinationError {}

fn parse_transport(text: &str) -> Result<Transport, DestinationError> {
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|transport| transport.to_string().eq_ignore_ascii_case(text))
        .ok_or(DestinationError::Transport)
}

/// Splits `host[:port]`.
fn address(text: &str) -> Result<(String, u16), DestinationError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(DestinationError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| DestinationError::Host)?;
        (
            host,
            if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(DestinationError::Port)?) },
        )
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(is_name) {
            return Err(DestinationError::Host);
        }
        (host, port)
    };
    let port = port.map_or(Ok(DEFAULT_PORT), |port| {
        // `parse` takes a sign, which no port has.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| port.parse().ok()).flatten().filter(|&port| port != 0).ok_or(DestinationError::Port)
    });
    Ok((host.into(), port?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        for (text, meant) in [
            ("[a] h", "[a] h:9060;transport=tcp"),
            ("[hep_dest]10.0.0.2;transport=tcp;version=3", "[hep_dest] 10.0.0.2:9060;transport=tcp"),
            ("[ a.b-c ]  h.example:1 ; transport = UDP ;", "[a.b-c] h.example:1;transport=udp"),
            ("[a] h;version=3;transport=Tls", "[a] h:9060;transport=tls"),
            ("[a] [::1]", "[a] [::1]:9060;transport=tcp"),
            ("[a][fe80::1]:65535;", "[a] [fe80::1]:65535;transport=tcp"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.to_string(), meant, "{text}");
            assert_eq!(meant.parse(), Ok(destination));
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        use DestinationError::*;
        for (text, error) in [
            ("", Name),
            ("a h", Name),
            ("[a h", Name),
            ("[] h", Name),
            ("[a b] h", Name),
            ("[a]", Host),
            ("[a] ;transport=udp", Host),
            ("[a] h h", Host),
            ("[a] ::1", Host),
            ("[a] [1.2.3.4]", Host),
            ("[a] [::1", Host),
            ("[a] h:", Port),
            ("[a] h:0", Port),
            ("[a] h:65536", Port),
            ("[a] h:+1", Port),
            ("[a] [::1]1", Port),
            ("[a] h;transport=sctp", Transport),
            ("[a] h;version=1", OldVersion),
            ("[a] h;transport=udp;version=2", OldVersion),
            ("[a] h;version=4", Version),
            ("[a] h;version=", Version),
            ("[a] h;Version=3", Parameter),
            ("[a] h;transport", Parameter),
            ("[a] h;;version=3", Parameter),
            ("[a] h;transport=udp;transport=udp", Repeated),
            ("[a] h;version=3;version=3", Repeated),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text}");
        }
    }
}
