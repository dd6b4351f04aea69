//! Both halves at once, in two threads.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ws_core::frame::Opcode;
use ws_core::{Config, Deadline, Outcome, SendError, Side, StatusCode};
use ws_std::{Error, Message};

use crate::common::{client_and_raw, config, default_pair, ms, pair, server_and_raw, small_buffers, within};

const COUNT: u32 = 3000;

fn numbered(i: u32) -> Message {
    let mut data = vec![0; (i as usize * 37) % 5000 + 4];
    data[..4].copy_from_slice(&i.to_be_bytes());
    Message::from(data)
}

/// Thousands of messages each way through one connection, both ways in both peers at once.
#[test]
fn both_ways_at_once() {
    within(|| {
        let (server, client) = default_pair();
        let threads: Vec<_> = [server, client]
            .into_iter()
            .map(|ws| {
                let (mut reader, mut writer) = ws.split();
                let writing = thread::spawn(move || {
                    for i in 0..COUNT {
                        writer.send(numbered(i)).unwrap();
                        if i % 100 == 0 {
                            writer.ping(&i.to_be_bytes()).unwrap();
                        }
                    }
                    writer
                });
                thread::spawn(move || {
                    for i in 0..COUNT {
                        assert_eq!(reader.read().unwrap(), Some(numbered(i)));
                    }
                    reader.join(writing.join().unwrap()).unwrap()
                })
            })
            .collect();
        let mut ends = threads.into_iter().map(|thread| thread.join().unwrap());
        let (mut server, mut client) = (ends.next().unwrap(), ends.next().unwrap());
        let server = thread::spawn(move || server.read().unwrap());
        assert!(client.close(None, "").unwrap().is_clean());
        assert_eq!(server.join().unwrap(), None);
    });
}

/// While the writing half waits for room, Pongs that the reading half owes go out between frames.
#[test]
fn a_pong_leaves_while_the_other_half_writes() {
    within(|| {
        let (server, mut raw) = server_and_raw(Config::default());
        small_buffers([server.get_ref(), &raw.stream]);
        let (mut reader, mut writer) = server.split();
        let writing = thread::spawn(move || {
            for _ in 0..3 {
                writer.send_binary(&[0; 300_000]).unwrap();
            }
            writer
        });
        // It is in the middle of the first message now, and there it stays.
        let header = raw.receive_header().unwrap();
        assert_eq!((header.opcode, header.len), (Opcode::Binary, 300_000));
        raw.send(Opcode::Ping, b"now");
        raw.send(Opcode::Text, b"read");
        assert_eq!(reader.read().unwrap(), Some("read".into()));
        raw.receive_payload(header);
        assert_eq!(raw.receive(), Some((Opcode::Pong, b"now".to_vec())));
        for _ in 0..2 {
            assert!(raw.receive() == Some((Opcode::Binary, vec![0; 300_000])));
        }
        writing.join().unwrap();
    });
}

/// A thread that waits for a message does not keep another from sending.
#[test]
fn sending_while_the_other_half_waits() {
    within(|| {
        let (server, mut client) = default_pair();
        let (mut reader, mut writer) = server.split();
        let reading = thread::spawn(move || reader.read().unwrap());
        for _ in 0..100 {
            writer.send_text("tick").unwrap();
            assert_eq!(client.read().unwrap(), Some("tick".into()));
        }
        client.send_text("at last").unwrap();
        assert_eq!(reading.join().unwrap(), Some("at last".into()));
    });
}

/// Keepalive goes on while one half only waits and the other does nothing.
#[test]
fn the_reading_half_alone_keeps_the_connection() {
    within(|| {
        let (server, mut raw) = server_and_raw(config(|config| {
            config.ping_interval = Some(ms(10));
            config.pong_timeout = ms(60_000);
        }));
        let (mut reader, writer) = server.split();
        let reading = thread::spawn(move || reader.read().unwrap());
        for _ in 0..5 {
            let (opcode, data) = raw.receive().unwrap();
            assert_eq!(opcode, Opcode::Ping);
            raw.send(Opcode::Pong, &data);
        }
        raw.send(Opcode::Close, &[]);
        assert_eq!(reading.join().unwrap(), None);
        assert_eq!(raw.receive(), Some((Opcode::Close, vec![])));
        assert!(writer.outcome().unwrap().is_clean());
    });
}

/// The writing half closes; the reading one gets what comes before the end, and the end.
#[test]
fn closing_while_the_other_half_reads() {
    within(|| {
        let (server, client) = default_pair();
        let (mut reader, mut writer) = client.split();
        let reading = thread::spawn(move || {
            let mut count = 0;
            while let Some(message) = reader.read().unwrap() {
                assert_eq!(message, numbered(count));
                count += 1;
            }
            assert!(reader.outcome().unwrap().is_clean());
            count
        });
        let (mut peer_reader, mut peer_writer) = server.split();
        for i in 0..100 {
            peer_writer.send(numbered(i)).unwrap();
        }
        let peer = thread::spawn(move || assert_eq!(peer_reader.read().unwrap(), None));
        assert!(writer.close(StatusCode::NORMAL, "").unwrap().is_clean());
        assert_eq!(reading.join().unwrap(), 100);
        peer.join().unwrap();
    });
}

/// A deadline that only the writing half set wakes the reading one, which waits without one.
#[test]
fn the_end_wakes_the_half_that_waits() {
    within(|| {
        let (server, mut raw) = server_and_raw(config(|config| {
            config.close_timeout = ms(50);
            config.opening_handshake_timeout = None;
        }));
        let (mut reader, mut writer) = server.split();
        let reading = thread::spawn(move || reader.read().unwrap_err());
        raw.assert_is_read_from();
        let start = Instant::now();
        let outcome = Outcome::TimedOut(Deadline::ClosingHandshake);
        assert_eq!(writer.close(None, "").unwrap(), outcome);
        assert_eq!(reading.join().unwrap().outcome(), Some(&outcome));
        assert!(start.elapsed() >= ms(50));
        drop(raw);
    });
}

