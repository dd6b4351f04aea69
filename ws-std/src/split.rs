use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;

use ws_core::{Kind, Opened, Outcome, Part, PreparedMessage, StatusCode};

use crate::driver::Driver;
use crate::{Duplex, Error, Message, MessageRef, Transport, WebSocket};

/// The reading half of a split connection.
///
/// Its methods are those of [`WebSocket`]. Once it is dropped, messages that still come are dropped too.
pub struct Reader<S: Transport = TcpStream> {
    driver: Arc<Driver<S>>,
    /// Kept for the whole.
    opened: Option<Box<Opened>>,
    /// Joined with the other half again: there is nothing to do on drop.
    joined: bool,
}

/// The writing half of a split connection.
///
/// Its methods are those of [`WebSocket`].
pub struct Writer<S = TcpStream> {
    driver: Arc<Driver<S>>,
}

impl<S: Transport> Reader<S> {
    pub(crate) const fn new(driver: Arc<Driver<S>>, opened: Option<Box<Opened>>) -> Self {
        Self { driver, opened, joined: false }
    }

    /// Returns the stream. Reading from it or writing to it breaks the connection.
    pub fn get_ref(&self) -> &S {
        self.driver.stream()
    }

    /// Returns how the connection ended; `None` while it did not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.driver.outcome()
    }

    /// Waits for the next message. See [`WebSocket::read`].
    ///
    /// # Errors
    /// As there.
    pub fn read(&mut self) -> Result<Option<Message>, Error> {
        self.driver.read(false, |message| Message::from(message))
    }

    /// Waits for the next message and lends it to `take`. See [`WebSocket::read_ref`]; replies are for the other
    /// half. Of the messages that come in one read only the first is not copied.
    ///
    /// # Errors
    /// As there.
    pub fn read_ref<R>(&mut self, take: impl FnOnce(MessageRef<'_>) -> R) -> Result<Option<R>, Error> {
        self.driver.read(false, take)
    }

    /// Waits for the next part of a message and lends it to `take`. See [`WebSocket::read_part`].
    ///
    /// # Errors
    /// As there.
    pub fn read_part<R>(&mut self, take: impl FnOnce(Part<'_>) -> R) -> Result<Option<R>, Error> {
        self.driver.read_part(false, take)
    }
}

impl<S: Duplex> Reader<S> {
    /// Joins the halves of one connection again.
    ///
    /// # Errors
    /// Both halves as they were, if they are not of one connection.
    pub fn join(mut self, writer: Writer<S>) -> Result<WebSocket<S>, (Self, Writer<S>)> {
        if !Arc::ptr_eq(&self.driver, &writer.driver) {
            return Err((self, writer));
        }
        self.joined = true;
        Ok(WebSocket::over(writer.driver, self.opened.take()))
    }
}

impl<S: Transport> Drop for Reader<S> {
    fn drop(&mut self) {
        if !self.joined {
            self.driver.refuse_messages();
        }
    }
}

impl<S: Transport> Writer<S> {
    pub(crate) const fn new(driver: Arc<Driver<S>>) -> Self {
        Self { driver }
    }

    /// Returns the stream. Reading from it or writing to it breaks the connection.
    pub fn get_ref(&self) -> &S {
        self.driver.stream()
    }

    /// Returns how the connection ended; `None` while it did not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.driver.outcome()
    }

    /// Returns the number of bytes that are queued and that the stream did not take yet.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.driver.output_len()
    }

    /// Sends a message. See [`WebSocket::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, message: Message) -> Result<(), Error> {
        self.driver.send_message(&message)
    }

    /// Sends a text message. See [`WebSocket::send_text`].
    ///
    /// # Errors
    /// As there.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.driver.send_text(text)
    }

    /// Sends a binary message. See [`WebSocket::send_binary`].
    ///
    /// # Errors
    /// As there.
    pub fn send_binary(&mut self, data: &[u8]) -> Result<(), Error> {
        self.driver.send_binary(data)
    }

    /// Sends a message as it is. See [`WebSocket::send_uncompressed`].
    ///
    /// # Errors
    /// As there.
    pub fn send_uncompressed(&mut self, message: Message) -> Result<(), Error> {
        self.driver.send_uncompressed(&message)
    }

    /// Sends a message that was prepared. See [`WebSocket::send_prepared`].
    ///
    /// # Errors
    /// As there.
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), Error> {
        self.driver.send_prepared(message)
    }

    /// Sends a part of a message. See [`WebSocket::send_part`].
    ///
    /// # Errors
    /// As there.
    pub fn send_part(&mut self, kind: Kind, data: &[u8], last: bool) -> Result<(), Error> {
        self.driver.send_part(kind, data, last)
    }

    /// Sends a Ping. See [`WebSocket::ping`].
    ///
    /// # Errors
    /// As there.
    pub fn ping(&mut self, data: &[u8]) -> Result<(), Error> {
        self.driver.ping(data)
    }

    /// Queues a message without writing anything; it leaves with the next message sent, with [`flush`], or when
    /// the reading half waits next. See [`WebSocket::feed`].
    ///
    /// # Errors
    /// As there.
    ///
    /// [`flush`]: Self::flush
    pub fn feed(&mut self, message: &Message) -> Result<(), Error> {
        self.driver.feed(message)
    }

    /// Waits until the system took all that is queued. See [`WebSocket::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.driver.flush()
    }

    /// Sends the Close frame; the reading half reads until the end. See [`WebSocket::start_close`].
    ///
    /// # Errors
    /// As there.
    pub fn start_close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<(), Error> {
        self.driver.start_close(code.into(), reason)
    }

    /// Closes the connection and waits for its end; the reading half still gets what comes before it. See
    /// [`WebSocket::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<Outcome, Error> {
        self.driver.close(code.into(), reason, false)
    }
}

impl<S: Transport> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
