//! The transport in both roles, over real sockets.

mod common;

use core::time::Duration;

use common::{Node, Raw, Seen, destination, options, until};
use ws_core::{CloseFrame, Deadline, Kind, Outcome, ProtocolError, Side, StatusCode};
use ws_sip::{FirstClose, FlowEvent, OpenOptions, SendError, Settings, Transport};

/// Settings in which our own client, which sends no Origin unless told, may connect.
fn open() -> Settings {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings
}

const SIP: &str = "Sec-WebSocket-Protocol: sip\r\n";

#[test]
fn messages_go_both_ways_and_each_flow_closes_once() {
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    let request = options("there");
    let flow = client.transport.flows().send_to(&destination(address), &request).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[0].messages().is_empty());
    assert_eq!(client.opened(), [flow]);
    assert_eq!(server.messages(), [request.as_slice()]);

    // RFC 7118, section 4.2: text unless it is not UTF-8.
    let back = server.opened()[0];
    let mut binary = options("back");
    binary.extend_from_slice(b"\xff\xfe");
    server.transport.flows().send(back, &binary).unwrap();
    server.transport.flows().send(back, &options("text")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes[1].messages().len() == 2);
    let kinds: Vec<_> = client
        .seen
        .iter()
        .filter_map(|seen| if let Seen::Message(_, _, kind) = seen { Some(*kind) } else { None })
        .collect();
    assert_eq!(kinds, [Kind::Binary, Kind::Text]);

    let (_, counters) = client.transport.flows().get(flow).unwrap();
    assert_eq!((counters.messages_in, counters.messages_out), (2, 1));
    assert_eq!(counters.bytes_out, request.len() as u64);

    client.transport.flows().close(flow, StatusCode::NORMAL, "done").unwrap();
    until(&mut [&mut server, &mut client], |nodes| {
        nodes.iter().all(|node| node.seen.iter().any(|seen| matches!(seen, Seen::Closed(..))))
    });
    let code = Some(StatusCode::NORMAL);
    assert_eq!(client.closed(), [&Outcome::Clean { initiator: Side::Us, code }]);
    assert_eq!(server.closed(), [&Outcome::Clean { initiator: Side::Peer, code }]);
    assert!(client.transport.flows().is_empty() && server.transport.flows().is_empty());
    assert_eq!(client.transport.flows().send(flow, b"late"), Err(SendError::NoSuchFlow));
    for node in [&mut server, &mut client] {
        let stats = *node.transport.flows().stats();
        assert_eq!((stats.opened, stats.closed), (1, 1));
    }
}

#[test]
fn a_destination_is_reached_over_the_flow_that_is_open() {
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    let to = destination(address);
    let first = client.transport.flows().send_to(&to, &options("1")).unwrap();
    assert_eq!(client.transport.flows().send_to(&to, &options("2")), Ok(first), "while it is opened");
    until(&mut [&mut server, &mut client], |nodes| nodes[0].messages().len() == 2);
    assert_eq!(client.transport.flows().send_to(&to, &options("3")), Ok(first), "while it is open");
    until(&mut [&mut server, &mut client], |nodes| nodes[0].messages().len() == 3);
    assert_eq!(server.opened().len(), 1);

    let back = server.opened()[0];
    server.transport.flows().abort(back).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[1].closed().is_empty());
    let second = client.transport.flows().send_to(&to, &options("4")).unwrap();
    assert_ne!(first, second, "a number never names two flows");
    until(&mut [&mut server, &mut client], |nodes| nodes[0].messages().len() == 4);
}

#[test]
fn the_caller_is_told_at_once_when_a_flow_cannot_be_had() {
    // A port that was just free, and where nobody listens now.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = Node::new(open());
    let flow = client.transport.flows().send_to(&destination(nobody), &options("1")).unwrap();
    until(&mut [&mut client], |nodes| !nodes[0].seen.is_empty());
    assert_eq!(client.seen, [Seen::NotConnected(flow, std::io::ErrorKind::ConnectionRefused)]);
    assert!(client.transport.flows().is_empty());

    // Refused by the server: the status is told.
    let (mut server, address) = Node::server(Settings::default());
    let flow = client.transport.flows().send_to(&destination(address), &options("2")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes[1].seen.len() == 2);
    let Seen::NotOpened(refused, Outcome::Rejected(error)) = &client.seen[1] else {
        panic!("{:?}", client.seen);
    };
    assert_eq!((*refused, error.status()), (flow, 403));

    // With an Origin it is let in.
    let mut with_origin = OpenOptions::default();
    with_origin.origin = Some("https://phone.example".into());
    let flow = client.transport.flows().open(&destination(address), &with_origin).unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes[1].opened() == [flow]);

    // What would break out of a header is refused before a byte is sent.
    let mut injecting = OpenOptions::default();
    injecting.headers = vec![("X-A".into(), "b\r\nX-C: d".into())];
    let elsewhere = "ws://127.0.0.1:1/".parse().unwrap();
    assert_eq!(client.transport.flows().open(&elsewhere, &injecting), Err(SendError::Unreachable));
}

