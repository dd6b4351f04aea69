//! `Blocking`: streams that take what is written and are long in passing it on.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use ws_core::{Config, Connection, Deadline, Outcome, Role};
use ws_std::{Blocking, Error, Parts, Transport, WebSocket};

/// Takes all of a write, and passes it on with the flush that comes when it is through with its answers to others.
#[derive(Debug, Default)]
struct Hesitant {
    kept: Vec<u8>,
    passed_on: Vec<u8>,
    /// How a flush of something fails, the last of these first; then each succeeds.
    answers: Vec<ErrorKind>,
    /// None succeeds.
    is_stuck: bool,
}

impl Read for Hesitant {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Hesitant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert_eq!(self.kept, b"", "nothing more is given to it while it keeps what it took");
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        if let Some(answer) = self.answers.pop() {
            return Err(answer.into());
        }
        if self.is_stuck {
            return Err(ErrorKind::TimedOut.into());
        }
        self.passed_on.append(&mut self.kept);
        Ok(())
    }
}

fn server(stream: Hesitant, config: Config) -> WebSocket<Blocking<Hesitant>> {
    let connection = Connection::new(Role::Server, &Arc::new(config), ws_std::now(), None);
    WebSocket::from_parts(Parts::new(Blocking::new(stream), connection))
}

fn answering(answers: Vec<ErrorKind>) -> Hesitant {
    Hesitant { answers, ..Hesitant::default() }
}

#[test]
fn what_a_write_took_is_sent_once_however_long_the_flush_takes() {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    for answers in [
        vec![WouldBlock],
        vec![TimedOut],
        vec![Interrupted],
        vec![WouldBlock, TimedOut, Interrupted, WouldBlock, TimedOut],
    ] {
        let mut ws = server(answering(answers), Config::default());
        ws.send_text("hello").unwrap();
        ws.send_text("world").unwrap();
        let stream = ws.into_parts().stream.into_inner();
        assert_eq!(stream.passed_on.escape_ascii().to_string(), r"\x81\x05hello\x81\x05world");
        assert_eq!(stream.answers, [], "each is asked for");
    }
}

#[test]
fn what_the_stream_kept_before_it_was_wrapped_leaves_without_a_write() {
    for answers in [vec![], vec![ErrorKind::TimedOut, ErrorKind::WouldBlock]] {
        let stream = Hesitant { kept: b"before".to_vec(), ..answering(answers) };
        let mut ws = server(stream, Config::default());
        ws.flush().unwrap();
        let stream = ws.into_parts().stream.into_inner();
        assert_eq!(stream.passed_on, b"before");
        assert_eq!(stream.answers, [], "each is asked for");
    }
}

#[test]
fn a_flush_that_fails_breaks_the_connection() {
    let mut ws = server(answering(vec![ErrorKind::BrokenPipe, ErrorKind::WouldBlock]), Config::default());
    let Err(Error::Ended(ended)) = ws.send_text("hello") else { panic!("it was sent") };
    assert_eq!(ended.outcome, Outcome::TransportLost);
    assert_eq!(ended.io.unwrap().kind(), ErrorKind::BrokenPipe);
    assert_eq!(ws.into_parts().stream.into_inner().kept, b"\x81\x05hello", "taken once");
}

#[test]
fn what_is_never_flushed_is_given_up_after_the_send_timeout() {
    let mut config = Config::default();
    config.send_timeout = Some(Duration::from_millis(20));
    let mut ws = server(Hesitant { is_stuck: true, ..Hesitant::default() }, config);
    let error = ws.send_text("hello").unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)));
}

#[test]
fn more_is_taken_when_what_was_taken_has_left() {
    let answers = vec![ErrorKind::BrokenPipe, ErrorKind::TimedOut, ErrorKind::WouldBlock];
    let stream = Blocking::new(answering(answers));
    assert!(stream.try_flush().unwrap(), "nothing was taken");
    assert_eq!(stream.try_write(b"one").unwrap(), 3);
    assert_eq!(stream.try_write(b"two").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!stream.try_flush().unwrap());
    assert_eq!(stream.try_write(b"two").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(stream.try_write(b"two").unwrap(), 3);
    assert!(stream.try_flush().unwrap());
    assert_eq!(stream.into_inner().passed_on, b"onetwo");
}
