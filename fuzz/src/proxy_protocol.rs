//! The PROXY header: any bytes, cut anywhere.

use ws_core::proxy_protocol::{MAX_LEN, parse};

/// Parses the bytes as they arrive.
///
/// # Panics
/// If more bytes change what was found, or a header is longer than it may be.
pub fn run(bytes: &[u8]) {
    let mut found = None;
    for len in 0..=bytes.len() {
        let parsed = parse(&bytes[..len]);
        if let Some(before) = found {
            assert_eq!(parsed, before, "what was found stays");
        } else if parsed != Ok(None) {
            if let Ok(Some((_, header_len))) = parsed {
                assert_eq!(header_len, len, "found as soon as it is whole");
                assert!(header_len <= MAX_LEN);
            }
            found = Some(parsed);
        } else {
            assert!(len < MAX_LEN, "it is whole or wrong by then");
        }
    }
}
