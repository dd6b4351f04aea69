//! The adapter over TLS.
#![cfg(all(feature = "tls", unix))]

use core::time::Duration;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use smol::future::zip;
use ws_core::{Config, Deadline, Outcome, ServerConfig, Side, StatusCode};
use ws_smol::{AcceptError, ClientBuilder, ClientStream, Message, TcpStream, TlsStream, WebSocket, tls};

/// Who both sides are, by an authority of the test's own.
struct Identity {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

fn identity(name: &str) -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let directory = std::env::temp_dir().join(format!("ws-smol-tls-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, content: &str| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let certificate = write("certificate.pem", &certificate.pem());
    let key = write("key.pem", &key.serialize_pem());
    let identity = Identity {
        server: tls::server_config(certificate, key).unwrap(),
        client: tls::client_config_trusting(write("authority.pem", &authority.pem())).unwrap(),
    };
    std::fs::remove_dir_all(directory).unwrap();
    identity
}

fn serving(change: impl FnOnce(&mut Config)) -> Arc<ServerConfig> {
    let mut connection = Config::default();
    change(&mut connection);
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    Arc::new(config)
}

async fn streams() -> (TcpStream, TcpStream) {
    let listener = ws_smol::Listener::bind("127.0.0.1:0").unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, connected) = zip(listener.accept(), connect).await;
    (accepted.unwrap().0, connected.unwrap())
}

type Tls = WebSocket<TlsStream>;

/// Two ends of one connection.
async fn pair(name: &str) -> (Tls, Tls) {
    let identity = identity(name);
    let (accepted, connected) = streams().await;
    let config = Arc::default();
    let client = async {
        let stream = TlsStream::connect(connected, "localhost", &identity.client, None).await.unwrap();
        ClientBuilder::new("wss://localhost/").connect_over(stream).await.unwrap()
    };
    let (server, client) = zip(ws_smol::accept_tls(accepted, &identity.server, &config), client).await;
    (server.unwrap(), client)
}

async fn echo<S>(mut ws: WebSocket<S>) -> Option<Outcome>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    while let Ok(Some(message)) = ws.read().await {
        ws.send(message).await.unwrap();
        ws.flush().await.unwrap();
    }
    ws.outcome().cloned()
}

fn closed(initiator: Side) -> Option<Outcome> {
    Some(Outcome::Clean { initiator, code: Some(StatusCode::NORMAL) })
}

#[test]
fn from_the_url_to_a_clean_end() {
    smol::block_on(async {
        let identity = identity("url");
        let listener = ws_smol::Listener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async {
            let accepted = listener.accept().await.unwrap().0;
            let ws = ws_smol::accept_tls(accepted, &identity.server, &Arc::default()).await.unwrap();
            assert_eq!(ws.get_ref().connection().alpn_protocol(), Some(&b"http/1.1"[..]));
            echo(ws).await
        };
        let client = async {
            let url = format!("wss://localhost:{port}/chat");
            let builder = ClientBuilder::new(&url).tls_config(Arc::clone(&identity.client));
            let mut ws = builder.connect().await.unwrap();
            assert!(matches!(ws.get_ref(), ClientStream::Tls(_)));
            for len in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_536, 1 << 20] {
                let data = vec![u8::try_from(len % 251).unwrap(); len];
                ws.send_binary(&data).await.unwrap();
                assert_eq!(ws.read().await.unwrap(), Some(Message::binary(data)));
            }
            ws.close(Some(StatusCode::NORMAL), "").await.unwrap();
            ws.outcome().cloned()
        };
        assert_eq!(zip(server, client).await, (closed(Side::Peer), closed(Side::Us)));
    });
}

/// Both queue 8 MB before they read.
#[test]
fn both_write_first() {
    smol::block_on(async {
        let (server, client) = pair("both").await;
        let run = async |mut ws: Tls| {
            let data = vec![7; 64 << 10];
            for _ in 0..128 {
                ws.send_binary(&data).await.unwrap();
            }
            for _ in 0..128 {
                assert_eq!(ws.read().await.unwrap().map(|message| message.len()), Some(64 << 10));
            }
            ws
        };
        zip(run(server), run(client)).await;
    });
}

