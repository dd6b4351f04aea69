//! Limits, deadlines, chunk counting and ends of the opening handshake, and each machine used alone.

mod handshake_support;

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use handshake_support::{ACCEPT, Driven, KEY, NOW, cuts};
use ws_core::{
    Accept, Chunk, ClientHandshake, ClientRequest, Config, Connection, Deadline, Endpoint, Event, HeadError,
    Instant, KeySource, Outcome, ProtocolError, RequestError, Response, ResponseFault, Role, SendBuffer,
    ServerConfig, ServerHandshake,
};

/// What follows from the first nonce of `KeySource::counter(0)`.
const CLIENT_ACCEPT: &str = "CZrleOmVdJYaVFjDzna/IpV8YAw=";

fn server_config(change: impl FnOnce(&mut Config)) -> Arc<ServerConfig> {
    let mut connection = Config::default();
    change(&mut connection);
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    Arc::new(config)
}

fn request(more: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
    .into_bytes()
}

/// What a server makes of a request that is fed in all ways.
#[track_caller]
fn outcome(config: &Arc<ServerConfig>, bytes: &[u8]) -> Result<(), (RequestError, String)> {
    let mut results = Vec::new();
    for chunks in cuts(bytes) {
        let mut server = Driven::server(config);
        for chunk in &chunks {
            server.feed(chunk);
        }
        if matches!(server.events[..], [Event::Open(_)]) {
            results.push(Ok(()));
            continue;
        }
        let status = server.sent_text().split("\r\n").next().unwrap_or_default().to_owned();
        server.eof();
        match server.only_outcome() {
            Some(Outcome::Refused(error)) => results.push(Err((*error, status))),
            other => panic!("{other:?}"),
        }
    }
    results.dedup();
    assert_eq!(results.len(), 1, "not the same for all ways of cutting");
    results.remove(0)
}

#[test]
fn a_head_may_be_exactly_as_long_as_the_limit() {
    let exact = request("X: yyyyy\r\n");
    let config = server_config(|config| config.max_head_len = exact.len());
    assert_eq!(outcome(&config, &exact), Ok(()));
    let error = RequestError::Head(HeadError::TooLong);
    let status = "HTTP/1.1 431 Request Header Fields Too Large".to_owned();
    assert_eq!(outcome(&config, &request("X: yyyyyy\r\n")), Err((error, status.clone())));
    // It is found when so many bytes came, even without the end of a line.
    let endless = [&exact[..60], &[b'y'; 20_000]].concat();
    assert_eq!(outcome(&config, &endless), Err((error, status)));
}

#[test]
fn a_target_that_is_too_long_is_414() {
    let config = server_config(|config| config.max_head_len = 1000);
    let bytes = [b"GET /", &[b'a'; 2000][..], b" HTTP/1.1\r\n\r\n"].concat();
    let error = RequestError::Head(HeadError::TargetTooLong);
    assert_eq!(outcome(&config, &bytes), Err((error, "HTTP/1.1 414 URI Too Long".into())));
}

#[test]
fn fields_are_counted() {
    let config = server_config(|config| config.max_headers = 7);
    assert_eq!(outcome(&config, &request("A: b\r\nC: d\r\n")), Ok(()));
    let status = "HTTP/1.1 431 Request Header Fields Too Large".to_owned();
    let error = RequestError::Head(HeadError::TooManyFields);
    assert_eq!(outcome(&config, &request("A: b\r\nC: d\r\nE: f\r\n")), Err((error, status)));
}

/// The defaults of the documentation.
#[test]
fn default_limits() {
    let config = server_config(|_| {});
    assert_eq!(outcome(&config, &request(&"A: b\r\n".repeat(95))), Ok(()));
    assert!(outcome(&config, &request(&"A: b\r\n".repeat(96))).is_err());
    let fill = 16 * 1024 - request("A: \r\n").len();
    assert_eq!(outcome(&config, &request(&format!("A: {}\r\n", "x".repeat(fill)))), Ok(()));
    assert!(outcome(&config, &request(&format!("A: {}\r\n", "x".repeat(fill + 1)))).is_err());
}

fn feed_in(server: &mut Driven, bytes: &[u8], chunks: usize) {
    bytes.chunks(bytes.len().div_ceil(chunks)).for_each(|chunk| server.feed(chunk));
}

