//! The codec alone: headers, masks and text.

use ws_core::frame::{Header, MAX_HEADER_LEN};
use ws_core::utf8::Incomplete;
use ws_core::{ProtocolError, mask, utf8};

/// Reads `bytes` as a header, a masked payload and text, in all the ways that must agree.
///
/// # Panics
/// If they do not.
pub fn run(bytes: &[u8]) {
    header(bytes);
    masking(bytes);
    text(bytes);
}

fn header(bytes: &[u8]) {
    for lenient in [false, true] {
        let start = &bytes[..bytes.len().min(MAX_HEADER_LEN)];
        let mut before = Ok(None);
        for end in 0..=start.len() {
            let now = Header::parse_with(&start[..end], lenient);
            assert!(before == Ok(None) || before == now, "more bytes change what is known");
            before = now;
        }
        assert_eq!(before, Header::parse_with(bytes, lenient));
        match before {
            Ok(Some((header, len))) => {
                let (written, written_len) = header.write();
                assert!(written_len <= len && (lenient || written[..written_len] == bytes[..len]));
                assert_eq!(Header::parse(&written), Ok(Some((header, written_len))));
            }
            Ok(None) => assert!(bytes.len() < MAX_HEADER_LEN),
            Err(error) => assert!(!lenient || error != ProtocolError::NonMinimalLength),
        }
    }
}

fn masking(bytes: &[u8]) {
    let Some((key, bytes)) = bytes.split_first_chunk() else { return };
    let naive: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let mut masked = bytes.to_vec();
    mask::apply(&mut masked, *key);
    assert_eq!(masked, naive);
    let at = usize::from(key[0]).min(bytes.len());
    let mut masked = bytes.to_vec();
    mask::apply(&mut masked[..at], *key);
    mask::apply(&mut masked[at..], mask::rotate(*key, at));
    assert_eq!(masked, naive);
}

fn text(bytes: &[u8]) {
    assert_eq!(utf8::validate(bytes).ok(), core::str::from_utf8(bytes).ok());
    let step = 1 + usize::from(bytes.first().copied().unwrap_or(0) % 7);
    let mut incomplete = Incomplete::default();
    let (mut text, mut at) = (String::new(), 0);
    for piece in bytes.chunks(step) {
        at += piece.len();
        let seen = &bytes[..at];
        let valid = core::str::from_utf8(seen).map_or_else(|error| error.valid_up_to(), str::len);
        let is_bad = core::str::from_utf8(seen).is_err_and(|error| error.error_len().is_some());
        let Ok((point, used)) = incomplete.complete(piece) else {
            assert!(is_bad);
            return;
        };
        text.extend(point);
        if incomplete.is_empty() {
            let Ok(more) = incomplete.split(&piece[used..]) else {
                assert!(is_bad);
                return;
            };
            text.push_str(more);
        }
        assert!(!is_bad, "a bad byte is told at once");
        assert_eq!(text.as_bytes(), &bytes[..valid]);
    }
}
