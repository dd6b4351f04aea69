use core::future::poll_fn;
use core::task::{Context, Poll};
use std::fmt;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{
    Config, Delivery, Endpoint, Kind, Opened, Outcome, Part, PreparedMessage, Role, SendBuffer, SendError,
    StatusCode,
};

use crate::driver::{Driver, part_of};
use crate::stream_sink::Bridge;
use crate::{Error, Message, MessageRef, Parts, Reader, TcpStream, Writer, split};

/// A WebSocket connection over a byte stream.
///
/// [`connect`](crate::connect) and [`accept`](crate::accept) open one. All state lives in this value and none in
/// the futures of its methods: each can be dropped at any await without losing a byte, tearing a frame, or sending
/// twice. A reading future that is dropped has taken nothing, a sending one has sent nothing.
///
/// Whatever is awaited here also does what the protocol asks for: Pings are answered, keepalive Pings sent, the
/// closing handshake is carried on and deadlines are kept, while reading and while waiting to send. Nothing of
/// that happens while nothing is awaited: keep a read pending, as nearly every application does anyway. A deadline
/// that passed meanwhile is acted on in the next call that waits or sends, after what arrived in time was taken in, as
/// far as it may be received ahead or is asked for. An application that only sends is looked after with each message
/// it sends.
///
/// Dropping it closes the transport, without a closing handshake unless [`close`](Self::close) came before.
///
/// # Output and back-pressure
/// `send_*` queue a message, write at once what the stream takes, and return; they wait only while the message
/// does not fit below [`max_output_len`](Config::max_output_len). So two peers that both send a lot before they
/// read do not block each other as long as it fits. [`flush`](Self::flush) waits until the stream took everything:
/// use it, or a lower limit, where less memory is to be held. While a call waits to send, up to 64 KiB of messages
/// (and the one that passes that mark) are received ahead; then reading stops until the application reads.
///
/// [`feed`](Self::feed) and [`Replies`] only queue. What they queue leaves in one write with the next call that
/// sends, flushes, or waits for input.
///
/// # Memory
/// An idle connection holds no buffer. A busy one borrows 64 KiB to read into, until all of it was looked at.
/// Beyond that, one connection holds at most what [`ws_core`] does for a message that arrives,
/// [`max_output_len`](Config::max_output_len) bytes of output, and the messages that were received ahead.
pub struct WebSocket<S = TcpStream> {
    pub(crate) driver: Box<Driver<S>>,
    /// Made when the connection is first used as a `Stream` or `Sink`.
    pub(crate) bridge: Option<Box<Bridge>>,
}

impl<S> WebSocket<S> {
    /// Goes on with a connection that is open already: opened by other means, or taken apart by
    /// [`into_parts`](Self::into_parts).
    ///
    /// ```no_run
    /// # async fn upgraded(stream: smol::net::TcpStream) {
    /// use std::sync::Arc;
    /// use ws_core::{Config, Connection, Role};
    /// use ws_smol::{Parts, WebSocket};
    /// // Behind an HTTP server that answered 101 and handed the stream over.
    /// let connection = Connection::new(Role::Server, &Arc::new(Config::default()), ws_smol::now(), None);
    /// let ws = WebSocket::from_parts(Parts::new(stream, connection));
    /// # }
    /// ```
    #[must_use]
    pub fn from_parts(parts: Parts<S>) -> Self {
        Self::over(Driver::new(parts))
    }

    /// Takes the connection apart, with all that was received and not read, and all that was to be sent and was
    /// not: nothing is lost.
    #[must_use]
    pub fn into_parts(self) -> Parts<S> {
        self.driver.into_parts()
    }

    pub(crate) const fn over(driver: Box<Driver<S>>) -> Self {
        Self { driver, bridge: None }
    }

