//! The head of a message: its start line, and where each header field lies.

use super::error::HeadError;
use super::lex::{self, List};
use super::name::{Header, Method};
use memchr::memchr2;

/// The most header fields that a message may have.
pub const MAX_FIELDS: usize = 512;

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `Method Request-URI SIP-Version` (RFC 3261 section 7.1).
    Request {
        /// What the token names.
        method: Method,
        /// The method as it was written.
        token: &'a [u8],
        /// The Request-URI as it was written.
        uri: &'a [u8],
        /// Whether the version is 2.0.
        version_2: bool,
    },
    /// `SIP-Version Status-Code Reason-Phrase` (RFC 3261 section 7.2).
    Response {
        /// From 100 to 699.
        status: u16,
        /// The Reason-Phrase, which may be empty.
        reason: &'a [u8],
    },
}

/// Where one header field lies in its message; all offsets count from the message's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    header: Header,
    start: u32,
    name_end: u32,
    value_start: u32,
    value_end: u32,
    end: u32,
}

impl Field {
    /// Which header field it is.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The first byte of its name.
    pub fn start(&self) -> usize {
        self.start as usize
    }

    /// The byte after its name.
    pub fn name_end(&self) -> usize {
        self.name_end as usize
    }

    /// The first byte of its value, white space skipped.
    pub fn value_start(&self) -> usize {
        self.value_start as usize
    }

    /// The byte after its value, white space left out.
    pub fn value_end(&self) -> usize {
        self.value_end as usize
    }

    /// The byte after its last line's CRLF.
    pub fn end(&self) -> usize {
        self.end as usize
    }
}

/// One element of a comma-separated header field, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The element, white space trimmed.
    pub bytes: &'a [u8],
    /// Its first byte in the message.
    pub start: usize,
    /// The byte after it in the message.
    pub end: usize,
    /// The index of its header field in [`Message::fields`].
    pub field: usize,
}

/// A received message, read in place: it borrows the bytes and copies none.
///
/// Reading is one pass over the head. A line that is no header field does not fail it, so that the request can
/// still be answered; [`check`](Self::check) reports it.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start_line: StartLine<'a>,
    fields: Vec<Field>,
    fields_start: usize,
    body_start: usize,
    pub(super) has_bad_line: bool,
}

