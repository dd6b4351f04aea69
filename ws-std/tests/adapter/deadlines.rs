//! Every deadline of the table, through the adapter.

use core::time::Duration;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ws_core::frame::Opcode;
use ws_core::{Deadline, Outcome, ProtocolError};
use ws_std::{AcceptError, ClientBuilder, ConnectError, WebSocket};

use crate::common::{
    client_and_raw, config, ms, server_and_raw, server_config, small_buffers, streams, within,
};

const SHORT: Duration = ms(60);

/// Waits for the end, which must be that this deadline passed, and not early.
#[track_caller]
fn assert_times_out(ws: &mut WebSocket, deadline: Deadline, after: Duration) {
    let start = Instant::now();
    let error = loop {
        match ws.read() {
            Ok(message) => assert!(message.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(deadline)));
    assert!(start.elapsed() >= after, "{:?}", start.elapsed());
}

/// Reads to the end of the stream.
fn read_all(mut stream: &TcpStream) -> String {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8(all).unwrap()
}

#[test]
fn a_server_waits_so_long_for_the_request() {
    within(|| {
        let (accepted, mut connected) = streams();
        let config = server_config(config(|config| config.opening_handshake_timeout = Some(SHORT)));
        let start = Instant::now();
        let server = thread::spawn(move || ws_std::accept(accepted, &config).unwrap_err());
        connected.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
        assert!(read_all(&connected).starts_with("HTTP/1.1 408 "));
        assert!(start.elapsed() >= SHORT);
        drop(connected);
        let AcceptError::Ended(ended) = server.join().unwrap() else { panic!() };
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::OpeningHandshake));
    });
}

/// One byte now and then gains nothing.
#[test]
fn a_server_is_not_held_up_byte_by_byte() {
    within(|| {
        let (accepted, mut connected) = streams();
        let config = server_config(config(|config| config.opening_handshake_timeout = Some(SHORT)));
        let server = thread::spawn(move || ws_std::accept(accepted, &config).unwrap_err());
        connected.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
        connected.set_read_timeout(Some(ms(5))).unwrap();
        let mut answer = Vec::new();
        loop {
            let _ = connected.write_all(b"x");
            // Reading is the wait between the bytes.
            match connected.read_to_end(&mut answer) {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
        drop(connected);
        assert!(matches!(server.join().unwrap(), AcceptError::Ended(_)));
    });
}

#[test]
fn a_client_waits_so_long_for_the_response() {
    within(|| {
        let (_accepted, connected) = streams();
        let config = config(|config| config.opening_handshake_timeout = Some(SHORT));
        let start = Instant::now();
        let result = ClientBuilder::new("ws://localhost/").config(config).connect_over(connected);
        let Err(ConnectError::Ended(ended)) = result else { panic!("{result:?}") };
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::OpeningHandshake));
        assert!(start.elapsed() >= SHORT);
    });
}

/// Absolute from the first byte, whatever dribbles in.
#[test]
fn a_message_takes_too_long() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.message_timeout = Some(SHORT)));
        let dribble = thread::spawn(move || {
            let frame = raw.frame(Opcode::Binary, true, &[0; 100_000]);
            raw.stream.write_all(&frame[..100]).unwrap();
            raw.stream.set_read_timeout(Some(ms(5))).unwrap();
            let mut first = [0];
            // Reading is the wait between the bytes.
            while raw.stream.read(&mut first).is_err() {
                raw.stream.write_all(&[0]).unwrap();
            }
            assert_eq!(first, [0x88]);
        });
        assert_times_out(&mut server, Deadline::Message, ms(0));
        dribble.join().unwrap();
    });
}

#[test]
fn nothing_is_received() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.idle_timeout = Some(SHORT)));
        let peer = thread::spawn(move || {
            assert_eq!(raw.receive_close(), 1001);
            raw.send(Opcode::Close, &1001_u16.to_be_bytes());
            assert_eq!(raw.receive(), None);
        });
        assert_times_out(&mut server, Deadline::Idle, SHORT / 2);
        peer.join().unwrap();
    });
}

/// Were it not for the change, the Ping of the first settings would come in the Close frame's place.
#[test]
fn an_idle_timeout_set_while_open() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.ping_interval = Some(SHORT)));
        server.set_config(&Arc::new(config(|config| config.idle_timeout = Some(SHORT))));
        let peer = thread::spawn(move || {
            assert_eq!(raw.receive_close(), 1001);
            raw.send(Opcode::Close, &1001_u16.to_be_bytes());
            assert_eq!(raw.receive(), None);
        });
        assert_times_out(&mut server, Deadline::Idle, SHORT / 2);
        peer.join().unwrap();
    });
}

/// Were it not for the change, the Close frame of the first settings would come in the Ping's place.
#[test]
fn a_keepalive_set_while_open() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.idle_timeout = Some(SHORT)));
        server.set_config(&Arc::new(config(|config| config.ping_interval = Some(SHORT))));
        let peer = thread::spawn(move || {
            for _ in 0..2 {
                let (opcode, data) = raw.receive().unwrap();
                assert_eq!(opcode, Opcode::Ping);
                raw.send(Opcode::Pong, &data);
            }
            raw.send(Opcode::Close, &[]);
            let reply = core::iter::from_fn(|| raw.receive()).find(|frame| frame.0 != Opcode::Ping);
            assert_eq!(reply, Some((Opcode::Close, vec![])));
        });
        assert_eq!(server.read().unwrap(), None);
        peer.join().unwrap();
    });
}