#[test]
fn a_keepalive_is_answered_in_its_own_kind_and_nothing_else_but_sip_passes() {
    let (mut server, address) = Node::server(open());
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    raw.frame(0x81, b"\r\n\r\n");
    raw.frame(0x82, b"\r\n\r\n");
    raw.frame(0x81, b"\r\n");
    raw.frame(0x81, b"hello");
    raw.frame(0x81, b"");
    raw.frame(0x81, &options("1"));
    let reading = raw.read(usize::MAX);
    until(&mut [&mut server], |nodes| !nodes[0].messages().is_empty());
    let flow = server.opened()[0];
    assert_eq!(server.seen.iter().filter(|seen| **seen == Seen::Refused(flow)).count(), 2);
    let stats = *server.transport.flows().stats();
    assert_eq!((stats.keepalives_in, stats.keepalive_answers_in, stats.refused_messages), (2, 1, 2));
    server.transport.flows().keepalive(flow).unwrap();
    server.transport.flows().ping(flow).unwrap();
    server.transport.flows().close(flow, StatusCode::GOING_AWAY, "").unwrap();
    raw.frame(0x88, &[3, 233]);
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 1);
    let got = reading.join().unwrap();
    let head = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    // The Ping overtakes the keepalive that was queued before it.
    let frames = b"\x81\x02\r\n\x82\x02\r\n\x89\x06ws-sip\x81\x04\r\n\r\n\x88\x02\x03\xe9";
    assert_eq!(&got[head..], frames);
}

#[test]
fn more_connections_than_allowed_are_answered_503() {
    let mut settings = open();
    settings.ws_max_connections = 1;
    let (mut server, address) = Node::server(settings);
    let mut first = Raw::connect(address);
    first.handshake(SIP);
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 1);
    let mut second = Raw::connect(address);
    second.handshake(SIP);
    let reading = second.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    let answer = String::from_utf8(reading.join().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After:"), "{answer}");
}

#[test]
fn an_address_may_have_so_many_connections() {
    let mut settings = open();
    settings.ws_max_connections_per_address = 1;
    let (mut server, address) = Node::server(settings);
    let mut first = Raw::connect(address);
    first.handshake(SIP);
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 1);
    let mut second = Raw::connect(address);
    second.handshake(SIP);
    let reading = second.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    assert!(reading.join().unwrap().starts_with(b"HTTP/1.1 503 "));
    drop((first, second));
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 1);
    until(&mut [&mut server], |nodes| nodes[0].seen.len() == 3);
    let mut third = Raw::connect(address);
    third.handshake(SIP);
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 2);
}

#[test]
fn the_settings_decide_who_is_let_in() {
    let mut settings = Settings::default();
    settings.ws_allowed_origins = vec!["https://phone.example".into()];
    settings.ws_resource = Some("/".into());
    let (mut server, address) = Node::server(settings.clone());
    settings.ws_resource = Some("/sip".into());
    let (mut elsewhere, other) = Node::server(settings);
    for (address, headers, status) in [
        (address, format!("{SIP}Origin: https://phone.example\r\n"), "101"),
        (address, format!("{SIP}Origin: https://phone.example.evil.example\r\n"), "403"),
        (address, SIP.to_owned(), "403"),
        (address, "Sec-WebSocket-Protocol: sipx\r\nOrigin: https://phone.example\r\n".into(), "400"),
        (other, format!("{SIP}Origin: https://phone.example\r\n"), "404"),
    ] {
        let mut raw = Raw::connect(address);
        raw.handshake(&headers);
        let reading = raw.read(12);
        until(&mut [&mut server, &mut elsewhere], |_| reading.is_finished());
        let answer = reading.join().unwrap();
        assert_eq!(&answer[..12], format!("HTTP/1.1 {status}").as_bytes(), "{headers}");
    }
}

