//! Behind a balancer that writes PROXY headers, and behind a proxy for HTTP.

mod common;

use core::net::SocketAddr;
use core::time::Duration;

use common::{Node, Raw, Seen, until};
use ws_core::{Deadline, Outcome, RequestError};
use ws_sip::Settings;

const CLIENT: &str = "192.0.2.7:40001";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 443\r\n";

fn v2() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    bytes.extend([192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x41, 1, 0xbb, 4, 0, 0]);
    bytes
}

fn fronted() -> Settings {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings.set("proxy_protocol_from", "127.0.0.0/8").unwrap();
    settings
}

const SIP: &str = "Sec-WebSocket-Protocol: sip\r\n";

/// The peer of the first flow that is open.
fn peer(server: &mut Node) -> SocketAddr {
    let flow = server.opened()[0];
    server.transport.flows().get(flow).unwrap().0.peer
}

#[test]
fn a_flow_is_the_clients_that_the_header_names() {
    for header in [V1.to_vec(), v2()] {
        // With all that follows in one piece, in two, and byte by byte.
        for cut in [None, Some(header.len()), Some(1), Some(20)] {
            let (mut server, address) = Node::server(fronted());
            let mut raw = Raw::connect(address);
            match cut {
                None => {
                    let head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
                    raw.send(&[&header, head.as_bytes(), SIP.as_bytes(), b"\r\n"].concat());
                }
                Some(len) => {
                    for piece in header.chunks(len) {
                        raw.send(piece);
                        server.poll(Duration::from_millis(1));
                        assert!(server.opened().is_empty());
                    }
                    raw.handshake(SIP);
                }
            }
            until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
            assert_eq!(peer(&mut server), CLIENT.parse().unwrap());
            raw.frame(0x81, &common::options("1"));
            until(&mut [&mut server], |nodes| !nodes[0].messages().is_empty());
        }
    }
}

/// A health check says nothing of a client.
#[test]
fn local_connections() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let (mut server, address) = Node::server(fronted());
        let mut raw = Raw::connect(address);
        raw.send(header);
        raw.handshake(SIP);
        until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
        assert_eq!(peer(&mut server), raw.0.local_addr().unwrap());
    }
}

#[test]
fn without_a_header_a_balancers_connection_is_closed() {
    for start in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x02"] {
        let (mut server, address) = Node::server(fronted());
        let mut raw = Raw::connect(address);
        raw.send(start);
        until(&mut [&mut server], |nodes| !nodes[0].seen.is_empty());
        assert!(
            matches!(server.seen[..], [Seen::NotConnected(_, std::io::ErrorKind::InvalidData)]),
            "{:?}",
            server.seen
        );
        assert_eq!(server.transport.flows().stats().bad_proxy_headers, 1);
        assert!(server.transport.flows().is_empty());
    }
    // Nothing at all, until the deadline of the opening handshake; and an end before the header's.
    let mut settings = fronted();
    settings.ws_handshake_timeout = Duration::from_millis(50);
    let (mut server, address) = Node::server(settings);
    let mut raw = Raw::connect(address);
    raw.send(&V1[..20]);
    let short = Raw::connect(address);
    drop(short);
    until(&mut [&mut server], |nodes| !nodes[0].seen.is_empty());
    drop(raw);
    until(&mut [&mut server], |nodes| nodes[0].seen.len() == 2);
    let late = Outcome::TimedOut(Deadline::OpeningHandshake);
    assert!(server.seen.iter().any(|seen| matches!(seen, Seen::NotOpened(_, outcome) if *outcome == late)));
    assert!(server.seen.iter().any(|seen| matches!(seen, Seen::NotOpened(_, Outcome::Vanished))));
}

/// From anybody else a header is no HTTP.
#[test]
fn nobody_else_may_claim_to_be_another() {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings.set("proxy_protocol_from", "10.0.0.1").unwrap();
    settings.set("forwarded_for_from", "10.0.0.1").unwrap();
    let (mut server, address) = Node::server(settings);
    let mut raw = Raw::connect(address);
    raw.send(V1);
    raw.handshake(SIP);
    while server.seen.is_empty() && server.transport.flows().is_empty() {
        server.poll(Duration::from_millis(1));
    }
    let mut honest = Raw::connect(address);
    honest.handshake("Sec-WebSocket-Protocol: sip\r\nX-Forwarded-For: 192.0.2.7\r\n");
    until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
    assert_eq!(server.opened().len(), 1);
    assert_eq!(peer(&mut server), honest.0.local_addr().unwrap());
}

#[test]
fn the_client_behind_a_proxy_for_http() {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings.set("forwarded_for_from", "127.0.0.1").unwrap();
    let (mut server, address) = Node::server(settings);
    let mut raw = Raw::connect(address);
    raw.handshake("Sec-WebSocket-Protocol: sip\r\nx-forwarded-for: 1.1.1.1, 192.0.2.7\r\n");
    until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
    assert_eq!(peer(&mut server), "192.0.2.7:0".parse().unwrap());
}

/// The limit of connections from one address is one of clients, not of what stands in front.
#[test]
fn limits_are_the_clients() {
    for by_header in [true, false] {
        let mut settings = Settings::default();
        settings.require_origin = false;
        settings.ws_max_connections_per_address = 2;
        let name = if by_header { "proxy_protocol_from" } else { "forwarded_for_from" };
        settings.set(name, "127.0.0.1").unwrap();
        let (mut server, address) = Node::server(settings);
        let open = |client: &str, server: &mut Node| {
            let mut raw = Raw::connect(address);
            if by_header {
                raw.send(format!("PROXY TCP4 {client} 198.51.100.1 40001 443\r\n").as_bytes());
            }
            let before = server.seen.len();
            raw.handshake(&format!("Sec-WebSocket-Protocol: sip\r\nX-Forwarded-For: {client}\r\n"));
            until(&mut [server], |nodes| nodes[0].seen.len() > before);
            raw
        };
        let here =
            [open("192.0.2.1", &mut server), open("192.0.2.1", &mut server), open("192.0.2.2", &mut server)];
        assert_eq!(server.opened().len(), 3);
        let mut third = Raw::connect(address);
        if by_header {
            third.send(b"PROXY TCP4 192.0.2.1 198.51.100.1 40001 443\r\n");
        }
        third.handshake("Sec-WebSocket-Protocol: sip\r\nX-Forwarded-For: 192.0.2.1\r\n");
        let mut answer = Vec::new();
        third.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while !answer.ends_with(b"\r\n\r\ntry again later\n") {
            let mut byte = [0];
            server.poll(Duration::ZERO);
            if let Ok(1) = std::io::Read::read(&mut third.0, &mut byte) {
                answer.push(byte[0]);
            }
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
        // Those who go make room.
        drop(here);
        drop(third);
        while !server.transport.flows().is_empty() {
            server.poll(Duration::from_millis(1));
        }
        let refused = Outcome::Refused(RequestError::Unavailable);
        let is_refused = |seen: &&Seen| matches!(seen, Seen::NotOpened(_, outcome) if *outcome == refused);
        assert_eq!(server.seen.iter().filter(is_refused).count(), 1, "{:?}", server.seen);
        let _again = [open("192.0.2.1", &mut server), open("192.0.2.1", &mut server)];
        assert_eq!(server.transport.flows().iter().count(), 2);
    }
}
