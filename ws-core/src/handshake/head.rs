//! The head of an HTTP/1.1 message (RFC 9112), read line by line as bytes arrive.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use memchr::memchr;

use super::tokens::{is_control, is_visible, token_len};
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

/// Which message a head starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
}

/// Where the parts of the start line lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartLine {
    /// No start line was read yet.
    Missing,
    /// The method ends at the first offset, the target, one byte on, at the second.
    Request { method_end: u32, target_end: u32 },
    /// The reason phrase starts at a fixed offset and ends with the line.
    Response { status: u16, minor: u8, end: u32 },
}

/// Where a field's name and its trimmed value lie. All offsets are below `u32::MAX`: the reader caps its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

/// A head, verbatim, and where its parts lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    raw: Vec<u8>,
    lines: Lines,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lines {
    start: StartLine,
    fields: Vec<Field>,
}

impl Head {
    const fn empty() -> Self {
        Self { raw: Vec::new(), lines: Lines { start: StartLine::Missing, fields: Vec::new() } }
    }

    pub(super) const fn start(&self) -> StartLine {
        self.lines.start
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
        let slices = |field: &Field| {
            (self.slice(field.name, field.name_end), self.slice(field.value, field.value_end))
        };
        self.lines.fields.iter().map(slices)
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

/// What is at the start of some bytes, with the length of the line.
enum Line {
    /// Not a whole line.
    Incomplete,
    Good(usize),
    /// The empty line that ends the head.
    Last(usize),
    Bad(HeadError, usize),
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
        loop {
            let Head { raw, lines } = &mut self.head;
            let (line, len) = if self.line < known + at {
                // The line began in an earlier chunk: it is completed where its start is kept.
                let Some(end) = memchr(b'\n', window) else { break };
                raw.extend_from_slice(&window[..=end]);
                (lines.parse(&raw[self.line..], self.line, self.kind, self.max_fields), end + 1)
            } else {
                let line = lines.parse(&window[at..], known + at, self.kind, self.max_fields);
                let len = match line {
                    Line::Incomplete => break,
                    Line::Good(len) | Line::Last(len) | Line::Bad(_, len) => len,
                };
                (line, len)
            };
            at += len;
            self.work(known + at - self.line);
            self.line = known + at;
            match line {
                Line::Good(_) => {}
                Line::Last(_) => {
                    self.keep(&window[..at], known);
                    return Ok((at, true));
                }
                Line::Bad(error, _) => {
                    self.keep(&window[..at], known);
                    return Err(error);
                }
                Line::Incomplete => break,
            }
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
        let kept = self.head.raw.len() - known;
        self.head.raw.extend_from_slice(&bytes[kept..]);
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

impl Lines {
    /// Parses the line at the start of `bytes`, which lie `base` bytes into the head.
    #[inline]
    fn parse(&mut self, bytes: &[u8], base: usize, kind: Kind, max_fields: usize) -> Line {
        if self.start == StartLine::Missing {
            return self.parse_start(bytes, kind);
        }
        if let [b'\r', b'\n', ..] = bytes {
            return Line::Last(2);
        }
        let name_len = token_len(bytes);
        if name_len == 0 || bytes.get(name_len) != Some(&b':') {
            return bad_name(bytes, name_len);
        }
        let end = match text_end(bytes, name_len + 1) {
            Ok(end) => end,
            Err(error) => return bad(bytes, error),
        };
        if self.fields.len() >= max_fields {
            return bad(bytes, HeadError::TooManyFields);
        }
        if self.fields.capacity() == 0 {
            // What browsers send takes one allocation.
            self.fields.reserve_exact(max_fields.min(16));
        }
        let value = trim_range(bytes, name_len + 1, end);
        self.fields.push(Field {
            name: offset(base),
            name_end: offset(base + name_len),
            value: offset(base + value.start),
            value_end: offset(base + value.end),
        });
        Line::Good(end + 2)
    }

    fn parse_start(&mut self, bytes: &[u8], kind: Kind) -> Line {
        let end = match text_end(bytes, 0) {
            Ok(end) => end,
            Err(error) => return bad(bytes, error),
        };
        let start = match kind {
            Kind::Request => request_line(&bytes[..end]),
            Kind::Response => status_line(&bytes[..end]),
        };
        match start {
            Ok(start) => {
                self.start = start;
                Line::Good(end + 2)
            }
            Err(error) => Line::Bad(error, end + 2),
        }
    }
}

/// Returns where the line ends whose text, without control characters, goes on at `from`. If it does not end,
/// the error says what must be wrong should it be complete.
#[inline]
fn text_end(bytes: &[u8], from: usize) -> Result<usize, HeadError> {
    let end = from + text_len(&bytes[from..]);
    match bytes[end..] {
        [b'\r', b'\n', ..] => Ok(end),
        [b'\n', ..] => Err(HeadError::BareLf),
        [b'\r', ..] => Err(HeadError::BareCr),
        _ => Err(HeadError::ControlCharacter),
    }
}

/// Returns the length of what comes before the first control character, tabs aside: eight bytes a step.
#[inline]
fn text_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*word);
        let del = word ^ (ONES * 0x7f);
        // The top bit of a byte is set if the byte is below 0x20 or DEL. A borrow can set it wrongly only in
        // bytes above one where it is set rightly.
        let found =
            ((word.wrapping_sub(ONES * 0x20) & !word) | (del.wrapping_sub(ONES) & !del)) & (ONES * 0x80);
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    at + bytes[at..].iter().position(|&byte| is_control(byte)).unwrap_or(bytes.len() - at)
}

/// Returns where the value lies in the range without the whitespace around it.
#[inline]
fn trim_range(bytes: &[u8], mut start: usize, mut end: usize) -> Range<usize> {
    let is_space = |at: usize| matches!(bytes[at], b' ' | b'\t');
    while start < end && is_space(start) {
        start += 1;
    }
    while start < end && is_space(end - 1) {
        end -= 1;
    }
    start..end
}

/// A fault in the line at the start of `bytes`, if it is complete.
#[cold]
fn bad(bytes: &[u8], error: HeadError) -> Line {
    memchr(b'\n', bytes).map_or(Line::Incomplete, |end| Line::Bad(error, end + 1))
}

/// No name and colon are at the start of `bytes`.
#[cold]
fn bad_name(bytes: &[u8], name_len: usize) -> Line {
    let error = match bytes.get(name_len) {
        Some(b' ' | b'\t') if name_len == 0 => HeadError::ObsFold,
        Some(b' ' | b'\t') => HeadError::SpaceBeforeColon,
        _ => match text_end(bytes, name_len) {
            Ok(_) => HeadError::FieldName,
            Err(error) => error,
        },
    };
    bad(bytes, error)
}

/// RFC 9112, section 3: `method SP request-target SP HTTP-version`, with one space each.
fn request_line(line: &[u8]) -> Result<StartLine, HeadError> {
    let method_end = token_len(line);
    let Some((b' ', rest)) = line[method_end..].split_first() else { return Err(HeadError::StartLine) };
    let Some(target_len) = memchr(b' ', rest) else { return Err(HeadError::StartLine) };
    let (target, version) = (&rest[..target_len], &rest[target_len + 1..]);
    if method_end == 0 || !is_target(target) {
        return Err(HeadError::StartLine);
    }
    if minor_version(version)? == 0 {
        return Err(HeadError::Version);
    }
    Ok(StartLine::Request { method_end: offset(method_end), target_end: offset(method_end + 1 + target_len) })
}

/// RFC 9112, section 3.2: a path, or an absolute URI. Neither a fragment nor anything but visible ASCII.
fn is_target(target: &[u8]) -> bool {
    is_visible(target)
        && memchr(b'#', target).is_none()
        && (target.starts_with(b"/") || authority_of(target).is_some_and(|(host, _)| !host.is_empty()))
}

/// Splits an absolute URI into its authority and what follows.
pub(super) fn authority_of(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme_len = memchr(b':', target)?;
    let scheme = &target[..scheme_len];
    if ![&b"http"[..], b"https", b"ws", b"wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let rest = target[scheme_len + 1..].strip_prefix(b"//")?;
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(len))
}

/// RFC 9112, section 4: `HTTP-version SP status-code SP [ reason-phrase ]`.
fn status_line(line: &[u8]) -> Result<StartLine, HeadError> {
    let Some((version, rest)) = line.split_at_checked(8) else { return Err(HeadError::StartLine) };
    let minor = minor_version(version)?;
    let &[b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] = rest else {
        return Err(HeadError::StartLine);
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    Ok(StartLine::Response { status, minor, end: offset(line.len()) })
}

/// Where the reason phrase starts.
pub(super) const REASON_AT: u32 = 13;

/// Returns the x of `HTTP/1.x`.
fn minor_version(version: &[u8]) -> Result<u8, HeadError> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => Ok(minor - b'0'),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HeadError::Version),
        _ => Err(HeadError::StartLine),
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the reader caps max_len below u32::MAX")]
const fn offset(at: usize) -> u32 {
    at as u32
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
