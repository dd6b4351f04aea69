//! Streams that are long in passing on what they took: when the connection ends, and what a hand-over knows of it.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ws_core::{Config, Deadline, Outcome, ServerConfig, Side};
use ws_std::{Error, Interest, Transport, WebSocket};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// 5.5.1: masked by zeros, no status.
const CLOSE: &[u8] = b"\x88\x80\0\0\0\0";

/// Brings what it was given. Once something was taken that ends in `slow`, it is so many flushes until that left.
#[derive(Debug)]
struct Slow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    input: Vec<u8>,
    written: Vec<u8>,
    slow: &'static [u8],
    flushes: u32,
    /// Who waits for room waits in vain.
    is_full: bool,
    /// How many flushes were missing when it was shut down.
    shut: Option<u32>,
}

impl Slow {
    fn new(input: &[&[u8]], slow: &'static [u8], flushes: u32) -> Self {
        Self(Mutex::new(State { input: input.concat(), slow, flushes, ..State::default() }))
    }

    fn shut(&self) -> Option<u32> {
        self.0.lock().unwrap().shut
    }

    fn flushes(&self) -> u32 {
        self.0.lock().unwrap().flushes
    }
}

impl Transport for Slow {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = core::mem::take(&mut self.0.lock().unwrap().input);
        if input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..input.len()].copy_from_slice(&input);
        Ok(input.len())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        assert_eq!(state.shut, None, "nothing is written after the end");
        state.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn try_flush(&self) -> io::Result<bool> {
        let mut state = self.0.lock().unwrap();
        if state.written.ends_with(state.slow) && state.flushes < u32::MAX {
            state.flushes = state.flushes.saturating_sub(1);
        }
        Ok(!state.written.ends_with(state.slow) || state.flushes == 0)
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let state = self.0.lock().unwrap();
        let ready = Interest {
            read: interest.read && !state.input.is_empty(),
            write: interest.write && !state.is_full,
        };
        if ready == Interest::default() {
            thread::sleep(timeout.expect("there is a deadline"));
        }
        Ok(ready)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {
        let mut state = self.0.lock().unwrap();
        state.shut = Some(state.flushes);
    }
}

const BY_PEER: Outcome = Outcome::Clean { initiator: Side::Peer, code: None };

fn with_timeouts(close: u64, send: u64) -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    let mut connection = Config::default();
    connection.close_timeout = Duration::from_millis(close);
    connection.send_timeout = Some(Duration::from_millis(send));
    config.connection = Arc::new(connection);
    Arc::new(config)
}

#[test]
fn a_clean_end_is_told_when_its_close_frame_has_left_the_stream() {
    let mut ws = ws_std::accept(Slow::new(&[REQUEST, CLOSE], b"\x88\0", 5), &Arc::default()).unwrap();
    assert_eq!(ws.read().unwrap(), None);
    assert_eq!(ws.outcome(), Some(BY_PEER));
    assert_eq!(ws.get_ref().shut(), Some(0), "it left before the stream was shut down");
}

#[test]
fn who_waits_for_the_end_waits_for_its_close_frame_too() {
    let mut ws = ws_std::accept(Slow::new(&[REQUEST, CLOSE], b"\x88\0", 5), &Arc::default()).unwrap();
    let by_us = Outcome::Clean { initiator: Side::Us, code: None };
    assert_eq!(ws.close(None, "").unwrap(), by_us, "the two crossed");
    assert_eq!(ws.get_ref().shut(), Some(0));
}

#[test]
fn a_close_frame_that_never_leaves_the_stream_is_waited_for_until_the_close_timeout() {
    let start = Instant::now();
    let stream = Slow::new(&[REQUEST, CLOSE], b"\x88\0", u32::MAX);
    let mut ws = ws_std::accept(stream, &with_timeouts(30, 60_000)).unwrap();
    assert_eq!(ws.read().unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(25));
    assert_eq!(ws.outcome(), Some(BY_PEER), "both went over the wire, as far as we can tell");
    assert_eq!(ws.get_ref().shut(), Some(u32::MAX));
}

#[test]
fn what_the_stream_keeps_is_known_after_a_hand_over() {
    let ws = ws_std::accept(Slow::new(&[REQUEST], b"late", 9), &Arc::default()).unwrap();
    ws.get_ref().0.lock().unwrap().written.extend_from_slice(b"late");
    let mut ws = WebSocket::from_parts(ws.into_parts());
    assert_ne!(ws.get_ref().flushes(), 0);
    ws.flush().unwrap();
    assert_eq!(ws.get_ref().flushes(), 0, "it left");
}

/// The deadline passed while the application was away, not while the stream had no room.
#[test]
fn what_leaves_at_once_when_it_is_tried_again_was_not_too_late() {
    let stream = Slow::new(&[REQUEST], b"late", 0);
    let mut ws = ws_std::accept(stream, &with_timeouts(60_000, 1)).unwrap();
    {
        let mut state = ws.get_ref().0.lock().unwrap();
        state.written.extend_from_slice(b"late");
        state.flushes = 2;
    }
    ws = WebSocket::from_parts(ws.into_parts());
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(3) {
        core::hint::spin_loop();
    }
    ws.send_text("more").unwrap();
}

/// As what it does not take: also where it tells of no room and would have some if it was tried once more.
#[test]
fn what_does_not_leave_the_stream_is_given_up_after_the_send_timeout() {
    for (flushes, is_full) in [(u32::MAX, false), (u32::MAX, true), (3, true)] {
        let stream = Slow::new(&[REQUEST], b"late", flushes);
        let mut ws = ws_std::accept(stream, &with_timeouts(60_000, 20)).unwrap();
        ws.get_ref().0.lock().unwrap().is_full = is_full;
        let start = Instant::now();
        let Err(Error::Ended(ended)) = ws.send_text("late") else { panic!("{flushes} {is_full}: it left") };
        assert!(start.elapsed() >= Duration::from_millis(15));
        assert_eq!(ended.outcome, Outcome::TimedOut(Deadline::Send));
        assert!(ended.io.is_none(), "the stream failed in nothing");
        assert_eq!(ws.outcome(), Some(ended.outcome));
        assert!(ws.get_ref().shut().is_some());
    }
}
