//! RFC 6455, section 4.1: what a client sends, and which responses it accepts. Each response is fed whole, byte
//! by byte and in pieces.

mod handshake_support;

use handshake_support::{Driven, cuts};
use ws_core::{
    ClientRequest, ClientRequestError, Config, Event, HeadError, HeaderError, Message, Outcome,
    ResponseError, ResponseFault,
};

/// What follows from the first nonce of `KeySource::counter(0)`.
const KEY: &str = "njd5sTxu82Lapm0TeN3mxA==";
const ACCEPT: &str = "CZrleOmVdJYaVFjDzna/IpV8YAw=";

fn asking() -> ClientRequest {
    ClientRequest::new("ws://example.com/chat").unwrap()
}

/// A 101 with these lines after the three that must be there.
fn response(more: &[&str]) -> String {
    let mut lines = vec!["Upgrade: websocket".to_owned(), "Connection: Upgrade".to_owned()];
    lines.push(format!("Sec-WebSocket-Accept: {ACCEPT}"));
    lines.extend(more.iter().map(|&line| line.to_owned()));
    format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n\r\n", lines.join("\r\n"))
}

/// Feeds it in all ways and returns the error that all of them give. `ended`: with the end of the stream.
#[track_caller]
fn rejected(request: &ClientRequest, bytes: &[u8], ended: bool) -> ResponseError {
    let mut results = Vec::new();
    for chunks in cuts(bytes) {
        let mut client = Driven::client(request, &Config::default());
        client.transmit();
        for chunk in &chunks {
            client.feed(chunk);
        }
        if ended {
            client.eof();
        }
        let Some(Outcome::Rejected(error)) = client.only_outcome() else { panic!("{:?}", client.events) };
        assert!(client.endpoint.is_closed());
        results.push(error.clone());
    }
    results.dedup();
    assert_eq!(results.len(), 1, "not the same for all ways of cutting");
    *results.remove(0)
}

#[track_caller]
fn check(bytes: &str, fault: ResponseFault) {
    assert_eq!(rejected(&asking(), bytes.as_bytes(), false).fault(), fault, "{bytes:?}");
}

/// Feeds it in all ways, with a frame glued to it, and returns the subprotocol agreed.
#[track_caller]
fn opened(request: &ClientRequest, bytes: &str) -> Option<String> {
    let mut results = Vec::new();
    for trailing in [&b""[..], b"\x81\x02hi"] {
        let bytes = [bytes.as_bytes(), trailing].concat();
        for chunks in cuts(&bytes) {
            let mut client = Driven::client(request, &Config::default());
            client.transmit();
            for chunk in &chunks {
                client.feed(chunk);
            }
            let [Event::Open(opened), messages @ ..] = &client.events[..] else {
                panic!("{:?}", client.events)
            };
            assert_eq!(opened.raw_request(), client.sent);
            assert!(bytes[..bytes.len() - trailing.len()].ends_with(opened.raw_response()));
            assert_eq!(opened.response().unwrap().status(), 101);
            match messages {
                [] => assert!(trailing.is_empty()),
                [Event::Message(Message::Text(text))] => assert_eq!(text, "hi"),
                other => panic!("{other:?}"),
            }
            results.push(opened.subprotocol().map(str::to_owned));
        }
    }
    results.dedup();
    assert_eq!(results.len(), 1, "not the same for all ways of cutting");
    results.remove(0)
}

/// Section 4.1, first list.
#[test]
fn the_request_byte_for_byte() {
    let request = ClientRequest::new("ws://example.com:8080/a/b?c=d")
        .unwrap()
        .subprotocol("sip")
        .unwrap()
        .subprotocol("chat")
        .unwrap()
        .origin("https://example.com")
        .unwrap()
        .header("Authorization", "Basic YTpi")
        .unwrap();
    assert!(request.subprotocols().eq(["sip", "chat"]));
    let mut client = Driven::client(&request, &Config::default());
    client.transmit();
    let expected = format!(
        "GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip, chat\r\n\
         Origin: https://example.com\r\nAuthorization: Basic YTpi\r\n\r\n"
    );
    assert_eq!(client.sent_text(), expected);
    assert_eq!(client.endpoint.raw_request(), expected.as_bytes());
}

