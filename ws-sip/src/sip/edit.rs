//! Edits of a message in place: the original bytes are copied once, with the changes spliced in.

use super::head::{Message, StartLine, Value};
use super::name::Header;
use core::fmt::{self, Write as _};

/// Collects changes to a message and writes the result in one pass.
///
/// What is not changed stays byte for byte as it was received. Changes may be made in any order; insertions at one
/// place keep the order in which they were made.
#[derive(Debug)]
pub struct Editor<'m, 'a> {
    message: &'m Message<'a>,
    edits: Vec<Edit>,
    /// The new text of all edits, one after the other.
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Edit {
    start: usize,
    end: usize,
    text_start: usize,
    text_end: usize,
}

impl<'m, 'a> Editor<'m, 'a> {
    /// Starts with no changes.
    pub fn new(message: &'m Message<'a>) -> Self {
        Self { message, edits: Vec::with_capacity(8), text: Vec::with_capacity(256) }
    }

    /// Replaces the bytes from `start` to `end` by what `write` appends.
    ///
    /// Ranges of different calls must not overlap; what overlaps an earlier range is not replaced again.
    pub fn replace(&mut self, start: usize, end: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let text_start = self.text.len();
        write(&mut self.text);
        self.edits.push(Edit { start, end, text_start, text_end: self.text.len() });
    }

    /// Replaces the Request-URI; does nothing to a response.
    pub fn set_request_uri(&mut self, uri: &[u8]) {
        let StartLine::Request { token, uri: old, .. } = self.message.start_line() else { return };
        // The start line begins after leading CRLFs and ends in ` SIP/2.0 CRLF`.
        let line_len = token.len() + 1 + old.len() + b" SIP/2.0\r\n".len();
        let start = self.message.fields_start().saturating_sub(line_len) + token.len() + 1;
        self.replace(start, start + old.len(), |out| out.extend_from_slice(uri));
    }

    /// Puts a header field before all others; `write` appends it without its CRLF. A later call adds below an
    /// earlier one.
    pub fn add_on_top(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.message.fields_start();
        self.replace(at, at, |out| {
            write(out);
            out.extend_from_slice(b"\r\n");
        });
    }

    /// Sets a header field that occurs once: the first one's value is replaced, or it is added on top.
    pub fn set(&mut self, header: Header, name: &str, value: impl fmt::Display) {
        match self.message.first(header) {
            Some(field) => self.replace(field.value_start(), field.value_end(), |out| append(out, value)),
            None => self.add_on_top(|out| append(out, format_args!("{name}: {value}"))),
        }
    }

    /// Removes the first `count` values of a header field, and each line that is left without any.
    pub fn remove_values(&mut self, header: Header, count: usize) {
        let mut values = self.message.values(header);
        let mut last: Option<Value<'a>> = None;
        for value in values.by_ref().take(count) {
            if let Some(previous) = last.filter(|previous| previous.field != value.field) {
                self.remove_line(previous.field);
            }
            last = Some(value);
        }
        let Some(last) = last else { return };
        match values.next() {
            Some(next) if next.field == last.field => {
                if let Some(field) = self.message.fields().get(last.field) {
                    self.replace(field.value_start(), next.start, |_| {});
                }
            }
            _ => self.remove_line(last.field),
        }
    }

    /// Removes the last value of a header field.
    pub fn remove_last_value(&mut self, header: Header) {
        let mut previous = None;
        let mut last: Option<Value<'a>> = None;
        for value in self.message.values(header) {
            previous = last.replace(value);
        }
        let Some(last) = last else { return };
        match previous {
            Some(previous) if previous.field == last.field => self.replace(previous.end, last.end, |_| {}),
            _ => self.remove_line(last.field),
        }
    }

    /// Removes each line of a header field.
    pub fn remove_lines(&mut self, header: Header) {
        let message = self.message;
        for field in message.all(header) {
            self.replace(field.start(), field.end(), |_| {});
        }
    }

    fn remove_line(&mut self, field: usize) {
        if let Some(field) = self.message.fields().get(field) {
            self.replace(field.start(), field.end(), |_| {});
        }
    }

    /// Adds Content-Length where it is missing, as a stream transport needs it (RFC 7118 section 5.1).
    pub fn ensure_content_length(&mut self) {
        if self.message.first(Header::ContentLength).is_none() {
            let at = self.message.body_start().saturating_sub(2);
            let len = self.message.body().len();
            self.replace(at, at, |out| append(out, format_args!("Content-Length: {len}\r\n")));
        }
    }

    /// Writes the changed message, without CRLFs that stood before its start line.
    pub fn finish(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|edit| edit.start);
        let source = self.message.bytes();
        let mut out = Vec::with_capacity(source.len() + self.text.len());
        let mut at = source.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        for edit in &self.edits {
            out.extend_from_slice(source.get(at..edit.start).unwrap_or_default());
            if edit.start >= at || edit.start == edit.end {
                out.extend_from_slice(self.text.get(edit.text_start..edit.text_end).unwrap_or_default());
            }
            at = at.max(edit.end);
        }
        out.extend_from_slice(source.get(at..).unwrap_or_default());
        out
    }
}

/// Appends a number in decimal, faster than formatting does.
pub(crate) fn append_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Appends formatted text.
pub(crate) fn append(out: &mut Vec<u8>, text: impl fmt::Display) {
    struct Sink<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Sink<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // The sink never fails; a `Display` that does leaves its text cut short.
    let _ = write!(Sink(out), "{text}");
}
