//! Masking (RFC 6455, section 5.3): the same operation masks and unmasks.

use alloc::vec::Vec;

/// From this length on, wider vectors gain more than it costs to choose and align them.
const WIDE_LEN: usize = 512;

/// What is copied at a time, a multiple of 4: repeating the key that often costs less than it gains.
const COPY_LEN: usize = 1024;

/// XORs `bytes` in place with `key`, starting with the key's first byte.
///
/// For data that continues a payload, rotate the key first: [`rotate`].
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4]) {
    #[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
    if bytes.len() >= WIDE_LEN {
        return apply_wide(bytes, key);
    }
    apply_blocks::<64>(bytes, key);
}

/// The same by the vectors of AVX2, where the processor has them. Those of AVX-512 are no gain: most of these
/// payloads are in the nearest cache, and short.
#[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
#[inline(never)]
fn apply_wide(bytes: &mut [u8], key: [u8; 4]) {
    use fearless_simd::{Level, Simd};

    /// What a vector has; a store across the border of two cache lines takes twice as long.
    const VECTOR_LEN: usize = 32;
    let Some(avx2) = Level::new().as_avx2() else { return apply_blocks::<64>(bytes, key) };
    let (head, rest) = bytes.split_at_mut(bytes.as_ptr().align_offset(VECTOR_LEN).min(bytes.len()));
    apply_short(head, key);
    let key = rotate(key, head.len());
    avx2.vectorize(
        #[inline(always)]
        || apply_blocks::<128>(rest, key),
    );
}

/// Appends `bytes`, XORed with `key`, to `data`: what is long is read once and written once.
pub(crate) fn append(data: &mut Vec<u8>, bytes: &[u8], key: [u8; 4]) {
    if bytes.len() < WIDE_LEN {
        let len = data.len();
        data.extend_from_slice(bytes);
        return apply_blocks::<64>(&mut data[len..], key);
    }
    #[cfg(all(feature = "std", any(target_arch = "x86", target_arch = "x86_64")))]
    {
        use fearless_simd::{Level, Simd};

        if let Some(avx2) = Level::new().as_avx2() {
            return avx2.vectorize(
                #[inline(always)]
                || append_strides(data, bytes, key),
            );
        }
    }
    append_strides(data, bytes, key);
}

/// The same by pairs of bytes, for which the compiler takes vectors.
#[inline(always)]
fn append_strides(data: &mut Vec<u8>, bytes: &[u8], key: [u8; 4]) {
    let keys = [key; COPY_LEN / 4];
    for stride in bytes.chunks(COPY_LEN) {
        data.extend(stride.iter().zip(keys.as_flattened()).map(|(byte, key)| byte ^ key));
    }
}

/// XORs in place in strides of `N` bytes, a multiple of 16, for which the compiler takes vectors.
#[inline(always)]
fn apply_blocks<const N: usize>(bytes: &mut [u8], key: [u8; 4]) {
    let word = widen(key);
    let (blocks, rest) = bytes.as_chunks_mut::<N>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    let wide = u128::from(word) | u128::from(word) << 64;
    let (blocks, rest) = rest.as_chunks_mut::<16>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    let word = u32::from_ne_bytes(key);
    let (blocks, rest) = rest.as_chunks_mut::<4>();
    for block in blocks {
        *block = (u32::from_ne_bytes(*block) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The same, for payloads too short for wide strides to pay.
#[inline]
pub(crate) fn apply_short(bytes: &mut [u8], key: [u8; 4]) {
    let word = widen(key);
    let (blocks, rest) = bytes.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// The key twice.
#[inline(always)]
const fn widen(key: [u8; 4]) -> u64 {
    let word = u32::from_ne_bytes(key) as u64;
    word | word << 32
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
