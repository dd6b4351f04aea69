//! permessage-deflate (RFC 7692) on an open connection. The other side is played with another library.

mod hostile;
mod memory;
mod receiving;
mod sending;

use ws_core::{Config, DeflateConfig, DeflateParams};

use crate::common::{Frame, config};

/// What each message ends with before it is cut off.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Compresses each message, however short.
fn eager() -> Config {
    config(|config| {
        let mut deflate = DeflateConfig::with_context_takeover();
        deflate.min_len = 0;
        config.deflate = Some(deflate);
    })
}

/// Every message for itself, in both directions.
fn no_takeover() -> DeflateParams {
    let mut params = DeflateParams::default();
    params.server_no_context_takeover = true;
    params.client_no_context_takeover = true;
    params
}

/// Marks the first frame of a compressed message.
fn compressed(frame: Frame) -> Frame {
    frame.rsv(4)
}

/// Compresses a message for itself: one final block, and the empty one whose rest is the tail (section 7.2.3.5).
fn by_another(data: &[u8]) -> Vec<u8> {
    let mut payload = miniz_oxide::deflate::compress_to_vec(data, 8);
    payload.push(0);
    payload
}

/// Decompresses payloads one after the other, as with context takeover.
fn decompressed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for payload in payloads {
        stream.extend_from_slice(payload);
        stream.extend_from_slice(&TAIL);
    }
    // An empty final block.
    stream.extend([3, 0]);
    miniz_oxide::inflate::decompress_to_vec(&stream).expect("DEFLATE data")
}
