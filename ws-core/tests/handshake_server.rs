//! RFC 6455, section 4.2.1: which requests a server takes, and what it answers to the others. Each case is fed whole, byte by
//! byte and in pieces, with and without bytes behind it, and must give the same answer.

mod handshake_support;

use std::sync::Arc;

use handshake_support::requests::*;
use handshake_support::{ACCEPT, Driven, KEY};
use ws_core::{HeadError, OriginPolicy, RequestError, ServerConfig};

/// Section 4.2.2.
#[test]
fn a_good_request_is_answered_101() {
    let config = ServerConfig::default();
    assert_eq!(accepted(&config, &good(&[])), switching(""));
    // Names in any case, values with and without whitespace around them, lists over several lines.
    let lines = [
        "HOST:example.com:80",
        "upgrade:\t WebSocket \t",
        "Connection: keep-alive, Upgrade",
        &format!("sec-websocket-KEY:{KEY}"),
        "Sec-Websocket-Version:13",
        "X-Empty:",
        "Content-Length: 0",
        "X-Text: caf\u{e9}\tau lait",
        "sec-websocket-extensions: permessage-deflate; client_max_window_bits, \"broken",
    ];
    assert_eq!(accepted(&config, &request(&lines)), switching(""));
    let split = without("Connection", &["Connection: keep-alive", "Connection: upgrade"]);
    assert_eq!(accepted(&config, &split), switching(""));
    let several = without("Upgrade", &["Upgrade: h2c, ,websocket"]);
    assert_eq!(accepted(&config, &several), switching(""));
    for target in ["http://example.com/chat", "WS://example.com?x", "https://example.com", "/?a=b", "//"] {
        let absolute = good(&[]).replace("/chat", target);
        assert_eq!(accepted(&config, &absolute), switching(""));
    }
    assert_eq!(accepted(&config, &good(&[]).replace("HTTP/1.1", "HTTP/1.2")), switching(""));
}

/// A client exists that leaves the four meaningless bits of the last character set.
#[test]
fn stray_bits_in_the_key_are_accepted() {
    let line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZX==";
    let sent = accepted(&ServerConfig::default(), &without("Sec-WebSocket-Key", &[line]));
    assert!(sent.starts_with("HTTP/1.1 101 "));
    assert!(!sent.contains(ACCEPT), "the accept value is of the key as it was sent");
}

