//! The server half of an opening handshake, just enough to answer a client contestant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// A browser's request; the key is the example of RFC 6455 section 1.3.
pub const REQUEST: &[u8] = b"GET /sip HTTP/1.1\r\n\
Host: sip.example.org:8080\r\n\
Connection: Upgrade\r\n\
Pragma: no-cache\r\n\
Cache-Control: no-cache\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Upgrade: websocket\r\n\
Origin: http://sip.example.org:8080\r\n\
Sec-WebSocket-Version: 13\r\n\
Accept-Encoding: gzip, deflate\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
\r\n";

/// The shortest request a client may send.
pub const SHORT_REQUEST: &[u8] = b"GET /sip HTTP/1.1\r\n\
Host: sip.example.org:8080\r\n\
Upgrade: websocket\r\n\
Connection: Upgrade\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
Sec-WebSocket-Version: 13\r\n\
\r\n";

const KEY_NAME: &[u8] = b"Sec-WebSocket-Key: ";

/// Writes the 101 that answers `request` to `response`.
///
/// # Panics
/// If the request has no key: then a contestant did not do its work.
pub fn answer(request: &[u8], response: &mut Vec<u8>) {
    let key = memchr::memmem::find(request, KEY_NAME)
        .and_then(|at| request[at + KEY_NAME.len()..].first_chunk::<24>())
        .expect("a client's request has a key");
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    response.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters");
    response.extend_from_slice(&accept);
    response.extend_from_slice(b"\r\nServer: example\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\n\r\n");
}
