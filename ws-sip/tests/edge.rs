//! The program as an edge: where it and its upstream reach each other.

mod common;

use core::net::SocketAddr;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};

use common::program::{Running, start};
use common::{Raw, options};

/// An edge of the upstream that `to` names, and a browser at it.
fn edge(to: &str, arguments: &[&str]) -> (Running, Raw) {
    let mut all = vec!["--socket", "ws:127.0.0.1:0", "--require-origin", "no", "--upstream", to];
    all.extend(arguments);
    let (program, port) = start(&all);
    let mut browser = Raw::connect(([127, 0, 0, 1], port).into());
    browser.handshake("Sec-WebSocket-Protocol: sip\r\n");
    assert!(read_head(&mut browser.0).starts_with("HTTP/1.1 101 "));
    (program, browser)
}

/// Reads a head, be it of HTTP, or of SIP without a body.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Whether something waits to be read.
fn has_more(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let has_more = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    has_more
}

/// Reads a message that came to the browser.
fn read_frame(browser: &mut Raw) -> String {
    let mut header = [0; 2];
    browser.0.read_exact(&mut header).unwrap();
    if header[1] == 126 {
        browser.0.read_exact(&mut [0; 2]).unwrap();
    }
    read_head(&mut browser.0)
}

fn register(browser: &mut Raw) {
    let register = String::from_utf8(options("register")).unwrap().replace("OPTIONS", "REGISTER");
    browser.frame(0x81, register.as_bytes());
}

/// The Path of a REGISTER, and the address in it.
fn path(register: &str) -> (&str, SocketAddr) {
    let path = register.lines().find_map(|line| line.strip_prefix("Path: ")).expect(register);
    let host = path.split('@').nth(1).unwrap().split(';').next().unwrap();
    (path, host.parse().expect(host))
}

/// Sends an OPTIONS by a Path over a connection of its own, which must reach the browser.
#[track_caller]
fn call_back(register: &str, browser: &mut Raw) {
    let (path, address) = path(register);
    let mut stream = TcpStream::connect(address).unwrap();
    let request = String::from_utf8(options("down")).unwrap();
    let request = request
        .replace("\r\n\r\n", &format!("\r\nRoute: {path}\r\nContent-Length: 0\r\n\r\n"))
        .replace("SIP/2.0/WS x.invalid", "SIP/2.0/TCP 127.0.0.1:5060");
    stream.write_all(request.as_bytes()).unwrap();
    let got = read_frame(browser);
    assert!(got.starts_with("OPTIONS "), "{got}");
}

/// Without an address to listen on, it is the one that leads to the server, and no other.
#[test]
fn a_server_is_listened_for_where_it_reaches_the_edge() {
    for bind in ["127.0.0.1:0", "[::1]:0"] {
        let upstream = TcpListener::bind(bind).unwrap();
        let to = format!("sip:{};transport=tcp", upstream.local_addr().unwrap());
        let (_program, mut browser) = edge(&to, &[]);
        let (mut server, _) = upstream.accept().unwrap();
        register(&mut browser);
        let first = read_head(&mut server);
        call_back(&first, &mut browser);
        if path(&first).1.is_ipv4() {
            let other = SocketAddr::from(([127, 0, 0, 2], path(&first).1.port()));
            assert!(TcpStream::connect(other).is_err(), "it listens on {other}");
        }
        // What the server knows is so after the next connection, too.
        drop(server);
        let (mut server, _) = upstream.accept().unwrap();
        register(&mut browser);
        while !has_more(&server) {
            if has_more(&browser.0) {
                // The edge has not seen the new connection yet.
                assert!(read_frame(&mut browser).starts_with("SIP/2.0 503 "));
                register(&mut browser);
            }
            std::thread::yield_now();
        }
        let again = read_head(&mut server);
        assert_eq!(path(&again).0, path(&first).0);
    }
}

/// A server that accepts browsers may ask for what all of them send.
#[test]
fn a_server_over_websocket_gets_the_origin_that_is_set() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("ws://{}/sip", upstream.local_addr().unwrap());
    for (arguments, expected) in
        [(&[][..], None), (&["--upstream-origin", "https://phone.example"], Some("https://phone.example"))]
    {
        let (_program, _browser) = edge(&to, arguments);
        let request = read_head(&mut upstream.accept().unwrap().0);
        assert!(request.starts_with("GET /sip HTTP/1.1\r\n"), "{request}");
        let origin = request.lines().find_map(|line| line.strip_prefix("Origin: "));
        assert_eq!(origin, expected, "{request}");
    }
}

/// A message that the server would not read costs its sender alone.
#[test]
fn a_message_that_is_too_long_for_the_server_is_answered_here() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("sip:{};transport=tcp", upstream.local_addr().unwrap());
    let (_program, mut browser) = edge(&to, &["--upstream-max-message-len", "16384"]);
    let (mut server, _) = upstream.accept().unwrap();
    register(&mut browser);
    assert!(read_head(&mut server).starts_with("REGISTER "));
    let long = String::from_utf8(options("long")).unwrap();
    let long = long.replace("\r\n\r\n", "\r\nContent-Length: 17000\r\n\r\n") + &"x".repeat(17_000);
    browser.frame(0x81, long.as_bytes());
    let answer = read_frame(&mut browser);
    assert!(answer.starts_with("SIP/2.0 513 Message Too Large\r\n"), "{answer}");
    browser.frame(0x81, &options("short"));
    assert!(read_head(&mut server).starts_with("OPTIONS "));
}

/// A socket for both versions of IP tells the address of an IPv4 server as one of IPv6, which it is not to the server.
#[test]
fn an_ipv4_server_reaches_an_edge_that_listens_for_both_versions() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("sip:{};transport=tcp", upstream.local_addr().unwrap());
    let (_program, mut browser) = edge(&to, &["--upstream-socket", "[::]:0"]);
    let (mut server, _) = upstream.accept().unwrap();
    register(&mut browser);
    let request = read_head(&mut server);
    assert_eq!(path(&request).1.ip(), "127.0.0.1".parse::<core::net::IpAddr>().unwrap());
    call_back(&request, &mut browser);

    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = format!("sip:{};transport=udp", upstream.local_addr().unwrap());
    let (_program, mut browser) = edge(&to, &["--upstream-socket", "[::]:0"]);
    register(&mut browser);
    let mut datagram = [0; 2000];
    let (n, from) = upstream.recv_from(&mut datagram).unwrap();
    assert_eq!(path(core::str::from_utf8(&datagram[..n]).unwrap()).1, from);
}
