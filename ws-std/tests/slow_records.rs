//! Slow is not stalled: streams that take a record at a time and pass it on in pieces, and such whose writes wait.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;

use ws_core::{Config, Connection, Deadline, Outcome, Role};
use ws_std::{Interest, Parts, Transport, WebSocket};

const RECORD_LEN: usize = 1000;
/// How long a piece takes to leave.
const PACE: Duration = Duration::from_millis(15);
/// More than one piece takes, and less than the test's pieces together.
const SEND_TIMEOUT: Duration = Duration::from_millis(50);
const PIECES: usize = 5;

/// Lets a piece leave when it was asked for room.
#[derive(Debug)]
struct Slow {
    /// Of a record.
    pieces: usize,
    tells: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: usize,
    passed_on: usize,
    has_room: bool,
}

impl Transport for Slow {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.try_flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.state.lock().unwrap().kept = self.pieces;
        Ok(bytes.len().min(RECORD_LEN))
    }

    fn try_flush(&self) -> io::Result<bool> {
        let mut state = self.state.lock().unwrap();
        if state.has_room && state.kept > 0 {
            state.has_room = false;
            state.kept -= 1;
            state.passed_on += 1;
        }
        Ok(state.kept == 0)
    }

    fn passed_on(&self) -> usize {
        if self.tells { self.state.lock().unwrap().passed_on } else { 0 }
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let timeout = timeout.expect("there is a deadline");
        let mut state = self.state.lock().unwrap();
        if interest.write && !state.has_room {
            thread::sleep(timeout.min(PACE));
            state.has_room = timeout >= PACE;
        }
        Ok(Interest { read: false, write: interest.write && state.has_room })
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

/// Sends so many records of so many pieces each.
fn send(records: usize, pieces: usize, tells: bool) -> Result<(), ws_std::Error> {
    let mut config = Config::default();
    config.send_timeout = Some(SEND_TIMEOUT);
    let connection = Connection::new(Role::Server, &Arc::new(config), ws_std::now(), None);
    let stream = Slow { pieces, tells, state: Mutex::default() };
    let mut ws = WebSocket::from_parts(Parts::new(stream, connection));
    ws.send_binary(&vec![0; records * RECORD_LEN - 4])
}

#[test]
fn one_record_after_another_leaves() {
    send(PIECES, 1, false).unwrap();
}

#[test]
fn one_record_leaves_piece_by_piece() {
    send(1, PIECES, true).unwrap();
}

/// What is not told did not happen.
#[test]
fn a_record_has_its_time() {
    let error = send(1, PIECES, false).unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)));
}

/// Waits when it is first written to, and takes half; or all of it, but keeps it. Then it has room when it was waited for
/// twice.
#[derive(Debug, Default)]
struct Waits {
    keeps: bool,
    state: Mutex<Waited>,
}

#[derive(Debug, Default)]
struct Waited {
    is_written_to: bool,
    for_room: u32,
}

/// More than the machine may take for a few steps.
const LONG: Duration = Duration::from_millis(300);

impl Transport for Waits {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut waited = self.state.lock().unwrap();
        if !waited.is_written_to {
            waited.is_written_to = true;
            thread::sleep(LONG + PACE);
            return Ok(if self.keeps { bytes.len() } else { bytes.len() / 2 });
        }
        if waited.for_room < 2 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(bytes.len()) }
    }

    fn try_flush(&self) -> io::Result<bool> {
        let waited = self.state.lock().unwrap();
        Ok(!self.keeps || !waited.is_written_to || waited.for_room >= 2)
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let mut waited = self.state.lock().unwrap();
        if interest.write && timeout != Some(Duration::ZERO) {
            waited.for_room += 1;
        }
        Ok(Interest { read: false, write: interest.write && waited.for_room >= 2 })
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

#[test]
fn the_time_of_what_is_left_runs_from_the_end_of_a_write() {
    for keeps in [false, true] {
        let mut config = Config::default();
        config.send_timeout = Some(LONG);
        let connection = Connection::new(Role::Server, &Arc::new(config), ws_std::now(), None);
        let stream = Waits { keeps, ..Waits::default() };
        let mut ws = WebSocket::from_parts(Parts::new(stream, connection));
        ws.send_text("hello").unwrap();
    }
}
