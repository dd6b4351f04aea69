use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use mio::{Poll, Waker};

use super::destination::{Destination, Transport};
use super::packet::{MAX_DATAGRAM_LEN, MAX_PACKET_LEN, Packet};
use super::queue::{Queue, SenderCounters};
use super::tls::Tls;
use super::worker::{WAKER, Worker};

/// What the thread takes to end after its deadline.
const WIND_UP: Duration = Duration::from_millis(50);

/// Sends packets to a collector, from a thread of its own. Cheap to clone; all clones have the one queue.
///
/// Whoever gives it a packet never waits for the network: the packet goes into a bounded queue, and is dropped and
/// counted when that is full. The thread looks up the name, connects when the first packet comes, and connects again,
/// each time after a longer rest, when the collector cannot be reached or closed the connection. What was not sent by
/// then is sent over the next connection, a packet that left in part from its start.
///
/// When the last clone is dropped, what waits is sent if that takes no longer than
/// [`flush_timeout`](SenderOptions::flush_timeout); then the thread ends.
///
/// ```
/// use ws_sip::hep::{PROTOCOL_WS, Packet, PayloadKind, Sender, SenderOptions};
///
/// let collector = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let destination = format!("[hep] {};transport=udp", collector.local_addr()?).parse()?;
/// let sender = Sender::start(&destination, &SenderOptions::default(), |change| eprintln!("{change}"))?;
/// let packet = Packet {
///     source: "192.0.2.1:5060".parse()?,
///     destination: "192.0.2.9:80".parse()?,
///     protocol: PROTOCOL_WS,
///     time: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?,
///     kind: PayloadKind::Net as u8,
///     capture_id: 1,
///     payload: b"{}",
///     correlation: b"17",
/// };
/// assert!(sender.send(&packet));
/// let mut datagram = [0; 65_535];
/// let len = collector.recv(&mut datagram)?;
/// assert_eq!(Packet::decode(&datagram[..len])?.map(|(packet, _)| packet.correlation), Some(&b"17"[..]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sender(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    flush_timeout: Duration,
    /// Ends when the thread does.
    done: Mutex<mpsc::Receiver<()>>,
}

impl Sender {
    /// Starts the thread. It tells `tell` what becomes of the destination, once for each change.
    ///
    /// # Errors
    /// [`SenderError`]; a collector that cannot be reached is none.
    pub fn start(
        destination: &Destination,
        options: &SenderOptions,
        tell: impl FnMut(Change) + Send + 'static,
    ) -> Result<Self, SenderError> {
        let tls = match destination.transport {
            Transport::Tls => {
                let tls = Tls::new(&destination.host, options.tls_ca.as_deref());
                Some(tls.map_err(SenderError::Tls)?)
            }
            Transport::Udp | Transport::Tcp => None,
        };
        let max_packet_len = match destination.transport {
            Transport::Udp => MAX_DATAGRAM_LEN,
            Transport::Tcp | Transport::Tls => MAX_PACKET_LEN,
        };
        let poll = Poll::new().map_err(SenderError::System)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(SenderError::System)?;
        let queue = Arc::new(Queue::new(waker, options.queue_len, max_packet_len));
        let worker =
            Worker::new(destination.clone(), options.clone(), tls, Arc::clone(&queue), poll, Box::new(tell));
        let (running, done) = mpsc::channel();
        thread::Builder::new()
            .name("ws-sip-hep".into())
            .spawn(move || {
                worker.run();
                drop(running);
            })
            .map_err(SenderError::System)?;
        Ok(Self(Arc::new(Inner { queue, flush_timeout: options.flush_timeout, done: Mutex::new(done) })))
    }

    /// Gives a packet to the thread, without waiting; `false`: it was dropped and counted, since the queue is full or
    /// the packet longer than [`max_packet_len`](Self::max_packet_len).
    pub fn send(&self, packet: &Packet<'_>) -> bool {
        self.0.queue.push(packet)
    }

    /// Returns how long a packet may be: what a datagram holds, over UDP.
    #[must_use]
    pub fn max_packet_len(&self) -> usize {
        self.0.queue.max_packet_len
    }

    /// Returns what was counted since the start.
    #[must_use]
    pub fn counters(&self) -> SenderCounters {
        self.0.queue.counters()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close(Instant::now() + self.flush_timeout);
        // A thread that a name look-up holds up ends by itself later.
        let done = self.done.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = done.recv_timeout(self.flush_timeout + WIND_UP);
    }
}

/// How a [`Sender`] behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderOptions {
    /// Packets that wait at most; a further one is dropped. Default 1,024. They have 8 MiB at most, too.
    pub queue_len: usize,
    /// For the TCP connection, and again for the TLS handshake over it. Default 3 s.
    pub connect_timeout: Duration,
    /// The rest after a failure; it doubles with each, until a connection held for 10 s. Default 100 ms.
    pub min_backoff: Duration,
    /// The longest rest. Default 30 s.
    pub max_backoff: Duration,
    /// A connection that takes no byte for so long is given up. Default 10 s.
    pub stall_timeout: Duration,
    /// For what waits when the last sender is dropped. Default 500 ms.
    pub flush_timeout: Duration,
    /// A file of certificates in PEM: over TLS, the collector's must come from one of them. Default none: those that
    /// the system trusts.
    pub tls_ca: Option<PathBuf>,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            queue_len: 1024,
            connect_timeout: Duration::from_secs(3),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            flush_timeout: Duration::from_millis(500),
            tls_ca: None,
        }
    }
}

/// What became of a destination.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// Packets get there. Over UDP, as far as that can be known: none came back as undeliverable.
    Up(SocketAddr),
    /// They do not; it is tried again and again. Later failures are not told until it is [`Up`](Self::Up).
    Down(io::Error),
    /// Packets are dropped: the queue is full, or they are too long.
    Dropping,
    /// None is dropped any more.
    CaughtUp {
        /// How many were.
        dropped: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up(address) => write!(f, "sending to {address}"),
            Self::Down(error) => write!(f, "not reachable: {error}"),
            Self::Dropping => f.write_str("records are dropped"),
            Self::CaughtUp { dropped } => write!(f, "no record is dropped any more, {dropped} were"),
        }
    }
}

/// Why a sender cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum SenderError {
    /// The system refused what every sender needs.
    System(io::Error),
    /// TLS cannot be used, or not with these certificates.
    Tls(String),
}

impl fmt::Display for SenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot set up tracing: {error}"),
            Self::Tls(error) => write!(f, "cannot trace over TLS: {error}"),
        }
    }
}

impl core::error::Error for SenderError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Tls(_) => None,
        }
    }
}
