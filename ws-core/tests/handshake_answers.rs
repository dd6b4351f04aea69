//! What the application has to say in a server's opening handshake: its answers and their fields, and that it serves nobody now.

mod handshake_support;

use std::sync::Arc;

use handshake_support::requests::*;
use handshake_support::{Driven, NOW};
use ws_core::{
    Accept, AnswerError, Config, Event, Headers, Outcome, RequestError, Response, ServerConfig, Subprotocol,
};

#[test]
fn an_unavailable_server_answers_503() {
    let mut config = ServerConfig::default();
    config.unavailable = Some(core::time::Duration::from_secs(30));
    let fields = "Retry-After: 30\r\n";
    for bytes in [good(&[]), request(&[HOST]), good(&[]).replacen("GET", "POST", 1)] {
        check(&config, &bytes, RequestError::Unavailable, "503 Service Unavailable", fields);
    }
    // The same when the server shuts down in the middle of a request.
    let mut server = Driven::server(&Arc::new(ServerConfig::default()));
    let bytes = good(&[]);
    let (front, back) = bytes.as_bytes().split_at(40);
    server.feed(front);
    server.endpoint.refuse_unavailable(core::time::Duration::from_secs(120));
    server.feed(back);
    assert_eq!(
        server.sent_text(),
        answer("503 Service Unavailable", "Retry-After: 120\r\n", "try again later")
    );
}

#[test]
fn further_fields_of_the_101() {
    let mut config = ServerConfig::default();
    config.headers = Headers::new().with("Server", "example").unwrap().with("X-A", "b c").unwrap();
    assert_eq!(accepted(&config, &good(&[])), switching("Server: example\r\nX-A: b c\r\n"));
}

/// What the application sees, and each way in which it can answer.
#[test]
fn the_application_is_asked() {
    let mut config = ServerConfig::default();
    config.ask = true;
    config.subprotocols = vec!["sip".into()];
    config.headers = Headers::new().with("Server", "example").unwrap();
    let config = Arc::new(config);
    let bytes = good(&[
        "Sec-WebSocket-Protocol: chat, sip",
        "Origin: https://a.example",
        "Cookie: a=b",
        "X-Raw: \u{e9}",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"15\", bad bad",
    ])
    .replace("/chat", "/chat?x=%20y");
    let ask = || {
        let mut server = Driven::server(&config);
        server.feed(bytes.as_bytes());
        let Some(Event::Request(request)) = server.events.pop() else { panic!("not asked") };
        assert!(server.sent.is_empty() && server.events.is_empty() && server.endpoint.is_request_waiting());
        (server, request)
    };

    let (mut server, request) = ask();
    assert_eq!((request.method(), request.target()), ("GET", "/chat?x=%20y"));
    assert_eq!((request.path(), request.query()), ("/chat", Some("x=%20y")));
    assert_eq!((request.host(), request.origin()), ("example.com", Some("https://a.example")));
    assert_eq!((request.header("COOKIE"), request.header("cooki")), (Some("a=b"), None));
    assert_eq!(request.header_bytes("x-raw"), Some("\u{e9}".as_bytes()));
    assert_eq!(request.headers().count(), 10);
    assert_eq!(request.headers().next(), Some(("Host", &b"example.com"[..])));
    assert!(request.subprotocols().eq(["chat", "sip"]));
    let extensions = request.extensions();
    assert_eq!(extensions.len(), 1);
    assert_eq!(extensions[0].name, "permessage-deflate");
    assert_eq!(extensions[0].params, [("client_max_window_bits".into(), Some("15".into()))]);
    assert_eq!(request.raw(), bytes.as_bytes());
    assert!(request.is_websocket());

    server.endpoint.accept(&Accept::default()).unwrap();
    server.feed(&[]);
    let line = "Sec-WebSocket-Protocol: sip\r\nServer: example\r\n";
    assert_eq!(server.sent_text(), switching(line));
    assert!(matches!(&server.events[..], [Event::Open(opened)] if opened.request() == Some(&*request)));
    assert_eq!(server.endpoint.accept(&Accept::default()), Err(AnswerError::NoRequest));
    assert_eq!(server.endpoint.respond(NOW, &Response::new(200)), Err(AnswerError::NoRequest));

    let headers = Headers::new().with("X-User", "7").unwrap();
    for (subprotocol, line) in
        [(Subprotocol::None, ""), (Subprotocol::Named("chat".into()), "Sec-WebSocket-Protocol: chat\r\n")]
    {
        let (mut server, _) = ask();
        server.endpoint.accept(&Accept { subprotocol, headers: headers.clone() }).unwrap();
        server.feed(&[]);
        assert_eq!(server.sent_text(), switching(&format!("{line}Server: example\r\nX-User: 7\r\n")));
    }

    let (mut server, _) = ask();
    for name in ["sips", "SIP", "", "chat, sip", "sip\r\nX: y"] {
        let accept = Accept { subprotocol: Subprotocol::Named(name.into()), headers: Headers::new() };
        assert_eq!(server.endpoint.accept(&accept), Err(AnswerError::SubprotocolNotOffered), "{name}");
    }
    let mut refusal = Response::new(401);
    refusal.headers.push("WWW-Authenticate", "Bearer").unwrap();
    refusal.body = "who are you?".into();
    server.endpoint.respond(NOW, &refusal).unwrap();
    server.transmit();
    assert_eq!(
        server.sent_text(),
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\nContent-Length: 12\r\n\r\n\
         who are you?"
    );
    server.eof();
    assert_eq!(server.only_outcome(), Some(&Outcome::Responded(401)));
}

