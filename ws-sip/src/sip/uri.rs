//! SIP and SIPS URIs (RFC 3261 section 19.1).

use super::error::ValueError;
use super::lex::{self, Param};

/// The most parameters of a URI that is compared with another one by one.
const MAX_COMPARED: usize = 32;

/// A host and port as they stand in a URI or a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a [u8],
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Reads `host [":" port]` from the start of `value` and returns what follows; white space may surround the
    /// colon, as in a Via.
    pub(crate) fn take(value: &'a [u8]) -> Result<(Self, &'a [u8]), ValueError> {
        let host_len = match value.first() {
            Some(b'[') => {
                let (inner, rest) = lex::take_while(value.get(1..).unwrap_or_default(), |byte| {
                    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
                });
                if inner.is_empty() || rest.first() != Some(&b']') {
                    return Err(ValueError::Host);
                }
                inner.len() + 2
            }
            // Underscores are no part of a host name but are met in names of inner networks.
            _ => lex::take_while(value, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
            })
            .0
            .len(),
        };
        if host_len == 0 {
            return Err(ValueError::Host);
        }
        let (host, rest) = value.split_at(host_len);
        let [b':', after @ ..] = lex::trim_start(rest) else {
            return Ok((Self { host, port: None }, rest));
        };
        let (digits, rest) = lex::take_while(lex::trim_start(after), |byte| byte.is_ascii_digit());
        let port = lex::number(digits).and_then(|port| u16::try_from(port).ok()).ok_or(ValueError::Host)?;
        Ok((Self { host, port: Some(port) }, rest))
    }

    /// Reads `host [":" port]` that is the whole of `value`.
    ///
    /// # Errors
    /// [`ValueError::Host`] when it is anything else.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        match Self::take(value)? {
            (found, []) => Ok(found),
            _ => Err(ValueError::Host),
        }
    }

    /// Whether host (without case) and port are the same; no port is not the same as a default port.
    pub fn is_same(&self, other: &HostPort<'_>) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }
}

/// A SIP or SIPS URI, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// Whether the scheme is `sips`.
    pub secure: bool,
    /// The user part as it was written, escapes included.
    pub user: Option<&'a [u8]>,
    /// The password, which is deprecated.
    pub password: Option<&'a [u8]>,
    /// The host and port.
    pub at: HostPort<'a>,
    /// The parameters from their first semicolon.
    params: &'a [u8],
    /// The headers after the question mark.
    pub headers: Option<&'a [u8]>,
}

impl<'a> SipUri<'a> {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`ValueError::Scheme`] when it is a URI of another scheme, [`ValueError::Uri`] or [`ValueError::Host`] when
    /// it is malformed.
    pub fn parse(uri: &'a [u8]) -> Result<Self, ValueError> {
        let (scheme, rest) = split_scheme(uri)?;
        let secure = if scheme.eq_ignore_ascii_case(b"sip") {
            false
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            true
        } else {
            return Err(ValueError::Scheme);
        };
        // An `@` is escaped everywhere but after the userinfo.
        let (userinfo, rest) = match memchr::memchr(b'@', rest) {
            Some(at) => (Some(rest.get(..at).unwrap_or_default()), rest.get(at + 1..).unwrap_or_default()),
            None => (None, rest),
        };
        let (user, password) = match userinfo {
            None => (None, None),
            Some(userinfo) => {
                let (user, rest) = lex::take_while(userinfo, |byte| byte != b':');
                if user.is_empty() || !is_well_escaped(userinfo) {
                    return Err(ValueError::Uri);
                }
                (Some(user), rest.get(1..))
            }
        };
        if rest.iter().any(|&byte| byte <= b' ' || matches!(byte, b'<' | b'>' | b'"' | b'@' | 0x7f)) {
            return Err(ValueError::Uri);
        }
        let (at, rest) = HostPort::take(rest)?;
        let (params, rest) = lex::take_while(rest, |byte| byte != b'?');
        if !matches!(params.first(), None | Some(b';')) {
            return Err(ValueError::Uri);
        }
        Ok(Self { secure, user, password, at, params, headers: rest.get(1..) })
    }

    /// The parameters as they were written, from the first semicolon.
    pub fn params(&self) -> &'a [u8] {
        self.params
    }

    /// The parameter of this name, compared without case.
    pub fn param(&self, name: &str) -> Option<Param<'a>> {
        self.each_param().find(|param| param.is(name))
    }

    fn each_param(&self) -> impl Iterator<Item = Param<'a>> {
        self.params.split(|&byte| byte == b';').filter(|param| !param.is_empty()).map(|param| {
            let (name, value) = lex::take_while(param, |byte| byte != b'=');
            Param { name, value: value.get(1..) }
        })
    }

    /// Appends the address-of-record that this URI names, in the form in which two spellings of one address are
    /// equal bytes (RFC 3261 section 10.3): the user unescaped, `@`, the host in lower case.
    ///
    /// Scheme, password, port, parameters and headers are left out: `sips:alice@example.com` and
    /// `sip:alice@Example.com:5060` are one address-of-record.
    pub fn write_aor(&self, out: &mut Vec<u8>) {
        out.extend(Unescaped(self.user.unwrap_or_default()));
        out.push(b'@');
        out.extend(self.at.host.iter().map(u8::to_ascii_lowercase));
    }

    /// Whether both URIs are equivalent (RFC 3261 section 19.1.4).
    ///
    /// URIs with more than 32 parameters are only equivalent to themselves, which keeps the work
    /// bounded.
    pub fn is_equivalent(&self, other: &SipUri<'_>) -> bool {
        if self == other {
            return true;
        }
        if self.each_param().nth(MAX_COMPARED).is_some() || other.each_param().nth(MAX_COMPARED).is_some() {
            return false;
        }
        let same_text = |a: Option<&[u8]>, b: Option<&[u8]>| match (a, b) {
            (Some(a), Some(b)) => Unescaped(a).eq(Unescaped(b)),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.secure == other.secure
            && self.at.is_same(&other.at)
            && same_text(self.user, other.user)
            && same_text(self.password, other.password)
            && same_text(self.headers, other.headers)
            && self.params_agree(other)
            && other.params_agree(self)
    }

    /// A parameter in both URIs must match; of those in one URI alone only some forbid a match.
    fn params_agree(&self, other: &SipUri<'_>) -> bool {
        const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        self.each_param().all(|mine| {
            let theirs = other.each_param().find(|theirs| theirs.name.eq_ignore_ascii_case(mine.name));
            match theirs {
                None => !DECISIVE.iter().any(|name| mine.is(name)),
                Some(theirs) => {
                    let (mine, theirs) = (mine.value.unwrap_or_default(), theirs.value.unwrap_or_default());
                    Unescaped(mine)
                        .map(|byte| byte.to_ascii_lowercase())
                        .eq(Unescaped(theirs).map(|byte| byte.to_ascii_lowercase()))
                }
            }
        })
    }
}

