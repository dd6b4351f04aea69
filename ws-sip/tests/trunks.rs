//! Trunks to SIP servers, over TCP and UDP.

mod common;

use core::time::Duration;

use common::{Node, Raw, destination, options, until};
use ws_core::{Deadline, Outcome};
use ws_sip::{OpenOptions, SendError, Settings};

/// Settings in which our own client, which sends no Origin unless told, may connect.
fn open() -> Settings {
    let mut settings = Settings::default();
    settings.require_origin = false;
    settings
}

const SIP: &str = "Sec-WebSocket-Protocol: sip\r\n";

#[test]
fn trunks_carry_sip_over_tcp_and_udp_and_close_last() {
    use std::io::{Read as _, Write as _};

    use ws_sip::TrunkTransport;

    // A SIP server of bare sockets, its UDP and TCP on one port.
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: ws_sip::TrunkAddress = tcp.local_addr().unwrap().to_string().parse().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_address: ws_sip::TrunkAddress = udp.local_addr().unwrap().to_string().parse().unwrap();
    let (mut edge, listener) = Node::server(open());
    let stream = edge.transport.flows().open_trunk(&address, TrunkTransport::Tcp);
    let datagrams = edge.transport.flows().open_trunk(&udp_address, TrunkTransport::Udp);
    assert_eq!(edge.transport.flows().open_trunk(&address, TrunkTransport::Tcp), stream, "one is enough");
    // What is sent before it is open waits.
    let request = with_length("first");
    edge.transport.flows().send(stream, &request).unwrap();
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 2);
    edge.transport.flows().send(datagrams, &request).unwrap();
    edge.poll(Duration::ZERO);

    let (mut server, _) = tcp.accept().unwrap();
    let mut got = vec![0; request.len()];
    server.read_exact(&mut got).unwrap();
    assert_eq!(got, request);
    let mut datagram = [0; 2000];
    let (n, from) = udp.recv_from(&mut datagram).unwrap();
    assert_eq!(&datagram[..n], request);

    udp.send_to(&options("datagram"), from).unwrap();
    let mut both = b"\r\n\r\n".to_vec();
    both.extend(with_length("one"));
    both.extend(with_length("two"));
    for piece in both.chunks(50) {
        server.write_all(piece).unwrap();
    }
    until(&mut [&mut edge], |nodes| nodes[0].messages().len() == 3);
    let mut pong = [0; 2];
    server.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\r\n");

    let mut raw = Raw::connect(listener);
    raw.handshake(SIP);
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 3);
    edge.transport.flows().shut_down(Duration::from_secs(60));
    raw.frame(0x88, &[3, 233]);
    until(&mut [&mut edge], |nodes| nodes[0].closed().len() == 3);
    assert_eq!(edge.closed()[1..], [&Outcome::Aborted, &Outcome::Aborted]);
    assert!(edge.transport.flows().is_drained());

    // A server that sends what has no end is dropped, and one that leaves is missed.
    let mut edge = Node::new(open());
    edge.transport.flows().open_trunk(&address, TrunkTransport::Tcp);
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 1);
    let (mut server, _) = tcp.accept().unwrap();
    server.write_all(&options("endless")).unwrap();
    until(&mut [&mut edge], |nodes| nodes[0].closed().len() == 1);
    edge.transport.flows().open_trunk(&address, TrunkTransport::Tcp);
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 2);
    drop(tcp.accept().unwrap());
    until(&mut [&mut edge], |nodes| nodes[0].closed().len() == 2);
    assert_eq!(edge.closed(), [&Outcome::Aborted, &Outcome::Vanished]);
}

fn with_length(call_id: &str) -> Vec<u8> {
    let mut request = options(call_id);
    let end = request.len() - 2;
    request.splice(end..end, *b"Content-Length: 0\r\n");
    request
}

