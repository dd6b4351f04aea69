//! How connections end, and what both sides learn of it.

use std::io::Write as _;
use std::net::Shutdown;
use std::thread;

use ws_core::frame::Opcode;
use ws_core::{Config, Outcome, ProtocolError, SendError, Side, StatusCode};
use ws_std::{Error, Message, WebSocket};

use crate::common::{
    client_and_raw, config, default_pair, ms, pair, reset_on_close, server_and_raw, small_buffers, within,
};

const GONE: StatusCode = StatusCode::GOING_AWAY;

fn clean(initiator: Side, code: Option<StatusCode>) -> Outcome {
    Outcome::Clean { initiator, code }
}

/// Every later call tells the same.
#[track_caller]
fn assert_ended(ws: &mut WebSocket, outcome: &Outcome) {
    for _ in 0..2 {
        match ws.read() {
            Ok(None) => assert!(outcome.is_clean()),
            Err(Error::Ended(ended)) => assert_eq!(&ended.outcome, outcome),
            other => panic!("{other:?}"),
        }
        assert_eq!(ws.send_text("late").unwrap_err().outcome(), Some(outcome));
    }
    assert_eq!(&ws.close(GONE, "again").unwrap(), outcome);
    assert_eq!(ws.outcome().as_ref(), Some(outcome));
}

#[test]
fn either_side_closes() {
    within(|| {
        for server_closes in [true, false] {
            let (server, client) = default_pair();
            let (mut closer, mut other) = if server_closes { (server, client) } else { (client, server) };
            let other = thread::spawn(move || {
                assert_eq!(other.read().unwrap(), Some("last".into()));
                assert_eq!(other.read().unwrap(), None);
                assert_ended(&mut other, &clean(Side::Peer, Some(GONE)));
            });
            closer.send_text("last").unwrap();
            assert_eq!(closer.close(GONE, "bye").unwrap(), clean(Side::Us, Some(GONE)));
            assert_ended(&mut closer, &clean(Side::Us, Some(GONE)));
            other.join().unwrap();
        }
    });
}

