use core::num::NonZeroU32;
use core::time::Duration;

/// Which half of the connection an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opened the connection; masks what it sends.
    Client,
    /// Accepted the connection; sends unmasked and closes the TCP connection first.
    Server,
}

/// How messages are handed to the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Each message whole, in one [`Event::Message`](crate::Event::Message).
    #[default]
    Messages,
    /// Payload data as it arrives, in [`Event::Part`](crate::Event::Part)s: for messages too large to hold.
    Parts,
}

/// Limits, deadlines and leniencies of one connection.
///
/// Share one value among any number of connections through an `Arc`. Build it from the default:
///
/// ```
/// use core::time::Duration;
/// let mut config = ws_core::Config::default();
/// config.max_message_len = 64 * 1024;
/// config.ping_interval = Some(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Payload bytes of one message, all its fragments together. Default 16 MiB: room for most uses, and
    /// a bound for the rest. Beyond: 1009. Checked against the declared length, before the payload arrives; of a
    /// compressed message each piece that comes out, and the declared length with an eighth and 64 bytes more allowed.
    pub max_message_len: usize,
    /// Payload bytes of one data frame, or `None` (the default) for as many as the message may have.
    /// Beyond: 1009, from the header alone.
    pub max_frame_len: Option<usize>,
    /// Frames of one message, empty ones included; 0 is taken as 1. Default 4,096. Beyond: 1008.
    pub max_fragments: u32,
    /// Chunks (arrivals from the transport) in which one message, or the head of the opening handshake,
    /// may come; `None` (the default) for any number. A message that is incomplete after so many chunks
    /// fails the connection with 1008, a head is answered 400.
    pub max_message_chunks: Option<NonZeroU32>,
    /// Chunks of at least so many bytes are not counted by `max_message_chunks`; `None` (the default) counts
    /// all. Set to a TCP segment's usual size it spares honest large messages and still stops dribbled ones.
    pub counted_chunk_len: Option<usize>,
    /// Bytes of an HTTP head, the final empty line included. Default 16 KiB. Beyond: 431, or 414 if the
    /// request target alone is too long.
    pub max_head_len: usize,
    /// Header fields of an HTTP head. Default 100. Beyond: 431.
    pub max_headers: usize,
    /// From the start to the end of the opening handshake. Default 10 s. A server answers 408.
    pub opening_handshake_timeout: Option<Duration>,
    /// From the first to the last byte of a message. Default 60 s; absolute, so that a peer which sends
    /// one byte now and then gains nothing. Beyond: 1008.
    pub message_timeout: Option<Duration>,
    /// Without a byte received. Default `None`. Beyond: 1001.
    pub idle_timeout: Option<Duration>,
    /// From a Pong, or the start, to the next keepalive Ping. Default `None`: no keepalive.
    pub ping_interval: Option<Duration>,
    /// From a keepalive Ping to its Pong. Default 20 s. Beyond, the connection counts as lost.
    pub pong_timeout: Duration,
    /// From our Close frame, or from failing the connection, to the end of the TCP connection. Default 5 s.
    pub close_timeout: Duration,
    /// While output is pending, without a byte accepted by the transport. Default `None`. Beyond, the
    /// connection counts as lost.
    pub send_timeout: Option<Duration>,
    /// Bytes queued for sending and not yet taken by the transport. Default 16 MiB. A send call whose payload would exceed it
    /// is refused; its header, of 14 bytes at most, does not count before it is queued, so that a message of this length can
    /// be sent when nothing waits. The Pongs, keepalive Pings and Close frames of the engine still fit. A payload that is
    /// compressed on the way counts before, in full; one that cannot be compressed takes up to an eighth more, and 64 bytes.
    pub max_output_len: usize,
    /// As a server, accept frames without a mask. Default false: 1002 (RFC 6455, section 5.1).
    pub accept_unmasked: bool,
    /// Accept payload lengths that are not in their shortest form. Default false: 1002 (section 5.2).
    pub accept_non_minimal_lengths: bool,
    /// Whole messages (the default) or parts as they arrive.
    pub delivery: Delivery,
    /// Whether Pings and Pongs of the peer are reported as events. Default true. They are answered and
    /// matched either way.
    pub control_events: bool,
    /// permessage-deflate (RFC 7692): what a server accepts and a client offers. Default `None`: messages are not
    /// compressed, and offers are declined. Changed on an open connection, it says how messages are compressed from
    /// then on, and `None` that they are not.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::DeflateConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message_len: 16 << 20,
            max_frame_len: None,
            max_fragments: 4096,
            max_message_chunks: None,
            counted_chunk_len: None,
            max_head_len: 16 << 10,
            max_headers: 100,
            opening_handshake_timeout: Some(Duration::from_secs(10)),
            message_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            ping_interval: None,
            pong_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            send_timeout: None,
            max_output_len: 16 << 20,
            accept_unmasked: false,
            accept_non_minimal_lengths: false,
            delivery: Delivery::Messages,
            control_events: true,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }
}