#[test]
fn a_sip_server_may_open_trunks_too() {
    use std::io::Write as _;

    let mut edge = Node::new(open());
    let address = edge.transport.listen_trunk("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut server = std::net::TcpStream::connect(address).unwrap();
    server.write_all(&with_length("hello")).unwrap();
    until(&mut [&mut edge], |nodes| nodes[0].messages().len() == 1);
    assert_eq!(edge.opened().len(), 1);
}

/// What a browser may send comes back from the server with what proxies wrote into it.
#[test]
fn a_server_may_send_more_than_a_browser() {
    let mut settings = open();
    settings.ws_max_message_len = 1000;
    let longer = with_length(&"x".repeat(1000));
    for over_tcp in [true, false] {
        let mut server = Node::new(open());
        let mut edge = Node::new(settings.clone());
        if over_tcp {
            let address = server.transport.listen_trunk("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = address.to_string().parse().unwrap();
            edge.transport.flows().open_trunk(&address, ws_sip::TrunkTransport::Tcp);
        } else {
            let address = server.transport.listen("ws:127.0.0.1:0".parse().unwrap()).unwrap();
            let mut options = OpenOptions::default();
            options.max_message_len = Some(settings.max_trunk_message_len());
            edge.transport.flows().open(&destination(address), &options).unwrap();
        }
        until(&mut [&mut edge, &mut server], |nodes| nodes.iter().all(|node| node.opened().len() == 1));
        let flow = server.opened()[0];
        server.transport.flows().send(flow, &longer).unwrap();
        until(&mut [&mut edge, &mut server], |nodes| nodes[0].messages().len() == 1);
        assert_eq!(edge.messages(), [&longer]);
        assert_eq!(edge.closed(), Vec::<&Outcome>::new());
    }
}

/// What is only in WebSocket is refused for that reason.
#[test]
fn a_trunk_is_no_websocket() {
    let mut edge = Node::new(open());
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: ws_sip::TrunkAddress = server.local_addr().unwrap().to_string().parse().unwrap();
    let flow = edge.transport.flows().open_trunk(&address, ws_sip::TrunkTransport::Udp);
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 1);
    let flows = edge.transport.flows();
    assert_eq!(flows.ping(flow), Err(SendError::NotWebSocket));
    assert_eq!(flows.close(flow, ws_core::StatusCode::NORMAL, ""), Err(SendError::NotWebSocket));
    assert_eq!(SendError::NotWebSocket.to_string(), "the flow is no WebSocket connection");
}

/// Datagrams come from where the server is told to send to.
#[test]
fn datagrams_are_sent_from_the_address_that_is_given() {
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address: ws_sip::TrunkAddress = server.local_addr().unwrap().to_string().parse().unwrap();
    let mut edge = Node::new(open());
    let local = Some("127.0.0.7:0".parse().unwrap());
    let flow = edge.transport.flows().open_trunk_from(&address, ws_sip::TrunkTransport::Udp, local);
    until(&mut [&mut edge], |nodes| nodes[0].opened().len() == 1);
    edge.transport.flows().send(flow, &options("from")).unwrap();
    edge.poll(Duration::ZERO);
    let (_, from) = server.recv_from(&mut [0; 2000]).unwrap();
    assert_eq!(from.ip(), "127.0.0.7".parse::<core::net::IpAddr>().unwrap());
    assert_eq!(edge.transport.flows().get(flow).unwrap().0.local, from);
}

/// All browsers share the connection to the SIP server, which may be busy for longer than a browser may.
#[test]
fn a_stalled_server_has_a_timeout_of_its_own() {
    for (over_tcp, timeout) in [(true, 0), (true, 40), (false, 0), (false, 40)] {
        let mut server = Node::new(open());
        let mut settings = open();
        settings.ws_send_timeout = Duration::from_millis(1);
        settings.upstream_send_timeout = Duration::from_millis(timeout);
        let mut edge = Node::new(settings);
        let flow = if over_tcp {
            let address = server.transport.listen_trunk("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = address.to_string().parse().unwrap();
            edge.transport.flows().open_trunk(&address, ws_sip::TrunkTransport::Tcp)
        } else {
            let address = server.transport.listen("ws:127.0.0.1:0".parse().unwrap()).unwrap();
            let mut options = OpenOptions::default();
            options.send_timeout = Some(Duration::from_millis(timeout));
            edge.transport.flows().open(&destination(address), &options).unwrap()
        };
        until(&mut [&mut edge, &mut server], |nodes| nodes.iter().all(|node| node.opened().len() == 1));
        // More than the system's buffers take while the server does not read.
        let message = with_length(&"x".repeat(60_000));
        let mut sent = 0;
        while sent < 200 && edge.transport.flows().send(flow, &message).is_ok() {
            sent += 1;
        }
        if timeout == 0 {
            for _ in 0..20 {
                edge.poll(Duration::from_millis(2));
            }
            assert_eq!(edge.closed(), Vec::<&Outcome>::new());
            until(&mut [&mut edge, &mut server], |nodes| nodes[1].messages().len() == sent);
        } else {
            until(&mut [&mut edge], |nodes| nodes[0].closed().len() == 1);
            assert_eq!(edge.closed(), [&Outcome::TimedOut(Deadline::Send)]);
        }
    }
}
