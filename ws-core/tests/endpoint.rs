//! The whole-connection type: opening handshake, messages and end in one object.

use core::time::Duration;
use std::sync::Arc;

use ws_core::{
    Accept, AnswerError, Chunk, ClientRequest, Config, Endpoint, Event, Headers, Instant, KeySource, Message,
    Outcome, RequestError, Response, Role, SendBuffer, SendError, ServerConfig, Side, StatusCode,
    Subprotocol,
};

/// An endpoint and what it has to send.
struct Peer {
    endpoint: Endpoint,
    out: SendBuffer,
}

impl Peer {
    fn server(config: ServerConfig) -> Self {
        Self { endpoint: Endpoint::server(&Arc::new(config), Instant::EPOCH), out: SendBuffer::new() }
    }

    fn client(request: &ClientRequest) -> Self {
        let config = Arc::new(Config::default());
        let endpoint = Endpoint::client(request, &config, KeySource::counter(1), Instant::EPOCH);
        Self { endpoint, out: SendBuffer::new() }
    }

    /// Everything that is due, as the transport gets it.
    fn sent(&mut self, now: Instant) -> Vec<u8> {
        let mut sent = Vec::new();
        while self.endpoint.poll_transmit(now, &mut self.out) {
            let n = self.out.pending().len();
            sent.extend_from_slice(self.out.pending());
            self.endpoint.handle_transmitted(now, n, &mut self.out);
        }
        sent
    }

    /// All events that one chunk gives.
    fn receive(&mut self, now: Instant, bytes: &[u8]) -> Vec<Event<'static>> {
        let mut bytes = bytes.to_vec();
        let mut chunk = Chunk::new(&mut bytes);
        let mut events = Vec::new();
        while let Some(event) = self.endpoint.poll_event(now, &mut chunk) {
            events.push(event.into_owned());
        }
        assert!(chunk.is_empty(), "None only when all was taken in");
        events
    }
}

const NOW: Instant = Instant::EPOCH;

fn request() -> ClientRequest {
    ClientRequest::new("ws://example.com/chat?a=b").unwrap().subprotocol("sip").unwrap()
}

fn text(text: &str) -> Event<'static> {
    Event::Message(Message::Text(text.to_owned().into()))
}

#[test]
fn from_the_first_byte_to_the_last() {
    let mut config = ServerConfig::default();
    config.subprotocols = vec!["sip".into()];
    config.headers = Headers::new().with("Server", "test").unwrap();
    let (mut server, mut client) = (Peer::server(config), Peer::client(&request()));
    assert_eq!((server.endpoint.role(), client.endpoint.role()), (Role::Server, Role::Client));
    assert_eq!(client.endpoint.send_text("early", &mut client.out), Err(SendError::NotOpen));

    let sent = client.sent(NOW);
    let [Event::Open(at_server)] = &server.receive(NOW, &sent)[..] else { panic!("not open") };
    assert_eq!(at_server.subprotocol(), Some("sip"));
    assert_eq!(at_server.raw_request(), sent);
    assert_eq!(at_server.request().unwrap().path(), "/chat");

    // A frame that is sent before the 101 was queued goes out behind it, glued.
    server.endpoint.send_text("hello", &mut server.out).unwrap();
    let sent = server.sent(NOW);
    assert!(sent.starts_with(at_server.raw_response()) && sent.ends_with(b"hello"));
    let events = client.receive(NOW, &sent);
    let [Event::Open(at_client), message] = &events[..] else { panic!("not open: {events:?}") };
    assert_eq!(at_client.subprotocol(), Some("sip"));
    assert_eq!(at_client.response().unwrap().header("server"), Some("test"));
    assert_eq!(at_client.raw_request(), at_server.raw_request());
    assert_eq!(at_client.raw_response(), at_server.raw_response());
    assert_eq!(*message, text("hello"));
    assert!(client.endpoint.is_open() && server.endpoint.is_open());

    client.endpoint.close(NOW, Some(StatusCode::NORMAL), "bye", &mut client.out).unwrap();
    let sent = client.sent(NOW);
    let events = server.receive(NOW, &sent);
    assert!(matches!(&events[..], [Event::Close(Some(frame))] if frame.reason == "bye"), "{events:?}");
    let sent = server.sent(NOW);
    let code = Some(StatusCode::NORMAL);
    assert_eq!(server.receive(NOW, &[]), [Event::Closed(Outcome::Clean { initiator: Side::Peer, code })]);
    assert!(matches!(client.receive(NOW, &sent)[..], [Event::Close(_)]));
    client.endpoint.handle_eof(NOW);
    assert_eq!(client.receive(NOW, &[]), [Event::Closed(Outcome::Clean { initiator: Side::Us, code })]);
}

