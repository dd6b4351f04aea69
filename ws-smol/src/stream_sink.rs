//! `Stream` and `Sink`, for combinators. Their two ends may be polled by different tasks.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use ws_core::StatusCode;

use crate::driver::Driver;
use crate::wakers::{Half, Pair};
use crate::{Error, Message, MessageRef, Replies, WebSocket};

/// What a connection needs on top to be a `Stream` and a `Sink`.
pub(crate) struct Bridge {
    tasks: Pair,
    /// The stream gave its last item.
    done: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn poll_as<R>(
        &mut self,
        half: Half,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Driver<S>, &mut Context<'_>) -> R,
    ) -> R {
        let bridge = self.bridge.get_or_insert_with(|| Box::new(Bridge { tasks: Pair::new(), done: false }));
        let mut cx = bridge.tasks.enter(half, cx);
        let result = poll(&mut self.driver, &mut cx);
        if self.driver.concerns_other(half) {
            bridge.tasks.wake_other(half);
        }
        result
    }
}

/// Ends after a clean end of the connection; any other end is the last item.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_terminated() {
            return Poll::Ready(None);
        }
        let mut take = Some(|message: MessageRef<'_>, _: &mut Replies<'_>| Message::from(message));
        let item = ready!(self.poll_as(Half::Reader, cx, |driver, cx| driver.poll_message(cx, &mut take)));
        if !matches!(item, Ok(Some(_)))
            && let Some(bridge) = &mut self.bridge
        {
            bridge.done = true;
        }
        Poll::Ready(item.transpose())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FusedStream for WebSocket<S> {
    fn is_terminated(&self) -> bool {
        self.bridge.as_ref().is_some_and(|bridge| bridge.done)
    }
}

/// Ready as long as half of [`max_output_len`](ws_core::Config::max_output_len) is free; so no message of up to
/// that size is ever refused for lack of room. `poll_close` starts the closing handshake with 1000 and waits for
/// the end of the connection.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let limit = self.config().max_output_len / 2;
        if self.output_len() <= limit {
            return Poll::Ready(Ok(()));
        }
        self.poll_as(Half::Writer, cx, |driver, cx| driver.poll_output_below(cx, limit))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.feed(&message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_as(Half::Writer, cx, Driver::poll_flush)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_as(Half::Writer, cx, |driver, cx| {
            ready!(driver.poll_deadlines(cx));
            driver.start_close(Some(StatusCode::NORMAL), "")?;
            driver.poll_end(cx).map(Ok::<_, Error>)
        }))?;
        Poll::Ready(match self.outcome() {
            Some(outcome) if outcome.is_clean() => Ok(()),
            _ => Err(self.driver.ended().into()),
        })
    }
}