#[test]
fn urls() {
    for (url, host, port, secure, target, authority) in [
        ("ws://a", "a", 80, false, "/", "a"),
        ("WS://a.example:80/", "a.example", 80, false, "/", "a.example"),
        ("ws://a:443", "a", 443, false, "/", "a:443"),
        ("wss://a:443/x", "a", 443, true, "/x", "a"),
        ("wss://a", "a", 443, true, "/", "a"),
        ("wss://a:80", "a", 80, true, "/", "a:80"),
        ("ws://a?x=y/z", "a", 80, false, "/?x=y/z", "a"),
        ("ws://a:/p?", "a", 80, false, "/p?", "a"),
        ("ws://127.0.0.1:65535/%20", "127.0.0.1", 65535, false, "/%20", "127.0.0.1:65535"),
        ("ws://[::1]/p", "::1", 80, false, "/p", "[::1]"),
        ("ws://[2001:db8::1]:5060?p", "2001:db8::1", 5060, false, "/?p", "[2001:db8::1]:5060"),
        ("ws://a/@:[]//..", "a", 80, false, "/@:[]//..", "a"),
        ("ws://a_b-c.~", "a_b-c.~", 80, false, "/", "a_b-c.~"),
    ] {
        let request = ClientRequest::new(url).unwrap();
        assert_eq!((request.host(), request.port(), request.is_secure()), (host, port, secure), "{url}");
        assert_eq!((request.target(), request.authority()), (target, authority), "{url}");
    }
}

#[test]
fn urls_that_are_none() {
    use ClientRequestError::{Character, Fragment, Host, Port, Scheme, UserInfo};
    for (url, error) in [
        ("", Scheme),
        ("a", Scheme),
        ("//a", Scheme),
        ("http://a", Scheme),
        ("ws:a", Scheme),
        ("ws:/a", Scheme),
        ("wsx://a", Scheme),
        ("ws://", Host),
        ("ws:///p", Host),
        ("ws://:80", Host),
        ("ws://?x", Host),
        ("ws://a,b", Host),
        ("ws://a%62", Host),
        ("ws://[::1", Host),
        ("ws://[::1]x", Host),
        ("ws://[::1]:x", Port),
        ("ws://[::g]", Host),
        ("ws://[127.0.0.1]", Host),
        ("ws://[fe80::1%25eth0]", Host),
        ("ws://::1", Host),
        ("ws://a]", Host),
        ("ws://a:0", Port),
        ("ws://a:65536", Port),
        ("ws://a:+80", Port),
        ("ws://a:80a", Port),
        ("ws://a:000080", Port),
        ("ws://u@a", UserInfo),
        ("ws://u:p@a/", UserInfo),
        ("ws://a#", Fragment),
        ("ws://a/p#f", Fragment),
        ("ws://a?q#f", Fragment),
        ("ws://a/p q", Character),
        ("ws://a b/", Character),
        (" ws://a", Character),
        ("ws://a/\r\nX: y", Character),
        ("ws://a\r\nX: y/", Character),
        ("ws://a/p\n", Character),
        ("ws://a/\0", Character),
        ("ws://a/\t", Character),
        ("ws://a/\u{7f}", Character),
        ("ws://a/\u{e9}", Character),
        ("ws://\u{e9}/", Character),
    ] {
        assert_eq!(ClientRequest::new(url), Err(error), "{url:?}");
    }
}

/// Nothing that the application gives can end a line of the request or start a field.
#[test]
fn injection_is_impossible() {
    let evil = ["a\r\nX: y", "a\n", "a\r", "a\0", "a\u{7f}", "a\u{e9}"];
    for text in evil.iter().chain(&["a b", "", " ", "\t"]) {
        assert_eq!(asking().subprotocol(text), Err(ClientRequestError::Subprotocol), "{text:?}");
        assert_eq!(asking().origin(text), Err(ClientRequestError::Origin), "{text:?}");
        let error = Err(ClientRequestError::Header(HeaderError::Name));
        assert_eq!(asking().header(text, "x"), error, "{text:?}");
    }
    for text in evil {
        let error = Err(ClientRequestError::Header(HeaderError::Value));
        assert_eq!(asking().header("x", text), error, "{text:?}");
        assert!(ClientRequest::new(&format!("ws://a/{text}")).is_err());
        assert!(ClientRequest::new(&format!("ws://{text}/")).is_err());
    }
    assert_eq!(asking().subprotocol("a,b"), Err(ClientRequestError::Subprotocol));
    let twice = asking().subprotocol("sip").unwrap().subprotocol("sip");
    assert_eq!(twice, Err(ClientRequestError::Subprotocol));
    for name in [
        "Host",
        "upgrade",
        "CONNECTION",
        "Sec-WebSocket-Key",
        "sec-websocket-protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Version",
        "Content-Length",
        "Transfer-Encoding",
        "Origin",
    ] {
        let error = Err(ClientRequestError::Header(HeaderError::Reserved));
        assert_eq!(asking().header(name, "x"), error, "{name}");
    }
}

