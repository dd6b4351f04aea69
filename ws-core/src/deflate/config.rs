use core::ops::RangeInclusive;

/// permessage-deflate as one side wants it (RFC 7692, section 7.1). In [`Config::deflate`](crate::Config::deflate).
///
/// # Memory
/// A direction without context takeover borrows its state for each message from a small pool of the thread, and an
/// idle connection holds nothing: the default. With context takeover short messages become much shorter, as each may
/// refer to those before it; from the first compressed message on, the state then stays with the connection:
/// at most 48 KiB to receive, and 160 KiB + 4 * 2^window bits to send, which is 288 KiB with the usual 15. The pool holds
/// as much for at most one state to receive with and two to send with, and 36 KiB of buffers.
///
/// # Secrets
/// Where a message holds a secret next to something that an attacker chooses, its compressed length tells of the
/// secret. Send such messages with [`send_uncompressed`](crate::Connection::send_uncompressed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// How hard to look for repetitions: 1 (fastest) to 9 (shortest). Default 6, zlib's own.
    pub level: u8,
    /// Messages of fewer bytes are sent as they are. Default 128: below, the saving is seldom worth the time.
    pub min_len: usize,
    /// The server compresses each message for itself. Default true; false allows context takeover, unless the peer
    /// wants none.
    pub server_no_context_takeover: bool,
    /// The client compresses each message for itself. Default true; false allows context takeover, unless the peer
    /// wants none.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the window in which the server finds repetitions, 9 to 15. Default 15: 32 KiB.
    pub server_max_window_bits: u8,
    /// The same for the client. Default 15. A client that does not offer `client_max_window_bits` cannot be held to less
    /// than 15.
    pub client_max_window_bits: u8,
}

const WINDOW_BITS: RangeInclusive<u8> = 9..=15;

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            level: 6,
            min_len: 128,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl DeflateConfig {
    /// Returns the default with context takeover in both directions: shorter messages for more memory.
    #[must_use]
    pub fn with_context_takeover() -> Self {
        Self { server_no_context_takeover: false, client_no_context_takeover: false, ..Self::default() }
    }

    /// With windows that there are.
    pub(super) fn clamped(self) -> Self {
        let within = |bits: u8| bits.clamp(*WINDOW_BITS.start(), *WINDOW_BITS.end());
        Self {
            server_max_window_bits: within(self.server_max_window_bits),
            client_max_window_bits: within(self.client_max_window_bits),
            ..self
        }
    }
}
