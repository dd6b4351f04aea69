//! All that the rest knows of the library that compresses: another one goes here.

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{DeflateFlush, Inflate, InflateFlush, Status, Strategy};

/// The smallest window that the library can do.
const LEAST_BITS: u8 = 9;
const LARGEST_BITS: u8 = 15;
/// Out of 9: the highest that costs no more than it saves.
const MEM_LEVEL: i32 = 6;

/// The stream is no DEFLATE data (RFC 1951).
#[derive(Debug)]
pub(super) struct Corrupt;

/// What one call did.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) used: usize,
    pub(super) produced: usize,
    /// The block that came last was marked as the final one.
    pub(super) ended: bool,
}

pub(super) struct Inflater {
    inner: Inflate,
    bits: u8,
}

impl Inflater {
    /// Finds repetitions as far back as `bits` say, or farther.
    pub(super) fn new(bits: u8) -> Self {
        Self { inner: Inflate::new(false, bits.max(LEAST_BITS)), bits }
    }

    pub(super) fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Result<Progress, Corrupt> {
        let (total_in, total_out) = (self.inner.total_in(), self.inner.total_out());
        let status = self.inner.decompress(input, out, InflateFlush::SyncFlush).map_err(|_| Corrupt)?;
        let since = |now: u64, then: u64| usize::try_from(now - then).unwrap_or(usize::MAX);
        Ok(Progress {
            used: since(self.inner.total_in(), total_in),
            produced: since(self.inner.total_out(), total_out),
            ended: status == Status::StreamEnd,
        })
    }

    /// Takes in `tail`, which must end an empty block exactly.
    pub(super) fn end_block(&mut self, tail: &[u8; 4]) -> Result<(), Corrupt> {
        // With one byte more at hand, the library stops before it at the end of a block, and nowhere else.
        let [a, b, c, d] = *tail;
        let (total_in, total_out) = (self.inner.total_in(), self.inner.total_out());
        self.inner.decompress(&[a, b, c, d, 0], &mut [0], InflateFlush::Block).map_err(|_| Corrupt)?;
        let exactly = self.inner.total_in() - total_in == 4 && self.inner.total_out() == total_out;
        if exactly { Ok(()) } else { Err(Corrupt) }
    }

    /// Makes it as new.
    pub(super) fn reset(&mut self) {
        // The library's own reset makes the window the largest.
        if self.bits == LARGEST_BITS {
            self.inner.reset(false);
        } else {
            *self = Self::new(self.bits);
        }
    }
}

pub(super) struct Deflater(zlib_rs::Deflate);

impl Deflater {
    /// Refers back as far as `bits` allow. With 8 it does not at all, as the library has no window that small.
    pub(super) fn new(level: u8, bits: u8) -> Self {
        let mut config = zlib_rs::DeflateConfig::new(i32::from(level.clamp(1, 9)));
        config.window_bits = -i32::from(bits.max(LEAST_BITS));
        config.mem_level = MEM_LEVEL;
        if bits < LEAST_BITS {
            config.strategy = Strategy::HuffmanOnly;
        }
        Self(zlib_rs::Deflate::new_with_config(config))
    }

    /// Appends all of `data` to `out`, compressed, up to a byte boundary: the last four bytes are 00 00 FF FF. Nothing
    /// comes of no data right behind other data.
    pub(super) fn deflate(&mut self, data: &[u8], out: &mut Vec<u8>) {
        const ROOM: usize = 64;
        let mut at = out.len();
        let mut rest = data;
        loop {
            let room = (rest.len() / 2).max(ROOM);
            out.resize(at + room, 0);
            let (total_in, total_out) = (self.0.total_in(), self.0.total_out());
            // Only arguments that do not occur here are refused.
            let status = self.0.compress(rest, &mut out[at..], DeflateFlush::SyncFlush);
            debug_assert!(status.is_ok());
            #[expect(clippy::cast_possible_truncation, reason = "not longer than the slices")]
            let (used, produced) =
                ((self.0.total_in() - total_in) as usize, (self.0.total_out() - total_out) as usize);
            rest = &rest[used..];
            at += produced;
            // With room left over, nothing more is to be written.
            if produced < room {
                break;
            }
        }
        out.truncate(at);
    }

    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}
