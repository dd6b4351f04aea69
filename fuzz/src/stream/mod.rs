//! What the targets share that drive an adapter over a stream which does as a script says.

mod faults;
mod identity;
mod seen;

use core::time::Duration;

use arbitrary::Arbitrary;
use ws_core::{Config, Kind};

pub(crate) use faults::{Fault, Faults};
pub(crate) use identity::Identity;
pub(crate) use seen::Seen;

/// Bytes of a message at most: those of a whole script are fewer than an end of `ws-smol` receives ahead, so that two
/// which only send do not wait for each other.
const MAX_LEN: u16 = 2000;
pub(crate) const MAX_STEPS: usize = 24;

/// The last thing that an application does.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Close,
    /// Starts to close, and reads what still comes.
    StartClose,
    ReadToEnd,
    /// Goes without a word.
    Drop,
}

/// What an application waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doing {
    #[default]
    Opening,
    Reading,
    /// Something that the engines alone bring to an end.
    Working,
    Done,
}

/// Without a deadline that comes.
pub(crate) fn settings() -> Config {
    const NEVER: Duration = Duration::from_secs(1 << 30);
    let mut config = Config::default();
    config.opening_handshake_timeout = None;
    config.message_timeout = None;
    config.close_timeout = NEVER;
    config.max_output_len = 6000;
    config
}

/// Returns the text of a message, or its bytes, that tells its sender, its number and its length.
pub(crate) fn text(side: usize, number: usize, len: u16, kind: Kind) -> String {
    if len == 0 {
        return String::new();
    }
    let word = match kind {
        Kind::Text => format!("{side}/{number} ä€😀 "),
        Kind::Binary => format!("{side}/{number};"),
    };
    word.repeat(usize::from(len % MAX_LEN) / word.len() + 1)
}