/// What follows the request while the application decides is delivered after `Open`, in order, the end of the
/// stream last.
#[test]
fn deciding_later_loses_nothing() {
    let mut config = ServerConfig::default();
    config.ask = true;
    let (mut server, mut client) = (Peer::server(config), Peer::client(&request()));
    let head = client.sent(NOW);
    let frame = b"\x81\x82\0\0\0\0hi";
    let events = server.receive(NOW, &[&head[..], frame, &frame[..3]].concat());
    let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
    assert!(request.is_websocket() && request.subprotocols().eq(["sip"]));
    assert!(server.endpoint.is_request_waiting());
    assert_eq!(server.receive(NOW, &frame[3..]), []);
    server.endpoint.handle_eof(NOW);
    assert_eq!(server.receive(NOW, &[]), []);
    assert_eq!(server.sent(NOW), b"");

    let named = |name: &str| Accept { subprotocol: Subprotocol::Named(name.into()), headers: Headers::new() };
    assert_eq!(server.endpoint.accept(&named("other")), Err(AnswerError::SubprotocolNotOffered));
    server.endpoint.accept(&named("sip")).unwrap();
    assert_eq!(server.endpoint.accept(&named("sip")), Err(AnswerError::NoRequest));
    let events = server.receive(NOW, &[]);
    let [Event::Open(opened), first, second, closed] = &events[..] else { panic!("{events:?}") };
    assert_eq!(opened.subprotocol(), Some("sip"));
    assert_eq!((first, second), (&text("hi"), &text("hi")));
    assert_eq!(*closed, Event::Closed(Outcome::Vanished));
    assert_eq!(server.sent(NOW), opened.raw_response());
}

/// An end of the stream that comes between two parked messages is still behind both.
#[test]
fn the_end_waits_for_what_is_parked() {
    let mut config = ServerConfig::default();
    config.ask = true;
    let (mut server, mut client) = (Peer::server(config), Peer::client(&request()));
    let frame = b"\x81\x82\0\0\0\0hi";
    server.receive(NOW, &client.sent(NOW));
    server.receive(NOW, &frame.repeat(2));
    server.endpoint.accept(&Accept::default()).unwrap();
    let mut chunk = Chunk::empty();
    assert!(matches!(server.endpoint.poll_event(NOW, &mut chunk), Some(Event::Open(_))));
    assert_eq!(server.endpoint.poll_event(NOW, &mut chunk), Some(text("hi")));
    server.endpoint.handle_eof(NOW);
    assert_eq!(server.receive(NOW, &[]), [text("hi"), Event::Closed(Outcome::Vanished)]);
}

/// Where nothing is parked the end is known at once, also before the 101 was taken.
#[test]
fn the_end_before_the_101_left() {
    let (mut server, mut client) = (Peer::server(ServerConfig::default()), Peer::client(&request()));
    assert!(matches!(server.receive(NOW, &client.sent(NOW))[..], [Event::Open(_)]));
    server.endpoint.handle_eof(NOW);
    assert!(server.endpoint.is_closed());
    assert_eq!(server.receive(NOW, &[]), [Event::Closed(Outcome::Vanished)]);
}

/// The answer is flushed, the write half shut down, and the client's end of the stream awaited.
#[test]
fn a_refusal_lingers_until_the_client_ends() {
    let mut server = Peer::server(ServerConfig::default());
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(server.receive(NOW, head), []);
    assert!(!server.endpoint.is_write_closed());
    assert_eq!(server.endpoint.raw_request(), head);
    let sent = server.sent(NOW);
    assert!(sent.starts_with(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"));
    assert_eq!(server.endpoint.raw_response(), sent);
    assert!(server.endpoint.is_write_closed() && !server.endpoint.is_closed());
    assert_eq!(server.receive(NOW, b"more that nobody reads"), []);
    server.endpoint.handle_eof(NOW);
    assert_eq!(server.receive(NOW, &[]), [Event::Closed(Outcome::Refused(RequestError::NotWebSocket))]);
    assert_eq!(server.receive(NOW, &[]), [], "once");
    assert_eq!(server.endpoint.raw_request(), head);
}

#[test]
fn plain_requests_are_answered_by_the_application() {
    let mut config = ServerConfig::default();
    config.plain_requests = true;
    for (method, body) in [("GET", "page"), ("HEAD", "")] {
        let mut server = Peer::server(config.clone());
        let head = format!("{method} /page?q HTTP/1.1\r\nHost: a\r\n\r\n");
        let events = server.receive(NOW, head.as_bytes());
        let [Event::Request(request)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((request.path(), request.query(), request.is_websocket()), ("/page", Some("q"), false));
        assert_eq!(server.endpoint.accept(&Accept::default()), Err(AnswerError::PlainRequest));
        let mut response = Response::new(200);
        response.body = "page".into();
        response.headers.push("Content-Type", "text/html").unwrap();
        server.endpoint.respond(NOW, &response).unwrap();
        let expected = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 4\r\n\r\n{body}"
        );
        assert_eq!(String::from_utf8(server.sent(NOW)).unwrap(), expected);
        let deadline = server.endpoint.poll_timeout().unwrap();
        assert_eq!(deadline, NOW + Duration::from_secs(5));
        server.endpoint.handle_timeout(deadline);
        assert_eq!(server.receive(deadline, &[]), [Event::Closed(Outcome::Responded(200))]);
    }
}
