//! Every deadline of the engine passes through the adapter, and tells which one it was. Nothing here measures time
//! but the adapter; a test that would wait for ever fails.

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::{End, expect, frame, open, open_server, pipe, put, run, server_config};
use smol::io::AsyncReadExt as _;
use ws_core::frame::Opcode;
use ws_core::{Config, Deadline, Outcome, ProtocolError, Role, Side, StatusCode};
use ws_smol::{AcceptError, ClientBuilder, ConnectError, Error, WebSocket};

const SHORT: Duration = Duration::from_millis(30);

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    set(&mut config);
    config
}

/// Reads to the end.
async fn outcome_of(ws: &mut WebSocket<End>) -> Outcome {
    loop {
        match ws.read().await {
            Ok(Some(_)) => {}
            Ok(None) => return ws.outcome().cloned().unwrap(),
            Err(error) => return error.outcome().cloned().unwrap(),
        }
    }
}

#[test]
fn opening_handshake_of_a_server() {
    run(async {
        let (mut peer, stream) = pipe(1000);
        let config = server_config(config_with_handshake_timeout());
        let accepting = ws_smol::accept(stream, &config);
        let peer = async {
            put(&mut peer, b"GET / HTTP/1.1\r\nHost: x\r\n").await;
            let mut answer = String::new();
            peer.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        };
        let (accepted, ()) = smol::future::zip(accepting, peer).await;
        let Err(AcceptError::Ended(ended)) = accepted else { panic!("{accepted:?}") };
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::OpeningHandshake));
    });
}

#[test]
fn opening_handshake_of_a_client() {
    run(async {
        let (_peer, stream) = pipe(1000);
        let opened =
            ClientBuilder::new("ws://x/").config(config_with_handshake_timeout()).connect_over(stream).await;
        let Err(ConnectError::Ended(ended)) = opened else { panic!("{opened:?}") };
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::OpeningHandshake));
    });
}

fn config_with_handshake_timeout() -> Config {
    config(|config| {
        config.opening_handshake_timeout = Some(SHORT);
        config.close_timeout = SHORT;
    })
}

#[test]
fn message() {
    run(async {
        let config = config(|config| {
            config.message_timeout = Some(SHORT);
            config.close_timeout = SHORT;
        });
        let (mut peer, mut server) = open_server(1000, &config);
        put(&mut peer, &frame(Opcode::Text, true, b"hello")[..8]).await;
        let outcome = outcome_of(&mut server).await;
        assert_eq!(outcome, Outcome::TimedOut(Deadline::Message));
        expect(&mut peer, b"\x88\x17\x03\xf0message took too long").await;
    });
}

#[test]
fn idle() {
    run(async {
        let config = config(|config| {
            config.idle_timeout = Some(SHORT);
            config.close_timeout = SHORT;
        });
        let (mut peer, mut server) = open_server(1000, &config);
        assert_eq!(outcome_of(&mut server).await, Outcome::TimedOut(Deadline::Idle));
        expect(&mut peer, b"\x88\x06\x03\xe9idle").await;
    });
}

/// Were it not for the change, the Ping of the first settings would not be answered in time.
#[test]
fn an_idle_timeout_set_while_open() {
    run(async {
        let first = config(|config| {
            config.ping_interval = Some(SHORT);
            config.pong_timeout = SHORT;
        });
        let (mut peer, mut server) = open_server(1000, &first);
        let later = config(|config| {
            config.idle_timeout = Some(SHORT);
            config.close_timeout = SHORT;
        });
        server.set_config(&Arc::new(later));
        assert_eq!(outcome_of(&mut server).await, Outcome::TimedOut(Deadline::Idle));
        expect(&mut peer, b"\x88\x06\x03\xe9idle").await;
    });
}

/// Were it not for the change, the Close frame of the first settings would come in the Ping's place.
#[test]
fn a_keepalive_set_while_open() {
    run(async {
        let first = config(|config| {
            config.idle_timeout = Some(SHORT);
            config.close_timeout = SHORT;
        });
        let (mut peer, mut server) = open_server(1000, &first);
        server.set_config(&Arc::new(config(|config| config.ping_interval = Some(SHORT))));
        let peer = async {
            for _ in 0..2 {
                let mut ping = [0; 6];
                peer.read_exact(&mut ping).await.unwrap();
                assert_eq!(ping[..2], [0x89, 4]);
                put(&mut peer, &frame(Opcode::Pong, true, &ping[2..])).await;
            }
            put(&mut peer, &frame(Opcode::Close, true, b"")).await;
        };
        let (outcome, ()) = smol::future::zip(outcome_of(&mut server), peer).await;
        assert_eq!(outcome, Outcome::Clean { initiator: Side::Peer, code: None });
    });
}

