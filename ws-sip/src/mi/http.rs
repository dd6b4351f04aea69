//! Management over HTTP: one request a connection, `POST /mi` with JSON-RPC, `GET /metrics`.

use std::io::Write as _;

use super::control::Control;
use super::rpc::{MAX_REQUEST_LEN, MAX_RESPONSE_LEN, answer};
use super::statistic::metrics;

const MAX_HEAD_LEN: usize = 8 << 10;
const MAX_HEADERS: usize = 64;

/// Finds one request in what comes on a connection.
#[derive(Debug, Default)]
pub struct HttpReader {
    buffer: Vec<u8>,
    /// The head, once it is whole.
    head: Option<Head>,
}

#[derive(Clone, Debug, Default)]
struct Head {
    len: usize,
    method: String,
    path: String,
    content_length: usize,
    has_origin: bool,
    wants_continue: bool,
}

/// What a connection's bytes are so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpInput {
    /// More must come. The first time with `true` the client waits for a `100 Continue` before it sends more.
    Partial(bool),
    /// A whole request.
    Request(HttpRequest),
    /// No request that can be served: answer with this status.
    Refused(u16),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, case as it came.
    pub method: String,
    /// The target without its query.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    /// Whether a browser sent it for a page.
    pub has_origin: bool,
}

impl HttpReader {
    /// Takes in what came. After anything but [`HttpInput::Partial`] the connection has no further request.
    pub fn push(&mut self, bytes: &[u8]) -> HttpInput {
        let searched = self.buffer.len().saturating_sub(3);
        self.buffer.extend_from_slice(bytes);
        let head = match &mut self.head {
            Some(head) => head,
            None => match memchr::memmem::find(&self.buffer[searched..], b"\r\n\r\n") {
                Some(at) if searched + at <= MAX_HEAD_LEN => {
                    let len = searched + at;
                    match parse(&self.buffer[..len]) {
                        Ok(head) => self.head.insert(Head { len: len + 4, ..head }),
                        Err(status) => return HttpInput::Refused(status),
                    }
                }
                None if self.buffer.len() <= MAX_HEAD_LEN + 3 => return HttpInput::Partial(false),
                _ => return HttpInput::Refused(431),
            },
        };
        let body = &self.buffer[head.len..];
        if body.len() < head.content_length {
            return HttpInput::Partial(core::mem::take(&mut head.wants_continue) && body.is_empty());
        }
        HttpInput::Request(HttpRequest {
            method: core::mem::take(&mut head.method),
            path: core::mem::take(&mut head.path),
            body: body[..head.content_length].to_vec(),
            has_origin: head.has_origin,
        })
    }

    /// Returns whether nothing came: a client that only looks whether somebody listens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// Reads a head without its last empty line; the error is a status.
fn parse(head: &[u8]) -> Result<Head, u16> {
    if head.iter().any(|&byte| byte == 0 || byte == 0x7f) {
        return Err(400);
    }
    let mut lines = core::str::from_utf8(head).map_err(|_| 400_u16)?.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(400);
    };
    if method.is_empty()
        || !method.bytes().all(is_token)
        || !target.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(400);
    }
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(if version.starts_with("HTTP/") { 505 } else { 400 });
    }
    let path = target.split('?').next().unwrap_or_default();
    let mut read = Head { method: method.into(), path: path.into(), ..Head::default() };
    let (mut hosts, mut length) = (0, None);
    for (index, line) in lines.enumerate() {
        let (name, value) = line.split_once(':').ok_or(400_u16)?;
        let value = value.trim_matches([' ', '\t']);
        // A bare CR or LF would be a line of its own to others, and a space before the colon is somebody's trick.
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
            return Err(400);
        }
        if index == MAX_HEADERS {
            return Err(431);
        }
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "origin" => read.has_origin = true,
            "content-length" if length.is_some() => return Err(400),
            "content-length" => length = Some(content_length(value)?),
            "transfer-encoding" => return Err(411),
            "expect" if value.eq_ignore_ascii_case("100-continue") => read.wants_continue = true,
            "expect" => return Err(417),
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && version == "HTTP/1.1") {
        return Err(400);
    }
    read.content_length = length.unwrap_or(0);
    Ok(read)
}

fn content_length(value: &str) -> Result<usize, u16> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(400);
    }
    value.parse().ok().filter(|&len| len <= MAX_REQUEST_LEN).ok_or(413)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Answers a request; `root` is the resource of the commands, without its slash.
pub fn respond(control: &mut dyn Control, root: &str, request: &HttpRequest) -> Vec<u8> {
    let resource = request.path.strip_prefix('/').unwrap_or_default();
    let method = request.method.as_str();
    if resource == "metrics" {
        return match (method, control.statistics()) {
            ("GET", Ok(statistics)) => text(200, METRICS, &metrics(&statistics)),
            ("HEAD", Ok(statistics)) => {
                let mut response = text(200, METRICS, &metrics(&statistics));
                let head = memchr::memmem::find(&response, b"\r\n\r\n").map_or(0, |at| at + 4);
                response.truncate(head);
                response
            }
            ("GET" | "HEAD", Err(error)) => text(503, PLAIN, &format!("{error}\n")),
            _ => refuse_method("GET, HEAD"),
        };
    }
    if resource.strip_suffix('/').unwrap_or(resource) != root {
        return text(
            400,
            HTML,
            &format!("<html><body>Management is at <code>/{root}</code>.</body></html>\n"),
        );
    }
    if method != "POST" {
        return refuse_method("POST");
    }
    // Pages of anywhere may post to a listener on this machine, and nothing asks for a password.
    if request.has_origin {
        return text(403, PLAIN, "no management from web pages\n");
    }
    if request.body.is_empty() {
        return text(400, PLAIN, "expected a JSON-RPC request in the body\n");
    }
    match answer(control, &request.body, MAX_RESPONSE_LEN) {
        Some(response) => text(200, "application/json", &response),
        None => refuse(202),
    }
}

/// Returns a response without a body.
#[must_use]
pub fn refuse(status: u16) -> Vec<u8> {
    response(status, "", b"")
}

/// What a client that asks for it gets before it sends its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn text(status: u16, kind: &str, text: &str) -> Vec<u8> {
    response(status, &format!("Content-Type: {kind}\r\n"), text.as_bytes())
}

fn refuse_method(allowed: &str) -> Vec<u8> {
    response(405, &format!("Allow: {allowed}\r\n"), b"")
}

fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    };
    let len = body.len();
    let mut out = Vec::with_capacity(len + 128);
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {reason}\r\nConnection: close\r\n{headers}Content-Length: {len}\r\n\r\n"
    );
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests;
