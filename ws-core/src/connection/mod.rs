//! One connection in its open and closing states.
//!
//! ```text
//!            close()                     peer's Close
//!   Open ───────────────▶ our Close sent ─────────────┐
//!    │                                                ▼
//!    ├── peer's Close ──▶ reply due ── reply taken ──▶ Clean ── server: at once, client: peer's EOF ──▶ Closed
//!    ├── rule broken, message or idle deadline ──▶ our Close sent, input discarded ── EOF or deadline ──▶ Closed
//!    └── EOF, transport lost, Pong or send deadline, abort() ────────────────────────────────────────▶ Closed
//! ```

mod assembly;
mod close;
mod control;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod inflate;
mod lend;
mod parts;
mod pong;
mod receive;
mod send;
mod send_prepared;
mod settings;
mod timer;

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::chunk::Arrival;
use crate::{
    Chunk, Config, Deadline, Event, Instant, KeySource, Outcome, ProtocolError, Role, SendBuffer, StatusCode,
};
use close::Closing;
use lend::LendEnds;
use pong::PendingPongs;
use receive::Receiver;
use timer::{Timer, Timers};

/// One WebSocket connection after its opening handshake: protocol state only.
///
/// Drive it the same way everywhere: give it what happened ([`poll_event`](Self::poll_event) with each chunk,
/// [`handle_eof`](Self::handle_eof), [`handle_timeout`](Self::handle_timeout)), poll events until `None`, then
/// [`poll_transmit`](Self::poll_transmit), write what [`SendBuffer::pending`] lends, report it with
/// [`handle_transmitted`](Self::handle_transmitted), and sleep until bytes arrive or
/// [`poll_timeout`](Self::poll_timeout). Spurious calls do nothing; none of them blocks or reads a clock.
///
/// # Memory
/// Between messages it holds no heap memory, except the generator of a client's masking keys, below 400 bytes.
/// Otherwise it and its [`SendBuffer`] hold, in bytes, at most the sum of
/// - `max_message_len + 4` for a message that does not lie whole in one chunk, and of that never more than twice
///   what was received of it, or what was received and the chunk at hand, or 1,024; none with
///   [`Delivery::Parts`](crate::Delivery::Parts);
/// - 136 for a control frame that the end of a chunk cut, and 1,024 for Pings that are not answered yet;
/// - `2 * (max_output_len + 3,358)` for the output: what the application queued, the Pongs to a flood of Pings,
///   a keepalive Ping and Close frames. Pings of the application that wait take twice their length on top.
///
/// Where permessage-deflate was agreed on, 300 more, an eighth of `max_output_len` twice, and for the compression what `DeflateConfig` says. What comes out
/// of a compressed message counts as received.
///
/// Nothing is reserved for lengths that are only declared, but for those 1,024 bytes once the payload has begun.
/// A buffer that grows is there twice for the moment that it is copied in.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    /// `Some` in a client, which masks.
    keys: Option<KeySource>,
    receiver: Receiver,
    pongs: PendingPongs,
    timers: Timers,
    closing: Closing,
    send: send::State,
    keepalive: Keepalive,
    lend_ends: LendEnds,
    /// `Some` where it was agreed on.
    #[cfg(feature = "deflate")]
    deflate: Option<Box<crate::deflate::Deflate>>,
}

/// The keepalive Pings (our use of RFC 6455, section 5.5.2).
#[derive(Debug, Default)]
struct Keepalive {
    /// The Application data of the last one, a count.
    last: u32,
    /// One is to be sent.
    due: bool,
    /// Its Pong has not come.
    awaited: bool,
}

impl Keepalive {
    const fn stop(&mut self) {
        self.due = false;
        self.awaited = false;
    }
}

