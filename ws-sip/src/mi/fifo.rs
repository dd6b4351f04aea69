//! Requests in the bytes that come through a FIFO: `:reply_name:json`, any number of them one after the other.
//!
//! ```
//! use ws_sip::mi::fifo::FifoReader;
//! let mut reader = FifoReader::default();
//! reader.push(b":reply_1:{\"method\": \"which\"}::{\"method\"");
//! let request = reader.next().unwrap();
//! assert_eq!(request.reply.as_deref(), Some("reply_1"));
//! assert_eq!(request.json.unwrap(), b"{\"method\": \"which\"}");
//! assert!(reader.next().is_none() && reader.is_partial());
//! ```

use serde_json::value::RawValue;

use super::rpc::MAX_REQUEST_LEN;

/// Bytes of a reply name at most, as of a file name.
const MAX_NAME_LEN: usize = 255;

/// Finds requests in what comes. Memory is bounded by one request and one push.
#[derive(Debug, Default)]
pub struct FifoReader {
    buffer: Vec<u8>,
    /// What comes is the rest of something broken, up to where a request starts.
    lost: bool,
}

/// A request, and where its response is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoRequest {
    /// The name of the reply FIFO in the directory for them; `None` if no response is wanted.
    pub reply: Option<String>,
    /// The request, or why it is not to be carried out.
    pub json: Result<Vec<u8>, FifoFault>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FifoFault {
    /// The name of the reply FIFO is more than a name: no response can go there.
    ReplyName,
    /// It is longer than [`MAX_REQUEST_LEN`].
    TooLong,
    /// It is no object or array of JSON, or its end did not come.
    NotJson,
}

/// What stands at the start of a request.
enum Head<'a> {
    /// `:name:`, and how long that is with the white space after it.
    Name(&'a [u8], usize),
    /// The second colon may still come.
    Incomplete,
    /// No request starts like this.
    Broken,
}

impl FifoReader {
    /// Takes in what came. Call [`next`](Self::next) until it returns `None` before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether the rest of a request is waited for. If it does not come, [`give_up`](Self::give_up).
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Returns the next request.
    #[expect(clippy::should_implement_trait, reason = "more may come after `None`")]
    pub fn next(&mut self) -> Option<FifoRequest> {
        loop {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..blank);
            if self.buffer.is_empty() {
                self.buffer = Vec::new();
                return None;
            }
            if self.lost {
                self.find_start();
                if self.lost {
                    return None;
                }
            }
            let (name, start) = match head(&self.buffer) {
                Head::Name(name, start) => (name.to_vec(), start),
                Head::Incomplete => return None,
                Head::Broken => {
                    self.lose(1);
                    continue;
                }
            };
            let rest = &self.buffer[start..];
            match rest.first() {
                None => return None,
                // Of a bare number nobody could tell where it ends.
                Some(b'{' | b'[') => {}
                Some(_) => {
                    self.lose(start);
                    return Some(request(&name, Err(FifoFault::NotJson)));
                }
            }
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) if value.get().len() <= MAX_REQUEST_LEN => {
                    let json = value.get().as_bytes().to_vec();
                    let end = start + values.byte_offset();
                    self.buffer.drain(..end);
                    return Some(request(&name, Ok(json)));
                }
                Some(Err(error)) if is_open(&error, rest) && rest.len() <= MAX_REQUEST_LEN => return None,
                Some(Err(error)) if !is_open(&error, rest) => {
                    self.lose(start);
                    return Some(request(&name, Err(FifoFault::NotJson)));
                }
                Some(_) => {
                    self.lose(start);
                    return Some(request(&name, Err(FifoFault::TooLong)));
                }
                None => return None,
            }
        }
    }

    /// Drops what has no end; returns it as a request if it had a start.
    pub fn give_up(&mut self) -> Option<FifoRequest> {
        let buffer = core::mem::take(&mut self.buffer);
        let was_lost = core::mem::take(&mut self.lost);
        match head(&buffer) {
            Head::Name(name, _) if !was_lost => Some(request(name, Err(FifoFault::NotJson))),
            _ => None,
        }
    }

    /// Drops `len` bytes, and looks for the next start behind them.
    fn lose(&mut self, len: usize) {
        self.buffer.drain(..len.min(self.buffer.len()));
        self.lost = true;
        self.find_start();
    }

    /// Drops everything before the first place where a request starts, or may start.
    fn find_start(&mut self) {
        let colons = memchr::memchr_iter(b':', &self.buffer);
        let place = colons.map(|at| (at, head(&self.buffer[at..]))).find_map(|(at, found)| match found {
            // Inside of JSON no name stands between two colons: a key has quotes.
            Head::Name(name, start) if is_plain(name) => match self.buffer.get(at + start) {
                Some(b'{' | b'[') => Some((at, true)),
                Some(_) => None,
                None => Some((at, false)),
            },
            Head::Incomplete => Some((at, false)),
            Head::Name(..) | Head::Broken => None,
        });
        let (at, found) = place.unwrap_or((self.buffer.len(), false));
        self.buffer.drain(..at);
        self.lost = !found;
    }
}