    /// Returns what the opening handshake ended in: both heads. `None` if it was not done here, or after
    /// [`take_opened`](Self::take_opened).
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.driver.opened.as_deref()
    }

    /// Gives out what the opening handshake ended in, which takes memory as long as the connection holds it.
    pub const fn take_opened(&mut self) -> Option<Box<Opened>> {
        self.driver.opened.take()
    }

    /// Returns the subprotocol that was agreed on in the opening handshake, as long as [`opened`](Self::opened)
    /// is there.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened().and_then(Opened::subprotocol)
    }

    /// Returns how the connection ended; `None` while it did not, or while that was not found out by a call.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.driver.outcome()
    }

    /// Returns the limits and deadlines in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        self.driver.endpoint.config()
    }

    /// Puts other limits and deadlines in force: see [`ws_core::Connection::set_config`]. How messages are delivered
    /// stays as it was.
    pub fn set_config(&mut self, config: &Arc<Config>) {
        self.driver.endpoint.set_config(crate::clock::now(), config);
    }

    /// Returns which half of the connection this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.driver.endpoint.role()
    }

    /// Returns the stream, to look at: bytes read from it or written to it tear the connection.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.driver.stream
    }

    /// Returns the number of bytes that are queued and that the stream did not take yet.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.driver.out.len()
    }

    /// Queues a message without writing anything.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit or cannot be sent now, [`Error::Ended`] if the connection is over.
    pub fn feed(&mut self, message: &Message) -> Result<(), Error> {
        self.driver.feed(message)
    }

    /// Starts the closing handshake without waiting for it: queues the Close frame behind all else. Messages can
    /// be read until the end, but none sent. `None` sends no code (1005).
    ///
    /// This is [`close`](Self::close) for an application that wants what the peer still has to say. Does nothing
    /// if either side started the closing handshake before.
    ///
    /// A deadline that has passed ends the connection instead, whatever arrived and was not read: [`close`](Self::close)
    /// reads that before.
    ///
    /// # Errors
    /// [`SendError::ReasonTooLong`] or [`SendError::ReasonWithoutCode`] in [`Error::Refused`].
    pub fn start_close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<(), Error> {
        self.driver.start_close(code.into(), reason)
    }

    /// Splits the connection into a reading and a writing half that two tasks can use at once.
    ///
    /// Each half alone keeps the connection going while it is awaited: Pongs and Close frames leave while one task
    /// only reads, and while one only writes. Both poll the stream, so neither lends it as [`get_ref`](Self::get_ref) does:
    /// ask it before for what is to be known, such as addresses, or join the halves.
    #[must_use]
    pub fn split(self) -> (Reader<S>, Writer<S>) {
        split::split(self.driver)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Waits for the next message.
    ///
    /// `None`: the connection ended cleanly, both Close frames went over the wire;
    /// [`outcome`](Self::outcome) has the code.
    ///
    /// # Errors
    /// [`Error::Ended`] if it ended in any other way, with the same again at each further call.
    pub fn read(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
        self.read_ref(|message, _| message.into())
    }

    /// Waits for the next message and lends it to `take`, with a way to queue replies while it is at hand.
    ///
    /// A message that came whole in one read is neither copied nor allocated for. Replies leave with the next
    /// call that waits or sends, so a read that brought many messages is answered by one write.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// ```
    /// # use futures_io::{AsyncRead, AsyncWrite};
    /// use ws_smol::{Error, WebSocket};
    ///
    /// async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    ///     while let Some(queued) = ws.read_ref(|message, replies| replies.send(&message)).await? {
    ///         queued?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn read_ref<R>(
        &mut self,
        take: impl FnOnce(MessageRef<'_>, &mut Replies<'_>) -> R,
    ) -> impl Future<Output = Result<Option<R>, Error>> {
        let mut take = Some(take);
        poll_fn(move |cx| self.driver.poll_message(cx, &mut take))
    }

    /// Waits for the next part of a message, with [`Delivery::Parts`], and lends it to `take`; else for the next
    /// message, as its only part.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_part<R>(
        &mut self,
        take: impl FnOnce(Part<'_>) -> R,
    ) -> impl Future<Output = Result<Option<R>, Error>> {
        let mut take = Some(take);
        poll_fn(move |cx| {
            self.driver.poll_taken(cx, |part, _| {
                let take = take.take()?;
                Some(take(part))
            })
        })
    }

    /// Sends a message: queues it and writes what the stream takes. Waits only while there is no room for it; if
    /// the future is dropped then, nothing was sent.
    ///
    /// # Errors
    /// [`Error::Refused`], and nothing was queued; [`Error::Ended`], and the message may not have reached the
    /// peer.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| send(endpoint, out, &message))
    }

    /// Sends a text message. See [`send`](Self::send).
    ///
    /// # Errors
    /// As there.
    pub fn send_text(&mut self, text: &str) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_text(text, out))
    }

    /// Sends a binary message. See [`send`](Self::send).
    ///
    /// # Errors
    /// As there.
    pub fn send_binary(&mut self, data: &[u8]) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_binary(data, out))
    }

    /// Sends a message as it is, also where permessage-deflate was agreed on: one that holds a secret beside what others
    /// may choose, or that is compressed already. See [`send`](Self::send).
    ///
    /// # Errors
    /// As there.
    pub fn send_uncompressed(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_uncompressed(&message.lend(), out))
    }

    /// Sends a message that was prepared: framed once, and compressed once, for many connections. See
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// As there.
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_prepared(message, out))
    }

    /// Sends a part of a message, as a fragment; `last` ends the message. A text may be cut anywhere.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_part(
        &mut self,
        kind: Kind,
        data: &[u8],
        last: bool,
    ) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_part(kind, data, last, out))
    }

    /// Sends a Ping with at most 125 bytes of Application data. Its Pong shows in nothing but the traffic;
    /// [`ping_interval`](Config::ping_interval) has the connection watched.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, data: &[u8]) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.ping(data, out))
    }

    fn send_with(
        &mut self,
        mut queue: impl FnMut(&mut Endpoint, &mut SendBuffer) -> Result<(), SendError>,
    ) -> impl Future<Output = Result<(), Error>> {
        poll_fn(move |cx| self.driver.poll_send(cx, &mut queue))
    }

    /// Waits until the stream took all that is queued.
    ///
    /// # Errors
    /// [`Error::Ended`] if the connection is over, or the peer closes it while this waits: data that wait then are
    /// dropped.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), Error>> {
        poll_fn(|cx| self.driver.poll_flush(cx))
    }

    /// Closes the connection: sends the Close frame behind all that is queued, or answers the peer's, waits for
    /// the end, for [`close_timeout`](Config::close_timeout) at most, and returns the outcome. `None` sends no
    /// code (1005).
    ///
    /// Messages that were not read are dropped, and so are those that still come; see
    /// [`start_close`](Self::start_close). If the future is dropped, the closing handshake goes on with the next
    /// call.
    ///
    /// # Errors
    /// [`SendError::ReasonTooLong`] or [`SendError::ReasonWithoutCode`] in [`Error::Refused`]; nothing happened then.
    pub async fn close(
        &mut self,
        code: impl Into<Option<StatusCode>>,
        reason: &str,
    ) -> Result<Outcome, Error> {
        poll_fn(|cx| self.driver.poll_deadlines(cx)).await;
        self.driver.start_close(code.into(), reason)?;
        self.driver.ahead.refuse();
        poll_fn(|cx| self.driver.poll_end(cx)).await;
        Ok(self.outcome().cloned().unwrap_or(Outcome::Aborted))
    }
}