impl Connection {
    /// Starts in the open state: what an opening handshake ends in, and the way in after another HTTP stack did
    /// it. A client needs `keys` to mask with; a server's are not used.
    ///
    /// # Panics
    /// If `role` is [`Role::Client`] and `keys` is `None`.
    #[must_use]
    pub fn new(role: Role, config: &Arc<Config>, now: Instant, keys: Option<KeySource>) -> Self {
        let keys = match role {
            Role::Client => Some(keys.expect("a client masks what it sends")),
            Role::Server => None,
        };
        let mut timers = Timers::new();
        if let Some(timeout) = config.idle_timeout {
            timers.set(Timer::Idle, now + timeout);
        }
        if let Some(interval) = config.ping_interval {
            timers.set(Timer::Ping, now + interval);
        }
        Self {
            config: Arc::clone(config),
            keys,
            receiver: Receiver::default(),
            pongs: PendingPongs::default(),
            timers,
            closing: Closing::default(),
            send: send::State::default(),
            keepalive: Keepalive::default(),
            lend_ends: LendEnds::new(role, config),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Compresses messages from now on as the opening handshake agreed. For a connection whose opening handshake was done
    /// elsewhere; [`Endpoint`](crate::Endpoint) does it by itself. Before anything else is done with the connection.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, params: crate::DeflateParams) -> Self {
        self.deflate = Some(crate::deflate::Deflate::new(self.role(), params));
        self.send = send::State::Compressing;
        self
    }

    /// Returns which half of the connection this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        if self.keys.is_some() { Role::Client } else { Role::Server }
    }