impl<'a> Message<'a> {
    /// Reads the head of the message that `bytes` hold from their first byte to their last.
    ///
    /// CRLFs before the start line are skipped (RFC 3261 section 7.5).
    ///
    /// # Errors
    /// When this is no SIP message at all, or one whose head has no sure end.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HeadError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(HeadError::TooLong);
        }
        let mut at = 0;
        while bytes.get(at..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            at += 2;
        }
        let line_end = find_crlf(bytes, at)?;
        let start_line = parse_start_line(bytes.get(at..line_end).unwrap_or_default())?;
        at = line_end + 2;
        let mut message = Self {
            bytes,
            start_line,
            fields: Vec::with_capacity(24),
            fields_start: at,
            body_start: 0,
            has_bad_line: false,
        };
        while !bytes.get(at..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
            let mut line_end = find_crlf(bytes, at)?;
            // A line that starts with white space continues the one before (RFC 3261 section 7.3.1).
            while matches!(bytes.get(line_end + 2), Some(b' ' | b'\t')) {
                line_end = find_crlf(bytes, line_end + 2)?;
            }
            message.add_field(at, line_end)?;
            at = line_end + 2;
        }
        message.body_start = at + 2;
        Ok(message)
    }

    fn add_field(&mut self, start: usize, line_end: usize) -> Result<(), HeadError> {
        let line = self.bytes.get(start..line_end).unwrap_or_default();
        let (name, rest) = lex::take_while(line, lex::is_token);
        // HCOLON: white space may precede the colon.
        let after_name = lex::take_while(rest, |byte| matches!(byte, b' ' | b'\t')).1;
        let [b':', value @ ..] = after_name else {
            self.has_bad_line = true;
            return Ok(());
        };
        if name.is_empty() {
            self.has_bad_line = true;
            return Ok(());
        }
        if self.fields.len() == MAX_FIELDS {
            return Err(HeadError::TooManyFields);
        }
        let value = lex::trim_start(value);
        let value_start = line_end - value.len();
        let value_end = value_start + lex::trim_end(value).len();
        self.fields.push(Field {
            header: Header::of(name),
            start: offset(start),
            name_end: offset(start + name.len()),
            value_start: offset(value_start),
            value_end: offset(value_end),
            end: offset(line_end + 2),
        });
        Ok(())
    }

    /// All bytes of the message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'a> {
        self.start_line
    }

    /// The header fields in order. Lines that are none are left out.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The offset of the first header field, which is the end of the start line.
    pub fn fields_start(&self) -> usize {
        self.fields_start
    }

    /// The offset of the body.
    pub fn body_start(&self) -> usize {
        self.body_start
    }

    /// What follows the head.
    pub fn body(&self) -> &'a [u8] {
        self.slice(self.body_start, self.bytes.len())
    }

    /// A header field's name as it was written.
    pub fn name_of(&self, field: &Field) -> &'a [u8] {
        self.slice(field.start(), field.name_end())
    }

    /// A header field's value as it was written, folds included.
    pub fn value_of(&self, field: &Field) -> &'a [u8] {
        self.slice(field.value_start(), field.value_end())
    }

    /// A whole header field, from its name to its last CRLF.
    pub fn line_of(&self, field: &Field) -> &'a [u8] {
        self.slice(field.start(), field.end())
    }

    /// The header fields of one kind, in order.
    pub fn all(&self, header: Header) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.header == header)
    }

    /// The first header field of one kind.
    pub fn first(&self, header: Header) -> Option<&Field> {
        self.all(header).next()
    }

    /// The elements of all header fields of one kind, as if they stood in one (RFC 3261 section 7.3.1).
    pub fn values(&self, header: Header) -> impl Iterator<Item = Value<'a>> {
        let bytes = self.bytes;
        let fields = self.fields.iter().enumerate().filter(move |(_, field)| field.header == header);
        fields.flat_map(move |(index, field)| {
            let base = field.value_start();
            let value = bytes.get(base..field.value_end()).unwrap_or_default();
            List::new(value).map(move |(start, end)| Value {
                bytes: value.get(start..end).unwrap_or_default(),
                start: base + start,
                end: base + end,
                field: index,
            })
        })
    }

    /// The option tags of all header fields of one kind.
    pub fn option_tags(&self, header: Header) -> impl Iterator<Item = &'a [u8]> {
        self.all(header).flat_map(|field| lex::tokens(self.value_of(field)))
    }

    /// Whether an option tag is listed, compared without case.
    pub fn has_option(&self, header: Header, tag: &str) -> bool {
        self.option_tags(header).any(|listed| listed.eq_ignore_ascii_case(tag.as_bytes()))
    }

    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// `Message::parse` refused what does not fit 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "offsets lie in a message of less than 4 GiB")]
fn offset(at: usize) -> u32 {
    at as u32
}

/// The offset of the CRLF that ends the line at `from`.
fn find_crlf(bytes: &[u8], from: usize) -> Result<usize, HeadError> {
    let rest = bytes.get(from..).unwrap_or_default();
    let at = memchr2(b'\r', b'\n', rest).ok_or(HeadError::Unfinished)?;
    match rest.get(at..at + 2) {
        Some(b"\r\n") => Ok(from + at),
        _ if rest.len() == at + 1 => Err(HeadError::Unfinished),
        _ => Err(HeadError::BareLineBreak),
    }
}

fn parse_start_line(line: &[u8]) -> Result<StartLine<'_>, HeadError> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (Some(first), Some(second), Some(third)) = (words.next(), words.next(), words.next()) else {
        return Err(HeadError::StartLine);
    };
    if let Some(version) = sip_version(first) {
        let status = match second {
            [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9'] => {
                lex::number(second).and_then(|status| u16::try_from(status).ok())
            }
            _ => None,
        };
        return match status {
            Some(status) if version == b"2.0" => Ok(StartLine::Response { status, reason: third }),
            _ => Err(HeadError::StartLine),
        };
    }
    let version = sip_version(third).ok_or(HeadError::StartLine)?;
    if first.is_empty() || !first.iter().all(|&byte| lex::is_token(byte)) || second.is_empty() {
        return Err(HeadError::StartLine);
    }
    Ok(StartLine::Request {
        method: Method::of(first),
        token: first,
        uri: second,
        version_2: version == b"2.0",
    })
}

/// The number in `SIP/number`; the letters are compared without case (RFC 3261 section 7.1).
fn sip_version(word: &[u8]) -> Option<&[u8]> {
    let (name, version) = word.split_at_checked(4)?;
    let digits = version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    (name.eq_ignore_ascii_case(b"SIP/") && !version.is_empty() && digits).then_some(version)
}
