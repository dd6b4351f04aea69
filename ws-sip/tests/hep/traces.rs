//! What transports trace of connections that come, go and fail.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::Read as _;
use std::net::Shutdown;
use std::sync::Arc;

use ws_core::StatusCode;
use ws_sip::hep::PayloadKind;
use ws_sip::trace::TracerOptions;
use ws_sip::{Settings, TraceFilter};

use crate::common::{Node, Raw, Seen, destination, options as request, until};
use crate::witness::{Witness, open, options};

const SIP: &str = "Sec-WebSocket-Protocol: sip\r\n";
const ACCEPTED: [&str; 3] = ["ACCEPTED", "SUCCESS", "Connection accepted..."];
const REFUSED: [&str; 3] = ["ACCEPTED", "FAILURE", "Failed to accept connection..."];

fn server(witness: &Witness, options: TracerOptions) -> (Node, SocketAddr) {
    server_with(witness, options, open())
}

fn server_with(witness: &Witness, options: TracerOptions, settings: Settings) -> (Node, SocketAddr) {
    let (mut node, address) = Node::server(settings);
    witness.watch(&mut node, options);
    (node, address)
}

/// A flow to `server`, as a browser would have it.
fn connect(server: &mut Node, address: SocketAddr) -> Raw {
    let before = server.opened().len();
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    until(&mut [server], |nodes| nodes[0].opened().len() > before);
    raw
}

fn close(server: &mut Node, how: impl FnOnce(&mut Node)) {
    let before = server.closed().len();
    how(server);
    until(&mut [server], |nodes| nodes[0].closed().len() > before);
}

fn not_opened(node: &Node) -> usize {
    node.seen.iter().filter(|seen| matches!(seen, Seen::NotOpened(..))).count()
}

#[test]
fn a_flow_that_comes_and_goes_in_order() {
    let mut witness = Witness::new();
    let (mut server, address) = server(&witness, options());
    let mut raw = Raw::connect(address);
    let peer = raw.0.local_addr().unwrap();
    raw.handshake(&format!("{SIP}Cookie: id=7\r\nX-Quoted: \"\\\t\r\n"));
    until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
    witness.see(1);
    let accepted = witness.seen[0].clone();
    assert_eq!(accepted.what(), ACCEPTED);
    assert_eq!((accepted.source, accepted.destination), (peer, address));
    assert_eq!(accepted.get("Protocol"), "WS");
    let asked = accepted.get("Ws-Request");
    assert!(asked.starts_with("GET / HTTP/1.1\r\nHost: x\r\n"), "{asked}");
    assert!(
        asked.contains("\r\nCookie: ***\r\nX-Quoted: \"\\\t\r\n") && asked.ends_with("\r\n\r\n"),
        "{asked}"
    );
    let answered = accepted.get("Ws-Reply");
    assert!(answered.starts_with("HTTP/1.1 101 ") && answered.ends_with("\r\n\r\n"), "{answered}");

    raw.frame(0x81, &request("1"));
    raw.frame(0x88, b"\x0f\xa1done");
    until(&mut [&mut server], |nodes| !nodes[0].closed().is_empty());
    witness.see(2);
    let closed = &witness.seen[1];
    assert_eq!(closed.what(), ["CLOSED", "SUCCESS", "EOF received"]);
    assert_eq!((closed.source, closed.destination), (peer, address));
    assert_eq!(closed.correlation, accepted.correlation);
    assert_eq!([closed.get("Close-Code"), closed.get("Close-Reason")], ["4001", "done"]);
    assert_eq!([closed.get("Closed-By"), closed.get("Outcome")], ["peer", "closed by the peer, code 4001"]);
    assert_eq!([closed.get("Messages-In"), closed.get("Messages-Out")], ["1", "0"]);
    assert_eq!(closed.get("Bytes-In"), request("1").len().to_string());
    assert_eq!(closed.get("Bytes-Out"), "0");
    let duration: f64 = closed.get("Duration").parse().unwrap();
    assert!((0.0..30.0).contains(&duration));
    assert!(witness.is_exhausted());
}

