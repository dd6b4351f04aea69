//! The opening handshakes (RFC 6455, section 4) of both roles, usable without the frames that follow.

mod body;
mod check;
mod client;
#[cfg(feature = "deflate")]
mod deflate;
mod extensions;
mod fields;
mod head;
mod line;
mod opened;
mod origin;
mod proxy;
mod request;
mod response;
mod server;
mod server_config;
mod socks5;
mod tokens;
mod url;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

pub use check::RequestError;
pub use client::{ClientHandshake, ResponseError, ResponseFault};
pub use extensions::Extension;
pub use fields::{HeaderError, Headers};
pub use head::HeadError;
pub use opened::Opened;
pub use origin::{Origin, OriginError, OriginPolicy};
pub use proxy::{Proxy, ProxyError, ProxyHandshake};
pub use request::Request;
pub use response::{Response, ResponseHead};
pub use server::ServerHandshake;
pub use server_config::{Accept, AnswerError, ServerConfig, Subprotocol};
pub use url::{ClientRequest, ClientRequestError};

/// The length of a `Sec-WebSocket-Key`: 16 bytes in base64.
const KEY_LEN: usize = 24;
/// The length of a `Sec-WebSocket-Accept`: a SHA-1 digest in base64.
const ACCEPT_LEN: usize = 28;
/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the `Sec-WebSocket-Accept` that proves that `key` was read (section 4.2.2, step 5.4).
fn accept_for(key: &[u8; KEY_LEN]) -> [u8; ACCEPT_LEN] {
    let mut sha = Sha1::new();
    sha.update(key);
    sha.update(GUID);
    let mut accept = [0; ACCEPT_LEN];
    encode(&sha.finalize(), &mut accept);
    accept
}

/// Returns `bytes` in base64.
fn encoded(bytes: &[u8]) -> alloc::string::String {
    STANDARD.encode(bytes)
}

/// Writes `bytes` in base64 into `out`, which has exactly the length they take.
fn encode(bytes: &[u8], out: &mut [u8]) {
    let written = STANDARD.encode_slice(bytes, out);
    debug_assert!(written.is_ok());
}

/// Whether `key` is base64 of 16 bytes. The last character before the padding carries four bits that mean
/// nothing; whatever they are is accepted, since clients exist that leave them set.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_at_checked(KEY_LEN - 2) else { return false };
    tokens::is_base64(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, section 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(&accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_base64_of_16_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(is_key(b"+/hlIHNhbXBsZSBub25jZf=="), "stray low bits");
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25j-Q==",
            "dGhlIHNhbXBsZSBub25j_Q==",
            "dGhl HNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert!(!is_key(bad.as_bytes()), "{bad}");
        }
    }
}
