//! What the application at our end does.

use core::fmt::Debug;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use arbitrary::Arbitrary;
use ws_core::{Delivery, Kind, Outcome, PreparedMessage, SendError};
use ws_std::{Duplex, Error, Message, MessageRef, WebSocket};

use super::socket::Socket;
use crate::stream::{self, Doing, Last, MAX_STEPS, settings};

/// One thing that an application does.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Step {
    Text(u16),
    Binary(u16),
    Uncompressed(u16),
    Prepared(u16),
    /// A message in so many parts.
    Parts(u16, u8),
    /// Queued, and not waited for.
    Feed(u16),
    Ping(u8),
    Flush,
    Read,
    /// Answered while it is at hand.
    Echo,
    /// Taken apart, and put together again.
    Reassemble,
    /// Split, or joined again.
    TurnOver,
    /// Another limit of what is queued or received ahead.
    Configure(u16),
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) doing: Cell<Doing>,
    /// How many calls may come to nothing.
    pub(super) allowed: Cell<u64>,
    /// Calls of the stream.
    pub(super) calls: Cell<u64>,
    pub(super) opened: Cell<bool>,
    /// All that was or may have been sent, in order.
    pub(super) sent: RefCell<Vec<Message>>,
    pub(super) received: RefCell<Vec<Message>>,
    /// How many of those the stream took, as far as the application was told. A Close that cannot wait drops the others.
    pub(super) taken: Cell<usize>,
    /// It read until there was no more.
    pub(super) read_all: Cell<bool>,
    /// It started to close, before it knew that the peer did.
    pub(super) closes: Cell<bool>,
    pub(super) outcome: RefCell<Option<Outcome>>,
}

impl Log {
    fn all_taken(&self) {
        self.taken.set(self.sent.borrow().len());
    }
}

/// An application and its connection.
struct Program<S: Duplex> {
    socket: Socket<S>,
    side: usize,
    delivery: Delivery,
    log: Rc<Log>,
}