/// A closing connection still gets what the peer had to say.
#[test]
fn messages_come_until_the_peer_closes() {
    within(|| {
        let (mut server, mut client) = default_pair();
        let server = thread::spawn(move || {
            assert_eq!(server.read().unwrap(), Some("request".into()));
            for i in 0..50 {
                match server.send(Message::from(vec![i; 10_000])) {
                    Ok(()) => {}
                    // Was seen while a send waited.
                    Err(Error::Refused(SendError::Closing)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(server.read().unwrap(), None);
        });
        client.send_text("request").unwrap();
        assert_eq!(client.read().unwrap(), Some(vec![0; 10_000].into()));
        client.start_close(None, "").unwrap();
        client.start_close(None, "").unwrap();
        assert!(matches!(client.send_text("x"), Err(Error::Refused(SendError::Closing))));
        let mut i = 1;
        while let Some(message) = client.read().unwrap() {
            assert_eq!(message, vec![i; 10_000].into());
            i += 1;
        }
        assert_eq!(client.outcome(), Some(clean(Side::Us, None)));
        server.join().unwrap();
    });
}

/// More than may wait to be read is no reason not to close.
#[test]
fn close_drops_what_was_not_read() {
    within(|| {
        let (mut server, mut client) =
            pair(Config::default(), config(|config| config.max_output_len = 64 << 10));
        let server = thread::spawn(move || {
            for _ in 0..200 {
                if server.send_binary(&[0; 10_000]).is_err() {
                    break;
                }
            }
            while server.read().unwrap().is_some() {}
            server.outcome().unwrap()
        });
        assert!(client.close(StatusCode::NORMAL, "").unwrap().is_clean());
        assert!(server.join().unwrap().is_clean());
    });
}

/// A peer that closes gets no more than the frame that is under way, and the sender knows.
#[test]
fn the_peer_closes_in_the_middle() {
    within(|| {
        for is_server in [true, false] {
            let (mut ws, mut raw) =
                if is_server { server_and_raw(Config::default()) } else { client_and_raw(Config::default()) };
            small_buffers([ws.get_ref(), &raw.stream]);
            for _ in 0..2 {
                ws.feed(&vec![0; 1_000_000].into()).unwrap();
            }
            let sender = thread::spawn(move || {
                let result = ws.flush();
                // Who never had to wait has not looked: the Close is answered by who reads.
                assert_eq!(ws.read().unwrap(), None);
                (result, ws)
            });
            let header = raw.receive_header().unwrap();
            raw.send(Opcode::Close, &[]);
            assert_eq!(raw.receive_payload(header).len(), 1_000_000);
            let (mut opcode, _) = raw.receive().unwrap();
            let got_all = opcode == Opcode::Binary;
            if got_all {
                (opcode, _) = raw.receive().unwrap();
            }
            assert_eq!(opcode, Opcode::Close);
            drop(raw);
            let (result, mut ws) = sender.join().unwrap();
            match result {
                Ok(()) => assert!(got_all),
                Err(Error::Refused(SendError::Closing)) => assert!(!is_server),
                // The server is at the end with that, and so is the client that sees the other end go.
                Err(Error::Ended(ended)) => assert!(ended.outcome.is_clean()),
                Err(error) => panic!("{error}"),
            }
            assert_ended(&mut ws, &clean(Side::Peer, None));
        }
    });
}

#[test]
fn the_peer_vanishes() {
    within(|| {
        let (mut server, raw) = server_and_raw(Config::default());
        raw.stream.shutdown(Shutdown::Both).unwrap();
        let error = server.read().unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::Vanished));
        assert_ended(&mut server, &Outcome::Vanished);
    });
}

/// What arrived before is not lost, and the system's error is told.
#[test]
fn the_transport_breaks() {
    within(|| {
        let (mut client, mut raw) = client_and_raw(Config::default());
        raw.send(Opcode::Text, b"before");
        assert_eq!(client.read().unwrap(), Some("before".into()));
        reset_on_close(&raw.stream);
        drop(raw);
        let Err(Error::Ended(ended)) = client.read() else { panic!() };
        assert_eq!(ended.outcome, Outcome::TransportLost);
        assert!(ended.io.is_some());
        assert_ended(&mut client, &Outcome::TransportLost);
    });
}

/// A write that fails does not take away what the peer said before it went.
#[test]
fn a_failed_write_loses_nothing_that_arrived() {
    within(|| {
        let (mut client, mut raw) = client_and_raw(Config::default());
        for i in 0..100 {
            raw.send(Opcode::Binary, &[i; 1000]);
        }
        raw.stream.shutdown(Shutdown::Write).unwrap();
        // What is sent to a stream that is closed is answered with a reset.
        drop(raw);
        let error = loop {
            if let Err(error) = client.send_binary(&[0; 100_000]) {
                break error;
            }
        };
        // The end of the stream, if it is seen first.
        assert!(matches!(error.outcome(), Some(Outcome::TransportLost | Outcome::Vanished)), "{error:?}");
        // The reset may have taken the rest with it, but nothing is out of order.
        let mut i = 0;
        let error = loop {
            match client.read() {
                Ok(message) => assert_eq!(message, Some(vec![i; 1000].into())),
                Err(error) => break error,
            }
            i += 1;
        };
        assert!(!error.outcome().unwrap().is_clean());
    });
}

#[test]
fn the_peer_breaks_a_rule() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.close_timeout = ms(60_000)));
        let raw = thread::spawn(move || {
            let mut bytes = raw.frame(Opcode::Text, true, b"good");
            bytes.extend(raw.frame(Opcode::Text, true, b"\xff"));
            bytes.extend(raw.frame(Opcode::Text, true, b"not seen"));
            raw.stream.write_all(&bytes).unwrap();
            assert_eq!(raw.receive_close(), 1007);
            assert_eq!(raw.receive(), None, "the server closes first");
        });
        assert_eq!(server.read().unwrap(), Some("good".into()));
        let error = server.read().unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::Failed(ProtocolError::InvalidUtf8)));
        raw.join().unwrap();
        assert_ended(&mut server, &Outcome::Failed(ProtocolError::InvalidUtf8));
    });
}

/// The server closes the TCP connection first (RFC 6455, section 7.1.1).
#[test]
fn the_server_closes_the_stream_first() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(Config::default());
        raw.send(Opcode::Close, &[]);
        assert_eq!(server.read().unwrap(), None);
        assert_eq!(raw.receive(), Some((Opcode::Close, vec![])));
        assert_eq!(raw.receive(), None);
        assert_eq!(server.outcome(), Some(clean(Side::Peer, None)));
    });
}

#[test]
fn the_client_waits_for_the_servers_end_of_the_stream() {
    within(|| {
        let (mut client, mut raw) = client_and_raw(config(|config| config.close_timeout = ms(60_000)));
        let client = thread::spawn(move || client.close(GONE, "").unwrap());
        assert_eq!(raw.receive_close(), 1001);
        raw.send(Opcode::Close, &1001_u16.to_be_bytes());
        assert!(!client.is_finished());
        drop(raw);
        assert!(client.join().unwrap().is_clean());
    });
}

/// Dropping without closing is an abnormal closure for the peer.
#[test]
fn dropping_closes_the_stream() {
    within(|| {
        let (server, mut client) = default_pair();
        drop(server);
        assert_eq!(client.read().unwrap_err().outcome(), Some(&Outcome::Vanished));
        assert_eq!(client.outcome().unwrap().close_code(), 1006);
    });
}
