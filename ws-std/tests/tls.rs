//! The adapter over TLS: what rustls and the stream below it may do to it.
#![cfg(all(feature = "tls", unix))]

use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ws_core::{Config, Outcome, ServerConfig, Side, StatusCode};
use ws_std::{AcceptError, ClientBuilder, ClientStream, ConnectError, Message, TlsStream, WebSocket, tls};

/// Files that are gone with the value.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ws-std-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Who both sides are, by an authority of the test's own.
struct Identity {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(name: &str) -> Identity {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let files = Files::new(name);
    let trusted = files.write("authority.pem", &authority.pem());
    let certificate = files.write("certificate.pem", &certificate.pem());
    let key = files.write("key.pem", &key.serialize_pem());
    Identity {
        server: tls::server_config(certificate, key).unwrap(),
        client: tls::client_config_trusting(trusted).unwrap(),
    }
}

fn settings(change: impl FnOnce(&mut Config)) -> Arc<Config> {
    let mut config = Config::default();
    change(&mut config);
    Arc::new(config)
}

fn serving(connection: Arc<Config>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    config.connection = connection;
    Arc::new(config)
}

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, connected)
}

type Tls = WebSocket<TlsStream>;

/// Two ends of one connection.
fn pair(name: &str, server: Arc<Config>, client: Arc<Config>) -> (Tls, Tls) {
    let identity = identity(name);
    let (accepted, connected) = streams();
    let client = thread::spawn(move || {
        let stream = TlsStream::connect(connected, "localhost", &identity.client, None).unwrap();
        ClientBuilder::new("wss://localhost/").config(client).connect_over(stream).unwrap()
    });
    let server = ws_std::accept_tls(accepted, &identity.server, &serving(server)).unwrap();
    (server, client.join().unwrap())
}

fn echo<S: ws_std::Transport>(mut ws: WebSocket<S>) -> Option<Outcome> {
    while let Ok(Some(message)) = ws.read() {
        ws.send(message).unwrap();
    }
    ws.outcome()
}

fn closed(initiator: Side) -> Option<Outcome> {
    Some(Outcome::Clean { initiator, code: Some(StatusCode::NORMAL) })
}

#[test]
fn from_the_url_to_a_clean_end() {
    let identity = identity("url");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let accepted = listener.accept().unwrap().0;
        let ws = ws_std::accept_tls(accepted, &identity.server, &Arc::default()).unwrap();
        ws.get_ref().with_connection(|tls| assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..])));
        echo(ws)
    });
    let url = format!("wss://localhost:{port}/chat");
    let mut ws = ClientBuilder::new(&url).tls_config(Arc::clone(&identity.client)).connect().unwrap();
    let ClientStream::Tls(stream) = ws.get_ref() else { panic!("{:?}", ws.get_ref()) };
    stream.with_connection(|tls| assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..])));
    for len in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_536, 1 << 20] {
        let data = vec![u8::try_from(len % 251).unwrap(); len];
        ws.send_binary(&data).unwrap();
        assert_eq!(ws.read().unwrap(), Some(Message::binary(data)));
        ws.send_text(&"ß".repeat(len / 2)).unwrap();
        assert_eq!(ws.read().unwrap(), Some(Message::text("ß".repeat(len / 2))));
    }
    ws.close(Some(StatusCode::NORMAL), "").unwrap();
    assert_eq!(ws.outcome(), closed(Side::Us));
    assert_eq!(server.join().unwrap(), closed(Side::Peer));
}

/// Both write 8 MB before they read: each takes in what comes while it waits for room.
#[test]
fn both_write_first() {
    let (server, client) = pair("both", Arc::default(), Arc::default());
    let run = |mut ws: Tls| {
        thread::spawn(move || {
            let data = vec![7; 64 << 10];
            for _ in 0..128 {
                ws.send_binary(&data).unwrap();
            }
            for _ in 0..128 {
                assert_eq!(ws.read().unwrap().map(|message| message.len()), Some(64 << 10));
            }
            ws
        })
    };
    let (server, client) = (run(server), run(client));
    let (_server, _client) = (server.join().unwrap(), client.join().unwrap());
}

/// One thread waits to read while another writes; what a Ping asks for leaves meanwhile.
#[test]
fn halves() {
    let (server, client) = pair("halves", Arc::default(), Arc::default());
    let server = thread::spawn(move || echo(server));
    let (mut reader, mut writer) = client.split();
    let (all_came, all) = mpsc::channel();
    let reading = thread::spawn(move || {
        for _ in 0..100 {
            assert_eq!(reader.read().unwrap().map(|message| message.len()), Some(50_000));
        }
        all_came.send(()).unwrap();
        assert_eq!(reader.read().unwrap(), None);
    });
    for _ in 0..100 {
        writer.send_binary(&[1; 50_000]).unwrap();
        writer.ping(b"here").unwrap();
    }
    // Earlier it might drop what the server has not sent yet.
    all.recv().unwrap();
    writer.close(Some(StatusCode::NORMAL), "").unwrap();
    reading.join().unwrap();
    assert_eq!(server.join().unwrap(), closed(Side::Peer));
}

/// A stream that ends without a close_notify was cut off.
#[test]
fn truncated() {
    let (mut server, client) = pair("truncated", Arc::default(), Arc::default());
    client.get_ref().get_ref().shutdown(Shutdown::Both).unwrap();
    let error = server.read().unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TransportLost), "{error}");
    let ws_std::Error::Ended(ended) = error else { panic!() };
    assert_eq!(ended.io.unwrap().kind(), io::ErrorKind::UnexpectedEof);

    // With one, the peer vanished, as over TCP.
    let (mut server, client) = pair("vanished", Arc::default(), Arc::default());
    ws_std::Transport::shutdown_write(client.get_ref()).unwrap();
    assert_eq!(server.read().unwrap_err().outcome(), Some(&Outcome::Vanished));
}

