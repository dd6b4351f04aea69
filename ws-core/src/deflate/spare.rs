//! A few states that are between two messages, kept by each thread: to make one costs as much as to compress several
//! kilobytes. And the buffers to decompress with, which nobody needs between two calls.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use std::thread_local;

use super::codec::{Deflater, Inflater};

/// How many deflaters of other settings are kept.
const MAX_DEFLATERS: usize = 2;

/// All that are kept decompress the largest window.
pub(super) const INFLATER_BITS: u8 = 15;

/// How much payload goes in at once, in bytes: it is unmasked on the way.
const IN_LEN: usize = 4096;
/// How much comes out at once, in bytes. The less it is, the more the library copies aside, as it cannot look back in what
/// it wrote; what is more than the nearest cache holds gains nothing.
const OUT_LEN: usize = 32 << 10;

/// Buffers for one step of decompressing.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    /// Returns them: for what goes in, and for what comes out.
    pub(crate) fn buffers(&mut self) -> (&mut [u8], &mut [u8]) {
        self.0.split_at_mut(IN_LEN)
    }
}

#[derive(Default)]
struct Spare {
    scratch: Option<Scratch>,
    inflater: Option<Inflater>,
    deflaters: Vec<((u8, u8), Deflater)>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// Calls `act` unless the thread is ending.
fn with<T>(act: impl FnOnce(&mut Spare) -> T) -> Option<T> {
    SPARE.try_with(|spare| spare.try_borrow_mut().ok().map(|mut spare| act(&mut spare))).ok().flatten()
}

pub(crate) fn take_scratch() -> Scratch {
    let kept = with(|spare| spare.scratch.take()).flatten();
    kept.unwrap_or_else(|| Scratch(vec![0; IN_LEN + OUT_LEN].into_boxed_slice()))
}

pub(crate) fn give_scratch(scratch: Scratch) {
    with(|spare| spare.scratch = Some(scratch));
}

pub(super) fn take_inflater() -> Inflater {
    with(|spare| spare.inflater.take()).flatten().unwrap_or_else(|| Inflater::new(INFLATER_BITS))
}

pub(super) fn give_inflater(mut inflater: Inflater) {
    inflater.reset();
    with(|spare| spare.inflater = Some(inflater));
}

pub(super) fn take_deflater(level: u8, bits: u8) -> Deflater {
    let kept = with(|spare| {
        let at = spare.deflaters.iter().position(|(kind, _)| *kind == (level, bits))?;
        Some(spare.deflaters.swap_remove(at).1)
    });
    kept.flatten().unwrap_or_else(|| Deflater::new(level, bits))
}

pub(super) fn give_deflater(level: u8, bits: u8, mut deflater: Deflater) {
    deflater.reset();
    with(|spare| {
        if spare.deflaters.len() == MAX_DEFLATERS {
            spare.deflaters.remove(0);
        }
        spare.deflaters.push(((level, bits), deflater));
    });
}