/// Complete at the latest in chunk `max`; incomplete after it: refused at once.
#[test]
fn chunks_of_a_head_are_counted() {
    let config = server_config(|config| config.max_message_chunks = NonZeroU32::new(4));
    let bytes = request("");
    let mut server = Driven::server(&config);
    feed_in(&mut server, &bytes, 4);
    assert!(matches!(server.events[..], [Event::Open(_)]));

    let mut server = Driven::server(&config);
    for (n, byte) in bytes.chunks(1).enumerate() {
        assert_eq!(server.sent.is_empty(), n < 4);
        server.feed(byte);
    }
    server.eof();
    let error = RequestError::Head(HeadError::TooManyChunks);
    assert_eq!(server.only_outcome(), Some(&Outcome::Refused(error)));
    assert!(server.sent_text().starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(server.sent_text().ends_with("\r\n\r\nhead in too many chunks\n"));
}

/// Cut chunks, empty ones, the rest of one, and large ones do not count.
#[test]
fn chunks_that_do_not_count() {
    let config = server_config(|config| {
        config.max_message_chunks = NonZeroU32::new(1);
        config.counted_chunk_len = Some(50);
    });
    let bytes = request("");
    let mut server = Driven::server(&config);
    bytes.chunks(50).take(2).for_each(|chunk| server.feed(chunk));
    let mut cut = bytes[100..101].to_vec();
    assert!(server.endpoint.poll_event(NOW, &mut Chunk::cut(&mut cut)).is_none());
    let mut rest = bytes[101..103].to_vec();
    assert!(server.endpoint.poll_event(NOW, &mut Chunk::resumed(&mut rest, 0, 2)).is_none());
    server.feed(&[]);
    server.feed(&bytes[103..]);
    assert!(matches!(server.events[..], [Event::Open(_)]));

    let mut server = Driven::server(&config);
    server.feed(&bytes[..49]);
    assert!(server.sent_text().starts_with("HTTP/1.1 400 "));
}

/// A chunk that ends the head and starts a message is chunk 1 of the message.
#[test]
fn the_chunk_that_ends_the_head_is_the_first_of_the_message() {
    let config = server_config(|config| config.max_message_chunks = NonZeroU32::new(2));
    let frame = b"\x81\x83\0\0\0\0abc";
    let mut server = Driven::server(&config);
    server.feed(&[&request("")[..], &frame[..3]].concat());
    server.feed(&frame[3..]);
    assert!(matches!(server.events[..], [Event::Open(_), Event::Message(_)]));

    let mut server = Driven::server(&config);
    server.feed(&[&request("")[..], &frame[..3]].concat());
    server.feed(&frame[3..8]);
    assert!(matches!(server.events[..], [Event::Open(_), Event::Failed(ProtocolError::TooManyChunks)]));
}

#[test]
fn a_client_counts_chunks_too() {
    let mut config = Config::default();
    config.max_message_chunks = NonZeroU32::new(2);
    let asking = ClientRequest::new("ws://a").unwrap();
    let response = format!(
        "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {CLIENT_ACCEPT}\r\n\r\n"
    );
    let mut client = Driven::client(&asking, &config);
    client.feed(&[response.as_bytes(), b"\x81\x03a"].concat());
    client.feed(b"b");
    assert!(matches!(client.events[..], [Event::Open(_), Event::Failed(ProtocolError::TooManyChunks)]));

    let mut client = Driven::client(&asking, &config);
    // Each head is counted for itself.
    client.feed(b"HTTP/1.1 100 \r\n");
    client.feed(b"\r\nHTTP/1.1 101 \r\n");
    client.feed(b"Upgrade: websocket\r\n");
    let Some(Outcome::Rejected(error)) = client.only_outcome() else { panic!("{:?}", client.events) };
    assert_eq!(error.fault(), ResponseFault::Head(HeadError::TooManyChunks));
}

#[test]
fn a_client_limits_the_head_too() {
    let mut config = Config::default();
    config.max_head_len = 50;
    config.max_headers = 1;
    let asking = ClientRequest::new("ws://a").unwrap();
    for (bytes, error) in [
        (&b"HTTP/1.1 101 \r\nA: b\r\nC: d\r\n"[..], HeadError::TooManyFields),
        (
            b"HTTP/1.1 200 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            HeadError::TooLong,
        ),
    ] {
        for chunks in cuts(bytes) {
            let mut client = Driven::client(&asking, &config);
            for chunk in &chunks {
                client.feed(chunk);
            }
            let Some(Outcome::Rejected(rejected)) = client.only_outcome() else {
                panic!("{:?}", client.events)
            };
            assert_eq!(rejected.fault(), ResponseFault::Head(error));
            assert!(rejected.head().raw().len() <= 50);
        }
    }
}

/// The deadline is absolute: bytes do not move it.
#[test]
fn a_slow_client_is_answered_408() {
    let mut server = Driven::server(&server_config(|_| {}));
    let deadline = NOW + Duration::from_secs(10);
    server.feed(b"GET / HT");
    assert_eq!(server.endpoint.poll_timeout(), Some(deadline));
    server.endpoint.handle_timeout(Instant::from_nanos(deadline.as_nanos() - 1));
    server.feed(b"TP/1.1\r\nHost");
    assert_eq!((server.sent_text(), server.endpoint.poll_timeout()), ("", Some(deadline)));
    server.endpoint.handle_timeout(deadline);
    server.endpoint.handle_timeout(deadline);
    server.transmit();
    assert_eq!(
        server.sent_text(),
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
         Content-Length: 22\r\n\r\nrequest took too long\n"
    );
    assert_eq!(server.endpoint.raw_request(), b"GET / HTTP/1.1\r\nHost");
    // The answer has close_timeout to arrive.
    let end = deadline + Duration::from_secs(5);
    assert_eq!(server.endpoint.poll_timeout(), Some(end));
    server.feed(b": a\r\n\r\n");
    server.endpoint.handle_timeout(end);
    server.feed(&[]);
    assert_eq!(server.only_outcome(), Some(&Outcome::TimedOut(Deadline::OpeningHandshake)));
    assert_eq!(server.endpoint.poll_timeout(), None);
}

/// An application that does not decide in time is our fault, not the client's.
#[test]
fn a_slow_application_is_answered_503() {
    let mut config = ServerConfig::default();
    config.ask = true;
    let mut server = Driven::server(&Arc::new(config));
    server.feed(&request(""));
    let deadline = server.endpoint.poll_timeout().unwrap();
    server.endpoint.handle_timeout(deadline);
    server.transmit();
    assert!(server.sent_text().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(server.endpoint.accept(&Accept::default()).is_err());
    server.eof();
    let outcome = Outcome::TimedOut(Deadline::OpeningHandshake);
    assert_eq!(server.events.pop(), Some(Event::Closed(outcome)));
}

#[test]
fn a_slow_server_ends_the_client() {
    let asking = ClientRequest::new("ws://a").unwrap();
    let mut client = Driven::client(&asking, &Config::default());
    client.feed(b"HTTP/1.1 101 ");
    let deadline = NOW + Duration::from_secs(10);
    assert_eq!(client.endpoint.poll_timeout(), Some(deadline));
    client.endpoint.handle_timeout(deadline);
    client.feed(&[]);
    assert_eq!(client.only_outcome(), Some(&Outcome::TimedOut(Deadline::OpeningHandshake)));
    assert_eq!(client.endpoint.poll_timeout(), None);

    // Once the status is known, a body that does not end takes nothing away from it.
    let mut client = Driven::client(&asking, &Config::default());
    client.feed(b"HTTP/1.1 403 No\r\n\r\nbecause");
    client.endpoint.handle_timeout(deadline);
    client.feed(&[]);
    let Some(Outcome::Rejected(error)) = client.only_outcome() else { panic!("{:?}", client.events) };
    assert_eq!((error.status(), error.body()), (403, &b"because"[..]));
}

#[test]
fn without_deadlines() {
    let config = server_config(|config| config.opening_handshake_timeout = None);
    let mut server = Driven::server(&config);
    assert_eq!(server.endpoint.poll_timeout(), None);
    server.endpoint.handle_timeout(Instant::from_nanos(u64::MAX - 1));
    server.feed(&request(""));
    assert!(matches!(server.events[..], [Event::Open(_)]));
}

/// A client that is gone gets no answer; one that only ended its stream does.
#[test]
fn ends_of_the_stream() {
    let mut server = Driven::server(&server_config(|_| {}));
    server.feed(b"GET / HTTP/1.1\r\n");
    server.eof();
    assert_eq!(server.only_outcome(), Some(&Outcome::Vanished));
    server.eof();
    server.endpoint.abort();
    server.feed(b"more");
    assert_eq!((server.events.len(), server.sent_text()), (1, ""), "once");

    let mut config = ServerConfig::default();
    config.plain_requests = true;
    let mut server = Driven::server(&Arc::new(config));
    server.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.eof();
    assert!(matches!(server.events[..], [Event::Request(_)]));
    server.endpoint.respond(NOW, &Response::new(200)).unwrap();
    server.feed(&[]);
    assert!(server.sent_text().starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(server.events.len(), 1, "flushed first");
    server.feed(&[]);
    assert_eq!(server.events.pop(), Some(Event::Closed(Outcome::Responded(200))));
}

#[test]
fn broken_and_aborted_transports() {
    for (outcome, act) in [
        (Outcome::TransportLost, (|endpoint| endpoint.handle_transport_lost(NOW)) as fn(&mut Endpoint)),
        (Outcome::Aborted, Endpoint::abort),
    ] {
        let mut server = Driven::server(&server_config(|_| {}));
        server.feed(b"GET /");
        act(&mut server.endpoint);
        assert!(server.endpoint.is_closed());
        server.feed(b"more");
        assert_eq!(server.only_outcome(), Some(&outcome));
        assert_eq!(server.endpoint.raw_request(), b"GET /");

        // What was decided before stays the reason.
        let mut server = Driven::server(&server_config(|_| {}));
        server.feed(b"GET / HTTP/1.0\r\n");
        act(&mut server.endpoint);
        server.feed(&[]);
        let error = RequestError::Head(HeadError::Version);
        assert_eq!(server.only_outcome(), Some(&Outcome::Refused(error)));
    }
}

/// The write half is shut down only after the whole answer left, and the end comes only after that.
#[test]
fn a_slow_transport_gets_the_whole_answer() {
    let mut server = Endpoint::server(&server_config(|_| {}), NOW);
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert!(server.poll_event(NOW, &mut Chunk::new(&mut bytes)).is_none());
    let mut out = SendBuffer::new();
    assert!(!server.is_write_closed());
    server.handle_eof(NOW);
    while server.poll_transmit(NOW, &mut out) {
        assert!(server.is_write_closed() && !server.is_closed());
        server.handle_transmitted(NOW, 0, &mut out);
        server.handle_transmitted(NOW, 1, &mut out);
    }
    let event = server.poll_event(NOW, &mut Chunk::empty());
    assert_eq!(event, Some(Event::Closed(Outcome::Refused(RequestError::NotWebSocket))));
}

/// The machines without `Connection`: what follows the handshake is left for another framing.
#[test]
fn each_machine_alone() {
    let asking = ClientRequest::new("ws://a").unwrap();
    let mut keys = KeySource::counter(0);
    let mut client = ClientHandshake::new(&asking, &Arc::new(Config::default()), &mut keys, NOW);
    let mut server = ServerHandshake::new(&Arc::new(ServerConfig::default()), NOW);
    let (mut from_client, mut from_server) = (SendBuffer::new(), SendBuffer::new());
    assert!(client.poll_transmit(&mut from_client));
    let mut bytes = [&from_client.take()[..], b"behind the request"].concat();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(matches!(server.poll_event(NOW, &mut chunk), Some(Event::Open(_))));
    assert!(server.is_open() && server.poll_event(NOW, &mut chunk).is_none());
    assert_eq!(chunk.rest(), b"behind the request");
    // What is queued before the response is asked for leaves behind it.
    let mut early = Connection::new(Role::Server, &Arc::default(), NOW, None);
    early.send_text("early", &mut from_server).unwrap();
    early.ping(b"", &mut from_server).unwrap();
    assert!(server.poll_transmit(&mut from_server) && !server.is_write_closed());
    assert_eq!(server.poll_timeout(), None);
    assert_eq!(server.into_leftover(), b"");

    let mut bytes = [&from_server.into_bytes()[..], b"behind the response"].concat();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(matches!(client.poll_event(NOW, &mut chunk), Some(Event::Open(_))));
    assert!(client.is_open() && client.poll_event(NOW, &mut chunk).is_none());
    assert_eq!(chunk.rest(), b"\x89\0\x81\x05earlybehind the response");
    assert_eq!(client.poll_timeout(), None);
}

/// What came while the application decided is handed over too.
#[test]
fn leftover_of_a_late_decision() {
    let mut config = ServerConfig::default();
    config.ask = true;
    let mut server = ServerHandshake::new(&Arc::new(config), NOW);
    let mut bytes = [&request("")[..], b"early"].concat();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(matches!(server.poll_event(NOW, &mut chunk), Some(Event::Request(_))));
    assert!(server.poll_event(NOW, &mut chunk).is_none() && chunk.is_empty());
    server.accept(&Accept::default()).unwrap();
    let mut bytes = b"late".to_vec();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(
        matches!(server.poll_event(NOW, &mut chunk), Some(Event::Open(opened)) if opened.raw_response().ends_with(format!("{ACCEPT}\r\n\r\n").as_bytes()))
    );
    assert_eq!(chunk.rest(), b"late");
    assert_eq!(server.into_leftover(), b"early");
}
