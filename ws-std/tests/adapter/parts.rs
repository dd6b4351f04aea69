//! Connections taken apart and put together: nothing is lost.

use std::io::Write as _;
use std::sync::Arc;
use std::thread;

use ws_core::frame::Opcode;
use ws_core::{Config, Connection, KeySource, Role};
use ws_std::{Message, Parts, WebSocket};

use crate::common::{client_and_raw, default_pair, server_and_raw, small_buffers, streams, within};

#[test]
fn input_at_hand_goes_along() {
    within(|| {
        for is_server in [true, false] {
            let (mut ws, mut raw) =
                if is_server { server_and_raw(Config::default()) } else { client_and_raw(Config::default()) };
            let mut bytes = raw.frame(Opcode::Text, true, b"first");
            let second = bytes.len();
            bytes.extend(raw.frame(Opcode::Text, true, b"second"));
            let third = raw.frame(Opcode::Binary, true, b"in two pieces");
            bytes.extend(&third[..9]);
            raw.stream.write_all(&bytes).unwrap();
            assert_eq!(ws.read().unwrap(), Some("first".into()));
            let parts = ws.into_parts();
            assert_eq!(parts.input, bytes[second..]);
            let mut ws = WebSocket::from_parts(parts);
            assert_eq!(ws.read().unwrap(), Some("second".into()));
            raw.stream.write_all(&third[9..]).unwrap();
            assert_eq!(ws.read().unwrap(), Some(b"in two pieces"[..].into()));
        }
    });
}

#[test]
fn output_goes_along() {
    within(|| {
        let (server, mut client) = default_pair();
        let mut server = server;
        server.feed(&"queued".into()).unwrap();
        let parts = server.into_parts();
        assert!(!parts.output.is_empty());
        let mut server = WebSocket::from_parts(parts);
        server.send_text("sent").unwrap();
        assert_eq!(client.read().unwrap(), Some("queued".into()));
        assert_eq!(client.read().unwrap(), Some("sent".into()));
    });
}

/// Messages that were received while a send waited are handed over too.
#[test]
fn messages_received_ahead_go_along() {
    within(|| {
        let (server, client) = default_pair();
        small_buffers([server.get_ref(), client.get_ref()]);
        let threads = [server, client].map(|mut ws| {
            thread::spawn(move || {
                for i in 0..20 {
                    ws.send(Message::from(vec![i; 100_000])).unwrap();
                }
                let parts = ws.into_parts();
                let ahead = parts.received.len();
                let mut ws = WebSocket::from_parts(parts);
                for i in 0..20 {
                    assert!(ws.read().unwrap() == Some(vec![i; 100_000].into()));
                }
                (ws, ahead)
            })
        });
        let [(_, one), (_, other)] = threads.map(|thread| thread.join().unwrap());
        assert!(one + other > 0);
    });
}

/// Behind another stack that did the opening handshake.
#[test]
fn open_from_the_start() {
    within(|| {
        let (accepted, connected) = streams();
        let config = Arc::new(Config::default());
        let server = Connection::new(Role::Server, &config, ws_std::now(), None);
        let keys = Some(KeySource::counter(0));
        let client = Connection::new(Role::Client, &config, ws_std::now(), keys);
        let mut server = WebSocket::from_parts(Parts::new(accepted, server));
        let mut client = WebSocket::from_parts(Parts::new(connected, client));
        client.send_text("hello").unwrap();
        assert_eq!(server.read().unwrap(), Some("hello".into()));
        assert!(server.opened().is_none() && server.subprotocol().is_none());
        assert_eq!((server.role(), client.role()), (Role::Server, Role::Client));
        let reading = thread::spawn(move || server.read().unwrap());
        assert!(client.close(None, "").unwrap().is_clean());
        assert_eq!(reading.join().unwrap(), None);
        // A connection that ended still tells so.
        let mut client = WebSocket::from_parts(client.into_parts());
        assert_eq!(client.read().unwrap(), None);
        assert!(client.outcome().unwrap().is_clean());
    });
}
