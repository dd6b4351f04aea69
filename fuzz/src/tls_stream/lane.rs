//! Streams in memory that take and give what a script says, when it says.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::{Fault, Faults};

/// Bytes on their way from one end to the other.
#[derive(Debug)]
struct Lane {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// No more comes.
    ended: bool,
    /// Nobody reads any more.
    deserted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What goes through two streams, for who watches them.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Calls that did something for their caller.
    pub(super) moves: u64,
    /// Calls, whatever came of them.
    pub(super) calls: u64,
}

/// One end of a connection in memory.
#[derive(Debug)]
pub(super) struct Faulty {
    from: Rc<RefCell<Lane>>,
    to: Rc<RefCell<Lane>>,
    reads: Faults,
    writes: Faults,
    traffic: Rc<RefCell<Traffic>>,
}

/// Ends both directions.
pub(super) struct Cut([Rc<RefCell<Lane>>; 2]);

impl Cut {
    pub(super) fn cut(&self) {
        for lane in &self.0 {
            let mut lane = lane.borrow_mut();
            lane.ended = true;
            wake(&mut lane.reader);
            wake(&mut lane.writer);
        }
    }
}

/// Returns two ends that are connected, and what cuts the connection.
pub(super) fn pair(
    capacity: usize,
    faults: [[Faults; 2]; 2],
    traffic: &Rc<RefCell<Traffic>>,
) -> ([Faulty; 2], Cut) {
    let lane = || {
        Rc::new(RefCell::new(Lane {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            deserted: false,
            reader: None,
            writer: None,
        }))
    };
    let lanes = [lane(), lane()];
    let [[reads, writes], [other_reads, other_writes]] = faults;
    let end = |from: &Rc<RefCell<Lane>>, to: &Rc<RefCell<Lane>>, reads, writes| Faulty {
        from: Rc::clone(from),
        to: Rc::clone(to),
        reads,
        writes,
        traffic: Rc::clone(traffic),
    };
    let ends =
        [end(&lanes[0], &lanes[1], reads, writes), end(&lanes[1], &lanes[0], other_reads, other_writes)];
    (ends, Cut(lanes))
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn late<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

impl Faulty {
    fn count(&self, is_move: bool) {
        let mut traffic = self.traffic.borrow_mut();
        traffic.calls += 1;
        traffic.moves += u64::from(is_move);
    }
}

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.count(false);
        let most = match self.reads.next() {
            Fault::Short(most) => most,
            // A stream of futures-io never says Interrupted.
            Fault::Late | Fault::Interrupted => return late(cx),
            Fault::Broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Fault::End => return Poll::Ready(Ok(0)),
        };
        let mut lane = self.from.borrow_mut();
        if lane.bytes.is_empty() {
            if lane.ended {
                return Poll::Ready(Ok(0));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = most.min(buf.len()).min(lane.bytes.len());
        for (to, from) in buf.iter_mut().zip(lane.bytes.drain(..n)) {
            *to = from;
        }
        wake(&mut lane.writer);
        drop(lane);
        self.count(true);
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.count(false);
        let most = match self.writes.next() {
            Fault::Short(most) => most,
            Fault::Late | Fault::Interrupted => return late(cx),
            Fault::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Fault::End => return Poll::Ready(Ok(0)),
        };
        let mut lane = self.to.borrow_mut();
        if lane.deserted || lane.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = lane.capacity.saturating_sub(lane.bytes.len());
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = most.min(buf.len()).min(room);
        lane.bytes.extend(&buf[..n]);
        wake(&mut lane.reader);
        drop(lane);
        self.count(true);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.count(false);
        match self.writes.next() {
            Fault::Late | Fault::Interrupted => late(cx),
            Fault::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Fault::Short(_) | Fault::End => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.as_mut().poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            result => return result,
        }
        let mut lane = self.to.borrow_mut();
        lane.ended = true;
        wake(&mut lane.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let mut to = self.to.borrow_mut();
        to.ended = true;
        wake(&mut to.reader);
        drop(to);
        let mut from = self.from.borrow_mut();
        from.deserted = true;
        wake(&mut from.writer);
    }
}
