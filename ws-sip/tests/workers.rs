//! Several workers behave as one program.

mod common;

use core::net::SocketAddr;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use common::program::{Running, manage, ws_sip};
use common::{Raw, options};

/// The program with so many workers, where it listens, and the port of its management.
fn start(arguments: &[&str]) -> (Running, SocketAddr, u16) {
    let mut all = vec!["--socket", "ws:127.0.0.1:0", "--mi-http", "127.0.0.1:0", "--require-origin", "no"];
    all.extend(arguments);
    let mut child = ws_sip(&all).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.as_mut().unwrap()).lines().take(2).map(Result::unwrap).collect();
    let address = lines[0].strip_prefix("listening on ws:").expect(&lines[0]).parse().unwrap();
    let port = lines[1].strip_prefix("management on http:127.0.0.1:").expect(&lines[1]).parse().unwrap();
    (Running(child), address, port)
}

/// An open flow, and its number.
struct Phone {
    raw: Raw,
    flow: u64,
}

impl Phone {
    fn open(address: SocketAddr, management: u16) -> Self {
        let raw = Raw::open(address);
        let peer = raw.0.local_addr().unwrap();
        let flow = flows(management).into_iter().find(|(_, at)| *at == peer.to_string()).unwrap().0;
        Self { raw, flow }
    }

    const fn worker(&self) -> u8 {
        self.flow.to_be_bytes()[0]
    }

    fn send(&mut self, text: &str) {
        self.raw.frame(0x81, text.as_bytes());
    }

    fn receive(&mut self) -> String {
        self.raw.text()
    }
}