#[test]
fn each_end_is_told_for_what_it_is() {
    let mut witness = Witness::new();
    let (mut server, address) = server(&witness, options());

    let mut raw = connect(&mut server, address);
    // What was not read would make a reset of its end.
    let mut head = [0; 1024];
    assert!(raw.0.read(&mut head).unwrap() > 0);
    close(&mut server, |_| drop(raw));

    let mut raw = connect(&mut server, address);
    close(&mut server, |_| {
        raw.send(b"\x81\x01x");
        raw.0.shutdown(Shutdown::Write).unwrap();
    });

    let mut raw = connect(&mut server, address);
    close(&mut server, |server| {
        let flow = *server.opened().last().unwrap();
        server.transport.flows().close(flow, StatusCode::GOING_AWAY, "moved").unwrap();
        raw.frame(0x88, &[3, 232]);
    });

    let _raw = connect(&mut server, address);
    close(&mut server, |server| {
        let flow = *server.opened().last().unwrap();
        server.transport.flows().abort(flow).unwrap();
    });

    let mut raw = connect(&mut server, address);
    close(&mut server, |_| raw.frame(0x88, b""));

    witness.see(10);
    let ends: Vec<_> = witness
        .seen
        .iter()
        .filter(|seen| seen.get("Event") == "CLOSED")
        .map(|seen| {
            ["Status", "Message", "Close-Code", "Close-Reason", "Closed-By", "Outcome"]
                .map(|key| seen.get(key))
        })
        .collect();
    assert_eq!(
        ends,
        [
            ["FAILURE", "EOF received", "1006", "", "peer", "the peer vanished"],
            [
                "FAILURE",
                "Read error",
                "1002",
                "frame from a client is not masked",
                "us",
                "failed: frame from a client is not masked"
            ],
            ["SUCCESS", "Closed by Proto layer", "1001", "moved", "us", "closed by us, code 1000"],
            ["FAILURE", "Closed by Proto layer", "1006", "", "us", "aborted"],
            ["SUCCESS", "EOF received", "1005", "", "peer", "closed by the peer, no code"],
        ]
    );
    let mut numbers: Vec<_> = witness.seen.iter().map(|seen| seen.correlation.clone()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 5, "each connection has a number of its own");
}

#[test]
fn what_is_refused_is_told_with_both_heads() {
    let mut witness = Witness::new();
    let (mut server, address) = server_with(&witness, options(), Settings::default());
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    let reading = raw.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    let answer = String::from_utf8(reading.join().unwrap()).unwrap();
    raw.0.shutdown(Shutdown::Write).unwrap();
    until(&mut [&mut server], |nodes| not_opened(nodes[0]) == 1);
    witness.see(1);
    let refused = &witness.seen[0];
    assert_eq!(refused.what(), REFUSED);
    assert_eq!((refused.source, refused.destination), (raw.0.local_addr().unwrap(), address));
    assert!(refused.get("Ws-Request").ends_with("Sec-WebSocket-Protocol: sip\r\n\r\n"));
    assert_eq!(refused.get("Ws-Reply"), answer);
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(refused.get("Reason"), "request refused: origin not allowed (403)");
}