/// Returns whether what follows can still make it right: it is wrong only where it ends, as after the sign of a number.
fn is_open(error: &serde_json::Error, text: &[u8]) -> bool {
    let line = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    let end = (memchr::memchr_iter(b'\n', text).count() + 1, text.len() - line);
    error.is_eof() || (error.line(), error.column()) == end
}

fn head(buffer: &[u8]) -> Head<'_> {
    let Some(rest) = buffer.strip_prefix(b":") else { return Head::Broken };
    let window = &rest[..rest.len().min(MAX_NAME_LEN + 1)];
    match memchr::memchr(b':', window) {
        Some(len) if window[..len].iter().all(|byte| !byte.is_ascii_control() && *byte != b'"') => {
            let end = len + 2;
            let blank = buffer[end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            Head::Name(&window[..len], end + blank)
        }
        None if window.len() <= MAX_NAME_LEN => Head::Incomplete,
        _ => Head::Broken,
    }
}

/// A name that leads nowhere but into the directory.
fn is_plain(name: &[u8]) -> bool {
    name.is_ascii() && !name.iter().any(|byte| matches!(byte, b'.' | b'/' | b'\\' | 0..=b' ' | 0x7f))
}

fn request(name: &[u8], json: Result<Vec<u8>, FifoFault>) -> FifoRequest {
    match core::str::from_utf8(name).ok().filter(|name| is_plain(name.as_bytes())) {
        Some(name) => FifoRequest { reply: (!name.is_empty()).then(|| name.to_owned()), json },
        None => FifoRequest { reply: None, json: Err(FifoFault::ReplyName) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(reader: &mut FifoReader) -> Vec<(Option<String>, Result<String, FifoFault>)> {
        core::iter::from_fn(|| reader.next())
            .map(|request| (request.reply, request.json.map(|json| String::from_utf8(json).unwrap())))
            .collect()
    }

    fn read(bytes: &[u8]) -> Vec<(Option<String>, Result<String, FifoFault>)> {
        let mut reader = FifoReader::default();
        reader.push(bytes);
        all(&mut reader)
    }

    fn to(name: &str, json: &str) -> (Option<String>, Result<String, FifoFault>) {
        (Some(name.into()), Ok(json.into()))
    }

    #[test]
    fn requests_back_to_back() {
        assert_eq!(
            read(b":a_1:{\"x\":\":b:{\"}:b-2: \n[1, 2]\n::{}:c:{\"d\":{"),
            [to("a_1", "{\"x\":\":b:{\"}"), to("b-2", "[1, 2]"), (None, Ok("{}".into()))]
        );
    }

    #[test]
    fn a_reply_name_is_no_path() {
        for name in ["../../etc/passwd", "a/b", "a\\b", ".", "a b", "\u{e4}", "a\u{0}"] {
            let requests = read(format!(":{name}:{{}}:a:{{}}").as_bytes());
            assert!(
                requests.iter().all(|(reply, json)| reply.as_deref() == Some("a") || json.is_err()),
                "{name}"
            );
            assert_eq!(requests.last(), Some(&to("a", "{}")), "{name}");
        }
        let long = "n".repeat(256);
        assert_eq!(read(format!(":{long}:{{}}:a:{{}}").as_bytes()), [to("a", "{}")]);
        assert_eq!(read(format!(":{}:{{}}", &long[1..]).as_bytes()), [to(&long[1..], "{}")]);
    }

    #[test]
    fn what_is_broken_ends_where_the_next_request_starts() {
        let broken = |name: &str| (Some(name.to_owned()), Err(FifoFault::NotJson));
        assert_eq!(read(b":a:{nonsense}:b:{}"), [broken("a"), to("b", "{}")]);
        assert_eq!(read(b":a: 12:b:{}"), [broken("a"), to("b", "{}")]);
        assert_eq!(read(b":a:nonsense\n:b:{}"), [broken("a"), to("b", "{}")]);
        assert_eq!(read(b"nonsense:b:{}"), [to("b", "{}")]);
        assert_eq!(read(b"nonsense:../up:{}:b:{}"), [to("b", "{}")]);
        assert_eq!(read(b":a:{\"b\":tru:c,\"d\":{\"e\":{}}}:b:{}"), [broken("a"), to("b", "{}")]);
        assert_eq!(read(b":a:{\"\xff\"}:b:{}"), [broken("a"), to("b", "{}")]);
    }

    #[test]
    fn what_has_no_end_is_given_up() {
        let mut reader = FifoReader::default();
        reader.push(b":a:{\"x\"");
        assert_eq!(reader.next(), None);
        assert!(reader.is_partial());
        let request = reader.give_up().unwrap();
        assert_eq!((request.reply.as_deref(), request.json), (Some("a"), Err(FifoFault::NotJson)));
        assert!(!reader.is_partial() && reader.give_up().is_none());
        reader.push(b":b:{}");
        assert_eq!(all(&mut reader), [to("b", "{}")]);
        reader.push(b":b");
        assert_eq!(reader.next(), None);
        assert_eq!(reader.give_up(), None);
    }

    #[test]
    fn a_request_has_a_longest_length() {
        let fitting = format!("[\"{}\"]", "x".repeat(MAX_REQUEST_LEN - 4));
        assert_eq!(read(format!(":a:{fitting}").as_bytes()), [to("a", &fitting)]);
        let mut reader = FifoReader::default();
        reader.push(b":a:[\"");
        let mut refused = 0;
        for _ in 0..1000 {
            reader.push(&[b'x'; 1000]);
            for (reply, json) in all(&mut reader) {
                assert_eq!((reply.as_deref(), json), (Some("a"), Err(FifoFault::TooLong)));
                refused += 1;
            }
            assert!(reader.buffer.len() <= MAX_REQUEST_LEN + 1000);
        }
        assert_eq!(refused, 1);
        reader.push(b"\"]:b:{}");
        assert_eq!(all(&mut reader), [to("b", "{}")]);
    }

    proptest! {
        /// However the bytes are cut, the requests are the same.
        #[test]
        fn any_cut_gives_the_same_requests(
            pieces in prop::collection::vec(prop::sample::select(vec![
                ":a:", "::", ":b/c:", "12", "-", "[1.5e-", "true", "]", "{}", "[]", "{\"x\":[1,\":d:{\"]}", "\n", " ", "{", "x", "\"", ":",
            ]), 0..20),
            cuts in prop::collection::vec(1..9_usize, 1..8),
        ) {
            let bytes = pieces.concat().into_bytes();
            let mut whole = FifoReader::default();
            whole.push(&bytes);
            let expected = all(&mut whole);
            let mut reader = FifoReader::default();
            let (mut found, mut rest, mut cuts) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                reader.push(now);
                found.extend(all(&mut reader));
                rest = later;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
