//! Flows over TLS, between two transports and from clients that misbehave.
#![cfg(feature = "tls")]

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use common::{Node, Seen, options, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use ws_core::{Deadline, Kind, Outcome, StatusCode};
use ws_sip::{Destination, Settings, Transport, TransportError};

/// An authority of the test's own and what it issues, in files that are gone with it.
struct Authority {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ws-sip-tls-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(directory.join("ca.pem"), issuer.pem()).unwrap();
        let authority = Self { directory, issuer };
        authority.issue();
        authority
    }

    /// Issues a certificate in place of the last one; returns it.
    fn issue(&self) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.directory.join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(self.directory.join("key.pem"), key.serialize_pem()).unwrap();
        certificate.der().to_vec()
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.require_origin = false;
        settings.tls_certificate = Some(self.directory.join("certificate.pem"));
        settings.tls_private_key = Some(self.directory.join("key.pem"));
        settings.tls_ca = Some(self.directory.join("ca.pem"));
        settings
    }

    fn client(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn server(settings: Settings) -> (Node, SocketAddr) {
    let mut node = Node::new(settings);
    let address = node.transport.listen("wss:127.0.0.1:0".parse().unwrap()).unwrap();
    (node, address)
}

fn to(host: &str, address: SocketAddr) -> Destination {
    format!("wss://{host}:{}/", address.port()).parse().unwrap()
}

fn has_ended(node: &Node) -> bool {
    node.seen
        .iter()
        .any(|seen| matches!(seen, Seen::Closed(..) | Seen::NotOpened(..) | Seen::NotConnected(..)))
}

/// A SIP message of about this length.
fn long(len: usize) -> Vec<u8> {
    let mut message = options("long");
    message.truncate(message.len() - 2);
    message.extend_from_slice(format!("Content-Length: {len}\r\n\r\n").as_bytes());
    message.resize(message.len() + len, b'x');
    message
}

#[test]
fn from_the_first_byte_to_a_clean_end() {
    let authority = Authority::new("clean");
    let mut settings = authority.settings();
    settings.ws_max_msg_chunks = 0;
    let (mut server, address) = server(settings.clone());
    let mut client = Node::new(settings);
    let flow = client.transport.flows().send_to(&to("localhost", address), &options("1")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| !nodes[0].messages().is_empty());
    let served = server.opened()[0];
    let (ends, _) = server.transport.flows().get(served).unwrap();
    assert!(ends.is_secure && ends.is_incoming);
    assert!(client.transport.flows().get(flow).unwrap().0.is_secure);
    // More than several records, each way, before either is read.
    for _ in 0..8 {
        client.transport.flows().send(flow, &long(200_000)).unwrap();
        server.transport.flows().send(served, &long(200_000)).unwrap();
    }
    until(&mut [&mut server, &mut client], |nodes| {
        nodes[0].messages().len() == 9 && nodes[1].messages().len() == 8
    });
    assert!(
        server.messages()[1..].iter().chain(&client.messages()).all(|message| **message == long(200_000))
    );
    // A flow to the same place is the same flow; without TLS it would be another.
    let again = client.transport.flows().open(&to("LOCALHOST", address), &Default::default());
    assert_eq!(again, Ok(flow));
    client.transport.flows().close(flow, StatusCode::NORMAL, "").unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes.iter().all(|node| has_ended(node)));
    for node in [&server, &client] {
        assert!(node.closed().iter().all(|outcome| outcome.is_clean()), "{:?}", node.closed());
    }
}

