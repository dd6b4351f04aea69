//! The PROXY protocol, versions 1 and 2: what a balancer writes in front of a connection to say whose it is.
//!
//! A function of bytes, for whoever accepts connections: it comes before TLS and before the opening handshake. Only those
//! who are known to be balancers may be asked for it: from anybody else it would be a claim.
//!
//! ```
//! use ws_core::proxy_protocol::{Header, parse};
//! let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\nGET / HTTP/1.1\r\n";
//! let Ok(Some((Header::Proxied { source, .. }, len))) = parse(bytes) else { panic!() };
//! assert_eq!(source, "192.0.2.7:40001".parse().unwrap());
//! assert!(bytes[len..].starts_with(b"GET "));
//! ```

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str;

/// The longest header that is taken, in bytes: the protocol's own of version 1 has 107, and one of version 2 with all that is
/// usual behind the addresses some hundred.
pub const MAX_LEN: usize = 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const START: &[u8] = b"PROXY ";
/// Of a line, its end included.
const MAX_LINE_LEN: usize = 107;
const PREFIX_LEN: usize = 16;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// Nothing of a client: the balancer's own connection, a health check say, or one whose addresses it does not know or that
    /// are not of the Internet. The addresses of the connection itself hold.
    Local,
    /// A client's connection.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderError {
    /// They do not begin as one.
    Missing,
    /// A line of version 1 that is malformed or too long.
    Line,
    /// A version that is not 2, or a command that is neither LOCAL nor PROXY.
    Version,
    /// A kind of connection that is none over TCP, or addresses that are cut.
    Addresses,
    /// More than [`MAX_LEN`] bytes are announced.
    TooLong,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no PROXY header",
            Self::Line => "malformed PROXY line",
            Self::Version => "unknown version or command in the PROXY header",
            Self::Addresses => "malformed addresses in the PROXY header",
            Self::TooLong => "PROXY header too long",
        })
    }
}

impl core::error::Error for HeaderError {}

/// Reads the header at the start of `bytes`, and its length; `None` if it is incomplete. What is wrong is told with the first
/// byte that shows it.
///
/// # Errors
/// [`HeaderError`]: the connection should be closed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let begins = |start: &[u8]| {
        let n = bytes.len().min(start.len());
        bytes[..n] == start[..n]
    };
    if begins(SIGNATURE) {
        return if bytes.len() < PREFIX_LEN {
            check_prefix(bytes).map(|()| None)
        } else {
            parse_binary(bytes)
        };
    }
    if !begins(START) {
        return Err(HeaderError::Missing);
    }
    let line = &bytes[..bytes.len().min(MAX_LINE_LEN)];
    match line.iter().position(|&byte| byte == b'\n') {
        Some(end) => parse_line(&line[..=end]).map(|header| Some((header, end + 1))),
        None if line.len() == MAX_LINE_LEN => Err(HeaderError::Line),
        None => Ok(None),
    }
}

/// Version 1: a line of text.
fn parse_line(line: &[u8]) -> Result<Header, HeaderError> {
    let text =
        line.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok()).ok_or(HeaderError::Line)?;
    let mut words = text.split(' ').skip(1);
    let mut next = || words.next().ok_or(HeaderError::Line);
    let family = next()?;
    if family == "UNKNOWN" {
        return Ok(Header::Local);
    }
    let address = |word: &str| -> Result<IpAddr, HeaderError> {
        let parsed: Option<IpAddr> = match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        };
        parsed.ok_or(HeaderError::Line)
    };
    let (source, destination) = (address(next()?)?, address(next()?)?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(HeaderError::Line);
    }
    Ok(Header::Proxied {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// Digits without a sign or zeros in front.
fn port(word: &str) -> Result<u16, HeaderError> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain).ok_or(HeaderError::Line)
}

/// Checks as much of the first 16 bytes of version 2 as there is.
fn check_prefix(bytes: &[u8]) -> Result<(), HeaderError> {
    if bytes.get(12).is_some_and(|byte| !matches!(byte, 0x20 | 0x21)) {
        return Err(HeaderError::Version);
    }
    // Unspecified, TCP over IPv4 and IPv6, a Unix stream.
    if bytes.get(13).is_some_and(|byte| !matches!(byte, 0x00 | 0x11 | 0x21 | 0x31)) {
        return Err(HeaderError::Addresses);
    }
    Ok(())
}

/// Version 2. What follows the addresses is passed over.
fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    check_prefix(bytes)?;
    let len = PREFIX_LEN + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if len > MAX_LEN {
        return Err(HeaderError::TooLong);
    }
    let Some(body) = bytes.get(PREFIX_LEN..len) else { return Ok(None) };
    let is_local = bytes[12] == 0x20;
    let header = match (bytes[13], body) {
        _ if is_local => Header::Local,
        (0x11, &[a, b, c, d, e, f, g, h, i, j, k, l, ..]) => {
            proxied(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), [i, j, k, l])
        }
        (0x21, body) if body.len() >= 36 => {
            let address = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&body[at..at + 16]);
                IpAddr::from(octets)
            };
            proxied(address(0), address(16), [body[32], body[33], body[34], body[35]])
        }
        (0x11 | 0x21, _) => return Err(HeaderError::Addresses),
        _ => Header::Local,
    };
    Ok(Some((header, len)))
}