impl<S: fmt::Debug> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("stream", &self.driver.stream)
            .field("role", &self.role())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

/// Queues messages while one that was received is at hand. Never waits: what does not fit is refused.
#[derive(Debug)]
pub struct Replies<'a> {
    endpoint: &'a mut Endpoint,
    out: &'a mut SendBuffer,
}

impl<'a> Replies<'a> {
    pub(crate) const fn new(endpoint: &'a mut Endpoint, out: &'a mut SendBuffer) -> Self {
        Self { endpoint, out }
    }

    /// Queues a message, such as the one at hand.
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
    #[inline]
    pub fn send(&mut self, message: &MessageRef<'_>) -> Result<(), Error> {
        match message {
            MessageRef::Text(text) => self.send_text(text),
            MessageRef::Binary(data) => self.send_binary(data),
        }
    }

    /// Queues a text message.
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.endpoint.send_text(text, self.out)?)
    }

    /// Queues a binary message.
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
    #[inline]
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        Ok(self.endpoint.send_binary(data, self.out)?)
    }
}

/// Queues an owned message.
#[inline]
pub(crate) fn send(
    endpoint: &mut Endpoint,
    out: &mut SendBuffer,
    message: &Message,
) -> Result<(), SendError> {
    match message {
        Message::Text(text) => endpoint.send_text(text, out),
        Message::Binary(data) => endpoint.send_binary(data, out),
    }
}

impl<S> Driver<S> {
    pub(crate) fn feed(&mut self, message: &Message) -> Result<(), Error> {
        self.queue(&mut |endpoint, out| send(endpoint, out, message)).map_err(|error| self.refusal(error))
    }

    /// Checks that messages are delivered whole.
    #[inline]
    pub(crate) fn check_whole(&self) -> Result<(), Error> {
        match self.endpoint.config().delivery {
            Delivery::Messages => Ok(()),
            Delivery::Parts => Err(Error::DeliveredInParts),
        }
    }

    /// Returns what a read returns that came to the end.
    #[cold]
    pub(crate) fn end_of_messages<R>(&self) -> Result<Option<R>, Error> {
        if self.outcome().is_some_and(Outcome::is_clean) { Ok(None) } else { Err(self.ended().into()) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Waits for a message and lends it to what is in `take`.
    #[inline]
    pub(crate) fn poll_message<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut Option<impl FnOnce(MessageRef<'_>, &mut Replies<'_>) -> R>,
    ) -> Poll<Result<Option<R>, Error>> {
        self.check_whole()?;
        self.poll_taken(cx, |part, replies| {
            let take = take.take()?;
            Some(take(part.data, replies))
        })
    }

    /// Waits for a part of a message, or for a whole one as its only part, and lends it to `take`.
    #[inline]
    pub(crate) fn poll_taken<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Part<'_>, &mut Replies<'_>) -> Option<R>,
    ) -> Poll<Result<Option<R>, Error>> {
        if let Some(part) = self.ahead.pop() {
            self.prepare_output();
            return Poll::Ready(Ok(take(part, &mut Replies::new(&mut self.endpoint, &mut self.out))));
        }
        match self.poll_event(cx, &mut |event, replies| take(part_of(event)?, replies)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(self.end_of_messages()),
            Poll::Ready(taken) => Poll::Ready(Ok(taken)),
        }
    }
}
