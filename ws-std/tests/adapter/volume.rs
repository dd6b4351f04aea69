//! Much data both ways: no deadlock, and no more memory than the settings say.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::thread;

use ws_core::frame::Opcode;
use ws_std::WebSocket;

use crate::common::{config, default_pair, ms, pair, server_and_raw, small_buffers, within};

const MIB: usize = 1 << 20;

/// Sends ten messages of a mebibyte, then reads as many.
fn write_then_read(mut ws: WebSocket) {
    for i in 0..10 {
        ws.send_binary(&vec![i; MIB]).unwrap();
    }
    for i in 0..10 {
        assert!(ws.read().unwrap() == Some(vec![i; MIB].into()));
    }
}

#[test]
fn both_peers_write_10_mb_before_reading() {
    within(|| {
        let (server, client) = default_pair();
        small_buffers([server.get_ref(), client.get_ref()]);
        let server = thread::spawn(|| write_then_read(server));
        write_then_read(client);
        server.join().unwrap();
    });
}

/// The same in one message each, which does not even come whole before the other peer is done writing.
#[test]
fn both_peers_write_10_mb_at_once_before_reading() {
    within(|| {
        let (server, client) = default_pair();
        small_buffers([server.get_ref(), client.get_ref()]);
        let threads = [server, client].map(|mut ws| {
            thread::spawn(move || {
                ws.send_binary(&vec![1; 10 * MIB]).unwrap();
                assert_eq!(ws.read().unwrap().unwrap().len(), 10 * MIB);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// While a send waits, messages are received ahead, but not without end.
#[test]
fn a_flood_during_a_send_is_bounded() {
    const MAX: usize = 200_000;
    within(|| {
        let (mut server, raw) = server_and_raw(config(|config| config.max_output_len = MAX));
        small_buffers([server.get_ref(), &raw.stream]);
        // Fills the way to the peer, which does not read yet, and waits.
        let sender = thread::spawn(move || {
            for _ in 0..4 {
                server.send_binary(&[0; 150_000]).unwrap();
            }
            server
        });
        let flooded = Arc::new(AtomicUsize::new(0));
        let frame = raw.frame(Opcode::Binary, true, &[0; 1000]);
        let mut flood = raw.stream.try_clone().unwrap();
        flood.set_write_timeout(Some(ms(1500))).unwrap();
        let written = Arc::clone(&flooded);
        let flooding = thread::spawn(move || {
            loop {
                match flood.write(&frame[written.load(Ordering::Relaxed) % frame.len()..]) {
                    Ok(n) => written.fetch_add(n, Ordering::Relaxed),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                };
            }
        });
        flooding.join().unwrap();
        let flooded = flooded.load(Ordering::Relaxed);
        // What the system holds, both ways, was set to be little.
        assert!(flooded >= MAX / 2, "the server took little: {flooded}");
        assert!(flooded <= MAX + 1_000_000, "the server took all: {flooded}");
        // The rest goes its way once the peer reads.
        let mut raw = raw;
        for _ in 0..4 {
            assert_eq!(raw.receive().unwrap().1.len(), 150_000);
        }
        let mut server = sender.join().unwrap();
        for _ in 0..flooded / 1008 {
            assert_eq!(server.read().unwrap().unwrap().len(), 1000);
        }
    });
}

/// A large message in small frames, with everything in between.
#[test]
fn a_message_larger_than_any_buffer() {
    within(|| {
        let limit = config(|config| config.max_message_len = 32 * MIB);
        let (mut server, mut client) = pair(limit, config(|config| config.max_output_len = 32 * MIB));
        let reading = thread::spawn(move || server.read().unwrap().unwrap());
        let data: Vec<u8> = (0..=250).cycle().take(20 * MIB).collect();
        client.send_binary(&data).unwrap();
        assert!(reading.join().unwrap().as_bytes() == data);
    });
}