/// One task waits to read while another writes.
#[test]
fn halves() {
    smol::block_on(async {
        let (server, client) = pair("halves").await;
        let (mut reader, mut writer) = client.split();
        let client = async {
            let reading = async {
                for _ in 0..100 {
                    assert_eq!(reader.read().await.unwrap().map(|message| message.len()), Some(50_000));
                }
            };
            let writing = async {
                for _ in 0..100 {
                    writer.send_binary(&[1; 50_000]).await.unwrap();
                    writer.ping(b"here").await.unwrap();
                }
            };
            zip(reading, writing).await;
            // Earlier it might drop what the server has not sent yet.
            let (read, closed) = zip(reader.read(), writer.close(Some(StatusCode::NORMAL), "")).await;
            assert_eq!(read.unwrap(), None);
            closed.unwrap();
        };
        assert_eq!(zip(echo(server), client).await.0, closed(Side::Peer));
    });
}

/// The last messages lie in the TLS layer, for which the socket has no room.
#[test]
fn a_peer_that_reads_nothing() {
    smol::block_on(async {
        let (mut server, _client) = pair("stuck").await;
        let mut config = Config::default();
        config.send_timeout = Some(Duration::from_millis(100));
        server.set_config(&Arc::new(config));
        let error = loop {
            // Either may be where a machine that stalls finds out.
            let sent = match server.send_binary(&[0; 4000]).await {
                Ok(()) => server.flush().await,
                error => error,
            };
            if let Err(error) = sent {
                break error;
            }
        };
        assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)), "{error}");
    });
}

/// A stream that ends without a close_notify was cut off.
#[test]
fn truncated() {
    smol::block_on(async {
        let (mut server, client) = pair("truncated").await;
        client.get_ref().get_ref().get_ref().shutdown(Shutdown::Both).unwrap();
        let error = server.read().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::TransportLost), "{error}");
        let ws_smol::Error::Ended(ended) = error else { panic!() };
        assert_eq!(ended.io.unwrap().kind(), io::ErrorKind::UnexpectedEof);

        // With one, the peer vanished, as over TCP.
        let (mut server, client) = pair("vanished").await;
        let mut stream = client.into_parts().stream;
        core::future::poll_fn(|cx| futures_io::AsyncWrite::poll_close(core::pin::Pin::new(&mut stream), cx))
            .await
            .unwrap();
        assert_eq!(server.read().await.unwrap_err().outcome(), Some(&Outcome::Vanished));
    });
}

#[test]
fn nonsense() {
    smol::block_on(async {
        let (mut server, client) = pair("nonsense").await;
        let mut tcp = client.get_ref().get_ref().get_ref();
        tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let error = server.read().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::TransportLost), "{error}");
    });
}

#[test]
fn a_server_that_is_not_trusted_or_another_is_refused() {
    smol::block_on(async {
        let (good, other) = (identity("good"), identity("other"));
        for (trusting, host) in [(&other.client, "localhost"), (&good.client, "example.com")] {
            let (accepted, connected) = streams().await;
            let config = Arc::default();
            let (accepted, connected) = zip(
                ws_smol::accept_tls(accepted, &good.server, &config),
                TlsStream::connect(connected, host, trusting, None),
            )
            .await;
            assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert!(matches!(accepted, Err(AcceptError::Tls(_))));
        }
        let (_accepted, connected) = streams().await;
        let error = TlsStream::connect(connected, "no name", &good.client, None).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

/// One deadline for both handshakes.
#[test]
fn slow_handshakes() {
    smol::block_on(async {
        let identity = identity("slow");
        let timeout = Duration::from_millis(300);
        let config = serving(|config| {
            config.opening_handshake_timeout = Some(timeout);
            config.close_timeout = Duration::from_millis(10);
        });
        // Silence.
        let (accepted, _silent) = streams().await;
        let start = Instant::now();
        let error = ws_smol::accept_tls(accepted, &identity.server, &config).await.map(drop).unwrap_err();
        let AcceptError::Tls(error) = error else { panic!("{error}") };
        assert_eq!((error.kind(), &*error.to_string()), (io::ErrorKind::TimedOut, "TLS handshake timeout"));
        assert!(start.elapsed() >= timeout);
        // TLS, and then silence.
        let (accepted, connected) = streams().await;
        let (accepted, _silent) = zip(
            ws_smol::accept_tls(accepted, &identity.server, &config),
            TlsStream::connect(connected, "localhost", &identity.client, None),
        )
        .await;
        let Err(AcceptError::Ended(ended)) = accepted.map(drop) else { panic!("it opened") };
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::OpeningHandshake));
        // A client gives up, too.
        let (_accepted, connected) = streams().await;
        let result = TlsStream::connect(connected, "localhost", &identity.client, Some(timeout)).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}
