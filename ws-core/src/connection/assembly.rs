use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::utf8::{Incomplete, InvalidUtf8};
use crate::{Kind, Message};

/// Room for a code point that was cut and is put back in front.
const SLACK: usize = 4;

/// A message that is being put together because it does not lie whole in one chunk.
///
/// Holds memory only while a message is under way, and grows with what arrived: its capacity is at most
/// twice the bytes received so far or those plus the chunk that is looked at, and at most the longest message
/// that may come, plus [`SLACK`].
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

    /// Appends `bytes`, unmasked payload; `incomplete` holds the code point that text was cut in. `hint` bytes,
    /// these among them, are known to have been received, and up to `declared` may still belong to the message.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        incomplete: &mut Incomplete,
        hint: usize,
        declared: u64,
    ) -> Result<(), InvalidUtf8> {
        match self {
            Self::Nothing => unreachable!("a message was started"),
            Self::Binary(data) => {
                let more = growth(data.len(), data.capacity(), bytes.len(), hint, declared);
                data.reserve_exact(more);
                data.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                let (point, used) = incomplete.complete(bytes)?;
                let bytes = &bytes[used..];
                let more = growth(text.len(), text.capacity(), bytes.len() + SLACK, hint, declared);
                text.reserve_exact(more);
                text.extend(point);
                if incomplete.is_empty() {
                    text.push_str(incomplete.split(bytes)?);
                }
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

/// Returns how much to reserve beyond `len` when `add` bytes are to be appended: nothing if they fit, else as
/// much as there is already or was received, as far as the peer may still send it.
fn growth(len: usize, capacity: usize, add: usize, hint: usize, declared: u64) -> usize {
    if capacity - len >= add {
        return 0;
    }
    let announced = usize::try_from(declared).unwrap_or(usize::MAX);
    add.max(len.max(hint).min(announced))
}
