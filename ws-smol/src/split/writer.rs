use core::future::poll_fn;
use std::fmt;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Endpoint, Kind, Outcome, PreparedMessage, SendBuffer, SendError, StatusCode};

use super::Shared;
use crate::driver::Driver;
use crate::wakers::Half;
use crate::websocket::send;
use crate::{Error, Message, TcpStream};

/// The half of a connection that sends, from [`WebSocket::split`](crate::WebSocket::split).
///
/// As cancel-safe as the whole.
pub struct Writer<S = TcpStream> {
    shared: Arc<Shared<S>>,
}

impl<S> Writer<S> {
    pub(super) const fn new(shared: Arc<Shared<S>>) -> Self {
        Self { shared }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// As [`WebSocket::outcome`](crate::WebSocket::outcome).
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.lock().outcome().cloned()
    }

    /// As [`WebSocket::output_len`](crate::WebSocket::output_len).
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.shared.lock().out.len()
    }

    /// As [`WebSocket::feed`](crate::WebSocket::feed). What is queued leaves with the next call here that sends or
    /// flushes, if not before.
    ///
    /// # Errors
    /// As there.
    pub fn feed(&mut self, message: &Message) -> Result<(), Error> {
        self.shared.lock().feed(message)
    }

    /// As [`WebSocket::start_close`](crate::WebSocket::start_close): the reading half goes on from there, and
    /// reads until the end.
    ///
    /// # Errors
    /// As there.
    pub fn start_close(&mut self, code: impl Into<Option<StatusCode>>, reason: &str) -> Result<(), Error> {
        let mut driver = self.shared.lock();
        let result = driver.start_close(code.into(), reason);
        self.shared.end_step(Half::Writer, driver);
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<S> {
    /// As [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| send(endpoint, out, &message))
    }

    /// As [`WebSocket::send_text`](crate::WebSocket::send_text).
    ///
    /// # Errors
    /// As there.
    pub fn send_text(&mut self, text: &str) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_text(text, out))
    }

    /// As [`WebSocket::send_binary`](crate::WebSocket::send_binary).
    ///
    /// # Errors
    /// As there.
    pub fn send_binary(&mut self, data: &[u8]) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_binary(data, out))
    }

    /// As [`WebSocket::send_uncompressed`](crate::WebSocket::send_uncompressed).
    ///
    /// # Errors
    /// As there.
    pub fn send_uncompressed(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_uncompressed(&message.lend(), out))
    }

    /// As [`WebSocket::send_prepared`](crate::WebSocket::send_prepared).
    ///
    /// # Errors
    /// As there.
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_prepared(message, out))
    }

    /// As [`WebSocket::send_part`](crate::WebSocket::send_part).
    ///
    /// # Errors
    /// As there.
    pub fn send_part(
        &mut self,
        kind: Kind,
        data: &[u8],
        last: bool,
    ) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.send_part(kind, data, last, out))
    }

    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    /// As there.
    pub fn ping(&mut self, data: &[u8]) -> impl Future<Output = Result<(), Error>> {
        self.send_with(move |endpoint, out| endpoint.ping(data, out))
    }

    fn send_with(
        &mut self,
        mut queue: impl FnMut(&mut Endpoint, &mut SendBuffer) -> Result<(), SendError>,
    ) -> impl Future<Output = Result<(), Error>> {
        poll_fn(move |cx| self.shared.step(Half::Writer, cx, |driver, cx| driver.poll_send(cx, &mut queue)))
    }

    /// As [`WebSocket::flush`](crate::WebSocket::flush).
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), Error>> {
        poll_fn(|cx| self.shared.step(Half::Writer, cx, Driver::poll_flush))
    }

    /// As [`WebSocket::close`](crate::WebSocket::close), but messages that still come are for the reading half,
    /// as long as it is there.
    ///
    /// # Errors
    /// As there.
    pub async fn close(
        &mut self,
        code: impl Into<Option<StatusCode>>,
        reason: &str,
    ) -> Result<Outcome, Error> {
        poll_fn(|cx| self.shared.step(Half::Writer, cx, Driver::poll_deadlines)).await;
        self.start_close(code, reason)?;
        poll_fn(|cx| self.shared.step(Half::Writer, cx, Driver::poll_end)).await;
        Ok(self.outcome().unwrap_or(Outcome::Aborted))
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("outcome", &self.outcome()).finish_non_exhaustive()
    }
}
