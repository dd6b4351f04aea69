//! permessage-deflate (RFC 7692): what two endpoints agree on, and the compression of their messages.
//!
//! Nothing here is part of a connection that did not agree on it, but for one empty pointer.

mod codec;
mod config;
mod inflow;
mod outflow;
mod params;
pub(crate) mod spare;

pub use config::DeflateConfig;
pub use params::DeflateParams;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{ProtocolError, Role};
use inflow::Inflow;
use outflow::Outflow;

/// The four bytes that each message ends with, and that are left out on the wire (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The base-2 logarithm of the largest window there is.
const LARGEST_BITS: u8 = 15;

/// What a connection that agreed on permessage-deflate keeps: both directions, each without memory until the first
/// compressed message.
#[derive(Debug)]
pub(crate) struct Deflate {
    inflow: Inflow,
    outflow: Outflow,
}

impl Deflate {
    pub(crate) fn new(role: Role, params: DeflateParams) -> Box<Self> {
        let server = (params.server_max_window_bits, !params.server_no_context_takeover);
        let client = (params.client_max_window_bits, !params.client_no_context_takeover);
        let ((own_bits, own_takeover), (peer_bits, peer_takeover)) = match role {
            Role::Server => (server, client),
            Role::Client => (client, server),
        };
        Box::new(Self {
            inflow: Inflow::new(peer_bits, peer_takeover),
            outflow: Outflow::new(own_bits, own_takeover),
        })
    }

    /// Decompresses some of `input` into `out` and returns how much of each was used; `out` full: there may be more.
    pub(crate) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        max_message_len: usize,
    ) -> Result<(usize, usize), ProtocolError> {
        self.inflow.inflate(input, out, max_message_len)
    }

    /// Decompresses the end of a message as [`inflate`](Self::inflate) does its payload; `true`: that was all.
    pub(crate) fn inflate_tail(
        &mut self,
        out: &mut [u8],
        max_message_len: usize,
    ) -> Result<(usize, bool), ProtocolError> {
        self.inflow.inflate_tail(out, max_message_len)
    }

    /// Whether the last call filled its `out`, so that there may be more without further input.
    pub(crate) const fn is_more(&self) -> bool {
        self.inflow.is_more()
    }

    /// Returns how many bytes of the message that is received came out.
    pub(crate) const fn produced(&self) -> usize {
        self.inflow.produced()
    }

    /// Ends a message that was received.
    pub(crate) fn end_received(&mut self) {
        self.inflow.end_message();
    }

    /// Compresses a part of a message; `last` ends it.
    pub(crate) fn deflate(&mut self, level: u8, data: &[u8], last: bool) -> Vec<u8> {
        self.outflow.deflate(level, data, last)
    }

    /// Whether what needs a window of so many bits may be sent.
    pub(crate) const fn can_send(&self, bits: u8) -> bool {
        bits <= self.outflow.bits()
    }

    /// Has the next message that is sent refer to nothing before it, since the peer's window has something else in it.
    pub(crate) fn forget_sent(&mut self) {
        self.outflow.forget();
    }

    /// Gives up what only receiving needs.
    pub(crate) fn stop_receiving(&mut self) {
        self.inflow.stop();
    }
}

/// Compresses a message for itself.
pub(crate) fn deflate_alone(level: u8, data: &[u8]) -> Vec<u8> {
    Outflow::new(LARGEST_BITS, false).deflate(level, data, true)
}

/// Returns the least window in which nothing of a message of so many bytes is out of reach.
pub(crate) const fn window_for(len: usize) -> u8 {
    let mut bits = 9;
    while bits < LARGEST_BITS && len > 1 << bits {
        bits += 1;
    }
    bits
}

/// Returns the most bytes that `len` may be compressed to: a compressor that knows no better spends 9 bits on a byte.
pub(crate) const fn max_deflated_len(len: usize) -> usize {
    len.saturating_add(len / 8).saturating_add(64)
}

impl From<codec::Corrupt> for ProtocolError {
    fn from(_: codec::Corrupt) -> Self {
        Self::InvalidDeflate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_least_that_reaches_all_of_a_message() {
        let windows =
            [0, 512, 513, 1 << 14, (1 << 14) + 1, 1 << 15, (1 << 15) + 1, usize::MAX].map(window_for);
        assert_eq!(windows, [9, 9, 10, 14, 15, 15, 15, 15]);
    }
}