/// Splits `scheme:rest`.
fn split_scheme(uri: &[u8]) -> Result<(&[u8], &[u8]), ValueError> {
    let (scheme, rest) =
        lex::take_while(uri, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    match rest {
        [b':', rest @ ..] if scheme.first().is_some_and(u8::is_ascii_alphabetic) && !rest.is_empty() => {
            Ok((scheme, rest))
        }
        _ => Err(ValueError::Uri),
    }
}

/// Whether each `%` starts an escape and no byte may only occur escaped.
fn is_well_escaped(text: &[u8]) -> bool {
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'%' | 0..=b' ' | b'<' | b'>' | b'"' | b'@' | 0x7f, _) => return false,
            _ => after,
        };
    }
    true
}

/// The bytes of a text with its escapes resolved.
pub(crate) struct Unescaped<'a>(pub(crate) &'a [u8]);

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let hex = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> SipUri<'_> {
        SipUri::parse(text.as_bytes()).unwrap()
    }

    fn aor(text: &str) -> String {
        let mut out = Vec::new();
        uri(text).write_aor(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_part_is_found() {
        let found = uri("sips:a;b=c%20d:secret@[2001:db8::1]:5061;transport=ws;lr?subject=x&priority=y");
        assert!(found.secure);
        assert_eq!(found.user, Some(&b"a;b=c%20d"[..]));
        assert_eq!(found.password, Some(&b"secret"[..]));
        assert_eq!(found.at, HostPort { host: b"[2001:db8::1]", port: Some(5061) });
        assert_eq!(found.param("TRANSPORT").unwrap().value, Some(&b"ws"[..]));
        assert_eq!(found.param("lr").unwrap().value, None);
        assert!(found.param("gr").is_none());
        assert_eq!(found.headers, Some(&b"subject=x&priority=y"[..]));
        assert_eq!(uri("sip:abc.invalid").user, None);
    }

    #[test]
    fn malformed_uris_are_refused() {
        use ValueError::{Host, Scheme, Uri};
        for (text, error) in [
            ("", Uri),
            ("sip:", Uri),
            ("alice@example.com", Uri),
            ("<sip:alice@example.com>", Uri),
            ("tel:+1234", Scheme),
            ("http://example.com", Scheme),
            ("sip:@example.com", Uri),
            ("sip:al ice@example.com", Uri),
            ("sip:al%4@example.com", Uri),
            ("sip:a@b@c", Uri),
            ("sip:alice@", Host),
            ("sip:alice@exa mple.com", Uri),
            ("sip:alice@example.com:", Host),
            ("sip:alice@example.com:65536", Host),
            ("sip:alice@[::1", Host),
            ("sip:alice@example.com/x", Uri),
        ] {
            assert_eq!(SipUri::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    /// RFC 3261 section 10.3, item 5.
    #[test]
    fn spellings_of_one_address_of_record_are_equal() {
        assert_eq!(aor("sip:alice@Example.COM"), "alice@example.com");
        assert_eq!(aor("sips:%61lice@example.com:5061;transport=ws?x=y"), "alice@example.com");
        assert_eq!(aor("sip:Alice@example.com"), "Alice@example.com", "the user is compared with case");
        assert_eq!(aor("sip:example.com"), "@example.com");
    }

    /// The examples of RFC 3261 section 19.1.4, in our own spelling.
    #[test]
    fn equivalence() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=WS", "sip:alice@AtLanTa.CoM;Transport=ws"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            ("sip:bob@b.com;a=1;b=2", "sip:bob@b.com;b=2;a=1"),
        ] {
            assert!(uri(a).is_equivalent(&uri(b)), "{a} {b}");
            assert!(uri(b).is_equivalent(&uri(a)), "{b} {a}");
        }
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM", "sip:alice@atlanta.com"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=ws"),
            ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?subject=x"),
            ("sip:carol@chicago.com;a=1;transport=ws", "sip:carol@chicago.com;a=1"),
        ] {
            assert!(!uri(a).is_equivalent(&uri(b)), "{a} {b}");
            assert!(!uri(b).is_equivalent(&uri(a)), "{b} {a}");
        }
        let many = format!("sip:carol@chicago.com{}", ";x".repeat(33));
        assert!(uri(&many).is_equivalent(&uri(&many)));
        assert!(!uri(&many).is_equivalent(&uri("sip:carol@chicago.com")), "too many to compare");
    }
}
