//! Tokens and lists of them (RFC 9110, sections 5.6.1 and 5.6.2).

/// Which bytes may stand in a token.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = matches!(
            byte,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
                | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};

/// Returns the length of the token at the start of `bytes`; 0 if there is none.
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(bytes.len())
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

/// Whether the list holds `token`, in any case of letters.
pub(super) fn list_holds(list: &[u8], token: &[u8]) -> bool {
    // Nearly all lists are just the one element.
    list.eq_ignore_ascii_case(token) || elements(list).any(|element| element.eq_ignore_ascii_case(token))
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
    bytes.iter().all(u8::is_ascii_graphic)
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