#[test]
fn a_handshake_that_comes_to_nothing_is_told_and_a_plain_request_is_not() {
    let mut witness = Witness::new();
    let (mut server, address) = server(&witness, options());
    let gone = |server: &mut Node, count| {
        until(&mut [server], |nodes| not_opened(nodes[0]) == count);
    };
    let mut raw = Raw::connect(address);
    raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    raw.0.shutdown(Shutdown::Write).unwrap();
    gone(&mut server, 1);

    // Half a request.
    let mut raw = Raw::connect(address);
    raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n");
    drop(raw);
    gone(&mut server, 2);

    // Not a byte, as of those who look whether the port is open.
    drop(Raw::connect(address));
    gone(&mut server, 3);

    // Not a byte, and no end: it is asked to go.
    let raw = Raw::connect(address);
    let reading = raw.read(usize::MAX);
    until(&mut [&mut server], |_| reading.is_finished());
    raw.0.shutdown(Shutdown::Write).unwrap();
    gone(&mut server, 4);

    witness.see(3);
    let [half, silent, late] = &witness.seen[..] else { panic!("{:?}", witness.seen) };
    assert_eq!(half.what(), REFUSED);
    assert_eq!(half.get("Ws-Request"), "GET / HTTP/1.1\r\nHost: x\r\n");
    assert_eq!([half.get("Ws-Reply"), half.get("Reason")], ["", "the peer vanished"]);
    assert_eq!(silent.what(), ["CLOSED", "SUCCESS", "EOF received"]);
    assert_eq!(late.what(), REFUSED);
    assert!(late.get("Ws-Reply").starts_with("HTTP/1.1 408 "), "{}", late.payload);
    assert_eq!(late.get("Reason"), "opening handshake timeout");
    assert!(witness.is_exhausted());
}

#[test]
fn flows_that_we_open() {
    let mut witness = Witness::new();
    let (mut strict, strict_address) = Node::server(Settings::default());
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    witness.watch(&mut client, options());

    let flow = client.transport.flows().send_to(&destination(address), &request("1")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[0].messages().is_empty());
    client.transport.flows().close(flow, StatusCode::NORMAL, "").unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[1].closed().is_empty());
    client.transport.flows().send_to(&destination(strict_address), &request("2")).unwrap();
    until(&mut [&mut strict, &mut client], |nodes| nodes[1].seen.len() == 3);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    client.transport.flows().send_to(&destination(nobody), &request("3")).unwrap();
    until(&mut [&mut client], |nodes| nodes[0].seen.len() == 4);
    // A name that no system asks the network for: its label is too long.
    let nowhere = "n".repeat(64);
    client.transport.flows().send_to(&format!("ws://{nowhere}/").parse().unwrap(), &request("4")).unwrap();
    until(&mut [&mut client], |nodes| nodes[0].seen.len() == 5);

    witness.see(5);
    let [connected, closed, refused, unreachable, unknown] = &witness.seen[..] else {
        panic!("{:?}", witness.seen)
    };
    assert_eq!(connected.what(), ["CONNECTED", "SUCCESS", "Successfully connected..."]);
    assert_eq!(connected.source, address, "the peer");
    assert!(connected.destination.ip().is_loopback() && connected.destination.port() != 0);
    assert!(connected.get("Ws-Request").starts_with(&format!("GET / HTTP/1.1\r\nHost: {address}\r\n")));
    assert!(connected.get("Ws-Reply").starts_with("HTTP/1.1 101 "));

    assert_eq!(closed.what(), ["CLOSED", "SUCCESS", "Closed by Proto layer"]);
    assert_eq!(closed.correlation, connected.correlation);
    assert_eq!((closed.source, closed.destination), (connected.source, connected.destination));
    assert_eq!([closed.get("Messages-In"), closed.get("Messages-Out")], ["0", "1"]);

    let failed = ["CONNECTED", "FAILURE", "Failed to connect..."];
    assert_eq!(refused.what(), failed);
    assert_eq!(refused.source, strict_address);
    assert!(refused.get("Ws-Request").starts_with("GET / HTTP/1.1\r\n"));
    assert!(refused.get("Ws-Reply").starts_with("HTTP/1.1 403 "), "{}", refused.payload);
    assert_eq!(refused.get("Reason"), "the server answered 403 Forbidden");
    assert_eq!(refused.get("Destination"), strict_address.to_string());

    assert_eq!(unreachable.what(), failed);
    assert_eq!(unreachable.source, nobody);
    assert_eq!([unreachable.get("Ws-Request"), unreachable.get("Ws-Reply")], ["", ""]);
    assert!(unreachable.get("Reason").contains("refused"), "{}", unreachable.payload);

    assert_eq!(unknown.what(), failed);
    assert_eq!(unknown.get("Destination"), format!("{nowhere}:80"));
    assert!(witness.is_exhausted());
}

