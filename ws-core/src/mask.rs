//! Masking (RFC 6455, section 5.3): the same operation masks and unmasks.

/// XORs `bytes` in place with `key`, starting with the key's first byte.
///
/// For data that continues a payload, rotate the key first: [`rotate`].
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(key));
    let word = word | word << 32;
    let (blocks, rest) = bytes.as_chunks_mut::<64>();
    for block in blocks {
        xor_words(block, word);
    }
    let (blocks, rest) = rest.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// The same, for payloads too short for wide strides to pay.
#[inline]
pub(crate) fn apply_short(bytes: &mut [u8], key: [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(key));
    let word = word | word << 32;
    let (blocks, rest) = bytes.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[inline]
fn xor_words(block: &mut [u8; 64], word: u64) {
    let (words, _) = block.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
}

/// Returns `key` as it applies after `n` bytes of payload.
#[inline]
#[must_use]
pub const fn rotate(key: [u8; 4], n: usize) -> [u8; 4] {
    // Bit 0 of a little-endian word belongs to the key's first byte, so dropping n bytes is a right rotation.
    let bits = match n % 4 {
        0 => 0,
        1 => 8,
        2 => 16,
        _ => 24,
    };
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}