fn proxied(source: IpAddr, destination: IpAddr, ports: [u8; 4]) -> Header {
    let [a, b, c, d] = ports;
    Header::Proxied {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn from(source: &str, destination: &str) -> Header {
        Header::Proxied { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    /// Each header is found whole, with bytes behind it, and is incomplete at every length before.
    #[track_caller]
    fn assert_parsed(bytes: &[u8], header: Header) {
        for len in 0..bytes.len() {
            assert_eq!(parse(&bytes[..len]), Ok(None), "{len}");
        }
        assert_eq!(parse(bytes), Ok(Some((header, bytes.len()))));
        let followed = [bytes, b"\x16\x03\x01"].concat();
        assert_eq!(parse(&followed), Ok(Some((header, bytes.len()))));
    }

    #[test]
    fn lines() {
        assert_parsed(
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\n",
            from("192.0.2.7:40001", "198.51.100.1:443"),
        );
        assert_parsed(b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n", from("[2001:db8::7]:0", "[::1]:65535"));
        assert_parsed(b"PROXY UNKNOWN\r\n", Header::Local);
        assert_parsed(b"PROXY UNKNOWN ffff:f...f:ffff 1 2 3 and more\r\n", Header::Local);
        let longest = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        let all = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert_parsed(longest.as_bytes(), from(all, all));
    }

    #[test]
    fn version_2_in_binary() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x41, 1, 0xbb];
        assert_parsed(&version_2(0x21, 0x11, &v4), from("192.0.2.7:40001", "198.51.100.1:443"));
        let mut v6 = [0; 36];
        (v6[15], v6[31]) = (1, 2);
        (v6[33], v6[35]) = (3, 4);
        assert_parsed(&version_2(0x21, 0x21, &v6), from("[::1]:3", "[::2]:4"));
        // With more behind the addresses, as much as fits.
        assert_parsed(
            &version_2(0x21, 0x11, &[&v4[..], b"\x04\0\x01x"].concat()),
            from("192.0.2.7:40001", "198.51.100.1:443"),
        );
        assert_parsed(
            &version_2(0x21, 0x11, &[&v4[..], &[0; MAX_LEN - 28]].concat()),
            from("192.0.2.7:40001", "198.51.100.1:443"),
        );
        for (command, family) in [(0x20, 0x00), (0x20, 0x11), (0x21, 0x00), (0x21, 0x31)] {
            assert_parsed(&version_2(command, family, &[7; 4]), Header::Local);
            assert_parsed(&version_2(command, family, &[]), Header::Local);
        }
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        for bytes in [&b"G"[..], b"PROXX", b"PROXY\t", b"\r\n\r\n\0\r\nQUIT\r", b"\x16\x03\x01", b"\r\n\r\nG"]
        {
            assert_eq!(parse(bytes), Err(HeaderError::Missing), "{bytes:?}");
        }
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001 443 \r\n",
            "PROXY TCP4 192.0.2.7  198.51.100.1 40001 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001 65536\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 40001 +43\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 040001 443\r\n",
            "PROXY TCP4 192.0.2.07 198.51.100.1 40001 443\r\n",
            "PROXY TCP4 192.0.2 198.51.100.1 40001 443\r\n",
            "PROXY TCP4 ::1 ::2 40001 443\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 40001 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 40001 443\r\n",
            "PROXY tcp4 192.0.2.7 198.51.100.1 40001 443\r\n",
            "PROXY UNKNOWN \u{fffd}\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(HeaderError::Line), "{line:?}");
        }
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 93]].concat();
        assert_eq!(parse(&long[..106]), Ok(None));
        assert_eq!(parse(&long), Err(HeaderError::Line));

        assert_eq!(parse(&version_2(0x31, 0x11, &[0; 12])[..13]), Err(HeaderError::Version));
        assert_eq!(parse(&version_2(0x22, 0x11, &[0; 12])), Err(HeaderError::Version));
        assert_eq!(parse(&version_2(0x21, 0x12, &[0; 12])[..14]), Err(HeaderError::Addresses));
        assert_eq!(parse(&version_2(0x21, 0x11, &[0; 11])), Err(HeaderError::Addresses));
        assert_eq!(parse(&version_2(0x21, 0x21, &[0; 35])), Err(HeaderError::Addresses));
        let long = version_2(0x21, 0x11, &[0; MAX_LEN]);
        assert_eq!(parse(&long[..16]), Err(HeaderError::TooLong));
    }
}
