//! How a connection ended is told apart: clean, vanished, broken, failed, misused.

mod common;

use core::error::Error as _;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use common::{End, expect, frame, open, open_pair, open_server, pipe, put, run};
use futures_io::{AsyncRead, AsyncWrite};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::stream::StreamExt as _;
use ws_core::frame::Opcode;
use ws_core::{Config, Delivery, Kind, Outcome, ProtocolError, Role, SendError, Side, StatusCode};
use ws_smol::{Error, Listener, Message, accept};

#[test]
fn clean() {
    run(async {
        let (mut client, mut server) = open_pair(1000, &Config::default());
        let closing = client.close(StatusCode::GOING_AWAY, "bye");
        let (closed, read) = smol::future::zip(closing, server.read()).await;
        let code = Some(StatusCode::GOING_AWAY);
        assert_eq!(closed.unwrap(), Outcome::Clean { initiator: Side::Us, code });
        assert_eq!(read.unwrap(), None);
        let outcome = Outcome::Clean { initiator: Side::Peer, code };
        assert_eq!(server.outcome(), Some(&outcome));
        // And again, in every way to ask.
        assert_eq!(server.read().await.unwrap(), None);
        assert_eq!(server.close(None, "").await.unwrap(), outcome);
        let Err(Error::Ended(ended)) = server.send_text("late").await else { panic!() };
        assert_eq!(ended.outcome, outcome);
        assert!(server.flush().await.is_err());
    });
}

/// A peer that only closes its half of the TCP connection has vanished too, and nothing waits for it.
#[test]
fn half_open() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let mut peer = smol::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut server = open(stream, Role::Server, &Config::default());
        put_tcp(&mut peer, &frame(Opcode::Text, true, b"last words")).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(server.read().await.unwrap(), Some("last words".into()));
        let Err(Error::Ended(ended)) = server.read().await else { panic!() };
        assert_eq!((ended.outcome, ended.io.is_none()), (Outcome::Vanished, true));
    });
}

async fn put_tcp(peer: &mut smol::net::TcpStream, bytes: &[u8]) {
    peer.write_all(bytes).await.unwrap();
}

/// A reset is the transport's fault, and its error is kept.
#[test]
fn reset() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let peer = smol::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut server = open(stream, Role::Server, &Config::default());
        server.send_text("never read").await.unwrap();
        let mut first = [0];
        peer.peek(&mut first).await.unwrap();
        // Closed with data unread: Linux resets.
        drop(peer);
        let Err(Error::Ended(ended)) = server.read().await else { panic!() };
        assert_eq!(ended.outcome, Outcome::TransportLost);
        let cause = ended.source().and_then(|cause| cause.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(ended.to_string(), format!("the transport was lost: {cause}"));
    });
}

/// A stream that takes nothing and still has what the peer said before.
struct Deaf(End);

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the peer said before it went is not lost because a write failed first.
#[test]
fn what_came_before_a_failed_write_is_read() {
    run(async {
        let (mut peer, stream) = pipe(1000);
        let mut server = open(Deaf(stream), Role::Server, &Config::default());
        put(&mut peer, &frame(Opcode::Text, true, b"one")).await;
        put(&mut peer, &frame(Opcode::Text, true, b"two")).await;
        let Err(Error::Ended(ended)) = server.send_text("hello").await else { panic!() };
        assert_eq!(ended.outcome, Outcome::TransportLost);
        assert_eq!(server.read().await.unwrap(), Some("one".into()));
        assert_eq!(server.read().await.unwrap(), Some("two".into()));
        let Err(Error::Ended(ended)) = server.read().await else { panic!() };
        assert_eq!(ended.io.unwrap().kind(), io::ErrorKind::BrokenPipe);
    });
}

/// The peer learns of the rule it broke, even if it goes on sending.
#[test]
fn failed() {
    run(async {
        let mut config = Config::default();
        config.max_message_len = 1000;
        let (mut peer, mut server) = open_server(1000, &config);
        let peer = async move {
            put(&mut peer, &frame(Opcode::Binary, true, &[0; 100_000])).await;
            expect(&mut peer, b"\x88\x12\x03\xf1message too long").await;
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        };
        let (read, ()) = smol::future::zip(server.read(), peer).await;
        let Err(Error::Ended(ended)) = read else { panic!("{read:?}") };
        assert_eq!(ended.outcome, Outcome::Failed(ProtocolError::MessageTooLong));
    });
}

