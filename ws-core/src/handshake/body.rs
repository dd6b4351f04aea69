//! The body of a response that is not the 101, as far as it is kept.

use alloc::vec::Vec;

use super::head::Head;
use super::line::StartLine;
use super::tokens::list_holds;

/// How much of a body is kept: enough for a message to people or a small JSON document.
pub(super) const MAX_BODY_LEN: usize = 4096;

/// Takes in a body until its end or [`MAX_BODY_LEN`].
#[derive(Debug)]
pub(super) struct BodyReader {
    framing: Framing,
    data: Vec<u8>,
}

/// Where a body ends (RFC 9112, section 6.3).
#[derive(Debug)]
enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last of its chunks.
    Chunked(Chunked),
    /// With the stream.
    Stream,
}

/// Where in the chunked coding the reader is (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug)]
enum Chunked {
    Size { size: u64, digits: bool },
    Extension { size: u64 },
    Data { left: u64 },
    DataEnd,
    Done,
}

impl BodyReader {
    /// Prepares to read the body that the head announces.
    pub(super) fn new(head: &Head) -> Self {
        let status = match head.start() {
            StartLine::Response { status, .. } => status,
            _ => 0,
        };
        let mut lengths = head.values(b"Content-Length");
        let framing = if matches!(status, 100..=199 | 204 | 304) {
            Framing::Length(0)
        } else if let Some(coding) = head.values(b"Transfer-Encoding").last() {
            // Other codings than chunked end with the stream, and are kept as they come.
            if list_holds(coding, b"chunked") {
                Framing::Chunked(Chunked::Size { size: 0, digits: false })
            } else {
                Framing::Stream
            }
        } else {
            match (lengths.next().and_then(parse_decimal), lengths.next()) {
                (Some(len), None) => Framing::Length(len),
                _ => Framing::Stream,
            }
        };
        Self { framing, data: Vec::new() }
    }

    /// Takes in bytes; returns whether the body is complete or as much as is kept.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        match &mut self.framing {
            Framing::Length(left) => {
                let taken = keep(&mut self.data, bytes, *left);
                *left -= taken as u64;
            }
            Framing::Chunked(state) => {
                let mut rest = bytes;
                while let Some((&byte, after)) = rest.split_first() {
                    if self.data.len() >= MAX_BODY_LEN {
                        break;
                    }
                    *state = match *state {
                        Chunked::Data { left } => {
                            let taken = keep(&mut self.data, rest, left);
                            rest = &rest[taken..];
                            match left - taken as u64 {
                                0 => *state = Chunked::DataEnd,
                                left => *state = Chunked::Data { left },
                            }
                            continue;
                        }
                        other => other.next(byte),
                    };
                    rest = after;
                }
            }
            Framing::Stream => {
                keep(&mut self.data, bytes, u64::MAX);
            }
        }
        self.is_complete() || self.data.len() >= MAX_BODY_LEN
    }

    /// Returns whether the body came to its end, as far as that can be told without the stream's.
    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.framing, Framing::Length(0) | Framing::Chunked(Chunked::Done))
    }

    pub(super) fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl Chunked {
    /// Moves over a byte that is not data. What is malformed ends the body.
    const fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Size { size, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if size >> 60 == 0 => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                Self::Size { size: size << 4 | digit as u64, digits: true }
            }
            (Self::Size { size, digits: true }, b'\r' | b';' | b' ' | b'\t')
            | (Self::Extension { size }, _)
                if byte != b'\n' =>
            {
                Self::Extension { size }
            }
            (Self::Extension { size: 0 }, _) => Self::Done,
            (Self::Extension { size }, _) => Self::Data { left: size },
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size { size: 0, digits: false },
            _ => Self::Done,
        }
    }
}

/// Appends as many bytes as belong to the body and are kept; returns how many.
fn keep(data: &mut Vec<u8>, bytes: &[u8], left: u64) -> usize {
    let len = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)).min(MAX_BODY_LEN - data.len());
    data.extend_from_slice(&bytes[..len]);
    len
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(wire: &[u8]) -> (Vec<u8>, bool) {
        let whole = {
            let state = Chunked::Size { size: 0, digits: false };
            let mut body = BodyReader { framing: Framing::Chunked(state), data: Vec::new() };
            let done = body.read(wire);
            (body.into_data(), done)
        };
        let mut body = BodyReader {
            framing: Framing::Chunked(Chunked::Size { size: 0, digits: false }),
            data: Vec::new(),
        };
        let mut done = false;
        for byte in wire.chunks(1) {
            done = done || body.read(byte);
        }
        assert_eq!((body.into_data(), done), whole, "cut into bytes");
        whole
    }

    #[test]
    fn chunked_coding() {
        assert_eq!(chunked(b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"), (b"hello!".to_vec(), true));
        assert_eq!(chunked(b"00A\r\n0123456789\r\n"), (b"0123456789".to_vec(), false));
        assert_eq!(chunked(b"\r\nhello"), (b"".to_vec(), true), "malformed");
        assert_eq!(chunked(b"2\r\nhello"), (b"he".to_vec(), true), "malformed");
        assert_eq!(chunked(b"fffffffffffffffff\r\n"), (b"".to_vec(), true), "beyond 64 bits");
    }

    #[test]
    fn bounded() {
        let mut wire = b"ffff\r\n".to_vec();
        wire.resize(70_000, b'x');
        let (data, done) = chunked(&wire);
        assert!(done && data.len() == MAX_BODY_LEN);
    }
}
