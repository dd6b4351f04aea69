//! The head of an HTTP/1.1 message (RFC 9112), read line by line as bytes arrive.

use alloc::vec::Vec;
use core::fmt;

use memchr::memchr;

use super::line::{Kind, Line, Lines, StartLine};
use crate::Config;
use crate::chunk::Arrival;

/// What is wrong with an HTTP head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadError {
    /// The request line or status line is not one (RFC 9112, sections 3 and 4).
    StartLine,
    /// The version is not HTTP/1.1, or a later HTTP/1.
    Version,
    /// A line ends in LF without CR.
    BareLf,
    /// A CR that is not followed by LF.
    BareCr,
    /// A line that continues the one before (section 5.2), or whitespace before the first field.
    ObsFold,
    /// Whitespace between a field's name and the colon (section 5.1).
    SpaceBeforeColon,
    /// A field line without a colon, or whose name is not a token.
    FieldName,
    /// A NUL or another control character.
    ControlCharacter,
    /// Longer than [`max_head_len`](Config::max_head_len).
    TooLong,
    /// The request line alone is longer than [`max_head_len`](Config::max_head_len).
    TargetTooLong,
    /// More fields than [`max_headers`](Config::max_headers).
    TooManyFields,
    /// Incomplete after [`max_message_chunks`](Config::max_message_chunks) chunks.
    TooManyChunks,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartLine => "malformed start line",
            Self::Version => "HTTP version is not 1.1",
            Self::BareLf => "line ends in LF without CR",
            Self::BareCr => "CR without LF",
            Self::ObsFold => "field is folded over lines",
            Self::SpaceBeforeColon => "whitespace before a colon",
            Self::FieldName => "malformed field name",
            Self::ControlCharacter => "control character",
            Self::TooLong => "head too long",
            Self::TargetTooLong => "request target too long",
            Self::TooManyFields => "too many header fields",
            Self::TooManyChunks => "head in too many chunks",
        })
    }
}

impl core::error::Error for HeadError {}

/// A head, verbatim, and where its parts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    raw: Vec<u8>,
    lines: Lines,
}

impl Head {
    const fn empty() -> Self {
        Self { raw: Vec::new(), lines: Lines::empty() }
    }