#[test]
fn a_message_in_too_many_chunks_ends_its_flow_alone() {
    let (mut server, address) = Node::server(open());
    let mut good = Raw::connect(address);
    good.handshake(SIP);
    let mut bad = Raw::connect(address);
    bad.handshake(SIP);
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 2);
    let request = common::frame(0x81, &options("dribbled"));
    for byte in &request {
        if !server.closed().is_empty() {
            break;
        }
        // Each byte is read before the next is sent, so each is a chunk.
        bad.send(core::slice::from_ref(byte));
        server.poll(Duration::from_secs(5));
    }
    bad.0.shutdown(std::net::Shutdown::Write).unwrap();
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 1);
    assert_eq!(server.closed(), [&Outcome::Failed(ProtocolError::TooManyChunks)]);
    good.frame(0x81, &options("fine"));
    until(&mut [&mut server], |nodes| nodes[0].messages().len() == 1);
}

#[test]
fn a_peer_that_never_reads_is_dropped_after_the_send_timeout() {
    let mut settings = open();
    settings.ws_send_timeout = Duration::from_millis(30);
    let (mut server, address) = Node::server(settings);
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 1);
    let flow = server.opened()[0];
    let mut big = options("big");
    big.resize(4 << 20, b'x');
    for _ in 0..4 {
        if server.transport.flows().send(flow, &big).is_err() {
            break;
        }
    }
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 1);
    assert_eq!(server.closed(), [&Outcome::TimedOut(Deadline::Send)]);
}

#[test]
fn shutting_down_closes_every_flow_and_lets_nobody_in() {
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    let flow = client.transport.flows().open(&destination(address), &OpenOptions::default()).unwrap();
    let mut stubborn = Raw::connect(address);
    stubborn.handshake(SIP);
    until(&mut [&mut server, &mut client], |nodes| nodes[0].opened().len() == 2);
    server.transport.handle().shut_down(Duration::from_millis(200)).unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes[1].closed().len() == 1);
    let going_away = Some(StatusCode::GOING_AWAY);
    assert_eq!(client.closed(), [&Outcome::Clean { initiator: Side::Peer, code: going_away }]);
    assert!(client.transport.flows().get(flow).is_none());
    let mut late = Raw::connect(address);
    late.handshake(SIP);
    let reading = late.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    assert!(reading.join().unwrap().starts_with(b"HTTP/1.1 503 "));
    drop(late);
    assert!(!server.transport.flows().is_drained(), "one flow is left, until the deadline");
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 2);
    assert!(server.transport.flows().is_drained());
    assert_eq!(server.closed()[1], &Outcome::Aborted);
}

#[test]
fn plain_requests_are_the_applications_or_refused() {
    let mut transport = Transport::with_http(open()).unwrap();
    let address = transport.listen("ws:127.0.0.1:0".parse().unwrap()).unwrap();
    let ask = |transport: &mut Transport, target: &str| {
        let mut raw = Raw::connect(address);
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let reading = raw.read(usize::MAX);
        while !reading.is_finished() {
            transport
                .poll(Some(Duration::from_millis(2)), |flows, event| {
                    if let FlowEvent::Http { flow, request, .. } = event
                        && request.path() == "/there"
                    {
                        let mut response = ws_core::Response::new(200);
                        response.body = "found".into();
                        flows.respond(flow, &response).unwrap();
                    }
                })
                .unwrap();
        }
        String::from_utf8(reading.join().unwrap()).unwrap()
    };
    let there = ask(&mut transport, "/there");
    assert!(there.starts_with("HTTP/1.1 200 ") && there.ends_with("\r\n\r\nfound"), "{there}");
    assert!(ask(&mut transport, "/nothing").starts_with("HTTP/1.1 404 "));

    let (mut server, address) = Node::server(open());
    let mut raw = Raw::connect(address);
    raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let reading = raw.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    let answer = String::from_utf8(reading.join().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("Upgrade: websocket\r\n"), "{answer}");
}

#[test]
fn many_flows_close_at_once_and_each_is_told_once() {
    let (mut server, address) = Node::server(open());
    let mut raws = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connect(address);
        raw.handshake(SIP);
        raws.push(raw);
        server.poll(Duration::ZERO);
    }
    until(&mut [&mut server], |nodes| nodes[0].opened().len() == 200);
    drop(raws);
    until(&mut [&mut server], |nodes| nodes[0].closed().len() == 200);
    let mut closed: Vec<_> = server
        .seen
        .iter()
        .filter_map(|seen| if let Seen::Closed(flow, _) = seen { Some(*flow) } else { None })
        .collect();
    closed.sort();
    closed.dedup();
    assert_eq!(closed.len(), 200);
    assert!(server.transport.flows().is_empty());
}

#[test]
fn a_port_that_is_taken_is_told() {
    let (_server, address) = Node::server(open());
    let mut second = Transport::new(open()).unwrap();
    let error = second.listen(format!("ws:{address}").parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && !error.contains('\n'), "{error}");
    let mut settings = open();
    settings.ws_allowed_origins = vec!["phone".into()];
    assert!(Transport::new(settings).unwrap_err().to_string().contains("`phone`"));
}

