use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use super::tokens::is_visible;

/// Which values of the `Origin` header a server accepts (RFC 6455, section 10.2). Browsers tell in it which
/// page opens the connection, and pages cannot change it; other clients may send what they like.
///
/// Under every policy a request with two `Origin` headers is refused with 403.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// All, and none.
    #[default]
    Any,
    /// All, `null` included, but there must be one that is not empty.
    Required,
    /// One of these. What is not scheme, host and port, such as `null`, never matches.
    AllowList(Vec<Origin>),
}

impl OriginPolicy {
    /// Whether the policy accepts the value of the one `Origin` header, or that there is none.
    pub(super) fn accepts(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::Required => value.is_some_and(|value| !value.is_empty()),
            Self::AllowList(origins) => value
                .and_then(|value| Parts::parse(value).ok())
                .is_some_and(|value| origins.iter().any(|origin| origin.matches(&value))),
        }
    }
}

/// An origin: scheme, host and port (RFC 6454). `https://example.com`, `HTTPS://Example.com` and
/// `https://example.com:443` are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    /// In lower case; an IPv6 literal in brackets and in its shortest form.
    host: String,
    /// `None` where the scheme has no default port and none was given.
    port: Option<u16>,
}

impl Origin {
    /// Parses `scheme://host[:port]`.
    ///
    /// # Errors
    /// Whatever is more or less than that: an empty text, a path (`https://example.com/`), `null`, a wildcard.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let parts = Parts::parse(text.as_bytes())?;
        let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let mut host = lower(parts.host);
        if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = literal.parse().map_err(|_| OriginError)?;
            host = alloc::format!("[{address}]");
        }
        Ok(Self { scheme: lower(parts.scheme), host, port: parts.port })
    }

    fn matches(&self, other: &Parts<'_>) -> bool {
        self.port == other.port
            && other.scheme.eq_ignore_ascii_case(self.scheme.as_bytes())
            && other.host.eq_ignore_ascii_case(self.host.as_bytes())
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if Some(port) != default_port(self.scheme.as_bytes()) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// A text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OriginError;

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an origin of the form scheme://host[:port]")
    }
}

impl core::error::Error for OriginError {}

/// An origin as it lies in a text, the port made explicit.
struct Parts<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, OriginError> {
        let scheme_len = text.iter().position(|&byte| byte == b':').ok_or(OriginError)?;
        let (scheme, rest) = text.split_at(scheme_len);
        let rest = rest.strip_prefix(b"://").ok_or(OriginError)?;
        let scheme_is_one = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
        let host_len = match rest {
            [b'[', ..] => rest.iter().position(|&byte| byte == b']').ok_or(OriginError)? + 1,
            _ => rest.iter().position(|&byte| byte == b':').unwrap_or(rest.len()),
        };
        let (host, port) = rest.split_at(host_len);
        let inner = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
        let host_is_one =
            !inner.is_empty() && is_visible(inner) && !inner.iter().any(|b| b"/?#@\\[],*".contains(b));
        if !scheme_is_one || !host_is_one {
            return Err(OriginError);
        }
        let port = match port {
            [] => default_port(scheme),
            [b':', digits @ ..] => Some(parse_port(digits).ok_or(OriginError)?),
            _ => return Err(OriginError),
        };
        Ok(Self { scheme, host, port })
    }
}

/// Parses a port: digits alone, 0 to 65535.
pub(super) fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let mut port = 0u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    u16::try_from(port).ok()
}

/// Returns the port that a scheme implies.
pub(super) fn default_port(scheme: &[u8]) -> Option<u16> {
    let is = |known: &[u8]| scheme.eq_ignore_ascii_case(known);
    if is(b"http") || is(b"ws") {
        Some(80)
    } else if is(b"https") || is(b"wss") {
        Some(443)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn allow(origins: &[&str]) -> OriginPolicy {
        OriginPolicy::AllowList(origins.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn scheme_host_and_port_are_compared() {
        let policy = allow(&["https://Example.com", "http://localhost:8080", "http://[::1]:5060", "app://x"]);
        for good in [
            "https://example.com",
            "HTTPS://EXAMPLE.COM",
            "https://example.com:443",
            "http://localhost:8080",
            "http://[::1]:5060",
            "app://x",
        ] {
            assert!(policy.accepts(Some(good.as_bytes())), "{good}");
        }
        for bad in [
            "",
            "null",
            "*",
            "example.com",
            "http://example.com",
            "https://example.com:444",
            "https://example.com.evil.example",
            "https://evil-example.com",
            "https://sub.example.com",
            "https://example.com/",
            "https://example.com https://evil.example",
            "https://example.com, https://evil.example",
            "https://user@example.com",
            "https://example.com:",
            "https://example.com:0443x",
            "https://example.com:65979",
            "http://localhost",
            "app://x:80",
        ] {
            assert!(!policy.accepts(Some(bad.as_bytes())), "{bad}");
        }
        assert!(!policy.accepts(None));
    }

    #[test]
    fn presence_alone() {
        for value in ["null", "https://example.com", "127.0.0.1:8080"] {
            assert!(OriginPolicy::Required.accepts(Some(value.as_bytes())));
        }
        assert!(!OriginPolicy::Required.accepts(None));
        assert!(!OriginPolicy::Required.accepts(Some(b"")));
        assert!(OriginPolicy::Any.accepts(None));
    }

    #[test]
    fn entries_of_a_list_must_be_origins() {
        for bad in [
            "",
            "null",
            "*",
            "https://*.example.com",
            "https://a/",
            "https://",
            "://a",
            "https:a",
            "http://[::1",
        ] {
            assert_eq!(Origin::parse(bad), Err(OriginError), "{bad}");
        }
        for (text, shown) in [
            ("HTTPS://A.example:443", "https://a.example"),
            ("http://a:8080", "http://a:8080"),
            ("http://[0:0::1]", "http://[::1]"),
            ("app://x", "app://x"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
    }
}
