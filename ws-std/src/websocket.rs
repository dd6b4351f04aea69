use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;

use ws_core::{Config, Kind, Opened, Outcome, Part, PreparedMessage, Role, StatusCode};

use crate::driver::Driver;
use crate::split::{Reader, Writer};
use crate::{Duplex, Error, Message, MessageRef, Parts, Transport};

/// A WebSocket connection over a stream that blocks, open until told otherwise.
///
/// Whatever waits here also does what the protocol asks for: Pings are answered, keepalive Pings sent, the
/// closing handshake is carried on and deadlines are kept, while reading and while waiting to send. Nothing of
/// that happens between calls; a deadline that passed meanwhile is acted on in the next one, after what arrived in
/// time was taken in. An application that only sends has Pings and the peer's Close looked for ten times a second.
///
/// Dropping it closes the stream without a closing handshake, unless [`close`](Self::close) came before.
///
/// # Output and back-pressure
/// `send_*` queue a message and return when the system took all of it. While it has no room, messages are
/// received ahead, up to [`max_output_len`](Config::max_output_len) bytes; then only room is waited for. So two
/// peers that both send a lot before they read do not block each other as long as it fits.
/// [`send_timeout`](Config::send_timeout) ends the wait for a peer that takes nothing.
///
/// [`feed`](Self::feed) and [`Replies`] only queue; what they queue leaves together in one write, with the next
/// call that sends, flushes, or waits for input.
///
/// # Memory
/// An idle connection holds no buffer: reads wait with 4 KiB that belong to the thread, whatever connections it
/// reads from. After a read that filled them it waits with 16 KiB, and after one that filled those with 64 KiB
/// more, until a read brings less than 4 KiB: who falls silent after a burst has them kept as long as a call waits
/// for it. A busy connection further holds what the engine's limits allow, a message under way and the output
/// queue, and the messages received ahead.
pub struct WebSocket<S = TcpStream> {
    driver: Arc<Driver<S>>,
    opened: Option<Box<Opened>>,
}

impl<S: Transport> WebSocket<S> {
    /// Goes on with a connection from its parts: one that was taken apart with
    /// [`into_parts`](Self::into_parts), or whose opening handshake something else did.
    ///
    /// ```no_run
    /// # fn upgraded(stream: std::net::TcpStream) {
    /// use std::sync::Arc;
    /// use ws_core::{Config, Connection, Role};
    /// use ws_std::{Parts, WebSocket};
    /// // Behind an HTTP server that answered 101 and handed the stream over.
    /// let connection = Connection::new(Role::Server, &Arc::new(Config::default()), ws_std::now(), None);
    /// let ws = WebSocket::from_parts(Parts::new(stream, connection));
    /// # }
    /// ```
    pub fn from_parts(parts: Parts<S>) -> Self {
        Self::over(Arc::new(Driver::new(parts)), None)
    }

    /// Takes the connection apart, to be gone on with elsewhere; nothing is lost. What the application was given
    /// but did not read, and what it sent but the stream did not take, is among the parts.
    pub fn into_parts(self) -> Parts<S> {
        Arc::into_inner(self.driver).expect("halves exist only after split").into_parts()
    }

    pub(crate) const fn over(driver: Arc<Driver<S>>, opened: Option<Box<Opened>>) -> Self {
        Self { driver, opened }
    }