#[test]
fn a_limit_set_while_open() {
    run(async {
        let (mut peer, mut server) = open_server(1000, &Config::default());
        put(&mut peer, &frame(Opcode::Binary, true, &[0; 11])).await;
        assert_eq!(server.read().await.unwrap().unwrap().len(), 11, "before the change");
        let later = config(|config| {
            config.max_message_len = 10;
            config.close_timeout = SHORT;
        });
        server.set_config(&Arc::new(later));
        put(&mut peer, &frame(Opcode::Binary, true, &[0; 10])).await;
        put(&mut peer, &frame(Opcode::Binary, true, &[0; 11])).await;
        assert_eq!(server.read().await.unwrap().unwrap().len(), 10);
        let error = server.read().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::Failed(ProtocolError::MessageTooLong)));
        let mut close = [0; 4];
        peer.read_exact(&mut close).await.unwrap();
        assert_eq!((close[0], &close[2..]), (0x88, &1009_u16.to_be_bytes()[..]));
    });
}

#[test]
fn keepalive() {
    run(async {
        let config = config(|config| {
            config.ping_interval = Some(SHORT);
            config.pong_timeout = SHORT;
        });
        let (mut peer, mut server) = open_server(1000, &config);
        let peer = async {
            for answered in 0..4_u32 {
                let mut ping = [0; 6];
                peer.read_exact(&mut ping).await.unwrap();
                assert_eq!(ping[..2], [0x89, 4]);
                if answered < 3 {
                    put(&mut peer, &frame(Opcode::Pong, true, &ping[2..])).await;
                }
            }
        };
        let (outcome, ()) = smol::future::zip(outcome_of(&mut server), peer).await;
        assert_eq!(outcome, Outcome::TimedOut(Deadline::Pong));
    });
}

#[test]
fn closing_handshake() {
    run(async {
        let config = config(|config| config.close_timeout = SHORT);
        let (_peer, mut server) = open_server(1000, &config);
        let outcome = server.close(StatusCode::NORMAL, "").await.unwrap();
        assert_eq!(outcome, Outcome::TimedOut(Deadline::ClosingHandshake));
    });
}

/// A peer that never reads: all calls that wait learn of it.
#[test]
fn send() {
    let config = config(|config| {
        config.send_timeout = Some(SHORT);
        config.max_output_len = 5000;
    });
    let stuck = Outcome::TimedOut(Deadline::Send);
    run(async {
        let (_peer, mut server) = open_server(1000, &config);
        server.send_binary(&[0; 3000]).await.unwrap();
        let error = server.flush().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&stuck));
        // And says so again.
        assert!(matches!(server.send_text("more").await, Err(Error::Ended(_))));
    });
    run(async {
        let (_peer, mut server) = open_server(1000, &config);
        server.send_binary(&[0; 3000]).await.unwrap();
        let error = server.send_binary(&[0; 3000]).await.unwrap_err();
        assert_eq!(error.outcome(), Some(&stuck));
    });
    run(async {
        let (_peer, mut server) = open_server(1000, &config);
        server.send_binary(&[0; 3000]).await.unwrap();
        assert_eq!(outcome_of(&mut server).await, stuck);
    });
    // One half sends, and only the other waits.
    run(async {
        let (_peer, server) = open_server(1000, &config);
        let (mut reader, mut writer) = server.split();
        let sending = async { writer.send_binary(&[0; 3000]).await };
        let (read, sent) = smol::future::zip(reader.read(), sending).await;
        sent.unwrap();
        assert_eq!(read.unwrap_err().outcome(), Some(&stuck));
    });
}

/// A deadline that moves earlier while the timer is armed for a later one.
#[test]
fn an_earlier_deadline_is_not_missed() {
    run(async {
        let config = config(|config| {
            config.idle_timeout = Some(Duration::from_secs(3600));
            config.message_timeout = Some(SHORT);
            config.close_timeout = SHORT;
        });
        let (mut peer, stream) = pipe(1000);
        let mut server = open(stream, Role::Server, &config);
        let reads = outcome_of(&mut server);
        let begins = async {
            // The reader waits already, and its timer is armed.
            smol::future::yield_now().await;
            put(&mut peer, &frame(Opcode::Text, true, b"hello")[..8]).await;
        };
        let (outcome, ()) = smol::future::zip(reads, begins).await;
        assert_eq!(outcome, Outcome::TimedOut(Deadline::Message));
    });
}
