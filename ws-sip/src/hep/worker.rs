//! The thread that sends what waits in the queue.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::time::Instant;

use mio::{Events, Poll, Token};
use rustix::io::Errno;

use super::destination::{Destination, Transport};
use super::link::Link;
use super::packet::encoded_len;
use super::queue::Queue;
use super::sender::{Change, SenderOptions};
use super::tls::Tls;

/// How long to gather packets after some were sent: it spares whoever traces a system call for each.
const GATHER: Duration = Duration::from_millis(1);
/// A connection that lived so long was a good one: the next is tried without much delay.
const STEADY: Duration = Duration::from_secs(10);
/// So long nothing must have been dropped until it counts as over.
const QUIET: Duration = Duration::from_secs(1);
/// After so long the name of a collector that gets datagrams is looked up again.
const NAME_LIFETIME: Duration = Duration::from_secs(60);
const LINK: Token = Token(1);
/// The token of the queue's waker.
pub(super) const WAKER: Token = Token(0);

pub(super) struct Worker {
    destination: Destination,
    options: SenderOptions,
    tls: Option<Tls>,
    queue: Arc<Queue>,
    poll: Poll,
    tell: Box<dyn FnMut(Change) + Send>,
    link: Option<Current>,
    batch: Batch,
    had_link: bool,
    /// How long to rest after the next failure.
    backoff: Duration,
    retry_at: Option<Instant>,
    /// Since when the link takes nothing.
    blocked: Option<Instant>,
    told_down: bool,
    drops: Drops,
    /// Which of the addresses is tried first.
    turn: usize,
}

struct Current {
    link: Link,
    address: SocketAddr,
    since: Instant,
    /// When the name was looked up.
    looked_up: Instant,
    told_up: bool,
}

/// Packets in hand.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    packets: usize,
    /// What left: beyond `whole` if a packet left in part.
    sent: usize,
    /// Where the first packet begins that did not leave as a whole.
    whole: usize,
}

#[derive(Default)]
struct Drops {
    seen: u64,
    last: Option<Instant>,
    /// The count when it began, once that was told.
    told: Option<u64>,
}

enum Next {
    Wait(Option<Duration>),
    End,
}

impl Worker {
    pub(super) fn new(
        destination: Destination,
        options: SenderOptions,
        tls: Option<Tls>,
        queue: Arc<Queue>,
        poll: Poll,
        tell: Box<dyn FnMut(Change) + Send>,
    ) -> Self {
        let backoff = options.min_backoff;
        Self {
            destination,
            options,
            tls,
            queue,
            poll,
            tell,
            link: None,
            batch: Batch::default(),
            had_link: false,
            backoff,
            retry_at: None,
            blocked: None,
            told_down: false,
            drops: Drops::default(),
            turn: 0,
        }
    }