#[test]
fn misuse_is_refused_and_changes_nothing() {
    run(async {
        let mut config = Config::default();
        config.max_output_len = 1000;
        let (mut client, mut server) = open_pair(10_000, &config);
        let refused = |result: Result<(), Error>, expected| match result {
            Err(Error::Refused(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        };
        refused(client.send_binary(&[0; 1001]).await, SendError::OutputFull);
        refused(client.ping(&[0; 126]).await, SendError::ControlTooLong);
        let reason = "x".repeat(124);
        refused(client.close(StatusCode::NORMAL, &reason).await.map(drop), SendError::ReasonTooLong);
        refused(client.close(None, "why").await.map(drop), SendError::ReasonWithoutCode);
        client.send_part(Kind::Text, b"a", false).await.unwrap();
        refused(client.send_text("b").await, SendError::MessageInProgress);
        refused(client.send_part(Kind::Binary, b"b", true).await, SendError::KindMismatch);
        client.send_part(Kind::Text, b"c", true).await.unwrap();
        assert_eq!(server.read().await.unwrap(), Some("ac".into()));
        client.start_close(StatusCode::NORMAL, "").unwrap();
        refused(client.send_text("late").await, SendError::Closing);
        client.start_close(StatusCode::NORMAL, "once is enough").unwrap();
    });
}

#[test]
fn parts_and_whole_messages() {
    run(async {
        let mut config = Config::default();
        config.delivery = Delivery::Parts;
        let (mut peer, mut server) = open_server(1000, &config);
        assert!(matches!(server.read().await, Err(Error::DeliveredInParts)));
        // Cut inside of a code point.
        let whole = frame(Opcode::Text, true, "grüße".as_bytes());
        put(&mut peer, &whole[..9]).await;
        let part = server.read_part(|part| (part.data.as_bytes().to_vec(), part.first, part.last)).await;
        assert_eq!(part.unwrap().unwrap(), (b"gr".to_vec(), true, false));
        put(&mut peer, &whole[9..]).await;
        let mut text = Vec::new();
        while !server
            .read_part(|part| {
                text.extend_from_slice(part.data.as_bytes());
                part.last
            })
            .await
            .unwrap()
            .unwrap()
        {}
        assert_eq!(text, "üße".as_bytes());
    });
    run(async {
        let (mut peer, mut server) = open_server(1000, &Config::default());
        put(&mut peer, &frame(Opcode::Text, true, b"whole")).await;
        let part = server.read_part(|part| (part.data.as_bytes().to_vec(), part.first, part.last)).await;
        assert_eq!(part.unwrap().unwrap(), (b"whole".to_vec(), true, true));
    });
}

/// As a `Stream`, only a clean end is silent; nothing follows the last item.
#[test]
fn streams_end_once() {
    run(async {
        let (mut client, mut server) = open_pair(1000, &Config::default());
        client.send_text("hello").await.unwrap();
        client.start_close(StatusCode::NORMAL, "").unwrap();
        let items = async {
            let mut items = Vec::new();
            while let Some(item) = server.next().await {
                items.push(item.unwrap());
            }
            items
        };
        let (items, read) = smol::future::zip(items, client.read()).await;
        assert_eq!((items, read.unwrap()), (vec![Message::from("hello")], None));
        assert!(server.next().await.is_none());
    });
    run(async {
        let (mut peer, mut server) = open_server(1000, &Config::default());
        put(&mut peer, b"\x83\x00").await;
        drop(peer);
        let Some(Err(Error::Ended(ended))) = server.next().await else { panic!() };
        assert_eq!(ended.outcome, Outcome::Failed(ProtocolError::ReservedOpcode(3)));
        assert!(server.next().await.is_none());
    });
}

/// The server's application keeps the connection after its end, and the client need not wait for that.
#[test]
fn the_end_is_told_to_the_peer_at_once() {
    run(async {
        let mut config = Config::default();
        config.close_timeout = Duration::MAX;
        let (mut client, mut server) = open_pair(1000, &config);
        // The server's Close is on its way long before the client's comes.
        server.start_close(StatusCode::NORMAL, "").unwrap();
        server.flush().await.unwrap();
        let (read, closed) = smol::future::zip(client.read(), server.close(None, "")).await;
        assert_eq!(read.unwrap(), None);
        assert!(closed.unwrap().is_clean());
        drop(server);
    });
    run(async {
        let mut config = Config::default();
        config.close_timeout = Duration::from_millis(30);
        let (mut peer, mut server) = open_server(1000, &config);
        assert!(!server.close(StatusCode::NORMAL, "").await.unwrap().is_clean());
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x88\x02\x03\xe8");
        drop(server);
    });
}

/// A server whose application drops the connection leaves a client that knows.
#[test]
fn dropped_without_a_close() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            drop(accept(stream, &Default::default()).await.unwrap());
        };
        let client = async {
            let mut ws = ws_smol::connect(&url).await.unwrap();
            ws.read().await.unwrap_err()
        };
        let ((), error) = smol::future::zip(server, client).await;
        assert_eq!(error.outcome(), Some(&Outcome::Vanished));
    });
}
