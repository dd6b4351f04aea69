//! An application that was busy while a send deadline passed: what waits to leave is tried once more.

use core::mem;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ws_core::{Config, Connection, Deadline, Outcome, Role};
use ws_std::{Error, Interest, Parts, Transport, WebSocket};

const SEND_TIMEOUT: Duration = Duration::from_millis(2);

/// 5.5.2, masked by zeros; and its Pong.
const PING: &[u8] = b"\x89\x81\0\0\0\0p";
const PONG: &[u8] = b"\x8a\x01p";
/// 5.6, masked by zeros.
const TEXT: &[u8] = b"\x81\x85\0\0\0\0hello";

/// Brings what it was given, and takes something if there is room.
#[derive(Debug, Default)]
struct Narrow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    input: Vec<u8>,
    written: Vec<u8>,
    has_room: bool,
    is_broken: bool,
}

impl Transport for Narrow {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = mem::take(&mut self.0.lock().unwrap().input);
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
        if state.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.has_room {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let state = self.0.lock().unwrap();
        let ready = Interest {
            read: interest.read && !state.input.is_empty(),
            write: interest.write && state.has_room,
        };
        if ready == Interest::default() {
            thread::sleep(timeout.expect("there is a deadline"));
        }
        Ok(ready)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

impl Narrow {
    fn edit(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.0.lock().unwrap());
    }

    fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().written.clone()
    }
}

/// A server whose Pong found no room, and whose application was then busy for too long.
fn late() -> WebSocket<Narrow> {
    let mut config = Config::default();
    config.send_timeout = Some(SEND_TIMEOUT);
    let connection = Connection::new(Role::Server, &Arc::new(config), ws_std::now(), None);
    let mut ws = WebSocket::from_parts(Parts::new(Narrow::default(), connection));
    ws.get_ref().edit(|state| state.input = [PING, TEXT].concat());
    assert_eq!(ws.read().unwrap(), Some("hello".into()));
    let start = Instant::now();
    while start.elapsed() <= SEND_TIMEOUT {
        thread::yield_now();
    }
    ws
}

#[test]
fn a_pong_that_has_room_by_now_leaves() {
    let mut ws = late();
    ws.get_ref().edit(|state| {
        state.has_room = true;
        state.input = TEXT.to_vec();
    });
    assert_eq!(ws.read().unwrap(), Some("hello".into()));
    assert_eq!(ws.outcome(), None);
    assert_eq!(ws.get_ref().written(), PONG);
    ws.send_text("hi").unwrap();

    let mut ws = late();
    ws.get_ref().edit(|state| state.has_room = true);
    ws.send_text("hi").unwrap();
    assert_eq!(ws.get_ref().written(), [PONG, b"\x81\x02hi"].concat());
}

#[test]
fn a_pong_that_has_none_is_given_up() {
    let is_stalled = |error: Error| error.outcome() == Some(&Outcome::TimedOut(Deadline::Send));
    let mut ws = late();
    assert!(is_stalled(ws.read().unwrap_err()));
    let mut ws = late();
    assert!(is_stalled(ws.send_text("hi").unwrap_err()));
}

#[test]
fn a_write_that_fails_then_tells_why() {
    let break_it = |state: &mut State| (state.has_room, state.is_broken) = (true, true);
    let is_broken = |error: Error| {
        let Error::Ended(ended) = error else { panic!("{error}") };
        assert_eq!(ended.outcome, Outcome::TransportLost);
        assert_eq!(ended.io.unwrap().kind(), io::ErrorKind::BrokenPipe);
    };
    let mut ws = late();
    ws.get_ref().edit(break_it);
    is_broken(ws.read().unwrap_err());
    let mut ws = late();
    ws.get_ref().edit(break_it);
    is_broken(ws.send_text("hi").unwrap_err());
}