#[test]
fn the_filter_is_asked_once_a_connection() {
    let mut witness = Witness::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut filtered = options();
    filtered.sip = true;
    let counter = Arc::clone(&asked);
    filtered.filter = Some(TraceFilter::new(move |ends| {
        // Every other one.
        assert!(ends.is_incoming);
        counter.fetch_add(1, Ordering::Relaxed) % 2 == 1
    }));
    let (mut server, address) = server_with(&witness, filtered, Settings::default());
    for number in 0..4 {
        let mut raw = Raw::connect(address);
        raw.handshake(&format!("{SIP}Origin: https://phone.example\r\n"));
        raw.frame(0x81, &request(&number.to_string()));
        raw.frame(0x88, b"");
        until(&mut [&mut server], |nodes| nodes[0].closed().len() == number + 1);
    }
    // Refused ones are asked for, too.
    for number in 0..2 {
        Raw::connect(address).handshake(SIP);
        until(&mut [&mut server], |nodes| not_opened(nodes[0]) == number + 1);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 6);
    witness.see(7);
    let kinds: Vec<_> = witness.seen.iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, [0x59, 1, 0x59, 0x59, 1, 0x59, 0x59]);
    assert_eq!(witness.seen[6].what(), REFUSED);
    assert!(witness.is_exhausted());
}

#[test]
fn it_can_be_turned_on_and_off_at_any_time() {
    let mut witness = Witness::new();
    let mut with_sip = options();
    with_sip.sip = true;
    let (mut server, address) = server(&witness, with_sip);
    // Off between accept and close: the first alone.
    let mut raw = connect(&mut server, address);
    witness.see(1);
    witness.tracing.set(false);
    raw.frame(0x81, &request("1"));
    close(&mut server, |_| raw.frame(0x88, b""));
    // On after accept: the end alone.
    let mut raw = connect(&mut server, address);
    witness.tracing.set(true);
    close(&mut server, |_| raw.frame(0x88, b""));
    witness.see(2);
    assert_eq!(witness.seen[0].what(), ACCEPTED);
    assert_eq!(witness.seen[1].what(), ["CLOSED", "SUCCESS", "EOF received"]);
    assert_ne!(witness.seen[0].correlation, witness.seen[1].correlation);
    assert!(witness.is_exhausted());
}

#[test]
fn another_tracer_tells_of_a_connection_by_the_same_number() {
    let mut witness = Witness::new();
    let (mut server, address) = server(&witness, options());
    let mut raws = [connect(&mut server, address), connect(&mut server, address)];
    witness.see(2);
    assert_ne!(witness.seen[0].correlation, witness.seen[1].correlation);
    witness.watch(&mut server, options());
    close(&mut server, |_| raws[0].frame(0x88, b""));
    // None in between.
    drop(server.transport.replace_tracer(None));
    witness.watch(&mut server, options());
    close(&mut server, |_| raws[1].frame(0x88, b""));
    witness.see(4);
    for at in [0, 1] {
        assert_eq!(witness.seen[at].correlation, witness.seen[at + 2].correlation);
    }
}