    pub(super) const fn start(&self) -> StartLine {
        self.lines.start()
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// Returns the bytes between two offsets; the reader only stores offsets that lie in the head.
    #[inline]
    pub(super) fn slice(&self, from: u32, to: u32) -> &[u8] {
        self.raw.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Returns the fields in order: names as they were written, values without the whitespace around them.
    #[inline]
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .fields()
            .map(|field| (self.slice(field.name, field.name_end), self.slice(field.value, field.value_end)))
    }

    /// Returns the values of all fields of that name, in order.
    pub(super) fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Reads a head from chunks of any size. Each byte is looked at a fixed number of times: a line is parsed when
/// it is complete, once more at most if a chunk ended inside of it, and the search for its end goes on where
/// it stopped.
#[derive(Debug)]
pub(super) struct HeadReader {
    head: Head,
    kind: Kind,
    /// Where the line that is being read starts, from the start of the head.
    line: usize,
    max_len: usize,
    max_fields: usize,
    chunks: ChunkCount,
    /// Bytes looked at.
    #[cfg(test)]
    work: usize,
}

impl HeadReader {
    pub(super) fn new(kind: Kind, config: &Config) -> Self {
        Self {
            head: Head::empty(),
            kind,
            line: 0,
            max_len: config.max_head_len.min(u32::MAX as usize - 1),
            max_fields: config.max_headers,
            chunks: ChunkCount::new(config),
            #[cfg(test)]
            work: 0,
        }
    }

    /// Returns what was read of the head so far, up to and with the line at fault if there was one.
    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// Ends the reading.
    pub(super) fn into_head(self) -> Head {
        self.head
    }

    /// Starts on the next head. What the ones before took counts against its length too.
    pub(super) fn restart(&mut self) {
        self.max_len -= self.head.raw.len();
        self.head = Head::empty();
        self.line = 0;
        self.chunks.restart();
    }

    /// Accounts for the chunk that the next bytes come in.
    pub(super) const fn count(&mut self, arrival: Arrival) {
        self.chunks.count(arrival);
    }

    /// Takes in bytes: returns how many of them belong to the head, and whether it is complete.
    ///
    /// A fault is found when its line is complete, wherever chunks were cut.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), HeadError> {
        let known = self.head.raw.len();
        // What lies beyond the limit is not looked at: a head that goes so far is refused.
        let window = bytes.get(..self.max_len - known).unwrap_or(bytes);
        let mut at = 0;
        let Head { raw, lines } = &mut self.head;
        let mut line = Line::Good(0);
        if self.line < known {
            // The line began in an earlier chunk: it is completed where its start is kept.
            line = Line::Incomplete;
            if let Some(end) = memchr(b'\n', window) {
                at = end + 1;
                raw.extend_from_slice(&window[..at]);
                line = lines.parse(&raw[self.line..], self.line, self.kind, self.max_fields);
            }
        }
        if let Line::Good(_) = line {
            let (len, behind) = lines.parse_all(&window[at..], known + at, self.kind, self.max_fields);
            at += len;
            line = behind;
            if let Line::Last(len) | Line::Bad(_, len) = line {
                at += len;
            }
        }
        if at > 0 {
            self.work(known + at - self.line);
            self.line = known + at;
        }
        match line {
            Line::Last(_) => {
                self.keep(&window[..at], known);
                return Ok((at, true));
            }
            Line::Bad(error, _) => {
                self.keep(&window[..at], known);
                return Err(error);
            }
            Line::Good(_) | Line::Incomplete => {}
        }
        self.work(window.len() - at);
        self.keep(window, known);
        if window.len() == self.max_len - known {
            return Err(match self.kind {
                Kind::Request if self.head.start() == StartLine::Missing => HeadError::TargetTooLong,
                _ => HeadError::TooLong,
            });
        }
        if self.chunks.is_exhausted() {
            return Err(HeadError::TooManyChunks);
        }
        Ok((bytes.len(), false))
    }

    /// Appends what was not appended yet of `bytes`, which follow the `known` bytes of earlier chunks.
    #[inline]
    fn keep(&mut self, bytes: &[u8], known: usize) {
        let raw = &mut self.head.raw;
        if raw.capacity() == 0 {
            // Most heads come in one piece.
            *raw = bytes.to_vec();
        } else {
            raw.extend_from_slice(&bytes[raw.len() - known..]);
        }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "counts in tests only"))]
    #[inline]
    const fn work(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.work += bytes;
        }
        let _ = bytes;
    }
}

/// Counts the chunks that a head comes in.
#[derive(Debug)]
struct ChunkCount {
    max: u32,
    /// Chunks of at least so many bytes are not counted.
    counted_len: usize,
    count: u32,
    /// Whether the chunk at hand was counted.
    current: bool,
}

impl ChunkCount {
    fn new(config: &Config) -> Self {
        Self {
            max: config.max_message_chunks.map_or(u32::MAX, |max| max.get()),
            counted_len: config.counted_chunk_len.unwrap_or(usize::MAX),
            count: 0,
            current: false,
        }
    }

    const fn count(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Seen => {}
            Arrival::Cut => self.current = false,
            Arrival::Counted(len) => {
                self.current = len < self.counted_len;
                self.count = self.count.saturating_add(self.current as u32);
            }
        }
    }

    /// A chunk that ends one head and starts the next is chunk 1 of the next.
    fn restart(&mut self) {
        self.count = u32::from(self.current);
    }

    const fn is_exhausted(&self) -> bool {
        self.count >= self.max
    }
}

#[cfg(test)]
mod tests;