#[test]
fn what_cannot_be_sent_is_refused_and_changes_nothing() {
    let mut config = ServerConfig::default();
    config.plain_requests = true;
    let mut server = Driven::server(&Arc::new(config));
    server.feed(request(&[HOST]).as_bytes());
    for status in [0, 99, 100, 101, 199, 600, 1000] {
        let response = Response::new(status);
        assert_eq!(server.endpoint.respond(NOW, &response), Err(AnswerError::InvalidResponse), "{status}");
    }
    for reason in ["a\r\nX: y", "\0", "caf\u{e9}", "a\tb"] {
        let mut response = Response::new(200);
        response.reason = reason.into();
        assert_eq!(server.endpoint.respond(NOW, &response), Err(AnswerError::InvalidResponse), "{reason:?}");
    }
    for status in [204, 205, 304] {
        let mut response = Response::new(status);
        response.body = "x".into();
        assert_eq!(server.endpoint.respond(NOW, &response), Err(AnswerError::InvalidResponse));
    }
    let mut response = Response::new(299);
    response.reason = "As Good As Gold".into();
    server.endpoint.respond(NOW, &response).unwrap();
    server.transmit();
    let expected = "HTTP/1.1 299 As Good As Gold\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(server.sent_text(), expected);
}

/// A client that sends on without waiting for the 101 is bounded, while the application decides.
#[test]
fn data_before_the_answer_is_bounded() {
    let mut connection = Config::default();
    connection.max_head_len = 400;
    let mut config = ServerConfig::default();
    config.ask = true;
    config.connection = Arc::new(connection);
    let mut server = Driven::server(&Arc::new(config));
    server.feed(good(&[]).as_bytes());
    server.feed(&[0x81; 400]);
    assert!(server.endpoint.is_request_waiting());
    server.feed(&[0x81]);
    assert!(!server.endpoint.is_request_waiting());
    assert_eq!(server.sent_text(), answer("400 Bad Request", "", "data before the answer"));
    assert_eq!(server.endpoint.accept(&Accept::default()), Err(AnswerError::NoRequest));
    server.eof();
    let outcome = Outcome::Refused(RequestError::DataBeforeAnswer);
    assert_eq!(server.events.pop(), Some(Event::Closed(outcome)));
}
