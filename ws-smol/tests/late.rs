//! An application that was busy while a deadline passed: what the peer sent in time is taken in before that is held against
//! it, and what waits to leave is tried once more.

mod common;

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use common::{End, expect, frame, open, open_server, put, run};
use futures_io::{AsyncRead, AsyncWrite};
use smol::future::{or, zip};
use smol::io::AsyncReadExt as _;
use ws_core::frame::Opcode;
use ws_core::{Config, Connection, Deadline, Outcome, Role, Side, StatusCode};
use ws_smol::{Parts, WebSocket};

const SHORT: Duration = Duration::from_millis(30);

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    config.close_timeout = SHORT;
    set(&mut config);
    config
}

fn be_busy() {
    std::thread::sleep(2 * SHORT);
}

/// Of a deadline that runs anew within the call: no machine takes so long for one.
const LONG: Duration = Duration::from_secs(2);

fn be_busy_for_long() {
    std::thread::sleep(LONG + SHORT);
}

/// A connection on which one message came in time, and nothing was read for longer.
async fn busy_with_a_message_there() -> (End, WebSocket<End>) {
    let (mut peer, server) = open_server(1000, &config(|config| config.idle_timeout = Some(LONG)));
    put(&mut peer, &frame(Opcode::Text, true, b"hello")).await;
    be_busy_for_long();
    (peer, server)
}

#[test]
fn idle_and_then_reads() {
    run(async {
        let (_peer, mut server) = busy_with_a_message_there().await;
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn idle_and_then_sends() {
    run(async {
        let (_peer, mut server) = busy_with_a_message_there().await;
        server.send_text("hi").await.unwrap();
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn idle_and_then_flushes() {
    run(async {
        let (_peer, mut server) = busy_with_a_message_there().await;
        server.flush().await.unwrap();
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn idle_and_then_sends_by_one_half() {
    run(async {
        let (_peer, server) = busy_with_a_message_there().await;
        let (mut reader, mut writer) = server.split();
        writer.send_text("hi").await.unwrap();
        assert_eq!(reader.read().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn message() {
    run(async {
        let config = config(|config| config.message_timeout = Some(SHORT));
        let (mut peer, stream) = common::pipe(1000);
        let connection = Connection::new(Role::Server, &config.into(), ws_smol::now(), None);
        let message = frame(Opcode::Text, true, b"hello");
        let mut parts = Parts::new(stream, connection);
        parts.input = message[..8].to_vec();
        let mut server = WebSocket::from_parts(parts);
        put(&mut peer, &message[8..]).await;
        be_busy();
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
    });
}

#[test]
fn closing_handshake() {
    run(async {
        let (mut peer, mut server) = open_server(1000, &config(|_| ()));
        put(&mut peer, &frame(Opcode::Close, true, b"\x03\xe8")).await;
        server.start_close(StatusCode::NORMAL, "").unwrap();
        be_busy();
        assert_eq!(server.read().await.unwrap(), None);
        let clean = Outcome::Clean { initiator: Side::Us, code: Some(StatusCode::NORMAL) };
        assert_eq!(server.outcome(), Some(&clean));
    });
}

/// The Pong is in time by far, and the Ping is not due again before it comes.
#[test]
fn keepalive() {
    run(async {
        let config = config(|config| {
            config.ping_interval = Some(SHORT);
            config.pong_timeout = LONG;
        });
        let (mut peer, mut server) = open_server(1000, &config);
        let answers = async {
            let mut ping = [0; 6];
            peer.read_exact(&mut ping).await.unwrap();
            put(&mut peer, &frame(Opcode::Pong, true, &ping[2..])).await;
        };
        or(async { drop(server.read().await) }, answers).await;
        be_busy_for_long();
        server.send_text("hi").await.unwrap();
        assert_eq!(server.outcome(), None);
    });
}

/// The peer made room in time.
#[test]
fn send() {
    run(async {
        let (mut peer, mut server) = open_server(2000, &config(|config| config.send_timeout = Some(SHORT)));
        server.send_binary(&[0; 3000]).await.unwrap();
        peer.read_exact(&mut [0; 2000]).await.unwrap();
        be_busy();
        server.flush().await.unwrap();
    });
    // And closing is not held against it.
    run(async {
        let (mut peer, mut server) = open_server(2000, &config(|config| config.send_timeout = Some(SHORT)));
        server.send_binary(&[0; 3000]).await.unwrap();
        peer.read_exact(&mut [0; 2000]).await.unwrap();
        be_busy();
        server.start_close(StatusCode::NORMAL, "").unwrap();
        server.flush().await.unwrap();
    });
}

/// A peer that did not keep its deadline is told so at once, whatever the application does next.
#[test]
fn a_deadline_that_was_not_kept() {
    let late = || {
        let (peer, server) = open_server(1000, &config(|config| config.idle_timeout = Some(SHORT)));
        be_busy();
        (peer, server)
    };
    let idle = Outcome::TimedOut(Deadline::Idle);
    run(async {
        let (_peer, mut server) = late();
        assert_eq!(server.read().await.unwrap_err().outcome(), Some(&idle));
    });
    run(async {
        let (_peer, mut server) = late();
        assert_eq!(server.close(StatusCode::NORMAL, "").await.unwrap(), idle);
    });
    run(async {
        let (_peer, server) = late();
        let (_reader, mut writer) = server.split();
        assert_eq!(writer.close(StatusCode::NORMAL, "").await.unwrap(), idle);
    });
}

/// Nor is it forgotten when the application starts the closing handshake.
#[test]
fn a_deadline_that_was_not_kept_before_the_close() {
    let config = config(|config| {
        config.idle_timeout = Some(SHORT);
        config.close_timeout = Duration::from_secs(60);
    });
    let (idle, close) = (Outcome::TimedOut(Deadline::Idle), b"\x88\x06\x03\xe9idle");
    run(async {
        let (mut peer, mut server) = open_server(1000, &config);
        be_busy();
        server.start_close(StatusCode::NORMAL, "").unwrap();
        let peer = async {
            expect(&mut peer, close).await;
            drop(peer);
        };
        assert_eq!(zip(server.read(), peer).await.0.unwrap_err().outcome(), Some(&idle));
    });
    // The reading half, which waits, is told.
    run(async {
        let (mut peer, server) = open_server(1000, &config);
        let (mut reader, mut writer) = server.split();
        let peer = async {
            be_busy();
            writer.start_close(StatusCode::NORMAL, "").unwrap();
            expect(&mut peer, close).await;
            drop(peer);
        };
        assert_eq!(zip(reader.read(), peer).await.0.unwrap_err().outcome(), Some(&idle));
    });
}

/// Begins a message and never ends it, but sends Pings at any time.
struct Chatty {
    begun: bool,
}

impl AsyncRead for Chatty {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = match core::mem::replace(&mut self.begun, true) {
            true => frame(Opcode::Ping, true, b""),
            false => frame(Opcode::Text, false, b"hello"),
        };
        buf[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl AsyncWrite for Chatty {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_peer_that_never_falls_silent_gains_nothing() {
    run(async {
        let config = config(|config| config.message_timeout = Some(SHORT));
        let mut server = open(Chatty { begun: false }, Role::Server, &config);
        let error = server.read().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Message)));
    });
}