/// So does a stalled send.
#[test]
fn a_stalled_send_wakes_the_half_that_waits() {
    within(|| {
        let (server, mut raw) = server_and_raw(config(|config| {
            config.send_timeout = Some(ms(50));
            config.opening_handshake_timeout = None;
        }));
        let (mut reader, mut writer) = server.split();
        let reading = thread::spawn(move || reader.read().unwrap_err());
        raw.assert_is_read_from();
        let error = loop {
            if let Err(error) = writer.send_binary(&[0; 1 << 20]) {
                break error;
            }
        };
        for error in [error, reading.join().unwrap()] {
            assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)));
        }
        drop(raw);
    });
}

/// Without a reading half nothing waits to be read, and the writing one goes on.
#[test]
fn the_writing_half_alone() {
    within(|| {
        let (server, client) = pair(config(|config| config.max_output_len = 100_000), Config::default());
        let (reader, mut writer) = server.split();
        drop(reader);
        let (mut peer_reader, mut peer_writer) = client.split();
        // More than may wait.
        let flood = thread::spawn(move || {
            for i in 0..COUNT {
                peer_writer.send(numbered(i)).unwrap();
            }
            peer_writer
        });
        let reading = thread::spawn(move || while peer_reader.read().unwrap().is_some() {});
        while !flood.is_finished() {
            writer.send_text("tick").unwrap();
        }
        flood.join().unwrap();
        assert!(writer.close(None, "").unwrap().is_clean());
        reading.join().unwrap();
    });
}

/// A writing half that starts to close waits for nothing; the other reads on until the peer closes.
#[test]
fn a_writing_half_starts_to_close() {
    within(|| {
        let (client, mut raw) = client_and_raw(Config::default());
        let (mut reader, mut writer) = client.split();
        for _ in 0..2 {
            writer.start_close(StatusCode::NORMAL, "bye").unwrap();
            assert!(
                writer.send_text("x").is_err_and(|error| matches!(error, Error::Refused(SendError::Closing)))
            );
        }
        assert_eq!(raw.receive(), Some((Opcode::Close, b"\x03\xe8bye".to_vec())));
        raw.send(Opcode::Text, b"last");
        raw.send(Opcode::Close, &[3, 232]);
        drop(raw);
        assert_eq!(reader.read().unwrap(), Some("last".into()));
        assert_eq!(reader.read().unwrap(), None);
        assert!(writer.start_close(None, "").is_ok(), "the end is for who reads");
        let by_us = Outcome::Clean { initiator: Side::Us, code: Some(StatusCode::NORMAL) };
        assert_eq!(writer.outcome(), Some(by_us));
    });
}

/// Halves used by one thread, one after the other, in an echo that sends more than the system holds.
#[test]
fn an_echo_through_halves() {
    within(|| {
        let (server, client) = default_pair();
        let (mut reader, mut writer) = server.split();
        let echo = thread::spawn(move || {
            while let Some(message) = reader.read().unwrap() {
                match writer.send(message) {
                    Ok(()) => {}
                    Err(Error::Refused(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let (mut reader, mut writer) = client.split();
        let writing = thread::spawn(move || {
            for _ in 0..10 {
                writer.send_binary(&[1; 1 << 20]).unwrap();
            }
            writer
        });
        let writer = writing.join().unwrap();
        for _ in 0..10 {
            assert_eq!(reader.read().unwrap().unwrap().len(), 1 << 20);
        }
        assert!(reader.join(writer).unwrap().close(None, "").unwrap().is_clean());
        echo.join().unwrap();
    });
}

#[test]
fn halves_of_two_connections_do_not_join() {
    within(|| {
        let (server, client) = default_pair();
        let (server_reader, server_writer) = server.split();
        let (client_reader, client_writer) = client.split();
        let (server_reader, client_writer) = server_reader.join(client_writer).unwrap_err();
        let mut server = server_reader.join(server_writer).unwrap();
        let mut client = client_reader.join(client_writer).unwrap();
        assert!(server.opened().is_some());
        client.send_text("whole").unwrap();
        assert_eq!(server.read().unwrap(), Some("whole".into()));
    });
}

/// Small frames from many sides of the program do not tear each other: one half is shared in a mutex, the other reads.
#[test]
fn a_shared_writing_half() {
    within(|| {
        let (server, client) = default_pair();
        let (mut reader, writer) = client.split();
        let writer = Arc::new(Mutex::new(writer));
        let echo = thread::spawn(move || {
            let (mut reader, mut writer) = server.split();
            let mut count = 0;
            while let Some(message) = reader.read().unwrap() {
                writer.send(message).unwrap();
                count += 1;
                if count == 800 {
                    break;
                }
            }
            writer.close(None, "").unwrap()
        });
        let senders: Vec<_> = (0..4)
            .map(|id| {
                let writer = Arc::clone(&writer);
                thread::spawn(move || {
                    for i in 0..200 {
                        writer.lock().unwrap().send_text(&format!("{id} {i}")).unwrap();
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        while let Some(message) = reader.read().unwrap() {
            let (id, i) = message.as_text().unwrap().split_once(' ').unwrap();
            let next = &mut next[id.parse::<usize>().unwrap()];
            assert_eq!(i, next.to_string());
            *next += 1;
        }
        assert_eq!(next, [200; 4]);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(echo.join().unwrap().is_clean());
    });
}
