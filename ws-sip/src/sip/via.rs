//! The Via header field (RFC 3261 section 20.42).

use super::error::ValueError;
use super::lex::{self, Params};
use super::uri::HostPort;

/// One Via value.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The transport of the sent-protocol, such as `WS`.
    pub transport: &'a [u8],
    /// Where the sender says it is; browsers invent a `.invalid` name.
    pub sent_by: HostPort<'a>,
    /// `branch`.
    pub branch: Option<&'a [u8]>,
    /// `received`.
    pub received: Option<&'a [u8]>,
    /// `rport`: present and empty in a request, with a value in a response (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// All parameters, those named above included.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element of a Via header field.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let (name, rest) = lex::take_while(lex::trim(value), lex::is_token);
        let (version, rest) = lex::take_while(after_slash(rest)?, lex::is_token);
        let (transport, rest) = lex::take_while(after_slash(rest)?, lex::is_token);
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || transport.is_empty() {
            return Err(ValueError::Protocol);
        }
        if !rest.first().is_some_and(|&byte| lex::is_lws(byte)) {
            return Err(ValueError::Protocol);
        }
        let (sent_by, rest) = HostPort::take(lex::trim_start(rest))?;
        let params = Params::new(rest);
        let mut via = Self { transport, sent_by, branch: None, received: None, rport: None, params };
        for param in params {
            let param = param?;
            if param.is("branch") {
                via.branch = param.value;
            } else if param.is("received") {
                via.received = param.value;
            } else if param.is("rport") {
                let port = param.value.map(|value| {
                    lex::number(value).and_then(|port| u16::try_from(port).ok()).ok_or(ValueError::Number)
                });
                via.rport = Some(port.transpose()?);
            }
        }
        Ok(via)
    }
}

/// SLASH: white space may stand on both sides.
fn after_slash(value: &[u8]) -> Result<&[u8], ValueError> {
    match lex::trim_start(value) {
        [b'/', rest @ ..] => Ok(lex::trim_start(rest)),
        _ => Err(ValueError::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_send() {
        let via = Via::parse(b"SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks").unwrap();
        assert_eq!(via.transport, b"WSS");
        assert_eq!(via.sent_by, HostPort { host: b"df7jal23ls0d.invalid", port: None });
        assert_eq!(via.branch, Some(&b"z9hG4bK56sdasks"[..]));
        assert_eq!(via.rport, None);
    }

    /// RFC 3261 section 20.42 allows white space around each separator.
    #[test]
    fn odd_but_legal_spacing() {
        let via = Via::parse(b"sip / 2.0\r\n /UDP\t [2001:db8::9:1] : 4000 ;ttl=16 ; rport; received = 2001:db8::1\r\n ;branch\t=  x.y").unwrap();
        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.sent_by, HostPort { host: b"[2001:db8::9:1]", port: Some(4000) });
        assert_eq!(via.branch, Some(&b"x.y"[..]));
        assert_eq!(via.received, Some(&b"2001:db8::1"[..]));
        assert_eq!(via.rport, Some(None));
        assert_eq!(Via::parse(b"SIP/2.0/WS a;rport=5060").unwrap().rport, Some(Some(5060)));
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in [
            "",
            "SIP/2.0/WS",
            "SIP/2.0/WSa.invalid:",
            "SIP/2.0 a",
            "SIP/3.0/WS a",
            "HTTP/2.0/WS a",
            "SIP/2.0/WS a:x",
            "SIP/2.0/WS a;rport=70000",
            "SIP/2.0/WS a b",
            "SIP/2.0/WS a;=b",
            "SIP/2.0/WS ;branch=x",
        ] {
            assert!(Via::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
