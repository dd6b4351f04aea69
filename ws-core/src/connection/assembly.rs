use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::utf8::{Incomplete, InvalidUtf8};
use crate::{Kind, Message};

/// Room for a code point that was cut and is put back in front.
const SLACK: usize = 4;

/// What the first bytes of a message get, if it announced as much: to grow a short message twice or three times costs
/// more than all the rest that is done with it.
const LEAST: usize = 1024;

/// A message that is being put together because it does not lie whole in one chunk.
///
/// Holds memory only while a message is under way, and grows with what arrived: its capacity is at most
/// twice the bytes received so far, or those plus the chunk that is looked at, or [`LEAST`]; and at most the longest
/// message that may come, plus [`SLACK`].
#[derive(Debug, Default)]
pub(super) enum Assembly {
    #[default]
    Nothing,
    Text(String),
    Binary(Vec<u8>),
}

impl Assembly {
    /// Starts a message.
    pub(super) fn start(&mut self, kind: Kind) {
        debug_assert!(matches!(self, Self::Nothing));
        *self = match kind {
            Kind::Text => Self::Text(String::new()),
            Kind::Binary => Self::Binary(Vec::new()),
        };
    }

    /// Makes room for `add` bytes that are about to be pushed. `hint` bytes, these among them, are known to have
    /// been received, and up to `declared` may still belong to the message.
    #[inline]
    pub(super) fn reserve(&mut self, add: usize, hint: usize, declared: u64) {
        match self {
            Self::Nothing => {}
            Self::Binary(data) => {
                if data.capacity() - data.len() < add {
                    data.reserve_exact(growth(data.len(), add, hint, declared));
                }
            }
            Self::Text(text) => {
                if text.capacity() - text.len() < add + SLACK {
                    text.reserve_exact(growth(
                        text.len(),
                        add + SLACK,
                        hint,
                        declared.saturating_add(SLACK as u64),
                    ));
                }
            }
        }
    }

    /// Does the same as [`push`](Self::push), elsewhere than where it pays to have it in line.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    pub(super) fn push_inflated(
        &mut self,
        bytes: &[u8],
        incomplete: &mut Incomplete,
    ) -> Result<(), InvalidUtf8> {
        self.push(bytes, incomplete)
    }

    /// Appends `bytes`, unmasked payload; `incomplete` holds the code point that text was cut in.
    #[inline(always)]
    pub(super) fn push(&mut self, bytes: &[u8], incomplete: &mut Incomplete) -> Result<(), InvalidUtf8> {
        match self {
            Self::Nothing => unreachable!("a message was started"),
            Self::Binary(data) => data.extend_from_slice(bytes),
            Self::Text(text) => {
                let mut bytes = bytes;
                if !incomplete.is_empty() {
                    let (point, used) = incomplete.complete(bytes)?;
                    let Some(point) = point else { return Ok(()) };
                    text.push(point);
                    bytes = &bytes[used..];
                }
                text.push_str(incomplete.split(bytes)?);
            }
        }
        Ok(())
    }

    /// Ends the message and hands it out.
    pub(super) fn finish(&mut self) -> Message<'static> {
        match mem::take(self) {
            Self::Nothing => unreachable!("a message was started"),
            Self::Text(text) => Message::Text(Cow::Owned(text)),
            Self::Binary(data) => Message::Binary(Cow::Owned(data)),
        }
    }
}

/// Returns how much to reserve beyond `len` for `add` bytes: all that the peer may still send, if what was received is at
/// least half of it all; else as much as there is already or was received.
#[cold]
fn growth(len: usize, add: usize, hint: usize, declared: u64) -> usize {
    let announced = usize::try_from(declared).unwrap_or(usize::MAX);
    let least = LEAST.saturating_sub(len);
    let received = len.saturating_add(hint);
    if announced <= received.saturating_add(hint) {
        return add.max(announced);
    }
    add.max(len.max(hint).max(least).min(announced))
}
