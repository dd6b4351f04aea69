//! The frame header (RFC 6455, section 5.2), usable alone: pure functions between bytes and values.

use crate::ProtocolError;

/// The longest header: 2 bytes, a 64-bit length and a masking key.
pub const MAX_HEADER_LEN: usize = 14;
/// The longest payload of a control frame (section 5.5).
pub const MAX_CONTROL_LEN: usize = 125;

pub(crate) const FIN: u8 = 0x80;
/// The 7-bit length that says that 16 bits of length follow.
pub(crate) const EXTENDED: u8 = 126;
const RSV: u8 = 0x70;
const RSV1: u8 = 0x40;
pub(crate) const MASK: u8 = 0x80;
/// RSV1 in a [`Header`], which says that the message is compressed (RFC 7692, section 6).
#[cfg(feature = "deflate")]
pub(crate) const COMPRESSED: u8 = RSV1 >> 4;

/// What a frame is (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with the message before.
    Continuation = 0,
    /// Starts a text message.
    Text = 1,
    /// Starts a binary message.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// Asks for a Pong.
    Ping = 9,
    /// Answers a Ping, or stands alone.
    Pong = 10,
}

impl Opcode {
    /// Returns the opcode of four bits, or `None` for those that are reserved.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Returns whether this is a control frame's: Close, Ping or Pong.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// FIN: the last frame of its message.
    pub fin: bool,
    /// RSV1 to RSV3 in the lowest three bits: 4 is RSV1, which permessage-deflate uses.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, if MASK is set.
    pub key: Option<[u8; 4]>,
    /// The payload's length in bytes, below 2^63.
    pub len: u64,
}

impl Header {
    /// Parses the header at the start of `bytes`: the header and its own length, or `None` if it is incomplete.
    ///
    /// Checks what can be seen in a header alone: opcode, control frame rules, the length's form. Each fault
    /// is reported as soon as its byte is there.
    ///
    /// # Errors
    /// The rule that is broken.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        Self::parse_with(bytes, false)
    }

    /// Parses as [`parse`](Self::parse) does and accepts, if `non_minimal`, lengths not in their shortest form.
    ///
    /// # Errors
    /// The rule that is broken.
    #[inline]
    pub fn parse_with(bytes: &[u8], non_minimal: bool) -> Result<Option<(Self, usize)>, ProtocolError> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let Some(opcode) = Opcode::new(first & 0xf) else {
            return Err(ProtocolError::ReservedOpcode(first & 0xf));
        };
        if opcode.is_control() {
            if first & FIN == 0 {
                return Err(ProtocolError::ControlFragmented);
            }
            if second & !MASK > 125 {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        let (len, rest) = match second & !MASK {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from(u16::from_be_bytes(*len));
                if len < 126 && !non_minimal {
                    return Err(ProtocolError::NonMinimalLength);
                }
                (len, rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let len = u64::from_be_bytes(*len);
                if len >> 63 != 0 {
                    return Err(ProtocolError::LengthTopBit);
                }
                if len <= 0xffff && !non_minimal {
                    return Err(ProtocolError::NonMinimalLength);
                }
                (len, rest)
            }
            len => (u64::from(len), rest),
        };
        let (key, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        };
        let header = Self { fin: first & FIN != 0, rsv: (first & RSV) >> 4, opcode, key, len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Writes the header, with its length in the shortest form, into the front of an array; returns the array
    /// and how many bytes of it the header takes.
    #[inline]
    #[must_use]
    pub fn write(&self) -> ([u8; MAX_HEADER_LEN], usize) {
        let mut out = [0; MAX_HEADER_LEN];
        out[0] = if self.fin { FIN } else { 0 } | (self.rsv << 4) & RSV | self.opcode as u8;
        let mask = if self.key.is_some() { MASK } else { 0 };
        let mut at = if let Ok(len @ 0..=125) = u8::try_from(self.len) {
            out[1] = mask | len;
            2
        } else if let Ok(len) = u16::try_from(self.len) {
            out[1] = mask | 126;
            out[2..4].copy_from_slice(&len.to_be_bytes());
            4
        } else {
            out[1] = mask | 127;
            out[2..10].copy_from_slice(&self.len.to_be_bytes());
            10
        };
        if let Some(key) = self.key {
            out[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        (out, at)
    }
}

const _: () = assert!(RSV1 >> 4 == 4);

/// Returns the length of the frame, header and payload, at the start of `bytes`, which we wrote ourselves.
pub(crate) fn own_frame_len(bytes: &[u8]) -> Option<usize> {
    let (header, len) = Header::parse(bytes).ok()??;
    usize::try_from(header.len).ok()?.checked_add(len)
}
