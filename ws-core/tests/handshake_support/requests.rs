//! Requests for a server, and what it must answer, however they are cut.

use std::sync::Arc;

use ws_core::{Event, Outcome, RequestError, ServerConfig};

use super::{ACCEPT, Driven, KEY, cuts};

/// A request with these lines between the request line and the empty one.
pub(crate) fn request(lines: &[&str]) -> String {
    format!("GET /chat HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"))
}

pub(crate) const UPGRADE: &str = "Upgrade: websocket";
pub(crate) const CONNECTION: &str = "Connection: Upgrade";
pub(crate) const HOST: &str = "Host: example.com";
pub(crate) const VERSION: &str = "Sec-WebSocket-Version: 13";

pub(crate) fn key() -> String {
    format!("Sec-WebSocket-Key: {KEY}")
}

/// A good request with further lines.
pub(crate) fn good(more: &[&str]) -> String {
    request(&[&[HOST, UPGRADE, CONNECTION, &key(), VERSION], more].concat())
}

/// A good request without one line, and with others.
pub(crate) fn without(line: &str, more: &[&str]) -> String {
    let key = key();
    let mut lines = vec![HOST, UPGRADE, CONNECTION, &key, VERSION];
    lines.retain(|own| !own.starts_with(line));
    lines.extend(more);
    request(&lines)
}

/// Feeds it in all ways, ends the stream, and returns what all of them agree on.
#[track_caller]
pub(crate) fn refused(config: &ServerConfig, bytes: &[u8]) -> (String, RequestError) {
    let config = Arc::new(config.clone());
    let mut results = Vec::new();
    for trailing in [&b""[..], b"\x81\x80abcd", b"GET / HTTP/1.1\r\n\r\n"] {
        let bytes = [bytes, trailing].concat();
        for chunks in cuts(&bytes) {
            let mut server = Driven::server(&config);
            for chunk in &chunks {
                server.feed(chunk);
            }
            assert!(server.endpoint.is_write_closed() && !server.endpoint.is_closed(), "it lingers");
            server.eof();
            let Some(Outcome::Refused(error)) = server.only_outcome() else { panic!("{:?}", server.events) };
            assert_eq!(server.endpoint.raw_response(), server.sent);
            results.push((server.sent_text().to_owned(), *error, server.endpoint.raw_request().to_owned()));
        }
    }
    results.dedup();
    assert_eq!(results.len(), 1, "not the same for all ways of cutting");
    let (sent, error, raw) = results.remove(0);
    assert!(bytes.starts_with(&raw) && !raw.is_empty());
    (sent, error)
}

/// The answer as it must be, byte for byte.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> String {
    let close = if fields.contains("Upgrade:") { "close, Upgrade" } else { "close" };
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Type: text/plain; charset=utf-8\r\nConnection: {close}\r\n\
         Content-Length: {}\r\n\r\n{body}\n",
        body.len() + 1
    )
}

#[track_caller]
pub(crate) fn check(config: &ServerConfig, bytes: &str, error: RequestError, status: &str, fields: &str) {
    let (sent, found) = refused(config, bytes.as_bytes());
    assert_eq!(found, error, "{bytes:?}");
    assert_eq!(sent, answer(status, fields, error.reason()), "{bytes:?}");
    assert_eq!(sent.split(' ').nth(1), Some(&*error.status().to_string()));
}

/// Feeds it in all ways and returns the 101 that all of them give.
#[track_caller]
pub(crate) fn accepted(config: &ServerConfig, bytes: &str) -> String {
    let config = Arc::new(config.clone());
    let mut results = Vec::new();
    for trailing in [&b""[..], b"\x81\x82\0\0\0\0hi"] {
        let bytes = [bytes.as_bytes(), trailing].concat();
        for chunks in cuts(&bytes) {
            let mut server = Driven::server(&config);
            for chunk in &chunks {
                server.feed(chunk);
            }
            let [Event::Open(opened), messages @ ..] = &server.events[..] else {
                panic!("{:?}", server.events)
            };
            assert_eq!(messages.len(), usize::from(!trailing.is_empty()), "glued frames follow");
            assert_eq!(opened.raw_response(), server.sent);
            assert_eq!(opened.raw_request(), &bytes[..bytes.len() - trailing.len()]);
            results.push(server.sent_text().to_owned());
        }
    }
    results.dedup();
    assert_eq!(results.len(), 1, "not the same for all ways of cutting");
    results.remove(0)
}

pub(crate) fn switching(fields: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{fields}\r\n"
    )
}