#[test]
fn a_server_that_is_not_trusted_or_another_gets_nothing() {
    let (authority, other) = (Authority::new("trusted"), Authority::new("other"));
    let (mut server, address) = server(authority.settings());
    // Not trusted; and 127.0.0.2 is not in the certificate.
    for (settings, host, why) in [
        (other.settings(), "127.0.0.1", "TLS: invalid peer certificate: BadSignature"),
        (authority.settings(), "127.0.0.2", "TLS: invalid peer certificate: certificate not valid for name"),
    ] {
        let mut client = Node::new(settings);
        let destination = to(host, address);
        if host == "127.0.0.2" {
            // Another address reaches the same listener only where it listens on all.
            let (mut everywhere, address) = {
                let mut node = Node::new(authority.settings());
                let address = node.transport.listen("wss:0.0.0.0:0".parse().unwrap()).unwrap();
                (node, address)
            };
            client.transport.flows().send_to(&to(host, address), &options("1")).unwrap();
            until(&mut [&mut everywhere, &mut client], |nodes| has_ended(nodes[1]));
            assert!(everywhere.messages().is_empty());
        } else {
            client.transport.flows().send_to(&destination, &options("1")).unwrap();
            until(&mut [&mut server, &mut client], |nodes| has_ended(nodes[1]));
        }
        assert!(client.opened().is_empty());
        assert!(matches!(client.seen[..], [Seen::NotOpened(_, Outcome::TransportLost)]), "{:?}", client.seen);
        assert!(matches!(&client.errors[..], [error] if error.starts_with(why)), "{:?}", client.errors);
    }
    // The other side is told by an alert.
    until(&mut [&mut server], |nodes| has_ended(nodes[0]));
    assert_eq!(server.errors, ["TLS: received fatal alert: DecryptError"]);
    assert!(server.messages().is_empty() && server.opened().is_empty());
}

/// A client of rustls on a thread's socket, its WebSocket made by hand.
struct Raw {
    tls: rustls::StreamOwned<rustls::ClientConnection, TcpStream>,
}

impl Raw {
    fn connect(authority: &Authority, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = rustls::ClientConnection::new(authority.client(), name).unwrap();
        Self { tls: rustls::StreamOwned::new(tls, stream) }
    }

    /// Runs `step` until it does not time out, the server polled in between.
    fn until<T>(&mut self, server: &mut Node, mut step: impl FnMut(&mut Self) -> io::Result<T>) -> T {
        let start = Instant::now();
        loop {
            match step(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.unwrap(),
            }
            assert!(start.elapsed() < Duration::from_secs(30));
            server.poll(Duration::from_millis(1));
        }
    }

    fn open(&mut self, server: &mut Node) {
        self.until(server, |raw| raw.tls.conn.complete_io(&mut raw.tls.sock).map(drop));
        self.tls
            .write_all(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Protocol: sip\r\n\r\n",
            )
            .unwrap();
        let mut answer = [0; 13];
        self.until(server, |raw| raw.tls.read_exact(&mut answer));
        assert_eq!(&answer, b"HTTP/1.1 101 ");
    }
}

/// What ends without a close_notify was cut off; bytes that are no TLS break the flow.
#[test]
fn cut_off_and_broken() {
    let authority = Authority::new("cut");
    for (nonsense, why) in [
        (&b""[..], "TLS: the stream ended without close_notify"),
        (b"GET / HTTP/1.1\r\n\r\n", "TLS: received corrupt message of type InvalidContentType"),
    ] {
        let (mut server, address) = server(authority.settings());
        let mut raw = Raw::connect(&authority, address);
        raw.open(&mut server);
        raw.tls.sock.write_all(nonsense).unwrap();
        raw.tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
        until(&mut [&mut server], |nodes| has_ended(nodes[0]));
        assert_eq!(server.closed(), [&Outcome::TransportLost]);
        assert_eq!(server.errors, [why]);
    }
    let (mut server, address) = server(authority.settings());
    let mut raw = Raw::connect(&authority, address);
    raw.open(&mut server);
    raw.tls.conn.send_close_notify();
    raw.tls.flush().unwrap();
    until(&mut [&mut server], |nodes| has_ended(nodes[0]));
    assert_eq!(server.closed(), [&Outcome::Vanished]);
    assert!(server.errors.is_empty());
}

/// Why a client cannot be spoken to is told.
#[test]
fn a_client_that_is_too_old() {
    let authority = Authority::new("old");
    let (mut server, address) = server(authority.settings());
    let mut stream = TcpStream::connect(address).unwrap();
    // A ClientHello of TLS 1.1: version, random, no session, one cipher suite, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0, 47, 1, 0]].concat();
    stream.write_all(&[&[22, 3, 1, 0, 45, 1, 0, 0, 41][..], &hello].concat()).unwrap();
    until(&mut [&mut server], |nodes| has_ended(nodes[0]));
    assert!(
        matches!(&server.errors[..], [error] if error.starts_with("TLS: peer is incompatible: ")),
        "{:?}",
        server.errors
    );
}

