use alloc::string::String;
use alloc::vec::Vec;

use super::tokens::{is_token, token_len, trim};

/// An extension that a peer names in `Sec-WebSocket-Extensions`, with its parameters (RFC 6455, section 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Extension {
    /// The registered name, such as `permessage-deflate`.
    pub name: String,
    /// Names of parameters, and values where there are any, without their quotes.
    pub params: Vec<(String, Option<String>)>,
}

/// Parses the value of one header field, adding to `into` in order. Elements that are malformed are left out,
/// which declines them: reading goes on after the next comma that is not quoted. Returns whether all were well formed.
pub(super) fn parse(mut value: &[u8], into: &mut Vec<Extension>) -> bool {
    let mut good = true;
    loop {
        let (element, rest) = split_unquoted(value, b',');
        match parse_one(element) {
            Some(extension) => into.push(extension),
            // Empty elements of a list mean nothing (RFC 9110, section 5.6.1).
            None => good &= trim(element).is_empty(),
        }
        let Some(rest) = rest else { return good };
        value = rest;
    }
}

fn parse_one(element: &[u8]) -> Option<Extension> {
    let (name, mut rest) = split_unquoted(element, b';');
    let mut extension = Extension { name: token(trim(name))?, params: Vec::new() };
    while let Some(params) = rest {
        let (param, after) = split_unquoted(params, b';');
        rest = after;
        let param = trim(param);
        let len = token_len(param);
        let name = token(&param[..len])?;
        let value = match trim(&param[len..]) {
            [] => None,
            [b'=', value @ ..] => Some(param_value(trim(value))?),
            _ => return None,
        };
        extension.params.push((name, value));
    }
    Some(extension)
}

/// A token, or a quoted string whose content, unescaped, is a token (section 9.1).
fn param_value(value: &[u8]) -> Option<String> {
    let Some(quoted) = value.strip_prefix(b"\"") else { return token(value) };
    let mut content = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => content.push(*bytes.next()?),
            &byte => content.push(byte),
        }
    }
    if bytes.next().is_some() {
        return None;
    }
    token(&content)
}

fn token(bytes: &[u8]) -> Option<String> {
    if !is_token(bytes) {
        return None;
    }
    core::str::from_utf8(bytes).ok().map(String::from)
}

/// Splits at the first `separator` outside of quotes.
fn split_unquoted(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => return (&bytes[..at], Some(&bytes[at + 1..])),
            _ => {}
        }
    }
    (bytes, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each extension in a line of its own form: `name;param=value`.
    fn parsed(value: &str) -> Vec<String> {
        let mut extensions = Vec::new();
        parse(value.as_bytes(), &mut extensions);
        let show = |extension: &Extension| {
            extension.params.iter().fold(extension.name.clone(), |text, (name, value)| match value {
                Some(value) => text + ";" + name + "=" + value,
                None => text + ";" + name,
            })
        };
        extensions.iter().map(show).collect()
    }

    #[test]
    fn offers() {
        assert_eq!(
            parsed("permessage-deflate; client_max_window_bits , foo;a = \"b\\c\" ;d=e,permessage-deflate"),
            ["permessage-deflate;client_max_window_bits", "foo;a=bc;d=e", "permessage-deflate"]
        );
        assert_eq!(parsed(""), [""; 0]);
        assert_eq!(parsed(", ,x"), ["x"]);
    }

    #[test]
    fn a_malformed_offer_is_left_out_alone() {
        for bad in [
            "a b",
            "a;",
            "a;;b",
            "a;=b",
            "a;b=",
            "a;b=c d",
            "a;b=\"c",
            "a;b=\"c\"d",
            "a;b=\"c d\"",
            ";a",
            "a;b c=d",
            "a;b=\"\"",
        ] {
            assert_eq!(parsed(bad), [""; 0], "{bad}");
        }
        assert_eq!(parsed("a;b=\"x,y\",good"), ["good"]);
        assert_eq!(parsed("a b, good"), ["good"]);
    }
}
