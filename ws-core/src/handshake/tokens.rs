//! Tokens and lists of them (RFC 9110, sections 5.6.1 and 5.6.2).

const TOKEN: u8 = 1;
const HOST: u8 = 2;
const BASE64: u8 = 4;

/// Which classes each byte is in.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            table[byte as usize] |= TOKEN;
        }
        if alphanumeric
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
                    | b'%'
                    | b':'
                    | b'['
                    | b']'
            )
        {
            table[byte as usize] |= HOST;
        }
        if alphanumeric || matches!(byte, b'+' | b'/') {
            table[byte as usize] |= BASE64;
        }
        byte += 1;
    }
    table
};

#[inline]
fn is_in(class: u8, byte: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Whether a value has only characters that a host and port are made of (RFC 3986, section 3.2.2), and some.
pub(super) fn is_host(value: &[u8]) -> bool {
    !value.is_empty() && all_in(HOST, value)
}

/// Whether all bytes are digits of base64 (RFC 4648, section 4).
pub(super) fn is_base64(digits: &[u8]) -> bool {
    all_in(BASE64, digits)
}

/// Whether all bytes are of the class: looks at each, as most values are what they should be.
#[inline]
fn all_in(class: u8, bytes: &[u8]) -> bool {
    bytes.iter().fold(class, |common, &byte| common & CLASSES[usize::from(byte)]) != 0
}

/// Returns the length of the token at the start of `bytes`; 0 if there is none.
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    // Four at a time, as most names are longer and all names are read.
    let (fours, rest) = bytes.as_chunks::<4>();
    let mut len = 0;
    for four in fours {
        if !(is_in(TOKEN, four[0]) && is_in(TOKEN, four[1])) {
            return len + usize::from(is_in(TOKEN, four[0]));
        }
        if !(is_in(TOKEN, four[2]) && is_in(TOKEN, four[3])) {
            return len + 2 + usize::from(is_in(TOKEN, four[2]));
        }
        len += 4;
    }
    len + rest.iter().take_while(|&&byte| is_in(TOKEN, byte)).count()
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_len(bytes) == bytes.len()
}

/// Returns the elements of a comma-separated list, without the whitespace around them. Empty elements, which
/// a recipient has to ignore, are left out. No element of a list of tokens can hold a comma, so that quoting
/// need not be known here.
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether the list holds a token, in any case of letters; see [`is`].
#[inline]
pub(super) fn list_holds<const N: usize>(list: &[u8], token: &[u8; N]) -> bool {
    // Nearly all lists are just the one element.
    is(list, token) || elements(list).any(|element| is(element, token))
}

/// Whether a text without control characters is this token, in any case of letters. The token is written in
/// lower case and made of letters, digits and hyphens, which no other byte but a control character turns into
/// when its bit 5 is set. One comparison in wide steps, since the length is known when this is compiled.
#[inline]
pub(super) fn is<const N: usize>(text: &[u8], token: &[u8; N]) -> bool {
    let Ok(text) = <&[u8; N]>::try_from(text) else { return false };
    text.iter().zip(token).fold(0, |differing, (byte, own)| differing | ((byte | 0x20) ^ own)) == 0
}

/// Strips optional whitespace: spaces and tabs.
#[inline]
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether all bytes are visible ASCII: no control character, no space, nothing beyond.
pub(super) fn is_visible(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// Whether a byte can stand in neither a field value nor a reason phrase: a control character but the tab.
#[inline]
pub(super) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_element_by_element() {
        assert!(list_holds(b"websocket", b"websocket"));
        assert!(list_holds(b"keep-alive ,\t Upgrade", b"upgrade"));
        assert!(list_holds(b",, ,WebSocket,", b"websocket"));
        for list in
            [&b"websocketx"[..], b"xwebsocket", b"web socket", b"websocket/13", b"\"websocket\"", b"", b","]
        {
            assert!(!list_holds(list, b"websocket"), "{list:?}");
        }
    }

    #[test]
    fn tokens_are_those_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(is_token(&[byte]), expected, "{byte}");
        }
        assert!(!is_token(b""));
        assert_eq!(token_len(b"Host: x"), 4);
    }
}