#[test]
fn sip_messages_go_as_they_are_with_where_they_came_from() {
    let mut witness = Witness::new();
    let mut with_sip = options();
    with_sip.sip = true;
    let (mut server, address) = Node::server(open());
    let mut client = Node::new(open());
    witness.watch(&mut client, with_sip.clone());
    // It waits until the flow is open: then it is sent, and traced.
    let flow = client.transport.flows().send_to(&destination(address), &request("out")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[0].messages().is_empty());
    let back = server.opened()[0];
    let mut binary = request("in");
    binary.extend_from_slice(b"\xff");
    server.transport.flows().send(back, &binary).unwrap();
    server.transport.flows().keepalive(back).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[1].messages().is_empty());
    client.transport.flows().send(flow, &request("more")).unwrap();
    client.transport.flows().send(flow, &vec![b'x'; 70_000]).unwrap();
    client.transport.flows().close(flow, StatusCode::NORMAL, "").unwrap();
    assert!(client.transport.flows().send(flow, &request("late")).is_err());
    until(&mut [&mut server, &mut client], |nodes| !nodes[1].closed().is_empty());

    witness.see(6);
    let (local, peer) = (witness.seen[0].destination, witness.seen[0].source);
    let [_, out, answer, more, long, _] = &witness.seen[..] else { panic!("{:?}", witness.seen) };
    for (seen, source, payload) in
        [(out, local, request("out")), (answer, peer, binary), (more, local, request("more"))]
    {
        assert_eq!(seen.kind, PayloadKind::Sip as u8);
        assert_eq!(seen.source, source);
        assert_eq!(seen.destination, if source == local { peer } else { local });
        assert_eq!(seen.payload, String::from_utf8_lossy(&payload));
        assert_eq!(seen.correlation, witness.seen[0].correlation);
    }
    assert!(long.payload.len() > 65_000 && long.payload.ends_with("x...[cut]"), "{}", long.payload.len());
    // Keepalives are no messages, and what was refused was not sent.
    assert!(witness.is_exhausted());
}

#[test]
fn what_a_listener_for_both_families_takes_is_ipv4() {
    let mut witness = Witness::new();
    let mut node = Node::new(open());
    let listening = node.transport.listen("ws:[::]:0".parse().unwrap()).unwrap();
    witness.watch(&mut node, options());
    let address = SocketAddr::from(([127, 0, 0, 1], listening.port()));
    let raw = connect(&mut node, address);
    witness.see(1);
    assert_eq!(witness.seen[0].destination, address);
    assert_eq!(witness.seen[0].source, raw.0.local_addr().unwrap());

    let listening = node.transport.listen("ws:[::1]:0".parse().unwrap()).unwrap();
    let _raw = connect(&mut node, listening);
    witness.see(2);
    assert_eq!(witness.seen[1].destination, listening);
}

#[test]
fn plain_text_and_secrets_on_request() {
    let mut witness = Witness::new();
    let mut plain = options();
    plain.plain_text = true;
    plain.secrets = true;
    let (mut server, address) = server(&witness, plain);
    let mut raw = Raw::connect(address);
    raw.handshake(&format!("{SIP}Cookie: id=7\r\n"));
    until(&mut [&mut server], |nodes| !nodes[0].opened().is_empty());
    close(&mut server, |_| raw.frame(0x88, &[3, 232]));
    witness.see(2);
    let [accepted, closed] = &witness.seen[..] else { panic!("{:?}", witness.seen) };
    assert!(accepted.payload.starts_with("WS:ACCEPTED:GET / HTTP/1.1\r\n"), "{}", accepted.payload);
    assert!(accepted.payload.contains("\r\nCookie: id=7\r\n"), "{}", accepted.payload);
    assert!(
        closed.payload.starts_with("WS:CLOSED:SUCCESS:EOF received:1000:peer:closed by the peer, code 1000:")
    );
}

#[test]
fn tracing_that_gets_nowhere_hurts_nothing() {
    // A collector that takes the connection and then nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut sender = crate::collector::hasty();
    sender.queue_len = 16;
    let collector = crate::collector::destination(ws_sip::hep::Transport::Tcp, address);
    let (sender, _told) = crate::collector::start(&collector, &sender);
    let tracing = ws_sip::Tracing::new(true);
    let mut with_sip = options();
    with_sip.sip = true;
    let (mut server, address) = Node::server(open());
    server.transport.set_tracer(ws_sip::Tracer::new(sender.clone(), tracing, with_sip));
    let mut raw = Raw::connect(address);
    raw.handshake(SIP);
    let mut large = request("large");
    large.resize(200_000, b'x');
    for number in 1..=200 {
        raw.frame(0x81, &large);
        until(&mut [&mut server], |nodes| nodes[0].messages().len() == number);
    }
    assert!(sender.counters().dropped > 0);
    assert_eq!(
        server.transport.flows().tracer().unwrap().sender().counters().dropped,
        sender.counters().dropped
    );
}