    /// Returns what the opening handshake ended in: both heads. `None` if it was not done here, and after
    /// [`take_opened`](Self::take_opened).
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_deref()
    }

    /// Takes out what the opening handshake ended in: it costs memory as long as the connection holds it.
    pub const fn take_opened(&mut self) -> Option<Box<Opened>> {
        self.opened.take()
    }

    /// Returns the subprotocol that was agreed on in the opening handshake, as long as [`opened`](Self::opened)
    /// tells.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened.as_ref().and_then(|opened| opened.subprotocol())
    }

    /// Returns the stream. Reading from it or writing to it breaks the connection.
    pub fn get_ref(&self) -> &S {
        self.driver.stream()
    }

    /// Returns how the connection ended; `None` while it did not. It is known when a read returned the end.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.driver.outcome()
    }

    /// Returns the limits and deadlines in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.driver.with_endpoint(|endpoint| Arc::clone(endpoint.config()))
    }

    /// Puts other limits and deadlines in force: see [`ws_core::Connection::set_config`]. How messages are delivered
    /// stays as it was.
    pub fn set_config(&mut self, config: &Arc<Config>) {
        self.driver.with_endpoint(|endpoint| endpoint.set_config(crate::clock::now(), config));
    }

    /// Returns which half of the connection this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.driver.with_endpoint(|endpoint| endpoint.role())
    }

    /// Returns the number of bytes that are queued and that the stream did not take yet.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.driver.output_len()
    }

    /// Waits for the next message.
    ///
    /// `None`: the connection ended cleanly, both Close frames went over the wire;
    /// [`outcome`](Self::outcome) has the code.
    ///
    /// # Errors
    /// [`Error::Ended`] if it ended in any other way, with the same again at each further call.
    pub fn read(&mut self) -> Result<Option<Message>, Error> {
        self.driver.read(true, |message| Message::from(message))
    }

    /// Waits for the next message and lends it to `take`, with a way to queue replies while it is at hand.
    ///
    /// A message that came whole in one read is neither copied nor allocated for. Replies leave with the next call that waits or sends, so a read that brought many
    /// messages is answered by one write.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// ```
    /// # use ws_std::{Error, Transport, WebSocket};
    /// fn echo<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    ///     while let Some(queued) = ws.read_ref(|message, replies| replies.send(&message))? {
    ///         queued?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn read_ref<R>(
        &mut self,
        take: impl FnOnce(MessageRef<'_>, &mut Replies<'_, S>) -> R,
    ) -> Result<Option<R>, Error> {
        self.driver.read(true, |message| take(message, &mut Replies { driver: &self.driver }))
    }

    /// Waits for the next part of a message, with [`Delivery::Parts`](ws_core::Delivery::Parts), and lends it to
    /// `take`; else for the next message, as its only part.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_part<R>(&mut self, take: impl FnOnce(Part<'_>) -> R) -> Result<Option<R>, Error> {
        self.driver.read_part(true, take)
    }

    /// Sends a message: queues it and writes until the system took all of it.
    ///
    /// # Errors
    /// [`Error::Refused`], and nothing was queued, except that with
    /// [`SendError::Closing`](ws_core::SendError::Closing) the peer may have closed in the middle;
    /// [`Error::Ended`], and the message may not have reached the peer.
    pub fn send(&mut self, message: Message) -> Result<(), Error> {
        self.driver.send_message(&message)
    }

    /// Sends a text message. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.driver.send_text(text)
    }

    /// Sends a binary message. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.driver.send_binary(data)
    }

    /// Sends a message as it is, also where permessage-deflate was agreed on: one that holds a secret beside what others
    /// may choose, or that is compressed already. See [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_uncompressed(&mut self, message: Message) -> Result<(), Error> {
        self.driver.send_uncompressed(&message)
    }

    /// Sends a message that was prepared: framed once, and compressed once, for many connections. See
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), Error> {
        self.driver.send_prepared(message)
    }

    /// Sends a part of a message as a frame of its own; `last` ends the message. A text may be cut anywhere.
    ///
    /// # Errors
    /// As [`send`](Self::send). A message in parts must be ended before another is sent.
    pub fn send_part(&mut self, kind: Kind, data: &[u8], last: bool) -> Result<(), Error> {
        self.driver.send_part(kind, data, last)
    }

    /// Sends a Ping with at most 125 bytes of Application data. The Pong is taken in silence: with
    /// [`ping_interval`](Config::ping_interval) the engine itself finds out whether the peer is there.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&mut self, data: &[u8]) -> Result<(), Error> {
        self.driver.ping(data)
    }

    /// Queues a message without writing anything.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit or cannot be sent now, [`Error::Ended`] if the connection is over.
    pub fn feed(&mut self, message: &Message) -> Result<(), Error> {
        self.driver.feed(message)
    }

    /// Waits until the system took all that is queued.
    ///
    /// # Errors
    /// [`Error::Ended`] if the connection is over.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.driver.flush()
    }

    /// Sends the Close frame; messages can then be read until the end, but none sent. `None` sends no code
    /// (1005).
    ///
    /// This is [`close`](Self::close) for applications that want what the peer still has to say. Does nothing
    /// if the closing handshake was started before, by either side.
    ///
    /// # Errors
    /// [`SendError::ReasonTooLong`](ws_core::SendError::ReasonTooLong) or
    /// [`SendError::ReasonWithoutCode`](ws_core::SendError::ReasonWithoutCode) in [`Error::Refused`]; nothing happened then.
    pub fn start_close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<(), Error> {
        self.driver.start_close(code.into(), reason)
    }

    /// Closes the connection: sends the Close frame behind what is queued, waits for the peer's and for the end,
    /// for [`close_timeout`](Config::close_timeout) at most, and returns the outcome. `None` sends no code
    /// (1005).
    ///
    /// Messages not read yet, and those that still come, are dropped; see [`start_close`](Self::start_close). If
    /// the peer closes already, or the connection is over, this waits for the same end.
    ///
    /// # Errors
    /// [`SendError::ReasonTooLong`](ws_core::SendError::ReasonTooLong) or
    /// [`SendError::ReasonWithoutCode`](ws_core::SendError::ReasonWithoutCode) in [`Error::Refused`]; nothing happened then.
    pub fn close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<Outcome, Error> {
        self.driver.close(code.into(), reason, true)
    }
}

impl<S: Duplex> WebSocket<S> {
    /// Splits the connection into a reading and a writing half that can be used at once, in different threads.
    ///
    /// Neither waits for the other. Each half alone keeps the connection going while it waits: Pongs and Close
    /// frames leave while one only reads, and while one only writes.
    pub fn split(self) -> (Reader<S>, Writer<S>) {
        let reader = Reader::new(Arc::clone(&self.driver), self.opened);
        (reader, Writer::new(self.driver))
    }
}

impl<S: fmt::Debug + Transport> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("stream", self.get_ref())
            .field("role", &self.role())
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

/// Queues messages while one that was received is at hand. Never waits: what does not fit is refused.
pub struct Replies<'a, S = TcpStream> {
    driver: &'a Driver<S>,
}

impl<S: Transport> Replies<'_, S> {
    /// Queues a message, such as the one at hand.
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
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
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.driver.feed_text(text)
    }

    /// Queues a binary message.
    ///
    /// # Errors
    /// As [`WebSocket::feed`].
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.driver.feed_binary(data)
    }
}

impl<S> fmt::Debug for Replies<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