/// The open flows, and where their peers are.
fn flows(management: u16) -> Vec<(u64, String)> {
    let list = manage(management, "ws_list", "[]");
    let member = |part: &str, name: &str| {
        let (_, rest) = part.split_once(&format!("\"{name}\":\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    list.split("{\"Flow\"")
        .skip(1)
        .map(|part| format!("\"Flow\"{part}"))
        .map(|part| (member(&part, "Flow").parse().unwrap(), member(&part, "Peer")))
        .collect()
}

/// Opens flows until two are on different workers.
fn on_two_workers(address: SocketAddr, management: u16) -> (Phone, Phone) {
    let first = Phone::open(address, management);
    loop {
        let next = Phone::open(address, management);
        if next.worker() != first.worker() {
            return (first, next);
        }
    }
}

fn register(user: &str) -> String {
    format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS {user}.invalid;branch=z9hG4bK{user}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@example.com>;tag=1\r\nTo: <sip:{user}@example.com>\r\n\
         Call-ID: {user}\r\nCSeq: 1 REGISTER\r\nContact: <sip:{user}@{user}.invalid;transport=ws>\r\n\r\n"
    )
}

fn text(from: &str, to: &str) -> String {
    format!(
        "MESSAGE sip:{to}@example.com SIP/2.0\r\nVia: SIP/2.0/WS {from}.invalid;branch=z9hG4bKm{from}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{from}@example.com>;tag=1\r\nTo: <sip:{to}@example.com>\r\n\
         Call-ID: m{from}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    )
}

fn answered(request: &str) -> String {
    let head: Vec<&str> = request.split("\r\n").collect();
    let copied = head.iter().filter(|line| {
        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
    });
    let copied: Vec<&str> = copied.copied().collect();
    format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", copied.join("\r\n"))
        .replace("\r\nCSeq", ";tag=9\r\nCSeq")
}

#[test]
fn users_of_different_workers_reach_each_other() {
    let (mut program, address, management) = start(&["--workers", "3"]);
    let (mut alice, mut bob) = on_two_workers(address, management);
    for (phone, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        phone.send(&register(user));
        assert!(phone.receive().starts_with("SIP/2.0 200 "));
    }
    alice.send(&text("alice", "bob"));
    let got = bob.receive();
    assert!(got.starts_with("MESSAGE sip:bob@bob.invalid") && got.ends_with("hello"), "{got}");
    bob.send(&answered(&got));
    let answer = alice.receive();
    assert!(answer.starts_with("SIP/2.0 200 OK"), "{answer}");

    // A binding goes with its flow, whoever sees it close.
    drop(bob);
    loop {
        alice.send(&text("alice", "bob").replace("z9hG4bKm", "z9hG4bKn"));
        let answer = alice.receive();
        if answer.starts_with("SIP/2.0 480 ") || answer.starts_with("SIP/2.0 404 ") {
            break;
        }
        assert!(answer.starts_with("SIP/2.0 430 ") || answer.starts_with("SIP/2.0 408 "), "{answer}");
    }
    let told = Command::new("kill").arg(program.0.id().to_string()).status().unwrap();
    drop(alice);
    assert!(told.success() && program.0.wait().unwrap().success());
}

/// What one worker has is listed, closed, pinged and counted as what another has.
#[test]
fn management_is_of_all_workers() {
    let (_program, address, management) = start(&["--workers", "2"]);
    let mut phones = vec![Phone::open(address, management)];
    while phones.len() < 6 || phones.iter().all(|phone| phone.worker() == phones[0].worker()) {
        phones.push(Phone::open(address, management));
    }
    let all: HashSet<u64> = phones.iter().map(|phone| phone.flow).collect();
    let listed: Vec<u64> = flows(management).into_iter().map(|(flow, _)| flow).collect();
    assert_eq!(listed.len(), all.len(), "none twice");
    assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), all);
    // In parts of two, the second worker's after the first's.
    let mut parts = Vec::new();
    let mut after = String::from("[\"2\"]");
    loop {
        let part = manage(management, "ws_list", &after);
        let numbers: Vec<u64> = part
            .split("\"Flow\":\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(numbers.len() <= 2);
        let Some(last) = numbers.last() else { break };
        after = format!("[\"2\",\"{last}\"]");
        parts.extend(numbers);
    }
    assert_eq!(parts, listed);

    let count = listed.len();
    let statistics =
        manage(management, "get_statistics", "[[\"transport:opened\",\"transport:connections\"]]");
    for counted in [format!("\"transport:opened\":{count}"), format!("\"transport:connections\":{count}")] {
        assert!(statistics.contains(&counted), "{statistics}");
    }
    let first = phones[0].worker();
    let second = phones.iter_mut().find(|phone| phone.worker() != first).unwrap();
    assert!(manage(management, "ws_ping", &format!("[\"{}\"]", second.flow)).contains("\"OK\""));
    let mut ping = [0; 8];
    second.raw.0.read_exact(&mut ping).unwrap();
    assert_eq!(&ping, b"\x89\x06ws-sip");
    assert!(manage(management, "ws_close", &format!("[\"{}\"]", second.flow)).contains("\"OK\""));
    let mut close = [0; 4];
    second.raw.0.read_exact(&mut close).unwrap();
    assert_eq!(close[..1], [0x88]);
    let nobody = manage(management, "ws_close", &format!("[\"{}\"]", u64::from(9_u8) << 56));
    assert!(nobody.contains("No such flow"), "{nobody}");
}

/// A limit is one of the program, not of each worker.
#[test]
fn limits_are_of_all_workers() {
    let (_program, address, management) = start(&["--workers", "2", "--ws-max-connections", "4"]);
    let phones: Vec<Phone> = (0..4).map(|_| Phone::open(address, management)).collect();
    for _ in 0..4 {
        let mut raw = Raw::connect(address);
        raw.handshake("Sec-WebSocket-Protocol: sip\r\n");
        let mut status = [0; 12];
        raw.0.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 503");
    }
    drop(phones);

    let arguments = ["--workers", "2", "--ws-max-connections-per-address", "2"];
    let (_program, address, management) = start(&arguments);
    let _phones: Vec<Phone> = (0..2).map(|_| Phone::open(address, management)).collect();
    for _ in 0..4 {
        let mut raw = Raw::connect(address);
        raw.handshake("Sec-WebSocket-Protocol: sip\r\n");
        let mut status = [0; 12];
        raw.0.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 503");
    }
}

/// Reads one message without a body.
fn read_message(stream: &mut TcpStream) -> String {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        message.push(byte[0]);
    }
    String::from_utf8(message).unwrap()
}

/// Each worker is an edge by itself: what it wrote into Path comes back to it.
#[test]
fn an_edge_of_several_workers() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("sip:{};transport=tcp", upstream.local_addr().unwrap());
    let (_program, address, management) = start(&["--workers", "2", "--upstream", &to]);
    let mut servers = [upstream.accept().unwrap().0, upstream.accept().unwrap().0];
    let (mut alice, mut bob) = on_two_workers(address, management);
    let mut paths = Vec::new();
    for (phone, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        phone.send(&register(user));
        // One of the two connections is this worker's.
        let mut found = None;
        while found.is_none() {
            for (index, server) in servers.iter_mut().enumerate() {
                server.set_nonblocking(true).unwrap();
                if server.peek(&mut [0]).is_ok() {
                    found = Some(index);
                }
                server.set_nonblocking(false).unwrap();
            }
            std::thread::yield_now();
        }
        let server = &mut servers[found.unwrap()];
        let request = read_message(server);
        let path = request.lines().find_map(|line| line.strip_prefix("Path: ")).unwrap().to_owned();
        server.write_all(answered(&request).as_bytes()).unwrap();
        assert!(phone.receive().starts_with("SIP/2.0 200 "));
        paths.push(path);
    }
    let host = |path: &str| path.split('@').nth(1).unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(host(&paths[0]), host(&paths[1]), "{paths:?}");
    for (path, phone) in paths.iter().zip([&mut alice, &mut bob]) {
        // The server connects to where the Path says.
        let mut stream = TcpStream::connect(host(path)).unwrap();
        let request = String::from_utf8(options("down")).unwrap();
        let request = request
            .replace("\r\n\r\n", &format!("\r\nRoute: {path}\r\nContent-Length: 0\r\n\r\n"))
            .replace("SIP/2.0/WS x.invalid", "SIP/2.0/TCP 127.0.0.1:5060");
        stream.write_all(request.as_bytes()).unwrap();
        let got = phone.receive();
        assert!(got.starts_with("OPTIONS "), "{got}");
        phone.send(&answered(&got));
        assert!(read_message(&mut stream).starts_with("SIP/2.0 200 "));
    }
}

#[test]
fn what_cannot_be_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("ws:{}", taken.local_addr().unwrap());
    for (arguments, told) in [
        (["--workers", "0", "--socket", "ws:127.0.0.1:0"], "`--workers` takes N, not `0`"),
        (["--workers", "2", "--socket", &taken], "cannot listen on"),
    ] {
        let output = ws_sip(&arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(told) && error.lines().count() == 1, "{error}");
    }
    // Nor do two programs share an address by mistake.
    let (_program, address, _) = start(&["--workers", "2"]);
    let output = ws_sip(&["--workers", "2", "--socket", &format!("ws:{address}")]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on"));
}