/// Bytes that are no TLS record break the connection, and the peer is told by an alert.
#[test]
fn nonsense() {
    let (mut server, client) = pair("nonsense", Arc::default(), Arc::default());
    (&mut client.get_ref().get_ref()).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let error = server.read().unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TransportLost), "{error}");
}

#[test]
fn a_server_that_is_not_trusted_or_another_is_refused() {
    let (good, other) = (identity("good"), identity("other"));
    for (trusting, host) in [(&other.client, "localhost"), (&good.client, "example.com")] {
        let (accepted, connected) = streams();
        let server = thread::spawn({
            let config = Arc::clone(&good.server);
            move || ws_std::accept_tls(accepted, &config, &Arc::default()).map(drop)
        });
        let error = TlsStream::connect(connected, host, trusting, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        let error = server.join().unwrap().unwrap_err();
        assert!(matches!(error, AcceptError::Tls(_)), "{error}");
    }
    let (_, connected) = streams();
    let error = TlsStream::connect(connected, "no name", &good.client, None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

/// A certificate of the client, where the server wants one.
#[test]
fn client_certificates() {
    let authority = authority();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, &authority).unwrap();
        let certificate = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        (vec![certificate], PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::clone(&roots),
        Arc::clone(&provider),
    );
    let (chain, key) = issue("localhost");
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    let server = Arc::new(server);
    let client = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&roots))
    };
    let (chain, key) = issue("client");
    let known = Arc::new(client().with_client_auth_cert(chain, key).unwrap());
    let unknown = Arc::new(client().with_no_client_auth());
    for (config, good) in [(known, true), (unknown, false)] {
        let (accepted, connected) = streams();
        let serving = thread::spawn({
            let server = Arc::clone(&server);
            move || {
                let ws = ws_std::accept_tls(accepted, &server, &Arc::default())?;
                let certificates =
                    ws.get_ref().with_connection(|tls| tls.peer_certificates().map(<[_]>::len));
                assert_eq!(certificates, Some(1));
                Ok::<_, AcceptError>(())
            }
        });
        let opened = TlsStream::connect(connected, "localhost", &config, None)
            .map_err(ConnectError::Tls)
            .and_then(|stream| ClientBuilder::new("wss://localhost/").connect_over(stream));
        assert_eq!(opened.is_ok(), good);
        assert_eq!(serving.join().unwrap().is_ok(), good);
    }
}

/// One deadline for both handshakes, and one byte now and then refreshes none of them.
#[test]
fn slow_handshakes() {
    let identity = identity("slow");
    let timeout = Duration::from_millis(300);
    let server = || {
        let (accepted, connected) = streams();
        let config = serving(settings(|config| {
            config.opening_handshake_timeout = Some(timeout);
            config.close_timeout = Duration::from_millis(10);
        }));
        let tls = Arc::clone(&identity.server);
        let start = Instant::now();
        let serving = thread::spawn(move || {
            let result = ws_std::accept_tls(accepted, &tls, &config).map(drop);
            assert!(start.elapsed() >= timeout);
            result
        });
        (serving, connected)
    };
    // The start of a ClientHello, byte by byte for as long as it is taken.
    let (serving, mut slow) = server();
    for byte in [22, 3, 1, 2, 0, 1, 0, 1].into_iter().chain([0; 500]) {
        if slow.write_all(&[byte]).is_err() || serving.is_finished() {
            break;
        }
        slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = slow.read(&mut [0; 64]);
    }
    let Err(AcceptError::Tls(error)) = serving.join().unwrap() else { panic!("it opened") };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // TLS, and then silence.
    let (serving, silent) = server();
    let silent = TlsStream::connect(silent, "localhost", &identity.client, None).unwrap();
    let Err(AcceptError::Ended(ended)) = serving.join().unwrap() else { panic!("it opened") };
    assert_eq!(ended.outcome, Outcome::TimedOut(ws_core::Deadline::OpeningHandshake));
    drop(silent);
    // A client gives up, too.
    let (accepted, connected) = streams();
    let error = TlsStream::connect(connected, "localhost", &identity.client, Some(timeout)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(accepted);
}

/// What TLS took and the peer does not is given up in time and told as without TLS, though the engine has nothing left
/// to send.
#[test]
fn send_timeout() {
    let (mut server, client) = pair(
        "stalled",
        settings(|config| config.send_timeout = Some(Duration::from_millis(200))),
        Arc::default(),
    );
    let mut sent = 0;
    let error = loop {
        match server.send_binary(&[0; 10_000]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "it is all taken");
    };
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(ws_core::Deadline::Send)), "{error}");
    drop(client);
}

#[test]
fn files_that_do_not_serve_are_refused() {
    let files = Files::new("bad");
    let empty = files.write("empty.pem", "");
    assert!(tls::client_config_trusting(&empty).is_err());
    assert!(tls::server_config(&empty, &empty).is_err());
    assert!(tls::server_config(files.0.join("none.pem"), &empty).is_err());
    // Two that do not belong together.
    let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&one).unwrap();
    let certificate = files.write("one.pem", &certificate.pem());
    let key = files.write("two.pem", &two.serialize_pem());
    assert!(tls::server_config(certificate, key).is_err());
}