    /// Returns the limits and deadlines in force.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns the next event in `chunk`, or `None` when all its bytes were taken in.
    ///
    /// `now` is when the chunk arrived. After a timeout or the end of the stream, call it with
    /// [`Chunk::empty`]: [`Event::Closed`] may be due.
    #[inline]
    pub fn poll_event<'b>(&mut self, now: Instant, chunk: &mut Chunk<'b>) -> Option<Event<'b>> {
        match chunk.arrival() {
            Arrival::Seen => {}
            arrival => self.handle_arrival(now, arrival),
        }
        if self.closing.is_receiving() {
            if !self.receiver.is_midway() {
                match self.lend_short(chunk) {
                    Some(Ok(message)) => return Some(Event::Message(message)),
                    Some(Err(error)) => return Some(self.fail_in(now, chunk, error)),
                    None => {}
                }
                match self.lend_extended(chunk) {
                    Some(Ok(message)) => return Some(Event::Message(message)),
                    Some(Err(error)) => return Some(self.fail_in(now, chunk, error)),
                    None => {}
                }
                if chunk.is_empty() {
                    return None;
                }
            }
            match self.receive(now, chunk) {
                Ok(event) => return event,
                Err(error) => return Some(self.fail_in(now, chunk, error)),
            }
        }
        chunk.skip_all();
        self.closing.poll_closed().map(Event::Closed)
    }

    /// Takes in that the peer's stream ended.
    pub fn handle_eof(&mut self, _now: Instant) {
        self.closing.handle_eof();
        self.settle();
    }

    /// Takes in that the transport broke: a reset, a failed write, or any other error of its own.
    pub fn handle_transport_lost(&mut self, _now: Instant) {
        self.closing.end(Outcome::TransportLost);
        self.settle();
    }

    /// Gives the connection up without a closing handshake; [`Event::Closed`] follows.
    pub fn abort(&mut self) {
        self.closing.end(Outcome::Aborted);
        self.settle();
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Acts on the deadlines that passed by `now`. Early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Ping => {
                    self.keepalive.due = true;
                    self.keepalive.awaited = true;
                    self.keepalive.last = self.keepalive.last.wrapping_add(1);
                    self.timers.set(Timer::Pong, now + self.config.pong_timeout);
                }
                Timer::Message | Timer::Idle => self.time_out(now, timer.deadline()),
                Timer::Pong | Timer::Close | Timer::Send => {
                    self.closing.end(Outcome::TimedOut(timer.deadline()));
                }
            }
            self.settle();
        }
    }

    /// Appends the control frames that are due to `out`; returns whether anything is pending in `out`.
    ///
    /// Each Ping is answered, in its order; but while a Pong waits for the transport, or in a flood, only the
    /// latest is (RFC 6455, section 5.5.3). Pings and Pongs overtake the data that wait. A Close that answers the
    /// peer's, or fails the connection, goes behind the data, but drops those that wait because the transport did
    /// not take all it was offered.
    ///
    /// Write and call it again until it returns false, or the transport takes no more: another Pong may be due
    /// when the one before has left.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut SendBuffer) -> bool {
        if !self.pongs.is_empty() || self.keepalive.due || self.closing.is_due() {
            self.send_due(out);
        }
        if out.is_empty() {
            return false;
        }
        if let Some(timeout) = self.config.send_timeout
            && !self.timers.is_set(Timer::Send)
            && !self.closing.is_ended()
        {
            self.timers.set(Timer::Send, now + timeout);
        }
        true
    }

    /// Takes in that the transport accepted the first `n` bytes of [`SendBuffer::pending`]; 0 if it would block.
    ///
    /// # Panics
    /// If `n` exceeds what was pending.
    #[inline]
    pub fn handle_transmitted(&mut self, now: Instant, n: usize, out: &mut SendBuffer) {
        out.advance(n);
        if out.is_empty() {
            self.timers.clear(Timer::Send);
            if self.closing.handle_flushed(self.role()) {
                self.settle();
            }
        } else if let Some(timeout) = self.config.send_timeout
            && (n > 0 || !self.timers.is_set(Timer::Send))
            && !self.closing.is_ended()
        {
            self.timers.set(Timer::Send, now + timeout);
        }
    }

    /// Returns whether to shut down the transport's write half once `out` is flushed: this server sent its last
    /// frame and waits for the peer's end of the stream.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.closing.is_write_closed(self.role())
    }

    /// Returns whether the application may still send: no Close frame was sent or received.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closing.is_open()
    }

    /// Returns whether the connection ended: [`Event::Closed`] was delivered or is the next event.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closing.is_ended()
    }

    /// Fails the connection over what `chunk` holds.
    #[cold]
    fn fail_in(&mut self, now: Instant, chunk: &mut Chunk<'_>, error: ProtocolError) -> Event<'static> {
        self.fail(now, error);
        chunk.skip_all();
        Event::Failed(error)
    }

    /// Fails the connection (RFC 6455, section 7.1.7).
    fn fail(&mut self, now: Instant, error: ProtocolError) {
        self.closing.fail(Outcome::Failed(error), error.status_code());
        self.stop_receiving(now);
    }

    /// Gives up on a deadline that the peer can be told of.
    fn time_out(&mut self, now: Instant, deadline: Deadline) {
        let code = match deadline {
            Deadline::Idle => StatusCode::GOING_AWAY,
            _ => StatusCode::POLICY_VIOLATION,
        };
        self.closing.fail(Outcome::TimedOut(deadline), code);
        self.stop_receiving(now);
    }

    /// Drops what was received in part, and waits for the end within `close_timeout`.
    fn stop_receiving(&mut self, now: Instant) {
        self.receiver.discard();
        #[cfg(feature = "deflate")]
        if let Some(deflate) = &mut self.deflate {
            deflate.stop_receiving();
        }
        for timer in [Timer::Message, Timer::Idle, Timer::Ping, Timer::Pong] {
            self.timers.clear(timer);
        }
        self.keepalive.stop();
        self.arm_close(now);
    }

    fn arm_close(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Close) {
            self.timers.set(Timer::Close, now + self.config.close_timeout);
        }
    }

    /// Releases what an ended connection no longer needs.
    fn settle(&mut self) {
        if self.closing.is_ended() {
            self.timers.clear_all();
            self.receiver.discard();
            self.pongs.clear();
            self.keepalive.stop();
            #[cfg(feature = "deflate")]
            {
                self.deflate = None;
            }
        }
    }
}

const _: () = assert!(size_of::<Connection>() <= 256, "the promise of the docs");
