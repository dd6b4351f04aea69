//! The lines of an HTTP/1.1 head (RFC 9112), parsed one at a time.

use alloc::vec::Vec;
use core::ops::Range;
use core::slice;

use memchr::memchr;

use super::head::HeadError;
use super::tokens::{is_control, is_visible, token_len};

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
pub(super) struct Field {
    pub(super) name: u32,
    pub(super) name_end: u32,
    pub(super) value: u32,
    pub(super) value_end: u32,
}

/// What the lines of a head say, as places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    start: StartLine,
    fields: Vec<Field>,
}

/// What is at the start of some bytes, with the length of the line.
pub(super) enum Line {
    /// Not a whole line.
    Incomplete,
    Good(usize),
    /// The empty line that ends the head.
    Last(usize),
    Bad(HeadError, usize),
}

impl Lines {
    pub(super) const fn empty() -> Self {
        Self { start: StartLine::Missing, fields: Vec::new() }
    }

    pub(super) const fn start(&self) -> StartLine {
        self.start
    }

    #[inline]
    pub(super) fn fields(&self) -> slice::Iter<'_, Field> {
        self.fields.iter()
    }

    /// Parses the line at the start of `bytes`, which lie `base` bytes into the head.
    #[cold]
    pub(super) fn parse(&mut self, bytes: &[u8], base: usize, kind: Kind, max_fields: usize) -> Line {
        self.parse_line(bytes, base, kind, max_fields)
    }

    /// Parses the good lines at the start of `bytes`, which lie `base` bytes into the head: returns their length, and what
    /// comes behind them.
    pub(super) fn parse_all(
        &mut self,
        bytes: &[u8],
        base: usize,
        kind: Kind,
        max_fields: usize,
    ) -> (usize, Line) {
        let mut at = 0;
        loop {
            match self.parse_line(&bytes[at..], base + at, kind, max_fields) {
                Line::Good(len) => at += len,
                behind => return (at, behind),
            }
        }
    }

    #[inline(always)]
    fn parse_line(&mut self, bytes: &[u8], base: usize, kind: Kind, max_fields: usize) -> Line {
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

    #[inline(never)]
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
#[inline(always)]
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
pub(super) fn text_len(bytes: &[u8]) -> usize {
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
fn trim_range(bytes: &[u8], start: usize, end: usize) -> Range<usize> {
    let mut value = &bytes[start..end];
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    let start = end - value.len();
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    start..start + value.len()
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
    if method_end == 0 || !is_target(&line[..method_end], target) {
        return Err(HeadError::StartLine);
    }
    if minor_version(version)? == 0 {
        return Err(HeadError::Version);
    }
    Ok(StartLine::Request { method_end: offset(method_end), target_end: offset(method_end + 1 + target_len) })
}

/// RFC 9112, section 3.2: a path, or an absolute URI; for two methods, which are refused as such, the forms that only they
/// have. Neither a fragment nor anything but visible ASCII.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    is_visible(target)
        && memchr(b'#', target).is_none()
        && (target.starts_with(b"/")
            || authority_of(target).is_some_and(|(host, _)| !host.is_empty())
            || method == b"OPTIONS" && target == b"*"
            || method == b"CONNECT" && !target.is_empty() && memchr(b'/', target).is_none())
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
