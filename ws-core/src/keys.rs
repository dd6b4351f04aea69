use alloc::boxed::Box;
use core::fmt;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Where masking keys and handshake nonces come from.
///
/// RFC 6455, section 5.3 asks for keys that nobody can predict, so that a script cannot choose the bytes on
/// the wire. An adapter seeds one source per client connection from the operating system.
pub struct KeySource(Box<Source>);

#[expect(clippy::large_enum_variant, reason = "it lies in a box, and is the large one outside of tests")]
enum Source {
    ChaCha(ChaCha12Rng),
    Counter(u32),
}

impl KeySource {
    /// Returns a cryptographic generator (ChaCha with 12 rounds). The seed must come from the operating
    /// system's generator, and no seed may be used twice.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Box::new(Source::ChaCha(ChaCha12Rng::from_seed(seed))))
    }

    /// Returns a source that just counts, for tests that must repeat. Never use it on a network.
    #[must_use]
    pub fn counter(start: u32) -> Self {
        Self(Box::new(Source::Counter(start)))
    }

    /// Returns the next masking key.
    #[inline]
    pub fn next_key(&mut self) -> [u8; 4] {
        match &mut *self.0 {
            Source::ChaCha(rng) => rng.next_u32().to_ne_bytes(),
            Source::Counter(n) => {
                *n = n.wrapping_add(1);
                n.wrapping_mul(0x9e37_79b1).to_be_bytes()
            }
        }
    }

    /// Returns a nonce for the `Sec-WebSocket-Key` of an opening handshake (section 4.1).
    pub fn next_nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        for part in nonce.chunks_exact_mut(4) {
            part.copy_from_slice(&self.next_key());
        }
        nonce
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.0 {
            Source::ChaCha(_) => "KeySource(ChaCha12)",
            Source::Counter(_) => "KeySource(counter)",
        })
    }
}
