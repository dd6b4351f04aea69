//! The sockets and files of management, served in a thread of their own: whatever comes there, SIP is not held up.

mod datagram;
mod fifo;
mod files;
mod http;
mod remote;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use mio::{Events, Poll, Token, Waker};

pub use remote::TransportControl;

use super::control::{Control, ControlError};
use super::rpc::MAX_REQUEST_LEN;
use super::{DatagramAddress, Statistic};
use crate::flow::FlowId;
use crate::settings::Settings;
use crate::transport::FlowStatus;
use datagram::Datagrams;
use fifo::Fifo;
use http::Http;

const WAKER: Token = Token(0);
const FIFO: Token = Token(1);
const DATAGRAM: Token = Token(2);
const HTTP: Token = Token(3);
/// The token of the first HTTP connection.
const FIRST_CONNECTION: usize = 4;

/// Reads from one place before the others have their turn.
const READS_A_TURN: usize = 16;
/// Bytes of responses that may wait for slow readers, in each place.
const MAX_WAITING: usize = 64 << 20;

/// Serves management in a thread, until it is dropped.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<Address>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve where `settings` say (`mi_fifo`, `mi_datagram`, `mi_http`); `None` if they say nowhere.
    ///
    /// A FIFO or Unix socket of a program that is gone is replaced; any other file at the path is left alone.
    ///
    /// # Errors
    /// [`ServerError`] if a place cannot be had. Then nothing is served.
    pub fn start(
        settings: &Settings,
        control: impl Control + Send + 'static,
    ) -> Result<Option<Self>, ServerError> {
        if settings.mi_fifo.is_none() && settings.mi_datagram.is_none() && settings.mi_http.is_none() {
            return Ok(None);
        }
        let system = |error| ServerError { place: "threads and wake-ups".into(), error };
        let poll = Poll::new().map_err(system)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(system)?;
        let mut addresses = Vec::new();
        let mut fail = |address: Address| {
            addresses.push(address.clone());
            move |error| ServerError { place: address.to_string(), error }
        };
        let fifo = settings.mi_fifo.clone().map(|path| {
            let failed = fail(Address::Fifo(path.clone()));
            Fifo::make(path, settings.mi_fifo_mode, settings.mi_fifo_reply_dir.clone(), poll.registry())
                .map_err(failed)
        });
        let fifo = fifo.transpose()?;
        let datagrams = settings.mi_datagram.as_ref().map(|address| {
            let failed = fail(Address::Datagram(address.clone()));
            Datagrams::bind(address, poll.registry()).map_err(failed)
        });
        let datagrams = datagrams.transpose()?;
        let http = settings.mi_http.map(|address| {
            let failed = fail(Address::Http(address));
            Http::bind(address, settings.mi_http_root.clone(), poll.registry()).map_err(failed)
        });
        let http = http.transpose()?;
        for address in &mut addresses {
            match address {
                Address::Datagram(DatagramAddress::Udp(address)) => {
                    *address = datagrams.as_ref().and_then(Datagrams::local).unwrap_or(*address);
                }
                Address::Http(address) => *address = http.as_ref().map_or(*address, Http::local),
                Address::Fifo(_) | Address::Datagram(_) => {}
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        let service = Service { control: Box::new(control), counts: Counts::default() };
        let serving = Serving { poll, fifo, datagrams, http, service, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name("ws-sip-mi".into()).spawn(move || serving.run());
        Ok(Some(Self { addresses, stop, waker, thread: Some(thread.map_err(system)?) }))
    }

    /// Returns where it serves, with the port that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl Drop for Server {
    /// Stops, and removes the FIFO and the Unix socket.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic there was told when it happened.
            let _ = thread.join();
        }
    }
}

/// Where management is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A FIFO at this path.
    Fifo(PathBuf),
    /// Datagrams.
    Datagram(DatagramAddress),
    /// HTTP.
    Http(SocketAddr),
}

impl Address {
    /// Returns whether other machines may reach it. Nobody is asked for a password.
    #[must_use]
    pub const fn is_exposed(&self) -> bool {
        match self {
            Self::Fifo(_) | Self::Datagram(DatagramAddress::Unix(_)) => false,
            Self::Datagram(DatagramAddress::Udp(address)) | Self::Http(address) => {
                !address.ip().is_loopback()
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo(path) => write!(f, "fifo:{}", path.display()),
            Self::Datagram(DatagramAddress::Udp(address)) => write!(f, "udp:{address}"),
            Self::Datagram(DatagramAddress::Unix(path)) => write!(f, "unix:{}", path.display()),
            Self::Http(address) => write!(f, "http:{address}"),
        }
    }
}

/// Why management cannot be served.
#[derive(Debug)]
pub struct ServerError {
    place: String,
    error: io::Error,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot serve management on {}: {}", self.place, self.error)
    }
}

impl core::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What the thread has.
struct Serving {
    poll: Poll,
    fifo: Option<Fifo>,
    datagrams: Option<Datagrams>,
    http: Option<Http>,
    service: Service,
    stop: Arc<AtomicBool>,
}

impl Serving {
    fn run(mut self) {
        let mut events = Events::with_capacity(128);
        // One byte more than a request may have, so that a longer one shows.
        let mut scratch = vec![0; MAX_REQUEST_LEN + 1];
        while !self.stop.load(Ordering::Acquire) {
            let deadlines = [
                self.fifo.as_ref().and_then(Fifo::deadline),
                self.datagrams.as_ref().and_then(Datagrams::deadline),
                self.http.as_ref().and_then(Http::deadline),
            ];
            let now = Instant::now();
            let wait = deadlines.into_iter().flatten().min().map(|at| at.saturating_duration_since(now));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
                _ => {}
            }
            for event in &events {
                match event.token() {
                    FIFO => self.fifo.iter_mut().for_each(Fifo::ready),
                    DATAGRAM => self.datagrams.iter_mut().for_each(Datagrams::ready),
                    token => self.http.iter_mut().for_each(|http| http.ready(token)),
                }
            }
            let now = Instant::now();
            if let Some(fifo) = &mut self.fifo {
                fifo.turn(now, &mut scratch, &mut self.service);
            }
            if let Some(datagrams) = &mut self.datagrams {
                datagrams.turn(&mut scratch, &mut self.service);
            }
            if let Some(http) = &mut self.http {
                http.turn(now, &mut scratch, self.poll.registry(), &mut self.service);
            }
        }
    }
}

/// What was counted here.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    refused: u64,
    lost_responses: u64,
}

/// The control that commands act on, with the numbers of management itself.
struct Service {
    control: Box<dyn Control + Send>,
    counts: Counts,
}

impl Control for Service {
    fn is_tracing(&mut self) -> bool {
        self.control.is_tracing()
    }

    fn set_tracing(&mut self, on: bool) {
        self.control.set_tracing(on);
    }

    fn flows(&mut self, after: Option<FlowId>, max: usize) -> Result<Vec<FlowStatus>, ControlError> {
        self.control.flows(after, max)
    }

    fn close(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.control.close(flow)
    }

    fn ping(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.control.ping(flow)
    }

    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> {
        let mut statistics = self.control.statistics()?;
        let Counts { requests, refused, lost_responses } = self.counts;
        let count = |name, help, value| Statistic::counter("mi", name, help, value);
        statistics.extend([
            count("requests", "requests for management, batches as one", requests),
            count("refused", "requests for management that were none, or too long", refused),
            count("lost_responses", "responses that nobody took in time", lost_responses),
        ]);
        Ok(statistics)
    }
}

#[cfg(test)]
mod tests;