#[test]
fn an_end_tells_who_closed_with_which_words() {
    let (mut server, address) = Node::server(open());
    let mut closes = Vec::new();
    for code in [4000u16, 1000, 1001] {
        let mut raw = Raw::connect(address);
        raw.handshake(SIP);
        let opened = server.opened().len();
        until(&mut [&mut server], |nodes| nodes[0].opened().len() > opened);
        let flow = *server.opened().last().unwrap();
        match code {
            // The peer closes, with words and without.
            4000 => raw.frame(0x88, b"\x0f\xa0enough"),
            1000 => raw.frame(0x88, b""),
            // We close; the peer answers with another code.
            _ => {
                server.transport.flows().close(flow, StatusCode::GOING_AWAY, "moved").unwrap();
                raw.frame(0x88, &[3, 232]);
            }
        }
        let mut closed = false;
        while !closed {
            server
                .transport
                .poll(Some(Duration::from_millis(2)), |_, event| {
                    if let FlowEvent::Closed { first_close, .. } = event {
                        closes.push(first_close.cloned());
                        closed = true;
                    }
                })
                .unwrap();
        }
    }
    // A frame that is not masked fails the connection.
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    raw.send(b"\x81\x01x");
    while closes.len() < 4 {
        server
            .transport
            .poll(Some(Duration::from_millis(2)), |_, event| {
                if let FlowEvent::Closed { first_close, .. } = event {
                    closes.push(first_close.cloned());
                }
            })
            .unwrap();
    }
    let frame = |code: u16, reason: &str| {
        let code = StatusCode::new(code).unwrap();
        Some(CloseFrame { code, reason: reason.into() })
    };
    let closes: Vec<_> = closes.into_iter().map(Option::unwrap).collect();
    assert_eq!(closes[0], FirstClose { by: Side::Peer, frame: frame(4000, "enough") });
    assert_eq!(closes[1], FirstClose { by: Side::Peer, frame: None });
    assert_eq!(closes[2], FirstClose { by: Side::Us, frame: frame(1001, "moved") });
    assert_eq!(
        closes[3],
        FirstClose { by: Side::Us, frame: frame(1002, "frame from a client is not masked") }
    );
}

#[test]
fn a_handshake_that_failed_tells_its_heads() {
    let (mut server, address) = Node::server(Settings::default());
    let mut client = Node::new(open());
    client.transport.flows().send_to(&destination(address), &options("1")).unwrap();
    let mut told: Vec<(bool, String, String)> = Vec::new();
    while told.len() < 2 {
        for node in [&mut server, &mut client] {
            node.transport
                .poll(Some(Duration::from_millis(2)), |_, event| {
                    if let FlowEvent::NotOpened { ends, request, response, .. } = event {
                        let text = |head: &[u8]| String::from_utf8(head.to_vec()).unwrap();
                        told.push((ends.is_incoming, text(request), text(response)));
                    }
                })
                .unwrap();
        }
    }
    told.sort();
    assert!(!told[0].0 && told[1].0);
    for (_, request, response) in &told {
        assert!(
            request.starts_with("GET / HTTP/1.1\r\nHost: ") && request.ends_with("\r\n\r\n"),
            "{request}"
        );
        assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{response}");
    }
    assert_eq!(told[0].1, told[1].1);

    // Where nobody listens, the address that was tried is told.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.transport.flows().send_to(&destination(nobody), &options("1")).unwrap();
    let mut tried = None;
    while tried.is_none() {
        client
            .transport
            .poll(Some(Duration::from_millis(2)), |_, event| {
                if let FlowEvent::NotOpened { ends, request: [], response: [], .. } = event {
                    tried = Some(ends.peer);
                }
            })
            .unwrap();
    }
    assert_eq!(tried, Some(nobody));
}

/// On a listener for both versions of IP, an IPv4 client has the address that it has anywhere.
#[test]
fn an_ipv4_client_has_an_ipv4_address() {
    let mut node = Node::new(open());
    let address = node.transport.listen("ws:[::]:0".parse().unwrap()).unwrap();
    let mut raw = Raw::connect(([127, 0, 0, 1], address.port()).into());
    raw.handshake(SIP);
    until(&mut [&mut node], |nodes| nodes[0].opened().len() == 1);
    let flow = node.opened()[0];
    let (ends, _) = node.transport.flows().get(flow).unwrap();
    assert_eq!((ends.peer, ends.local), (raw.0.local_addr().unwrap(), raw.0.peer_addr().unwrap()));
}
