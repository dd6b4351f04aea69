use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Endpoint, SendBuffer, SendError, StatusCode};

use super::Driver;
use crate::Error;
use crate::memory::{give_output, take_output};

/// An application that only sends is looked after like one that reads once it has not read for so long.
const UNREAD_FOR: Duration = Duration::from_millis(500);

impl<S> Driver<S> {
    /// Lets `queue` append to the output.
    #[inline]
    pub(crate) fn queue(
        &mut self,
        queue: &mut impl FnMut(&mut Endpoint, &mut SendBuffer) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.prepare_output();
        queue(&mut self.endpoint, &mut self.out)
    }

    /// Gives the output memory, if some is spare.
    #[inline]
    pub(crate) fn prepare_output(&mut self) {
        if self.out.capacity() == 0 {
            self.out = take_output();
        }
    }

    /// Gives the memory of an empty output back.
    #[inline]
    pub(super) fn put_output_away(&mut self) {
        if self.out.is_empty() && self.out.capacity() > 0 {
            give_output(core::mem::take(&mut self.out));
        }
    }

    /// Queues the Close frame, unless one was sent or received already, or the connection is over.
    pub(crate) fn start_close(&mut self, code: Option<StatusCode>, reason: &str) -> Result<(), Error> {
        self.tell_time();
        // Closing clears the deadlines of an open connection, but not those of sending, before which the stream is tried.
        if !self.is_time_up() && self.expire_endpoint() {
            self.news = true;
        }
        let now = self.now;
        match self.queue(&mut |endpoint, out| endpoint.close(now, code, reason, out)) {
            Ok(()) => {
                self.closing = true;
                // There is a deadline now.
                self.news = true;
                Ok(())
            }
            Err(SendError::Closing) => Ok(()),
            Err(error) => Err(self.refusal(error)),
        }
    }

    /// Returns the error for a call that could not send anything.
    #[cold]
    pub(crate) fn refusal(&self, error: SendError) -> Error {
        if self.is_ended() || self.write_broken { self.ended().into() } else { Error::Refused(error) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Writes what is pending until the stream takes no more; the task is woken when it does.
    #[inline]
    pub(super) fn write(&mut self, cx: &mut Context<'_>) {
        if self.behind.is_some() {
            return self.catch_up(cx);
        }
        self.write_all(cx);
    }

    #[inline]
    pub(super) fn write_all(&mut self, cx: &mut Context<'_>) {
        if self.write_broken {
            return;
        }
        while self.endpoint.poll_transmit(self.now, &mut self.out) {
            match Pin::new(&mut self.stream).poll_write(cx, self.out.pending()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.unflushed = true;
                    self.room = true;
                    self.handle_taken();
                    let n = n.min(self.out.pending().len());
                    self.endpoint.handle_transmitted(self.now, n, &mut self.out);
                }
                Poll::Pending => {
                    self.endpoint.handle_transmitted(self.now, 0, &mut self.out);
                    if !self.handle_refused() {
                        return self.fall_behind(cx, false);
                    }
                }
                Poll::Ready(Ok(_)) => return self.break_writing(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return self.break_writing(error),
            }
        }
        if self.unflushed {
            self.flush_stream(cx);
        }
    }

    /// Lets the stream flush what it may buffer itself, and ends the output when it is complete.
    #[inline]
    fn flush_stream(&mut self, cx: &mut Context<'_>) {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Pending => return self.fall_behind(cx, true),
            Poll::Ready(Err(error)) => return self.break_writing(error),
            Poll::Ready(Ok(())) => self.unflushed = false,
        }
        if self.endpoint.is_closed() {
            self.due = !self.is_ended();
        }
        self.shut_down(cx);
    }

    /// Shuts down the stream's write half once the last frame left, and at the end in any case: the peer is not to
    /// wait until the application drops the connection.
    pub(crate) fn shut_down(&mut self, cx: &mut Context<'_>) {
        if self.shut_down || self.write_broken || !(self.is_ended() || self.endpoint.is_write_closed()) {
            return;
        }
        match Pin::new(&mut self.stream).poll_close(cx) {
            // Asked again in the next turn.
            Poll::Pending => (self.unflushed, self.is_shutting_down) = (true, true),
            Poll::Ready(Ok(())) => self.shut_down = true,
            Poll::Ready(Err(error)) => self.break_writing(error),
        }
    }

    /// Notes that the stream takes nothing any more. What the peer sent before is still read.
    #[cold]
    fn break_writing(&mut self, error: io::Error) {
        self.cause.get_or_insert_with(|| Arc::new(error));
        self.write_broken = true;
        self.behind = None;
        self.room = true;
    }

    /// Queues with `queue` and writes as much as the stream takes. Waits only while `queue` finds no room; then
    /// nothing is queued yet, so a caller that gives up has sent nothing.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        queue: &mut impl FnMut(&mut Endpoint, &mut SendBuffer) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        loop {
            match self.queue(queue) {
                Ok(()) => break,
                Err(SendError::OutputFull) if !self.out.is_empty() && !self.write_broken => {
                    ready!(self.poll_room(cx));
                }
                Err(error) => return Poll::Ready(Err(self.refusal(error))),
            }
        }
        self.tell_time();
        self.write(cx);
        if self.now - self.read_at >= UNREAD_FOR || self.due || self.write_broken || self.is_late() {
            self.read_ahead(cx);
        }
        self.put_output_away();
        if (!self.out.is_empty() || self.behind.is_some())
            && self.alarm.poll(cx, self.deadline(), self.now).is_ready()
        {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(if self.is_ended() || self.write_broken {
            Err(self.refusal(SendError::Closing))
        } else {
            Ok(())
        })
    }

    /// Waits until some of the output is gone, or the connection is over.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.out.len();
        self.read_ahead(cx);
        if self.out.len() < before || self.is_ended() || self.write_broken {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Waits until at most `limit` bytes of output are left.
    pub(crate) fn poll_output_below(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<(), Error>> {
        while self.out.len() > limit {
            if self.is_ended() || self.write_broken {
                return Poll::Ready(Err(self.ended().into()));
            }
            ready!(self.poll_room(cx));
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until all output is in the transport's hands. If the peer closes, what waits is dropped, and the end is waited for.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_ended() {
            // What the engine still has to say goes nowhere.
            self.shut_down(cx);
            return Poll::Ready(Err(self.ended().into()));
        }
        self.tell_time();
        self.write(cx);
        if !self.is_flushed() || self.is_late() {
            self.read_ahead(cx);
        }
        if self.is_ended() || self.write_broken {
            return Poll::Ready(Err(self.ended().into()));
        }
        if !self.is_flushed() {
            return Poll::Pending;
        }
        self.put_output_away();
        Poll::Ready(Ok(()))
    }

    /// Whether all is gone that was queued, and not dropped because the peer closed or broke a rule.
    fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.unflushed && !self.due && (self.endpoint.is_open() || self.closing)
    }

    /// Acts on deadlines that passed, after what arrived in time was taken in. Does not wait.
    pub(crate) fn poll_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tell_time();
        if self.is_late() {
            self.read_ahead(cx);
        }
        Poll::Ready(())
    }

    /// Waits for the end of the connection.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.read_ahead(cx);
        if self.is_ended() { Poll::Ready(()) } else { Poll::Pending }
    }
}