#[test]
fn a_limit_set_while_open() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|_| {}));
        raw.send(Opcode::Binary, &[0; 11]);
        assert_eq!(server.read().unwrap().unwrap().len(), 11, "before the change");
        server.set_config(&Arc::new(config(|config| config.max_message_len = 10)));
        raw.send(Opcode::Binary, &[0; 10]);
        raw.send(Opcode::Binary, &[0; 11]);
        assert_eq!(server.read().unwrap().unwrap().len(), 10);
        // Until then, or the close timeout, the server keeps the stream open.
        raw.stream.shutdown(Shutdown::Write).unwrap();
        let error = server.read().unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::Failed(ProtocolError::MessageTooLong)));
        assert_eq!(raw.receive_close(), 1009);
        assert_eq!(raw.receive(), None);
    });
}

#[test]
fn a_peer_without_pulse() {
    within(|| {
        for is_server in [true, false] {
            let keepalive = config(|config| {
                config.ping_interval = Some(SHORT);
                config.pong_timeout = ms(1500);
            });
            let (mut ws, mut raw) =
                if is_server { server_and_raw(keepalive) } else { client_and_raw(keepalive) };
            let peer = thread::spawn(move || {
                // The first one is answered, the next is not.
                let (opcode, data) = raw.receive().unwrap();
                assert_eq!(opcode, Opcode::Ping);
                raw.send(Opcode::Pong, &data);
                raw.send(Opcode::Text, b"alive");
                assert_eq!(raw.receive().unwrap().0, Opcode::Ping);
                raw.send(Opcode::Text, b"still, but silent");
                assert_eq!(raw.receive(), None);
            });
            assert_times_out(&mut ws, Deadline::Pong, ms(1500));
            peer.join().unwrap();
        }
    });
}

#[test]
fn a_peer_that_does_not_close() {
    within(|| {
        for is_server in [true, false] {
            let config = config(|config| config.close_timeout = SHORT);
            let (mut ws, raw) = if is_server { server_and_raw(config) } else { client_and_raw(config) };
            let start = Instant::now();
            let outcome = ws.close(None, "").unwrap();
            assert_eq!(outcome, Outcome::TimedOut(Deadline::ClosingHandshake));
            assert!(start.elapsed() >= SHORT);
            drop(raw);
        }
    });
}

/// The peer has no bound on what it sends instead of a Close frame, but on the time.
#[test]
fn a_peer_that_talks_on_instead_of_closing() {
    within(|| {
        let (mut ws, mut raw) = server_and_raw(config(|config| config.close_timeout = SHORT));
        let peer = thread::spawn(move || {
            let frame = raw.frame(Opcode::Binary, true, &[0; 10_000]);
            while raw.stream.write_all(&frame).is_ok() {}
        });
        assert_eq!(ws.close(None, "").unwrap(), Outcome::TimedOut(Deadline::ClosingHandshake));
        drop(ws);
        peer.join().unwrap();
    });
}

#[test]
fn a_peer_that_takes_nothing() {
    within(|| {
        let (mut server, raw) = server_and_raw(config(|config| config.send_timeout = Some(SHORT)));
        let start = Instant::now();
        let error = loop {
            if let Err(error) = server.send_binary(&[0; 1 << 20]) {
                break error;
            }
        };
        assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)));
        assert!(start.elapsed() >= SHORT);
        drop(raw);
    });
}

/// Slow is not stalled: the deadline starts anew with each byte that is taken.
#[test]
fn a_peer_that_takes_it_slowly() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.send_timeout = Some(ms(2000))));
        small_buffers([server.get_ref(), &raw.stream]);
        let start = Instant::now();
        let sender = thread::spawn(move || server.send_binary(&[0; 660_000]).map(|()| server));
        // Nothing arrives on a stream that only we write to: reading from its copy is the wait.
        let (other, silent) = streams();
        silent.set_read_timeout(Some(ms(20))).unwrap();
        let mut left = 660_000;
        let mut buffer = vec![0; 6000];
        while left > 0 {
            let _ = (&silent).read(&mut [0]);
            left -= raw.stream.read(&mut buffer).unwrap().min(left);
        }
        sender.join().unwrap().unwrap();
        assert!(start.elapsed() > ms(2000), "slow enough to have failed otherwise: {:?}", start.elapsed());
        drop(other);
    });
}

/// A deadline that passed while the application was busy is judged by what has arrived by then.
#[test]
fn late_is_the_application_not_the_peer() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| config.idle_timeout = Some(SHORT)));
        raw.send(Opcode::Text, b"in time");
        raw.send(Opcode::Text, b"this too");
        busy(SHORT * 2);
        assert_eq!(server.read().unwrap(), Some("in time".into()));
        assert_eq!(server.read().unwrap(), Some("this too".into()));
        raw.send(Opcode::Close, &[]);
        busy(SHORT * 2);
        assert_eq!(server.read().unwrap(), None);
    });
}

/// Lets time pass, as an application does that works.
fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        thread::yield_now();
    }
}

/// Deadlines are no reason to lose anything when none passes.
#[test]
fn timeouts_wake_in_vain() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(config(|config| {
            config.ping_interval = Some(ms(2));
            config.pong_timeout = ms(60_000);
        }));
        let peer = thread::spawn(move || {
            let mut pings = 0;
            while let Some((opcode, data)) = raw.receive() {
                match opcode {
                    Opcode::Ping if pings < 20 => {
                        pings += 1;
                        raw.send(Opcode::Pong, &data);
                        if pings == 20 {
                            raw.send(Opcode::Text, b"enough");
                        }
                    }
                    Opcode::Close => raw.send(Opcode::Close, &data),
                    _ => {}
                }
            }
        });
        assert_eq!(server.read().unwrap(), Some("enough".into()));
        assert!(server.close(None, "").unwrap().is_clean());
        drop(server);
        peer.join().unwrap();
    });
}