/// Section 4.1, second list.
#[test]
fn good_responses_open() {
    assert_eq!(opened(&asking(), &response(&[])), None);
    let request = asking().subprotocol("sip").unwrap().subprotocol("chat").unwrap();
    assert_eq!(opened(&request, &response(&["Sec-WebSocket-Protocol: chat"])), Some("chat".into()));
    assert_eq!(opened(&request, &response(&[])), None, "a server may agree to none");
    let request = request.require_subprotocol();
    assert!(request.is_subprotocol_required());
    assert_eq!(opened(&request, &response(&["Sec-WebSocket-Protocol: chat"])), Some("chat".into()));
    let none = rejected(&request, response(&[]).as_bytes(), false);
    assert_eq!((none.fault(), none.status()), (ResponseFault::NoSubprotocol, 101));
    let odd = format!(
        "HTTP/1.1 101 \r\nCONNECTION:keep-alive,\tupgrade\r\nSia: SIP/2.0/TCP 127.0.0.1\r\n\
         sec-websocket-accept:  {ACCEPT}\t\r\nupgrade: WebSocket\r\nContent-Length: 0\r\n\
         sec-websocket-extensions:\r\n\r\n"
    );
    assert_eq!(opened(&asking(), &odd), None);
}

/// RFC 9110, section 15.2.
#[test]
fn interim_responses_are_passed_over() {
    let bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_owned();
    assert_eq!(opened(&asking(), &(bytes.clone() + &response(&[]))), None);
    let error = rejected(&asking(), (bytes + "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n").as_bytes(), false);
    assert_eq!((error.fault(), error.status()), (ResponseFault::Status, 404));
    // Without end they are not: together they have the length of a head.
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    check(&endless, ResponseFault::Head(HeadError::TooLong));
}

#[test]
fn bad_101s_are_rejected() {
    let good = response(&[]);
    for (from, to, fault) in [
        ("Upgrade: websocket\r\n", "", ResponseFault::Upgrade),
        ("Upgrade: websocket", "Upgrade: websocketx", ResponseFault::Upgrade),
        ("Upgrade: websocket", "Upgrade: h2c, websocket", ResponseFault::Upgrade),
        ("Upgrade: websocket", "Upgrade:", ResponseFault::Upgrade),
        ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket", ResponseFault::Upgrade),
        ("Connection: Upgrade\r\n", "", ResponseFault::Connection),
        ("Connection: Upgrade", "Connection: close", ResponseFault::Connection),
        ("Connection: Upgrade", "Connection: Upgrades", ResponseFault::Connection),
        ("Sec-WebSocket-Accept", "X", ResponseFault::Accept),
        (ACCEPT, "", ResponseFault::Accept),
        (ACCEPT, &ACCEPT[..27], ResponseFault::Accept),
        (ACCEPT, &ACCEPT.to_lowercase(), ResponseFault::Accept),
        (ACCEPT, &format!("{ACCEPT}="), ResponseFault::Accept),
        (ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ResponseFault::Accept),
        (ACCEPT, &format!("{ACCEPT}\r\nSec-WebSocket-Accept: {ACCEPT}"), ResponseFault::Accept),
        (
            ACCEPT,
            &format!("{ACCEPT}\r\nSec-WebSocket-Extensions: permessage-deflate"),
            ResponseFault::Extension,
        ),
        (ACCEPT, &format!("{ACCEPT}\r\nSec-WebSocket-Protocol: sip"), ResponseFault::Subprotocol),
        (ACCEPT, &format!("{ACCEPT}\r\nSec-WebSocket-Protocol:"), ResponseFault::Subprotocol),
        ("HTTP/1.1", "HTTP/1.0", ResponseFault::Head(HeadError::Version)),
        ("HTTP/1.1", "HTTP/2.0", ResponseFault::Head(HeadError::Version)),
        ("HTTP/1.1", "HTTP/11", ResponseFault::Head(HeadError::StartLine)),
        ("HTTP/1.1 101", "HTTP/1.1  101", ResponseFault::Head(HeadError::StartLine)),
        ("101 Switching Protocols", "101", ResponseFault::Head(HeadError::StartLine)),
        ("101", "1o1", ResponseFault::Head(HeadError::StartLine)),
        ("101", "0101", ResponseFault::Head(HeadError::StartLine)),
        ("101", "011", ResponseFault::Head(HeadError::StartLine)),
        ("HTTP/1.1 101 Switching Protocols", "ICY", ResponseFault::Head(HeadError::StartLine)),
        ("Protocols\r\n", "Protocols\n", ResponseFault::Head(HeadError::BareLf)),
        ("websocket\r\n", "websocket\r\n x", ResponseFault::Head(HeadError::ObsFold)),
        ("Upgrade:", "Upgrade :", ResponseFault::Head(HeadError::SpaceBeforeColon)),
        ("Upgrade:", ":", ResponseFault::Head(HeadError::FieldName)),
        ("websocket", "web\0socket", ResponseFault::Head(HeadError::ControlCharacter)),
        ("Switching", "Swi\u{8}tching", ResponseFault::Head(HeadError::ControlCharacter)),
        ("websocket", "web\rsocket", ResponseFault::Head(HeadError::BareCr)),
    ] {
        assert!(good.contains(from), "{from:?}");
        check(&good.replacen(from, to, 1), fault);
    }
}

