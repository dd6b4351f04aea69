//! Characters, lists and parameters: what the values of many header fields are made of (RFC 3261 section 25.1).

use super::error::ValueError;
use memchr::memchr;

/// Linear white space. CR and LF occur inside a value only where the line was folded, so they count as well.
pub(crate) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A set of bytes, looked up in one step.
type Class = [bool; 256];

/// The letters, the digits, and `others`.
const fn class(others: &[u8]) -> Class {
    let mut class = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let character = byte as u8;
        class[byte] = character.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        class[others[index] as usize] = true;
        index += 1;
    }
    class
}

/// The characters of `token`.
pub(crate) fn is_token(byte: u8) -> bool {
    static TOKEN: Class = class(b"-.!%*_+`'~");
    TOKEN[usize::from(byte)]
}

/// The characters of a parameter's value that is no quoted string: those of `token` and `host`, and what else
/// cannot be taken for the end of it.
fn is_value(byte: u8) -> bool {
    static VALUE: Class = class(b"-.!%*_+`'~[]:/@&=$?#()|\\^{}");
    VALUE[usize::from(byte)] || byte >= 0x80
}

/// The characters that may stand unescaped in a URI parameter's value (`paramchar`).
pub(crate) fn is_uri_param(byte: u8) -> bool {
    static PARAM: Class = class(b"-_.!~*'()[]/:&+$");
    PARAM[usize::from(byte)]
}

pub(crate) fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value {
        if !is_lws(*first) {
            break;
        }
        value = rest;
    }
    value
}

pub(crate) fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., last] = value {
        if !is_lws(*last) {
            break;
        }
        value = rest;
    }
    value
}

pub(crate) fn trim(value: &[u8]) -> &[u8] {
    trim_end(trim_start(value))
}

/// Splits off the longest prefix whose bytes all satisfy `accept`.
pub(crate) fn take_while(value: &[u8], accept: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let len = value.iter().position(|&byte| !accept(byte)).unwrap_or(value.len());
    value.split_at(len)
}

/// The length of the quoted string that `value` starts with, quotes included.
pub(crate) fn quoted_len(value: &[u8]) -> Result<usize, ValueError> {
    let mut at = 1;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err(ValueError::Quote)
}

/// Reads a decimal number, digits only.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads delta-seconds; values beyond 32 bits are taken as the largest (RFC 3261 section 20.19 leaves it open).
pub(crate) fn seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(number(digits).and_then(|value| u32::try_from(value).ok()).unwrap_or(u32::MAX))
}

/// The elements of a comma-separated value as ranges in it, white space trimmed.
///
/// Commas inside quoted strings and angle brackets separate nothing. An unterminated quote or bracket reaches to
/// the end of the value; whoever reads the element reports it.
#[derive(Clone, Debug)]
pub(crate) struct List<'a> {
    value: &'a [u8],
    at: Option<usize>,
}

impl<'a> List<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Self {
        Self { value, at: Some(0) }
    }
}

impl Iterator for List<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let start = self.at?;
        let rest = self.value.get(start..).unwrap_or_default();
        let end = memchr(b',', rest).and_then(|comma| element_end(rest, comma));
        self.at = end.map(|len| start + len + 1);
        let element = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let start = start + element.len() - trim_start(element).len();
        Some((start, start + trim(element).len()))
    }
}

/// Where the comma stands that ends the first element of `list`, whose first comma of any kind is at `comma`.
fn element_end(list: &[u8], comma: usize) -> Option<usize> {
    if !list.get(..comma)?.iter().any(|byte| matches!(byte, b'"' | b'<')) {
        return Some(comma);
    }
    let mut at = 0;
    let mut bracket = false;
    while let Some(&byte) = list.get(at) {
        match byte {
            b'"' if !bracket => at += quoted_len(list.get(at..)?).ok()?,
            b',' if !bracket => return Some(at),
            _ => {
                bracket = (bracket || byte == b'<') && byte != b'>';
                at += 1;
            }
        }
    }
    None
}

/// The option tags of Supported, Require and Proxy-Require: a comma-separated list of tokens, which may be empty.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|token| !token.is_empty())
}

/// One parameter: `;name` or `;name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name as it was written; names are compared without case.
    pub name: &'a [u8],
    /// The value as it was written: quotes and escapes are still there.
    pub value: Option<&'a [u8]>,
}

impl Param<'_> {
    /// Whether the parameter has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The parameters of a header field value, in order.
///
/// The first one that is malformed is the last item.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest: trim(rest) }
    }

    /// All parameters as they were written, from the first semicolon.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// The parameter of this name; `None` when there is none before the first malformed one.
    pub fn get(&self, name: &str) -> Option<Param<'a>> {
        (*self).map_while(Result::ok).find(|param| param.is(name))
    }

    fn parse_next(&mut self) -> Result<Param<'a>, ValueError> {
        let [b';', rest @ ..] = self.rest else { return Err(ValueError::Parameter) };
        let (name, rest) = take_while(trim_start(rest), is_token);
        if name.is_empty() {
            return Err(ValueError::Parameter);
        }
        let rest = trim_start(rest);
        let [b'=', rest @ ..] = rest else {
            self.rest = rest;
            return Ok(Param { name, value: None });
        };
        let rest = trim_start(rest);
        let len = match rest.first() {
            Some(b'"') => quoted_len(rest)?,
            _ => take_while(rest, is_value).0.len(),
        };
        if len == 0 {
            return Err(ValueError::Parameter);
        }
        let (value, rest) = rest.split_at(len);
        self.rest = trim_start(rest);
        Ok(Param { name, value: Some(value) })
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<Param<'a>, ValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let param = self.parse_next();
        if param.is_err() {
            self.rest = &[];
        }
        Some(param)
    }
}

/// The content of a quoted string without its quotes, escapes left in place; any other value as it is.
pub(crate) fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}
