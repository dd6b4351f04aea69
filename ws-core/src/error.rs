use core::fmt;

use crate::StatusCode;

/// A rule of RFC 6455, or one of our limits, that the peer broke after the opening handshake.
///
/// The connection fails (section 7.1.7): a Close frame with [`status_code`](Self::status_code) goes out, and
/// what the peer sends from there on is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no agreed extension defines (section 5.2).
    ReservedBits,
    /// An opcode that is not defined: 3-7 or 11-15 (section 5.2).
    ReservedOpcode(u8),
    /// A frame of a client without a mask (section 5.1).
    Unmasked,
    /// A frame of a server with a mask (section 5.1).
    Masked,
    /// A payload length not in its shortest form (section 5.2).
    NonMinimalLength,
    /// A 64-bit payload length with its top bit set (section 5.2).
    LengthTopBit,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame that is not final (section 5.5).
    ControlFragmented,
    /// A continuation frame with no message to continue (section 5.4).
    UnexpectedContinuation,
    /// A text or binary frame inside a fragmented message (section 5.4).
    ExpectedContinuation,
    /// A Close frame of one byte: too short for a status code (section 5.5.1).
    CloseTooShort,
    /// A Close frame with a status code that must not be sent (section 7.4).
    InvalidCloseCode(u16),
    /// The reason of a Close frame is not UTF-8 (section 5.5.1).
    InvalidCloseReason,
    /// A text message is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A compressed message is not DEFLATE data (RFC 7692, section 7.2.2, and RFC 1951).
    InvalidDeflate,
    /// A frame beyond [`max_frame_len`](crate::Config::max_frame_len).
    FrameTooLong,
    /// A message beyond [`max_message_len`](crate::Config::max_message_len).
    MessageTooLong,
    /// A message in more frames than [`max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
    /// A message incomplete after [`max_message_chunks`](crate::Config::max_message_chunks) chunks.
    TooManyChunks,
}

impl ProtocolError {
    /// Returns the status code that the Close frame carries (section 7.4.1).
    #[must_use]
    pub const fn status_code(self) -> StatusCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::Unmasked
            | Self::Masked
            | Self::NonMinimalLength
            | Self::LengthTopBit
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::CloseTooShort
            | Self::InvalidCloseCode(_) => StatusCode::PROTOCOL_ERROR,
            Self::InvalidCloseReason | Self::InvalidUtf8 | Self::InvalidDeflate => {
                StatusCode::INVALID_PAYLOAD
            }
            Self::FrameTooLong | Self::MessageTooLong => StatusCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::TooManyChunks => StatusCode::POLICY_VIOLATION,
        }
    }

    /// Returns a short text for the Close frame's reason and for logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bit set",
            Self::ReservedOpcode(_) => "reserved opcode",
            Self::Unmasked => "frame from a client is not masked",
            Self::Masked => "frame from a server is masked",
            Self::NonMinimalLength => "payload length not minimal",
            Self::LengthTopBit => "payload length has its top bit set",
            Self::ControlTooLong => "control frame longer than 125 bytes",
            Self::ControlFragmented => "control frame is fragmented",
            Self::UnexpectedContinuation => "continuation frame without a message",
            Self::ExpectedContinuation => "data frame inside a fragmented message",
            Self::CloseTooShort => "close frame of one byte",
            Self::InvalidCloseCode(_) => "invalid close code",
            Self::InvalidCloseReason => "close reason is not UTF-8",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::InvalidDeflate => "compressed data is corrupt",
            Self::FrameTooLong => "frame too long",
            Self::MessageTooLong => "message too long",
            Self::TooManyFragments => "message in too many fragments",
            Self::TooManyChunks => "message in too many chunks",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::ReservedOpcode(opcode) => write!(f, " {opcode}"),
            Self::InvalidCloseCode(code) => write!(f, " {code}"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// Why a call that sends something did nothing. Caused by the order or the arguments of calls, never by the
/// peer's bytes; the connection is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake is not done.
    NotOpen,
    /// A Close frame was sent or received, or the connection ended: nothing can be sent any more.
    Closing,
    /// The output would exceed [`max_output_len`](crate::Config::max_output_len): wait until the transport
    /// took some.
    OutputFull,
    /// A message sent in parts is not finished, and only one message can be under way.
    MessageInProgress,
    /// A part of another kind than the message it continues.
    KindMismatch,
    /// A Ping of more than 125 bytes.
    ControlTooLong,
    /// A Close reason of more than 123 bytes.
    ReasonTooLong,
    /// A Close reason, but no status code to put before it (RFC 6455, section 5.5.1).
    ReasonWithoutCode,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "the opening handshake is not done",
            Self::Closing => "the connection is closing or closed",
            Self::OutputFull => "the output queue is full",
            Self::MessageInProgress => "a message in parts is not finished",
            Self::KindMismatch => "the part is of another kind than its message",
            Self::ControlTooLong => "a control frame holds at most 125 bytes",
            Self::ReasonTooLong => "a close reason holds at most 123 bytes",
            Self::ReasonWithoutCode => "a close reason needs a status code",
        })
    }
}

impl core::error::Error for SendError {}

/// A deadline of [`Config`](crate::Config) that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deadline {
    /// `opening_handshake_timeout`.
    OpeningHandshake,
    /// `message_timeout`.
    Message,
    /// `idle_timeout`.
    Idle,
    /// `pong_timeout`: the keepalive Ping was not answered.
    Pong,
    /// `close_timeout`: the peer did not finish the closing handshake.
    ClosingHandshake,
    /// `send_timeout`: the transport accepted nothing.
    Send,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpeningHandshake => "opening handshake timeout",
            Self::Message => "message timeout",
            Self::Idle => "idle timeout",
            Self::Pong => "pong timeout",
            Self::ClosingHandshake => "closing handshake timeout",
            Self::Send => "send timeout",
        })
    }
}

impl core::error::Error for Deadline {}
