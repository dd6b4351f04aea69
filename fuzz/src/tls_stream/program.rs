//! What the application at one end of a connection does.

use core::fmt::Debug;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::cell::{Cell, RefCell};

use arbitrary::Arbitrary;
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Kind, Outcome, SendError};
use ws_smol::{Error, Message, WebSocket};

use crate::stream::{self, Doing, Last, MAX_STEPS};

/// One thing that an application does.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Step {
    Text(u16),
    Binary(u16),
    /// A message in so many parts.
    Parts(u16, u8),
    /// Queued, and not waited for.
    Feed(u16),
    Ping(u8),
    Flush,
    Read,
    /// Given up after so many polls.
    ReadFor(u8),
    /// Taken apart, and put together again.
    Reassemble,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) doing: Cell<Doing>,
    pub(super) opened: Cell<bool>,
    /// All that was or may have been sent, in order.
    pub(super) sent: RefCell<Vec<Message>>,
    pub(super) received: RefCell<Vec<Message>>,
    /// It read until there was no more.
    pub(super) read_all: Cell<bool>,
    /// It started to close, before it knew that the peer did.
    pub(super) closes: Cell<bool>,
    pub(super) outcome: RefCell<Option<Outcome>>,
}

impl Log {
    fn during(&self, doing: Doing) {
        self.doing.set(doing);
    }
}

fn message(side: usize, number: usize, len: u16, kind: Kind) -> Message {
    let text = stream::text(side, number, len, kind);
    match kind {
        Kind::Text => Message::from(text),
        Kind::Binary => Message::from(text.into_bytes()),
    }
}

/// Runs the application over an open connection until it has nothing left to do.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Debug + Unpin>(
    mut ws: WebSocket<S>,
    side: usize,
    steps: &[Step],
    last: Last,
    log: &Log,
) {
    log.opened.set(true);
    for &step in steps.iter().take(MAX_STEPS) {
        log.during(Doing::Working);
        let done = match step {
            Step::Text(len) => send(&mut ws, side, len, Kind::Text, log).await,
            Step::Binary(len) => send(&mut ws, side, len, Kind::Binary, log).await,
            Step::Parts(len, parts) => send_parts(&mut ws, side, len, parts, log).await,
            Step::Feed(len) => {
                let message = message(side, log.sent.borrow().len(), len, Kind::Binary);
                let fed = ws.feed(&message);
                if fed.is_ok() {
                    log.sent.borrow_mut().push(message);
                }
                match fed {
                    Err(Error::Refused(SendError::OutputFull)) => Ok(()),
                    result => result,
                }
            }
            Step::Ping(len) => ws.ping(&[7; 125][..usize::from(len % 126)]).await,
            Step::Flush => ws.flush().await,
            Step::Read => {
                log.during(Doing::Reading);
                let read = ws.read().await;
                if !take(&ws, read, log) {
                    break;
                }
                Ok(())
            }
            Step::ReadFor(polls) => {
                let Some(read) = give_up(ws.read(), polls % 4).await else { continue };
                if !take(&ws, read, log) {
                    break;
                }
                Ok(())
            }
            Step::Reassemble => {
                ws = WebSocket::from_parts(ws.into_parts());
                Ok(())
            }
        };
        match done {
            Ok(()) => {}
            // The peer closes, or the connection is over: the reads tell.
            Err(Error::Ended(_) | Error::Refused(SendError::Closing)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    finish(&mut ws, last, log).await;
    *log.outcome.borrow_mut() = ws.outcome().cloned();
    log.during(Doing::Done);
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    side: usize,
    len: u16,
    kind: Kind,
    log: &Log,
) -> Result<(), Error> {
    let message = message(side, log.sent.borrow().len(), len, kind);
    log.sent.borrow_mut().push(message.clone());
    let result = ws.send(message).await;
    if let Err(Error::Refused(_)) = result {
        log.sent.borrow_mut().pop();
    }
    result
}

async fn send_parts<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
    side: usize,
    len: u16,
    parts: u8,
    log: &Log,
) -> Result<(), Error> {
    let message = message(side, log.sent.borrow().len(), len, Kind::Text);
    let text = message.as_text().unwrap_or_default().to_owned();
    log.sent.borrow_mut().push(message);
    let mut pieces = text.as_bytes().chunks(text.len() / (usize::from(parts) % 8 + 1) + 1).peekable();
    while let Some(piece) = pieces.next() {
        let result = ws.send_part(Kind::Text, piece, pieces.peek().is_none()).await;
        if result.is_err() {
            if let Err(Error::Refused(_)) = result {
                log.sent.borrow_mut().pop();
            }
            return result;
        }
    }
    if text.is_empty() {
        ws.send_part(Kind::Text, b"", true).await.inspect_err(|error| {
            if let Error::Refused(_) = error {
                log.sent.borrow_mut().pop();
            }
        })?;
    }
    Ok(())
}

/// Takes what a read returned; false at the end.
fn take<S>(ws: &WebSocket<S>, read: Result<Option<Message>, Error>, log: &Log) -> bool {
    match read {
        Ok(Some(message)) => {
            assert!(ws.outcome().is_none_or(|_| !log.read_all.get()), "a message after the end");
            log.received.borrow_mut().push(message);
            return true;
        }
        Ok(None) => assert!(ws.outcome().is_some_and(Outcome::is_clean), "{:?}", ws.outcome()),
        Err(error) => {
            assert_eq!(error.outcome(), ws.outcome(), "the end is told as it is");
            assert!(!error.outcome().is_some_and(Outcome::is_clean), "{error}");
        }
    }
    log.read_all.set(true);
    false
}

async fn finish<S: AsyncRead + AsyncWrite + Debug + Unpin>(ws: &mut WebSocket<S>, last: Last, log: &Log) {
    match last {
        Last::Drop if ws.outcome().is_none() => return log.during(Doing::Done),
        Last::Close => {
            log.closes.set(true);
            log.during(Doing::Working);
            let outcome = ws.close(None, "").await.expect("no reason, so none that is refused");
            assert_eq!(ws.outcome(), Some(&outcome));
        }
        Last::StartClose => {
            log.closes.set(true);
            ws.start_close(None, "").expect("the same");
            log.during(Doing::Working);
        }
        Last::ReadToEnd | Last::Drop => log.during(Doing::Reading),
    }
    if log.read_all.get() {
        return after_the_end(ws, last).await;
    }
    loop {
        let read = ws.read().await;
        if !take(ws, read, log) {
            return after_the_end(ws, last).await;
        }
        assert_ne!(last, Last::Close, "its messages are dropped");
    }
}

/// Nothing comes after the end, which stays what it is, and nothing can be sent.
async fn after_the_end<S: AsyncRead + AsyncWrite + Debug + Unpin>(ws: &mut WebSocket<S>, last: Last) {
    let outcome = ws.outcome().cloned().expect("there was one");
    for _ in 0..3 {
        match ws.read().await {
            Ok(None) => assert!(outcome.is_clean()),
            Err(Error::Ended(ended)) => assert_eq!(ended.outcome, outcome),
            other => panic!("{other:?} after the end ({last:?})"),
        }
        assert!(matches!(ws.send_text("late").await, Err(Error::Ended(_))));
        assert!(matches!(ws.flush().await, Err(Error::Ended(_))));
        assert_eq!(ws.close(None, "").await.ok(), Some(outcome.clone()));
    }
    assert_eq!(ws.outcome(), Some(&outcome));
}

/// Polls a future so many times and gives it up.
async fn give_up<F: Future>(future: F, polls: u8) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            // Nothing but this may come to wake us.
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