/// A subprotocol is compared exactly, and there can be one.
#[test]
fn subprotocols_that_were_not_offered_are_rejected() {
    let request = asking().subprotocol("sip").unwrap().subprotocol("chat").unwrap();
    for lines in [
        &["Sec-WebSocket-Protocol: sips"][..],
        &["Sec-WebSocket-Protocol: SIP"],
        &["Sec-WebSocket-Protocol: sip, chat"],
        &["Sec-WebSocket-Protocol: si"],
        &["Sec-WebSocket-Protocol:"],
        &["Sec-WebSocket-Protocol: sip", "Sec-WebSocket-Protocol: chat"],
        &["Sec-WebSocket-Protocol: sip", "Sec-WebSocket-Protocol: sip"],
    ] {
        let error = rejected(&request, response(lines).as_bytes(), false);
        assert_eq!(error.fault(), ResponseFault::Subprotocol, "{lines:?}");
        assert_eq!(error.status(), 101);
    }
}

/// Everything that the server said reaches the application.
#[test]
fn refusals_carry_status_headers_and_body() {
    let head = "HTTP/1.1 401 Who Are You\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 5\r\n\r\n";
    let error = rejected(&asking(), format!("{head}nope!beyond").as_bytes(), false);
    assert_eq!((error.fault(), error.status(), error.body()), (ResponseFault::Status, 401, &b"nope!"[..]));
    assert_eq!(error.header("www-authenticate"), Some("Basic realm=\"x\""));
    assert_eq!((error.head().reason(), error.head().raw()), (&b"Who Are You"[..], head.as_bytes()));
    let fields = [("WWW-Authenticate", &b"Basic realm=\"x\""[..]), ("Content-Length", b"5")];
    assert!(error.head().headers().eq(fields));
    assert_eq!(error.to_string(), "the server answered 401 Who Are You");

    let redirect = "HTTP/1.0 302 Found\r\nLocation: ws://b/\r\n\r\nto the end";
    let error = rejected(&asking(), redirect.as_bytes(), true);
    assert_eq!((error.status(), error.header("Location")), (302, Some("ws://b/")));
    assert_eq!(error.body(), b"to the end");

    let chunked = "HTTP/1.1 500 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
    let error = rejected(&asking(), chunked.as_bytes(), false);
    assert_eq!((error.status(), error.body()), (500, &b"abcde"[..]));

    for none in [
        "HTTP/1.1 204 \r\n\r\n",
        "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(rejected(&asking(), none.as_bytes(), false).body(), b"");
    }
    // What is cut off is what there is.
    let cut = rejected(&asking(), b"HTTP/1.1 503 \r\nContent-Length: 10\r\n\r\nabc", true);
    assert_eq!((cut.status(), cut.body()), (503, &b"abc"[..]));
}

/// A body is bounded, however it is announced and however long it is.
#[test]
fn bodies_are_bounded() {
    for field in
        ["Content-Length: 18446744073709551615", "Content-Length: 5, 6", "X: y", "Transfer-Encoding: gzip"]
    {
        let mut bytes = format!("HTTP/1.1 403 Forbidden\r\n{field}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + 100_000, b'x');
        let error = rejected(&asking(), &bytes, false);
        assert_eq!((error.status(), error.body().len()), (403, 4096), "{field}");
    }
}

#[test]
fn ends_before_the_response_are_told_apart() {
    let mut client = Driven::client(&asking(), &Config::default());
    client.transmit();
    client.feed(b"HTTP/1.1 101 Swi");
    client.eof();
    assert_eq!(client.only_outcome(), Some(&Outcome::Vanished));
    client.eof();
    assert_eq!(client.events.len(), 1, "once");

    let mut client = Driven::client(&asking(), &Config::default());
    client.endpoint.handle_transport_lost(handshake_support::NOW);
    client.feed(&[]);
    assert_eq!(client.only_outcome(), Some(&Outcome::TransportLost));

    let mut client = Driven::client(&asking(), &Config::default());
    client.endpoint.abort();
    client.feed(&[]);
    assert_eq!(client.only_outcome(), Some(&Outcome::Aborted));
}