/// The deadline of the opening handshake is one for TLS and for what follows.
#[test]
fn slow_handshakes() {
    let authority = Authority::new("slow");
    let mut settings = authority.settings();
    settings.ws_handshake_timeout = Duration::from_millis(200);
    let (mut server, address) = server(settings);
    let silent = TcpStream::connect(address).unwrap();
    let mut dribbling = TcpStream::connect(address).unwrap();
    let mut half = Raw::connect(&authority, address);
    half.until(&mut server, |raw| raw.tls.conn.complete_io(&mut raw.tls.sock).map(drop));
    let start = Instant::now();
    let mut bytes = [22, 3, 1, 2, 0, 1, 0, 1].into_iter().chain(core::iter::repeat(0));
    while server.seen.len() < 3 {
        // One byte now and then refreshes nothing.
        let _ = dribbling.write(&[bytes.next().unwrap()]);
        server.poll(Duration::from_millis(10));
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", server.seen);
        if start.elapsed() > Duration::from_millis(300) {
            // Those who are answered go.
            let _ = (silent.shutdown(std::net::Shutdown::Both), dribbling.shutdown(std::net::Shutdown::Both));
            let _ = half.tls.sock.shutdown(std::net::Shutdown::Both);
        }
    }
    for seen in &server.seen {
        let late = matches!(
            seen,
            Seen::NotOpened(_, Outcome::TimedOut(Deadline::OpeningHandshake) | Outcome::TransportLost)
        );
        assert!(late, "{seen:?}");
    }
}

/// The files are read anew when the settings are: who comes then is shown the new certificate, who is there stays.
#[test]
fn a_new_certificate() {
    let authority = Authority::new("renewed");
    let (mut server, address) = server(authority.settings());
    let shown = |server: &mut Node| {
        let mut raw = Raw::connect(&authority, address);
        raw.open(server);
        let shown = raw.tls.conn.peer_certificates().unwrap()[0].to_vec();
        (raw, shown)
    };
    let (mut stays, first) = shown(&mut server);
    let renewed = authority.issue();
    assert_eq!(shown(&mut server).1, first);
    server.transport.reconfigure(authority.settings()).unwrap();
    assert_eq!(shown(&mut server).1, renewed);
    let message = options("here");
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&message);
    stays.tls.write_all(&frame).unwrap();
    until(&mut [&mut server], |nodes| nodes[0].messages() == [&message[..]]);
    // Files that do not serve change nothing.
    std::fs::write(authority.directory.join("certificate.pem"), "nothing").unwrap();
    assert!(matches!(server.transport.reconfigure(authority.settings()), Err(TransportError::Tls(_))));
    let mut without = authority.settings();
    (without.tls_certificate, without.tls_private_key) = (None, None);
    assert!(matches!(server.transport.reconfigure(without), Err(TransportError::Tls(_))));
    assert_eq!(shown(&mut server).1, renewed);
    assert!(server.seen.iter().any(|seen| matches!(seen, Seen::Message(_, _, Kind::Binary))));
}

#[test]
fn what_is_missing_is_told_at_the_start() {
    let authority = Authority::new("missing");
    let told = |change: &dyn Fn(&mut Settings)| {
        let mut settings = authority.settings();
        change(&mut settings);
        let listening = Transport::new(settings)
            .and_then(|mut transport| transport.listen("wss:127.0.0.1:0".parse().unwrap()).map(drop));
        listening.unwrap_err().to_string()
    };
    let (mut taken, address) = server(authority.settings());
    let refused = taken.transport.listen(format!("wss:{address}").parse().unwrap()).unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot listen on wss:{address}: ")), "{refused}");
    let no_certificate = |settings: &mut Settings| {
        (settings.tls_certificate, settings.tls_private_key) = (None, None);
    };
    assert!(told(&no_certificate).contains("needs `tls_certificate` and `tls_private_key`"));
    assert!(told(&|settings| settings.tls_private_key = None).contains("needs `tls_private_key`"));
    assert!(told(&|settings| settings.tls_certificate = None).contains("needs `tls_certificate`"));
    assert!(
        told(&|settings| settings.tls_private_key = Some("/nowhere".into())).contains("cannot use /nowhere")
    );
    assert!(told(&|settings| settings.tls_ca = Some("/nowhere".into())).contains("cannot use /nowhere"));
}