/// Runs the application over an open connection until it has nothing left to do.
pub(super) fn run<S: Duplex + Debug>(
    ws: WebSocket<S>,
    side: usize,
    delivery: Delivery,
    steps: &[Step],
    last: Last,
    log: &Rc<Log>,
) {
    log.opened.set(true);
    let mut program = Program { socket: Socket::Whole(ws), side, delivery, log: Rc::clone(log) };
    for &step in steps.iter().take(MAX_STEPS) {
        log.doing.set(Doing::Working);
        match program.step(step) {
            Ok(true) => {}
            // The peer closes, or the connection is over: the reads tell.
            Ok(false) | Err(Error::Ended(_) | Error::Refused(SendError::Closing)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    program.finish(last);
    log.doing.set(Doing::Done);
}

impl<S: Duplex + Debug> Program<S> {
    /// Returns whether to go on.
    fn step(&mut self, step: Step) -> Result<bool, Error> {
        match step {
            Step::Text(len) => self.send(len, Kind::Text, |socket, message| socket.send(message))?,
            Step::Binary(len) => self.send(len, Kind::Binary, |socket, message| socket.send(message))?,
            Step::Uncompressed(len) => {
                self.send(len, Kind::Text, |socket, message| socket.send_uncompressed(message))?;
            }
            Step::Prepared(len) => self.send(len, Kind::Text, |socket, message| {
                socket.send_prepared(&PreparedMessage::new(&lend(&message)))
            })?,
            Step::Parts(len, parts) => self.send(len, Kind::Text, |socket, message| {
                let bytes = message.as_bytes();
                let len = bytes.len() / (usize::from(parts) % 8 + 1) + 1;
                let mut pieces: Vec<&[u8]> = bytes.chunks(len).collect();
                let last = pieces.pop().unwrap_or_default();
                for piece in pieces {
                    socket.send_part(Kind::Text, piece, false)?;
                }
                socket.send_part(Kind::Text, last, true)
            })?,
            Step::Feed(len) => self.feed(len)?,
            Step::Ping(len) => {
                self.socket.ping(&[7; 125][..usize::from(len % 126)])?;
                self.log.all_taken();
            }
            Step::Flush => {
                self.socket.flush()?;
                self.log.all_taken();
            }
            Step::Read => return Ok(self.read()),
            Step::Echo if self.delivery == Delivery::Messages => return Ok(self.echo()),
            Step::Echo => return Ok(self.read()),
            Step::Reassemble => self.socket.reassemble(),
            Step::TurnOver => self.socket.turn_over(),
            Step::Configure(limit) => {
                let mut config = settings();
                // Less than that, and messages do not fit.
                config.max_output_len = 2500 + usize::from(limit % 8192);
                config.delivery = self.delivery;
                self.socket.whole().set_config(&Arc::new(config));
            }
        }
        Ok(true)
    }

    fn message(&self, len: u16, kind: Kind) -> Message {
        let text = stream::text(self.side, self.log.sent.borrow().len(), len, kind);
        match kind {
            Kind::Text => Message::from(text),
            Kind::Binary => Message::from(text.into_bytes()),
        }
    }

    fn send(
        &mut self,
        len: u16,
        kind: Kind,
        send: impl FnOnce(&mut Socket<S>, Message) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let message = self.message(len, kind);
        self.log.sent.borrow_mut().push(message.clone());
        send(&mut self.socket, message)?;
        self.log.all_taken();
        Ok(())
    }

    fn feed(&mut self, len: u16) -> Result<(), Error> {
        let message = self.message(len, Kind::Binary);
        match self.socket.feed(&message) {
            Ok(()) => {
                self.log.sent.borrow_mut().push(message);
                Ok(())
            }
            Err(Error::Refused(SendError::OutputFull)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self) -> bool {
        self.log.doing.set(Doing::Reading);
        let read = self.socket.read(self.delivery);
        self.take(read)
    }

    /// Reads a message, and sends it back while it is at hand.
    fn echo(&mut self) -> bool {
        self.log.doing.set(Doing::Reading);
        let log = Rc::clone(&self.log);
        let read = self.socket.whole().read_ref(|message, replies| {
            let owned = Message::from(message);
            match replies.send(&lend(&owned)) {
                Ok(()) => {
                    log.sent.borrow_mut().push(owned.clone());
                }
                Err(Error::Ended(_) | Error::Refused(SendError::Closing | SendError::OutputFull)) => {}
                Err(error) => panic!("{error}"),
            }
            owned
        });
        self.take(read)
    }

    /// Takes what a read returned; false at the end.
    fn take(&mut self, read: Result<Option<Message>, Error>) -> bool {
        let outcome = self.socket.outcome();
        match read {
            Ok(Some(message)) => {
                self.log.received.borrow_mut().push(message);
                return true;
            }
            Ok(None) => assert!(outcome.as_ref().is_some_and(Outcome::is_clean), "{outcome:?}"),
            Err(error) => {
                assert_eq!(error.outcome(), outcome.as_ref(), "the end is told as it is");
                assert!(!error.outcome().is_some_and(Outcome::is_clean), "{error}");
            }
        }
        self.log.read_all.set(true);
        false
    }

    fn finish(mut self, last: Last) {
        let log = Rc::clone(&self.log);
        match last {
            Last::Drop => {
                *log.outcome.borrow_mut() = self.socket.outcome();
                return;
            }
            Last::Close => {
                log.closes.set(!log.read_all.get());
                log.doing.set(Doing::Working);
                let outcome = self.socket.close().expect("no reason, so none that is refused");
                *log.outcome.borrow_mut() = Some(outcome);
                if !self.socket.is_there() {
                    return;
                }
            }
            Last::StartClose => {
                log.closes.set(!log.read_all.get());
                log.doing.set(Doing::Working);
                self.socket.whole().start_close(None, "").expect("the same");
            }
            Last::ReadToEnd => log.doing.set(Doing::Reading),
        }
        while !log.read_all.get() {
            let read = self.socket.read(self.delivery);
            if self.take(read) {
                assert_ne!(last, Last::Close, "its messages are dropped");
            }
        }
        let outcome = self.socket.outcome().expect("there was one");
        if let Some(told) = &*log.outcome.borrow() {
            assert_eq!(*told, outcome);
        }
        *log.outcome.borrow_mut() = Some(outcome.clone());
        self.after_the_end(&outcome);
    }

    /// Nothing comes after the end, which stays what it is, nothing can be sent, and the stream is left alone.
    fn after_the_end(&mut self, outcome: &Outcome) {
        let calls = self.log.calls.get();
        for _ in 0..3 {
            match self.socket.read(self.delivery) {
                Ok(None) => assert!(outcome.is_clean()),
                Err(Error::Ended(ended)) => assert_eq!(ended.outcome, *outcome),
                other => panic!("{other:?} after the end"),
            }
            let message = Message::from("late");
            assert!(matches!(
                self.socket.feed(&message),
                Err(Error::Ended(_) | Error::Refused(SendError::Closing))
            ));
            assert!(matches!(self.socket.send(message), Err(Error::Ended(_))));
            assert!(matches!(self.socket.ping(b""), Err(Error::Ended(_))));
            assert!(matches!(self.socket.flush(), Err(Error::Ended(_))));
            assert_eq!(self.socket.whole().close(None, "").ok().as_ref(), Some(outcome));
            assert_eq!(self.socket.outcome().as_ref(), Some(outcome));
            self.socket.reassemble();
        }
        assert_eq!(self.log.calls.get(), calls, "the stream was asked after the end");
    }
}

fn lend(message: &Message) -> MessageRef<'_> {
    match message {
        Message::Text(text) => MessageRef::Text((&**text).into()),
        Message::Binary(data) => MessageRef::Binary((&**data).into()),
    }
}
