//! The digest itself (RFC 7616, with the algorithms of RFC 8760).

use core::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256};

/// A hash that a digest may be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Md5,
}

impl Algorithm {
    /// The strongest first, which is what a client that knows it is to take (RFC 8760, section 2.3).
    pub(super) const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }
}

/// Hashes the parts, joined by colons, into lower-case hexadecimal digits.
pub(super) fn hash(algorithm: Algorithm, parts: &[&str]) -> String {
    let text = parts.join(":");
    match algorithm {
        Algorithm::Sha256 => hex(&Sha256::digest(text)),
        Algorithm::Md5 => hex(&Md5::digest(text)),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The parameters of an Authorization header field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) uri: String,
    pub(super) response: String,
    pub(super) algorithm: Option<String>,
    pub(super) cnonce: String,
    pub(super) qop: Option<String>,
    pub(super) nc: String,
}

impl Credentials {
    /// Reads `Digest name=value, ...`; `None` if it is something else or malformed.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut found = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',', '\r', '\n']);
            if rest.is_empty() {
                return Some(found);
            }
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let value;
            if let Some(quoted) = after.strip_prefix('"') {
                let mut text = String::new();
                let mut chars = quoted.char_indices();
                loop {
                    match chars.next()? {
                        (_, '\\') => text.push(chars.next()?.1),
                        (at, '"') => {
                            rest = &quoted[at + 1..];
                            break;
                        }
                        (_, c) => text.push(c),
                    }
                }
                value = text;
            } else {
                let (token, after) = after.split_at(after.find(',').unwrap_or(after.len()));
                value = token.trim().to_owned();
                rest = after;
            }
            match name.trim().to_ascii_lowercase().as_str() {
                "username" => found.username = value,
                "realm" => found.realm = value,
                "nonce" => found.nonce = value,
                "uri" => found.uri = value,
                "response" => found.response = value,
                "algorithm" => found.algorithm = Some(value),
                "cnonce" => found.cnonce = value,
                "qop" => found.qop = Some(value),
                "nc" => found.nc = value,
                _ => {}
            }
        }
    }

    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match &self.algorithm {
            None => Some(Algorithm::Md5),
            Some(name) => {
                Algorithm::ALL.into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name()))
            }
        }
    }

    /// Returns whether the response was made with `ha1` for `method` (RFC 7616, section 3.4.1).
    pub(super) fn proves(&self, algorithm: Algorithm, ha1: &str, method: &str) -> bool {
        let ha2 = hash(algorithm, &[method, &self.uri]);
        let expected = match self.qop.as_deref() {
            Some("auth") => hash(algorithm, &[ha1, &self.nonce, &self.nc, &self.cnonce, "auth", &ha2]),
            // RFC 2069, which clients that send no qop mean.
            None => hash(algorithm, &[ha1, &self.nonce, &ha2]),
            Some(_) => return false,
        };
        let given = self.response.to_ascii_lowercase();
        // In constant time: nothing may be found by trying.
        given.len() == expected.len()
            && given.bytes().zip(expected.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616, section 3.9.1: both examples.
    #[test]
    fn examples_of_the_rfc() {
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let credentials = Credentials::parse(&format!(
                "Digest username=\"Mufasa\",\r\n realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
                algorithm.name()
            ))
            .unwrap();
            assert_eq!(credentials.algorithm(), Some(algorithm));
            let ha1 = hash(algorithm, &["Mufasa", "http-auth@example.org", "Circle of Life"]);
            assert!(credentials.proves(algorithm, &ha1, "GET"));
            assert!(!credentials.proves(algorithm, &ha1, "PUT"));
            let wrong = hash(algorithm, &["Mufasa", "http-auth@example.org", "circle of life"]);
            assert!(!credentials.proves(algorithm, &wrong, "GET"));
        }
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for value in ["", "Basic eDp5", "Digest username", "Digest username=\"x", "Digest username=\"x\\"] {
            assert_eq!(Credentials::parse(value), None, "{value}");
        }
        let odd = Credentials::parse("digest  USERNAME = \"a\\\"b\" , qop = auth").unwrap();
        assert_eq!((odd.username.as_str(), odd.qop.as_deref()), ("a\"b", Some("auth")));
    }
}
