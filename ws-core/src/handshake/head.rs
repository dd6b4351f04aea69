//! The head of an HTTP/1.1 message (RFC 9112), read line by line as bytes arrive.

use alloc::vec::Vec;
use core::fmt;

use memchr::memchr;

use super::tokens::{is_control, is_visible, token_len, trim};
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
    pub(super) start: StartLine,
    fields: Vec<Field>,
}

impl Head {
    pub(super) const fn empty() -> Self {
        Self { raw: Vec::new(), start: StartLine::Missing, fields: Vec::new() }
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
        self.fields
            .iter()
            .map(|field| (self.slice(field.name, field.name_end), self.slice(field.value, field.value_end)))
    }

    /// Returns the values of all fields of that name, in order.
    pub(super) fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Reads a head from chunks of any size. Each byte is looked at a fixed number of times: lines are parsed
/// once, when they are complete, and the search for their ends goes on where it stopped.
#[derive(Debug)]
pub(super) struct HeadReader {
    head: Head,
    kind: Kind,
    /// Where the line that is being read starts, from the start of the head.
    line: usize,
    max_len: usize,
    max_fields: usize,
    chunks: ChunkCount,
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
    pub(super) fn head(&self) -> &Head {
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
    pub(super) fn count(&mut self, arrival: Arrival) {
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
        while let Some(len) = memchr(b'\n', &window[at..]) {
            let end = at + len + 1;
            self.work(end - at);
            let result = if self.line < known {
                // The line began in an earlier chunk: complete it where its start is kept.
                self.head.raw.extend_from_slice(&window[..end]);
                let line = &self.head.raw[self.line..];
                parse_line(
                    line,
                    self.line,
                    self.kind,
                    self.max_fields,
                    &mut self.head.start,
                    &mut self.head.fields,
                )
            } else {
                let line = &window[at..end];
                parse_line(
                    line,
                    known + at,
                    self.kind,
                    self.max_fields,
                    &mut self.head.start,
                    &mut self.head.fields,
                )
            };
            at = end;
            self.line = known + end;
            if let Ok(false) = result {
                continue;
            }
            self.keep(&window[..at], known);
            return result.map(|complete| (at, complete));
        }
        self.work(window.len() - at);
        self.keep(window, known);
        if window.len() == self.max_len - known {
            return Err(match self.kind {
                Kind::Request if self.head.start == StartLine::Missing => HeadError::TargetTooLong,
                _ => HeadError::TooLong,
            });
        }
        if self.chunks.is_exhausted() {
            return Err(HeadError::TooManyChunks);
        }
        Ok((bytes.len(), false))
    }

    /// Appends what was not appended yet of `bytes`, which follow the `known` bytes of earlier chunks.
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

/// Parses one line, its end included, that starts `base` bytes into the head; returns whether it is the empty
/// line that ends the head.
#[inline]
fn parse_line(
    line: &[u8],
    base: usize,
    kind: Kind,
    max_fields: usize,
    start: &mut StartLine,
    fields: &mut Vec<Field>,
) -> Result<bool, HeadError> {
    let Some(line) = line.strip_suffix(b"\r\n") else { return Err(HeadError::BareLf) };
    if let StartLine::Missing = start {
        check_text(line)?;
        *start = match kind {
            Kind::Request => request_line(line)?,
            Kind::Response => status_line(line)?,
        };
        return Ok(false);
    }
    if line.is_empty() {
        return Ok(true);
    }
    let name_len = token_len(line);
    match line.get(name_len) {
        Some(b':') if name_len > 0 => {}
        Some(b' ' | b'\t') if name_len == 0 => return Err(HeadError::ObsFold),
        Some(b' ' | b'\t') => return Err(HeadError::SpaceBeforeColon),
        _ => {
            check_text(line)?;
            return Err(HeadError::FieldName);
        }
    }
    let value = &line[name_len + 1..];
    check_text(value)?;
    if fields.len() >= max_fields {
        return Err(HeadError::TooManyFields);
    }
    if fields.capacity() == 0 {
        // What browsers send takes one allocation.
        fields.reserve_exact(max_fields.min(16));
    }
    let value = trim_range(value, name_len + 1);
    fields.push(Field {
        name: offset(base),
        name_end: offset(base + name_len),
        value: offset(base + value.0),
        value_end: offset(base + value.1),
    });
    Ok(false)
}

/// Returns where the trimmed value lies, given that the untrimmed one starts at `at`.
#[inline]
fn trim_range(value: &[u8], at: usize) -> (usize, usize) {
    let end = at + value.len();
    let leading = value.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let trimmed = trim(&value[leading..]);
    let start = at + leading;
    (start.min(end), start + trimmed.len())
}

/// Refuses control characters. One pass without a branch in it, which the compiler turns into wide steps.
#[inline]
fn check_text(text: &[u8]) -> Result<(), HeadError> {
    if text.iter().fold(false, |bad, &byte| bad | is_control(byte)) {
        return Err(if text.iter().find(|&&byte| is_control(byte)) == Some(&b'\r') {
            HeadError::BareCr
        } else {
            HeadError::ControlCharacter
        });
    }
    Ok(())
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

    fn count(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Seen => {}
            Arrival::Cut => self.current = false,
            Arrival::Counted(len) => {
                self.current = len < self.counted_len;
                self.count = self.count.saturating_add(u32::from(self.current));
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