    /// Runs until the senders are gone.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(8);
        while let Next::Wait(wait) = self.step() {
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    (self.tell)(Change::Down(error));
                    break;
                }
                _ => {}
            }
        }
        // What is left is lost, and counted.
        self.queue.discard(self.batch.packets, 0);
        let mut rest = Vec::new();
        let left = self.queue.take(&mut rest);
        self.queue.discard(left, 0);
        if let Some(current) = &mut self.link {
            current.link.close();
        }
    }

    /// Does what can be done now.
    fn step(&mut self) -> Next {
        let now = Instant::now();
        let closing = self.queue.closing();
        self.note_drops(now);
        if let Some(current) = &mut self.link
            && let Err(error) = current.link.check()
        {
            self.fail(error, now);
        }
        let sent = self.send(now, closing);
        self.note_end_of_drops(now);
        if self.batch.is_empty() {
            return match closing {
                // Some came since the queue was looked at.
                _ if !self.queue.is_empty() => Next::Wait(Some(Duration::ZERO)),
                Some(_) => Next::End,
                None if sent => Next::Wait(Some(GATHER)),
                None if self.queue.fall_asleep() => Next::Wait(self.drops.told.map(|_| QUIET)),
                None => Next::Wait(Some(Duration::ZERO)),
            };
        }
        if closing.is_some_and(|deadline| deadline <= now) {
            return Next::End;
        }
        let wake_at = match &self.link {
            Some(current) => {
                let stalled = self.blocked.map(|since| since + self.options.stall_timeout);
                [stalled, current.link.retry_at(now), closing]
            }
            None => [self.retry_at, closing, None],
        };
        let wake_at = wake_at.into_iter().flatten().min();
        Next::Wait(wake_at.map(|at| at.saturating_duration_since(now)))
    }

    /// Sends as much as the link takes; returns whether anything left.
    fn send(&mut self, now: Instant, closing: Option<Instant>) -> bool {
        let mut any = false;
        loop {
            if self.batch.is_empty() {
                self.refill();
                if self.batch.is_empty() {
                    self.blocked = None;
                    return any;
                }
                self.renew_name(now);
            }
            if self.link.is_none() && !self.connect(now, closing) {
                return any;
            }
            let Some(current) = &mut self.link else { return any };
            match current.link.write(&self.batch.bytes[self.batch.sent..], now) {
                Ok(n) => {
                    any = true;
                    self.blocked = None;
                    self.batch.note_sent(n, &self.queue);
                    self.note_up();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.blocked.get_or_insert(now);
                    if now - since >= self.options.stall_timeout {
                        let stalled = "the collector takes nothing any more";
                        self.fail(io::Error::new(io::ErrorKind::TimedOut, stalled), now);
                    }
                    return any;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A datagram that no interface takes: the next may be shorter.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::MSGSIZE) => {
                    self.batch.drop_first(&self.queue);
                }
                Err(error) => {
                    self.fail(error, now);
                    return any;
                }
            }
        }
    }

    fn refill(&mut self) {
        self.batch.clear();
        self.batch.packets = self.queue.take(&mut self.batch.bytes);
    }

    /// Connects, unless it is too early; returns whether there is a link.
    fn connect(&mut self, now: Instant, closing: Option<Instant>) -> bool {
        if self.retry_at.is_some_and(|at| at > now) {
            return false;
        }
        let addresses = match self.look_up() {
            Ok(addresses) => addresses,
            Err(error) => {
                self.fail(error, now);
                return false;
            }
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for turn in 0..addresses.len() {
            let address = addresses[(self.turn + turn) % addresses.len()];
            let deadline = Instant::now() + self.options.connect_timeout;
            let deadline = closing.map_or(deadline, |closing| deadline.min(closing));
            let link = Link::connect(self.destination.transport, address, self.tls.as_ref(), deadline);
            let registered = link.and_then(|mut link| {
                link.register(self.poll.registry(), LINK)?;
                Ok(link)
            });
            match registered {
                Ok(link) => {
                    if core::mem::replace(&mut self.had_link, true) {
                        self.queue.note_reconnect();
                    }
                    let since = Instant::now();
                    self.link = Some(Current { link, address, since, looked_up: since, told_up: false });
                    self.note_up();
                    return true;
                }
                Err(error) => last = error,
            }
        }
        self.fail(last, Instant::now());
        false
    }

    fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let Destination { host, port, .. } = &self.destination;
        Ok((host.as_str(), *port).to_socket_addrs()?.collect())
    }

    /// Where datagrams go, nobody says that he moved: the name is looked up again now and then.
    fn renew_name(&mut self, now: Instant) {
        let is_due = |current: &Current| now - current.looked_up >= NAME_LIFETIME;
        if self.destination.transport != Transport::Udp
            || self.destination.host.parse::<IpAddr>().is_ok()
            || !self.link.as_ref().is_some_and(is_due)
        {
            return;
        }
        let addresses = self.look_up();
        if let Some(current) = &mut self.link {
            current.looked_up = now;
            if addresses.is_ok_and(|addresses| !addresses.contains(&current.address)) {
                self.link = None;
            }
        }
    }

    /// The link, or the try to have one, failed.
    fn fail(&mut self, error: io::Error, now: Instant) {
        if let Some(current) = self.link.take()
            && now - current.since >= STEADY
        {
            self.backoff = self.options.min_backoff;
        }
        self.turn = self.turn.wrapping_add(1);
        self.blocked = None;
        self.batch.rewind();
        self.retry_at = Some(now + self.backoff);
        self.backoff = (self.backoff * 2).min(self.options.max_backoff);
        if !core::mem::replace(&mut self.told_down, true) {
            (self.tell)(Change::Down(error));
        }
    }

    fn note_up(&mut self) {
        let Some(current) = &mut self.link else { return };
        if current.link.is_proven() && !core::mem::replace(&mut current.told_up, true) {
            self.told_down = false;
            (self.tell)(Change::Up(current.address));
        }
    }

    fn note_drops(&mut self, now: Instant) {
        let dropped = self.queue.dropped();
        if dropped == self.drops.seen {
            return;
        }
        let before = core::mem::replace(&mut self.drops.seen, dropped);
        self.drops.last = Some(now);
        if self.drops.told.is_none() {
            self.drops.told = Some(before);
            (self.tell)(Change::Dropping);
        }
    }

    fn note_end_of_drops(&mut self, now: Instant) {
        let is_over = self.drops.last.is_some_and(|last| now - last >= QUIET);
        if is_over
            && self.batch.is_empty()
            && let Some(before) = self.drops.told.take()
        {
            self.queue.watch_drops();
            (self.tell)(Change::CaughtUp { dropped: self.drops.seen - before });
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.packets == 0
    }

    fn clear(&mut self) {
        self.bytes.clear();
        // One burst is no reason to hold its memory for good.
        self.bytes.shrink_to(64 << 10);
        (self.packets, self.sent, self.whole) = (0, 0, 0);
    }

    /// Notes that `n` bytes more left.
    fn note_sent(&mut self, n: usize, queue: &Queue) {
        self.sent += n;
        let (mut packets, start) = (0, self.whole);
        while self.packets > packets {
            let end = self.whole + encoded_len(&self.bytes[self.whole..]);
            if end > self.sent {
                break;
            }
            self.whole = end;
            packets += 1;
        }
        self.packets -= packets;
        queue.confirm(packets, self.whole - start);
    }

    /// The first packet cannot be sent. Only whole packets left before.
    fn drop_first(&mut self, queue: &Queue) {
        let len = encoded_len(&self.bytes[self.whole..]);
        self.whole += len;
        self.sent = self.whole;
        self.packets -= 1;
        queue.discard(1, len);
    }

    /// What left in part begins anew over the next connection.
    const fn rewind(&mut self) {
        self.sent = self.whole;
    }
}