#[test]
fn methods_other_than_get_are_405() {
    let mut config = ServerConfig::default();
    for method in ["POST", "HEAD", "OPTIONS", "get", "PRI", "X"] {
        let bytes = good(&[]).replacen("GET", method, 1);
        check(&config, &bytes, RequestError::Method, "405 Method Not Allowed", "Allow: GET\r\n");
    }
    // The forms of a target that only these have (RFC 9112, section 3.2), and not with GET.
    for start in ["OPTIONS *", "CONNECT sip.example:443", "CONNECT [2001:db8::1]:80"] {
        let bytes = good(&[]).replacen("GET /chat", start, 1);
        check(&config, &bytes, RequestError::Method, "405 Method Not Allowed", "Allow: GET\r\n");
    }
    config.plain_requests = true;
    let bytes = good(&["Content-Length: 5"]).replacen("GET", "POST", 1);
    check(&config, &bytes, RequestError::Method, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
}

/// RFC 9112: what is malformed, or could be read in two ways, is refused, with the rule that is broken.
#[test]
fn malformed_heads_are_400() {
    let config = ServerConfig::default();
    let good = good(&[]);
    for (from, to, error) in [
        ("HTTP/1.1", "HTTP/1.0", HeadError::Version),
        ("HTTP/1.1", "HTTP/0.9", HeadError::Version),
        ("HTTP/1.1", "HTTP/2.0", HeadError::Version),
        ("HTTP/1.1", "HTTP/1.10", HeadError::StartLine),
        ("HTTP/1.1", "HTTP/1.", HeadError::StartLine),
        ("HTTP/1.1", "HTTP/1", HeadError::StartLine),
        ("HTTP/1.1", "http/1.1", HeadError::StartLine),
        ("HTTP/1.1", "HTTP/1.1 ", HeadError::StartLine),
        (" HTTP/1.1", "", HeadError::StartLine),
        ("/chat", "", HeadError::StartLine),
        ("/chat", "chat", HeadError::StartLine),
        ("/chat", "*", HeadError::StartLine),
        ("/chat", "/a b", HeadError::StartLine),
        ("/chat", "/a#b", HeadError::StartLine),
        ("/chat", "/\u{e9}", HeadError::StartLine),
        ("/chat", "example.com:80", HeadError::StartLine),
        ("/chat", "ftp://example.com/", HeadError::StartLine),
        ("/chat", "http:///chat", HeadError::StartLine),
        ("/chat", "http:/chat", HeadError::StartLine),
        ("GET ", "", HeadError::StartLine),
        ("GET ", " ", HeadError::StartLine),
        ("GET ", "GET  ", HeadError::StartLine),
        ("GET ", "GET\t", HeadError::StartLine),
        ("GET ", "G\u{e9}T ", HeadError::StartLine),
        ("GET ", "G(T ", HeadError::StartLine),
        ("GET /chat HTTP/1.1", "", HeadError::StartLine),
        ("GET /chat HTTP/1.1\r\n", "\r\nGET /chat HTTP/1.1\r\n", HeadError::StartLine),
        ("HTTP/1.1\r\n", "HTTP/1.1\n", HeadError::BareLf),
        ("websocket\r\n", "websocket\n", HeadError::BareLf),
        ("13\r\n\r\n", "13\r\n\n", HeadError::BareLf),
        ("13\r\n\r\n", "13\n\n", HeadError::BareLf),
        ("13\r\n\r\n", "13\r\n\r\r\n", HeadError::BareCr),
        ("websocket", "web\rsocket", HeadError::BareCr),
        ("websocket", "websocket\r", HeadError::BareCr),
        ("/chat", "/\r", HeadError::BareCr),
        ("Upgrade: w", "\rUpgrade: w", HeadError::BareCr),
        ("websocket", "websocket\r\n folded", HeadError::ObsFold),
        ("websocket", "\r\n\twebsocket", HeadError::ObsFold),
        ("Host", " Host", HeadError::ObsFold),
        ("Host:", "Host :", HeadError::SpaceBeforeColon),
        ("Host:", "Host\t:", HeadError::SpaceBeforeColon),
        ("Host: ", "Host ", HeadError::SpaceBeforeColon),
        ("Host:", ":", HeadError::FieldName),
        ("Host: example.com", "Host", HeadError::FieldName),
        ("Host:", "Ho(st:", HeadError::FieldName),
        ("Host:", "Ho\u{e9}st:", HeadError::FieldName),
        ("Host:", "\"Host\":", HeadError::FieldName),
        ("Host:", "Host\0:", HeadError::ControlCharacter),
        ("Host:", "\u{1}Host:", HeadError::ControlCharacter),
        ("/chat", "/\0", HeadError::ControlCharacter),
        ("example.com", "example\0.com", HeadError::ControlCharacter),
        ("example.com", "example.com\u{7f}", HeadError::ControlCharacter),
        ("example.com", "example.com\u{b}", HeadError::ControlCharacter),
        ("example.com", "\u{1b}[2J", HeadError::ControlCharacter),
    ] {
        assert!(good.contains(from), "{from:?}");
        let bytes = good.replacen(from, to, 1);
        check(&config, &bytes, RequestError::Head(error), "400 Bad Request", "");
    }
}

/// A fault is answered as soon as its line is complete, however much is to come.
#[test]
fn faults_are_found_with_their_line() {
    let config = Arc::new(ServerConfig::default());
    for head in
        ["GET / HTTP/1.0\r\n", "GET / HTTP/1.1\r\nHost : a\r\n", "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\n"]
    {
        let (last, before) = head.as_bytes().split_last().unwrap();
        let mut server = Driven::server(&config);
        server.feed(before);
        assert_eq!(server.sent_text(), "");
        server.feed(&[*last]);
        assert!(server.sent_text().starts_with("HTTP/1.1 400 "));
    }
}

/// RFC 9112, section 6: no body, in none of the ways to announce or smuggle one.
#[test]
fn an_announced_body_is_400() {
    let mut config = ServerConfig::default();
    for plain in [false, true] {
        config.plain_requests = plain;
        for lines in [
            &["Content-Length: 5"][..],
            &["Content-Length: 0", "Content-Length: 5"],
            &["Content-Length: 0, 0"],
            &["Content-Length: +0"],
            &["Content-Length: 00"],
            &["Content-Length: 0x0"],
            &["Content-Length:"],
            &["Content-Length: -1"],
            &["Content-Length: 18446744073709551616"],
            &["Transfer-Encoding: chunked"],
            &["transfer-encoding: identity"],
            &["Transfer-Encoding:"],
            &["Content-Length: 0", "Transfer-Encoding: chunked"],
            &["Transfer-Encoding: xchunked"],
        ] {
            check(&config, &good(lines), RequestError::Body, "400 Bad Request", "");
            let plain = request(&[&[HOST], lines].concat());
            check(&config, &plain, RequestError::Body, "400 Bad Request", "");
        }
    }
}

#[test]
fn host_must_be_there_once() {
    let mut config = ServerConfig::default();
    for lines in [
        &[][..],
        &["Host:"],
        &[HOST, HOST],
        &[HOST, "host: other.example"],
        &["Host: a b"],
        &["Host: a/b"],
        &["Host: a@b"],
        &["Host: a, b"],
        &["Host: caf\u{e9}"],
        &["X-Host: example.com"],
    ] {
        check(&config, &without("Host", lines), RequestError::Host, "400 Bad Request", "");
    }
    for host in ["Host: [::1]:8080", "Host: a_b.example:1", "Host: 127.0.0.1"] {
        accepted(&config, &without("Host", &[host]));
    }
    config.plain_requests = true;
    check(&config, &request(&["X: y"]), RequestError::Host, "400 Bad Request", "");
}

/// Names of the same length as those that count are other names.
#[test]
fn other_fields_do_not_count() {
    let others = [
        "From: a@b",
        "Accept-Charset: utf-8",
        "Cookie: a=b",
        "Referer: http://other.example/",
        "User-Agent: x",
        "X-WebSocket-Nonce: 17",
        "X-Transfer-Encode: x",
        "X-WebSocket-Revisions: 8",
        "X-WebSocket-Interfaces: sip",
    ];
    let config = ServerConfig::default();
    assert_eq!(accepted(&config, &good(&others)), switching(""));
}

/// Section 4.2.1, item 5: exactly 24 characters of base64, once.
#[test]
fn the_key_must_be_there_once_and_be_one() {
    let config = ServerConfig::default();
    let twice = [&*key(), &*key()];
    let other = [&*key(), "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="];
    for lines in [
        &[][..],
        &twice,
        &other,
        &["Sec-WebSocket-Key:"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZAAA"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ==="],
        &["Sec-WebSocket-Key: dGhlIHNh XBsZSBub25jZQ=="],
        &["Sec-WebSocket-Key: dGhlIHNh-_BsZSBub25jZQ=="],
        &["Sec-WebSocket-Key: \"dGhlIHNhbXBsZSBub25jZQ\""],
        &["X-Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
    ] {
        check(&config, &without("Sec-WebSocket-Key", lines), RequestError::Key, "400 Bad Request", "");
    }
}

/// Tokens are compared whole; a request without the token is a plain one.
#[test]
fn plain_requests_are_426() {
    let config = ServerConfig::default();
    for lines in [
        &[][..],
        &["Upgrade: websocketx"],
        &["Upgrade: xwebsocket"],
        &["Upgrade: websocket/13"],
        &["Upgrade: web socket"],
        &["Upgrade: \"websocket\""],
        &["Upgrade: h2c"],
        &["Upgrade:"],
        &["X-Upgrade: websocket"],
        &["Upgrade: web", "Upgrade: socket"],
    ] {
        let bytes = without("Upgrade", lines);
        check(&config, &bytes, RequestError::NotWebSocket, "426 Upgrade Required", "Upgrade: websocket\r\n");
    }
}

#[test]
fn connection_must_name_upgrade() {
    let config = ServerConfig::default();
    for lines in
        [&[][..], &["Connection: keep-alive"], &["Connection: Upgrades"], &["Connection: keep-alive Upgrade"]]
    {
        check(&config, &without("Connection", lines), RequestError::Connection, "400 Bad Request", "");
    }
}

/// Section 4.4.
#[test]
fn versions_other_than_13_are_426() {
    let config = ServerConfig::default();
    for lines in [
        &[][..],
        &["Sec-WebSocket-Version: 8"],
        &["Sec-WebSocket-Version: 14"],
        &["Sec-WebSocket-Version: 013"],
        &["Sec-WebSocket-Version: 13, 8"],
        &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"],
        &["Sec-WebSocket-Version:"],
    ] {
        let bytes = without("Sec-WebSocket-Version", lines);
        let fields = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        check(&config, &bytes, RequestError::Version, "426 Upgrade Required", fields);
    }
}

#[test]
fn other_resources_are_404() {
    let mut config = ServerConfig::default();
    config.resource = Some("/chat".into());
    for target in ["/chat", "/chat?token=1", "http://example.com/chat?x", "/chat?"] {
        accepted(&config, &good(&[]).replace("/chat", target));
    }
    for target in ["/", "/chat/", "/Chat", "/chatx", "/x/chat", "/?/chat", "/%63hat", "http://example.com"] {
        let bytes = good(&[]).replace("/chat", target);
        check(&config, &bytes, RequestError::Resource, "404 Not Found", "");
    }
    config.resource = Some("/".into());
    accepted(&config, &good(&[]).replace("/chat", "http://example.com?x"));
}

/// Section 10.2.
#[test]
fn origins_that_are_not_accepted_are_403() {
    let mut config = ServerConfig::default();
    let refuse = |config: &ServerConfig, lines: &[&str]| {
        check(config, &good(lines), RequestError::Origin, "403 Forbidden", "");
    };
    let two = ["Origin: https://example.com", "Origin: https://example.com"];
    refuse(&config, &two);
    accepted(&config, &good(&[]));
    accepted(&config, &good(&["Origin: null"]));

    config.origins = OriginPolicy::Required;
    refuse(&config, &[]);
    refuse(&config, &["Origin:"]);
    refuse(&config, &two);
    accepted(&config, &good(&["Origin: null"]));
    accepted(&config, &good(&["origin: 127.0.0.10:8080"]));

    let list = ["https://example.com", "http://localhost:8080"];
    config.origins = OriginPolicy::AllowList(list.iter().map(|text| text.parse().unwrap()).collect());
    accepted(&config, &good(&["Origin: https://EXAMPLE.com:443"]));
    accepted(&config, &good(&["Origin: http://localhost:8080"]));
    refuse(&config, &[]);
    refuse(&config, &two);
    refuse(&config, &["Origin: null"]);
    refuse(&config, &["Origin: http://example.com"]);
    refuse(&config, &["Origin: https://example.com.evil.example"]);
    refuse(&config, &["Origin: https://example.com, https://evil.example"]);
}

/// Section 4.2.2, item 5.5: ours, in our order, exact, and only if the client offered it.
#[test]
fn the_subprotocol_is_the_first_of_ours_that_is_offered() {
    let mut config = ServerConfig::default();
    let offer = ["Sec-WebSocket-Protocol: chat, sip ,sips", "sec-websocket-protocol: xmpp"];
    assert_eq!(accepted(&config, &good(&offer)), switching(""));
    for (own, agreed) in [
        (&["sip"][..], Some("sip")),
        (&["xmpp", "chat"], Some("xmpp")),
        (&["nothing", "sips", "sip"], Some("sips")),
        (&["Sip", "si", "chat, sip", "ip", ""], None),
    ] {
        config.subprotocols = own.iter().map(|&name| name.into()).collect();
        let fields = agreed.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        assert_eq!(accepted(&config, &good(&offer)), switching(&fields));
    }
}

#[test]
fn a_required_subprotocol_that_is_not_offered_is_400() {
    let mut config = ServerConfig::default();
    config.subprotocols = vec!["sip".into()];
    config.require_subprotocol = true;
    for lines in [
        &[][..],
        &["Sec-WebSocket-Protocol: sips"],
        &["Sec-WebSocket-Protocol: SIP"],
        &["Sec-WebSocket-Protocol: si", "Sec-WebSocket-Protocol: p"],
        &["Sec-WebSocket-Protocol: x sip"],
        &["Sec-WebSocket-Protocol:"],
    ] {
        check(&config, &good(lines), RequestError::Subprotocol, "400 Bad Request", "");
    }
    accepted(&config, &good(&["Sec-WebSocket-Protocol: x,sip"]));
}

/// Two faults at once: the order is the one that is documented.
#[test]
fn the_first_fault_counts() {
    let mut config = ServerConfig::default();
    config.resource = Some("/other".into());
    config.origins = OriginPolicy::Required;
    config.require_subprotocol = true;
    let mut lines = vec!["Content-Length: 1"];
    let mut bytes = request(&lines).replacen("GET", "PUT", 1);
    let expect = |bytes: &str, error| assert_eq!(refused(&config, bytes.as_bytes()).1, error);
    expect(&bytes, RequestError::Method);
    bytes = request(&lines);
    expect(&bytes, RequestError::Body);
    lines = vec!["X: y"];
    expect(&request(&lines), RequestError::Host);
    lines.push(HOST);
    expect(&request(&lines), RequestError::NotWebSocket);
    lines.push(UPGRADE);
    expect(&request(&lines), RequestError::Connection);
    lines.push(CONNECTION);
    expect(&request(&lines), RequestError::Version);
    lines.push(VERSION);
    expect(&request(&lines), RequestError::Key);
    let key = key();
    lines.push(&key);
    expect(&request(&lines), RequestError::Resource);
    let moved = |lines: &[&str]| request(lines).replace("/chat", "/other");
    expect(&moved(&lines), RequestError::Origin);
    lines.push("Origin: null");
    expect(&moved(&lines), RequestError::Subprotocol);
}
