//! Flow tokens that only this edge can make (RFC 5626 section 5.2, RFC 3327).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::flow::FlowId;

/// Bytes of the authentication code that a token carries: HMAC-SHA1-80.
const MAC_LEN: usize = 10;
const FLOW_LEN: usize = 8;
/// Characters of a token.
const TOKEN_LEN: usize = (FLOW_LEN + MAC_LEN) * 4 / 3;

/// Makes and reads tokens. The key is drawn when the process starts, since no flow outlives it: a token of an
/// earlier run, of another edge, or of an attacker names no flow.
pub(super) struct Tokens {
    keyed: Hmac<Sha1>,
}

impl Tokens {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        // HMAC takes keys of any length.
        Self { keyed: Hmac::new_from_slice(key).expect("any length will do") }
    }

    pub(super) fn token(&self, flow: FlowId) -> Token {
        let mut bytes = [0; FLOW_LEN + MAC_LEN];
        let (number, mac) = bytes.split_at_mut(FLOW_LEN);
        number.copy_from_slice(&flow.0.to_be_bytes());
        mac.copy_from_slice(&self.mac(number)[..MAC_LEN]);
        let mut token = Token([0; TOKEN_LEN]);
        // The output has just the length of the encoding.
        let _ = URL_SAFE_NO_PAD.encode_slice(bytes, &mut token.0);
        token
    }

    /// Returns the flow that a token names, if it was made with this key.
    pub(super) fn flow(&self, token: &[u8]) -> Option<FlowId> {
        let mut bytes = [0; FLOW_LEN + MAC_LEN];
        if token.len() != TOKEN_LEN || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()? != bytes.len() {
            return None;
        }
        let (number, mac) = bytes.split_at(FLOW_LEN);
        let expected = self.mac(number);
        // In constant time: no byte may be found by trying.
        let differs = mac.iter().zip(expected).fold(0, |differs, (a, b)| differs | (a ^ b));
        (differs == 0).then(|| FlowId(u64::from_be_bytes(number.try_into().unwrap_or_default())))
    }

    fn mac(&self, number: &[u8]) -> [u8; 20] {
        let mut mac = self.keyed.clone();
        mac.update(number);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// A token as it stands in a URI's user part or a Via parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token([u8; TOKEN_LEN]);

impl Token {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_flow_to_its_maker_alone() {
        let (ours, others) = (Tokens::new(&[1; 32]), Tokens::new(&[2; 32]));
        for flow in [0, 1, 0xffff_ffff_0000, u64::MAX].map(FlowId) {
            let token = ours.token(flow);
            assert!(token.as_bytes().iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert_eq!(ours.flow(token.as_bytes()), Some(flow));
            assert_eq!(others.flow(token.as_bytes()), None);
            for at in 0..TOKEN_LEN {
                let mut forged = token;
                forged.0[at] = if forged.0[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(ours.flow(&forged.0), None);
            }
        }
        for other in [&b""[..], b"alice", &[b'A'; TOKEN_LEN], &[b'A'; TOKEN_LEN + 1], &[0xff; TOKEN_LEN]] {
            assert_eq!(ours.flow(other), None);
        }
    }
}
