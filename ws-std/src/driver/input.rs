use core::time::Duration;
use std::io;

use ws_core::Chunk;

use crate::Transport;

/// The read half of the transport: held by the thread that reads.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// The rest of a chunk whose earlier part was handed out.
    rest: Vec<u8>,
    /// How much of `rest` is used up.
    start: usize,
    /// `rest` was not accounted for as an arrival yet.
    fresh: bool,
    /// The peer's stream ended.
    pub(super) eof: bool,
    /// The read timeout that the stream has.
    timeout: Option<Duration>,
    /// The last read filled its buffer, or would have filled a small one: more comes at once.
    pub(super) wide: bool,
    /// The last read waited in vain.
    in_vain: bool,
}

/// What came of an attempt to read.
#[derive(Debug)]
pub(super) enum Received {
    Bytes(usize),
    Eof,
    Nothing,
    Lost(io::Error),
}

impl Input {
    pub(super) fn new(rest: Vec<u8>) -> Self {
        Self { rest, ..Self::default() }
    }

    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Keeps what is left of a chunk. `fresh`: it goes to another reader, for which it is an arrival.
    pub(super) fn keep(&mut self, rest: &[u8], fresh: bool) {
        debug_assert!(self.rest.is_empty());
        self.rest = rest.to_vec();
        self.start = 0;
        self.fresh = fresh;
    }

    /// Takes the rest out, to be given back with [`put_back`](Self::put_back).
    pub(super) fn take_rest(&mut self) -> Rest {
        let rest = core::mem::take(&mut self.rest);
        Rest { bytes: rest, start: core::mem::take(&mut self.start), fresh: core::mem::take(&mut self.fresh) }
    }

    /// Gives the rest back, of which `left` bytes are not used up. `fresh`: it goes to another reader still.
    pub(super) fn put_back(&mut self, rest: Rest, left: usize, fresh: bool) {
        if left > 0 {
            self.start = rest.bytes.len() - left;
            self.fresh = rest.fresh && fresh && self.start == 0;
            self.rest = rest.bytes;
        }
    }

    pub(super) fn into_rest(self) -> Vec<u8> {
        self.rest[self.start..].to_vec()
    }

    /// Reads, waiting no longer than `timeout` and possibly shorter.
    pub(super) fn read(
        &mut self,
        stream: &impl Transport,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> Received {
        if let Err(error) = self.limit(stream, timeout) {
            return Received::Lost(error);
        }
        self.read_ready(stream, buffer)
    }

    /// Reads what is known to be there.
    pub(super) fn read_ready(&mut self, stream: &impl Transport, buffer: &mut [u8]) -> Received {
        self.in_vain = false;
        match stream.read(buffer) {
            Ok(0) => {
                self.eof = true;
                Received::Eof
            }
            Ok(n) => Received::Bytes(n),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.in_vain = true;
                    Received::Nothing
                }
                io::ErrorKind::Interrupted => Received::Nothing,
                _ => Received::Lost(error),
            },
        }
    }

    /// Sets the stream's timeout, unless the one it has serves as well: to wake up early costs a turn of the
    /// loop once, to set it costs a system call per read. So it is set to half the time there is, good for all
    /// reads of the first half, and exactly only after a wait in vain.
    fn limit(&mut self, stream: &impl Transport, timeout: Option<Duration>) -> io::Result<()> {
        let serves = match (self.timeout, timeout) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), None) => !self.in_vain,
            (Some(set), Some(most)) => set <= most && !self.in_vain,
        };
        if serves {
            return Ok(());
        }
        let timeout = timeout.map(|most| {
            let half = if self.in_vain || most < HALVED { most } else { most / 2 };
            half.clamp(SHORTEST, LONGEST)
        });
        if timeout != self.timeout {
            stream.set_read_timeout(timeout)?;
            self.timeout = timeout;
        }
        Ok(())
    }
}

/// The rest of a chunk, taken out of the [`Input`].
#[derive(Debug, Default)]
pub(super) struct Rest {
    bytes: Vec<u8>,
    start: usize,
    fresh: bool,
}

impl Rest {
    pub(super) fn chunk(&mut self) -> Chunk<'_> {
        let end = self.bytes.len();
        if self.fresh {
            Chunk::new(&mut self.bytes)
        } else {
            Chunk::resumed(&mut self.bytes, self.start, end)
        }
    }
}

/// Below that, a deadline is waited for as it is.
const HALVED: Duration = Duration::from_millis(100);
/// Zero would mean for ever, and systems count in milliseconds at best.
const SHORTEST: Duration = Duration::from_millis(1);
/// Longer ones are more than some systems can express.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
