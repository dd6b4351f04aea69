//! Flows that we open: where to, what waits for them, and the TCP connection before there is one.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::ToSocketAddrs as _;
use std::sync::{Arc, mpsc};
use std::thread;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token, Waker};
use ws_core::{ClientRequest, Instant};

use super::flows::{OpenOptions, SendError};
use super::trunk::{TrunkAddress, TrunkTransport};
use crate::address::Destination;
use crate::flow::FlowId;

/// Where an outgoing flow leads: flows to one host and port are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    host: String,
    port: u16,
    is_secure: bool,
    /// `None` for WebSocket.
    trunk: Option<TrunkTransport>,
}

impl Target {
    pub(super) fn new(destination: &Destination, port: u16) -> Self {
        Self {
            host: destination.host.to_ascii_lowercase(),
            port,
            is_secure: destination.is_secure,
            trunk: None,
        }
    }

    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether over TLS.
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    pub(super) const fn is_trunk(&self) -> bool {
        self.trunk.is_some()
    }

    pub(super) fn trunk(address: &TrunkAddress, transport: TrunkTransport) -> Self {
        let host = address.host.to_ascii_lowercase();
        Self { host, port: address.port, is_secure: false, trunk: Some(transport) }
    }
}

/// Makes the opening handshake's request, if it can be made of what is given.
pub(super) fn request(destination: &Destination, port: u16, options: &OpenOptions) -> Option<ClientRequest> {
    let destination = Destination { port: Some(port), ..destination.clone() };
    let mut request =
        ClientRequest::new(&destination.to_string()).ok()?.subprotocol("sip").ok()?.require_subprotocol();
    if let Some(origin) = &options.origin {
        request = request.origin(origin).ok()?;
    }
    for (name, value) in &options.headers {
        request = request.header(name, value).ok()?;
    }
    Some(request)
}

/// What belongs to a flow that we opened.
#[derive(Debug)]
pub(super) struct Outgoing {
    target: Target,
    /// Where a UDP socket is bound, if that matters.
    pub(super) local: Option<SocketAddr>,
    /// If not the one of all flows.
    pub(super) send_timeout: Option<Duration>,
    /// The same.
    pub(super) max_message_len: Option<usize>,
    /// Messages for when it is open.
    queue: Vec<Box<[u8]>>,
    queued: usize,
}

impl Outgoing {
    pub(super) const fn new(target: Target) -> Self {
        Self { target, local: None, send_timeout: None, max_message_len: None, queue: Vec::new(), queued: 0 }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn queue(&mut self, message: &[u8], max: usize) -> Result<(), SendError> {
        if self.queued.saturating_add(message.len()) > max {
            return Err(SendError::Refused(ws_core::SendError::OutputFull));
        }
        self.queued += message.len();
        self.queue.push(message.into());
        Ok(())
    }

    pub(super) fn take_queue(&mut self) -> Vec<Box<[u8]>> {
        self.queued = 0;
        core::mem::take(&mut self.queue)
    }
}

/// An outgoing flow on its way to a TCP connection: all addresses of the host are tried in turn.
#[derive(Debug)]
pub(super) struct Connecting {
    purpose: Purpose,
    pub(super) deadline: Instant,
    addresses: VecDeque<SocketAddr>,
    /// The address that was tried last.
    pub(super) tried: Option<SocketAddr>,
    stream: Option<TcpStream>,
}

/// What an outgoing flow is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// WebSocket, by this opening handshake.
    WebSocket(Box<ClientRequest>),
    /// SIP as it is.
    Trunk(TrunkTransport),
}

impl Connecting {
    pub(super) const fn new(purpose: Purpose, deadline: Instant) -> Self {
        Self { purpose, deadline, addresses: VecDeque::new(), tried: None, stream: None }
    }

    pub(super) const fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    pub(super) fn next_address(&mut self) -> Option<SocketAddr> {
        self.addresses.pop_front()
    }

    pub(super) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses.into();
    }

    /// Starts to connect to the next address.
    pub(super) fn connect(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.deregister(registry);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        while let Some(address) = self.addresses.pop_front() {
            self.tried = Some(address);
            let attempt = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match attempt {
                Ok(stream) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Looks how the attempt goes: `Ok(None)` if it goes on.
    pub(super) fn attempt(&mut self) -> io::Result<Option<TcpStream>> {
        let Some(stream) = &self.stream else { return Ok(None) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(self.stream.take()),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn has_more_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            drop(registry.deregister(&mut stream));
        }
    }
}

type Answer = (FlowId, io::Result<Vec<SocketAddr>>);

/// Finds the addresses of host names in a thread of its own, since the system's resolver blocks.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    answers: mpsc::Receiver<Answer>,
    answer: mpsc::Sender<Answer>,
    thread: Option<mpsc::Sender<(FlowId, Target)>>,
}

impl Resolver {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (answer, answers) = mpsc::channel();
        Self { waker, answers, answer, thread: None }
    }

    /// Starts to look for the addresses of a target.
    pub(super) fn resolve(&mut self, flow: FlowId, target: Target) {
        if let Ok(ip) = target.host.parse::<IpAddr>() {
            self.reply((flow, Ok(vec![SocketAddr::new(ip, target.port)])));
            return;
        }
        let asked = match &self.thread {
            Some(thread) => thread.send((flow, target)).is_ok(),
            None => self.start().is_some_and(|thread| {
                let asked = thread.send((flow, target)).is_ok();
                self.thread = Some(thread);
                asked
            }),
        };
        if !asked {
            self.thread = None;
            self.reply((flow, Err(io::Error::other("no resolver thread"))));
        }
    }

    /// Returns an answer that has come.
    pub(super) fn poll(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    fn reply(&self, answer: Answer) {
        // The receiver is `self.answers`, which lives.
        let _ = self.answer.send(answer);
        let _ = self.waker.wake();
    }

    fn start(&self) -> Option<mpsc::Sender<(FlowId, Target)>> {
        let (ask, questions) = mpsc::channel::<(FlowId, Target)>();
        let (answer, waker) = (self.answer.clone(), Arc::clone(&self.waker));
        let thread = thread::Builder::new().name("ws-sip-resolver".into()).spawn(move || {
            for (flow, target) in questions {
                let found = (target.host.as_str(), target.port).to_socket_addrs().map(Iterator::collect);
                if answer.send((flow, found)).is_err() || waker.wake().is_err() {
                    break;
                }
            }
        });
        thread.is_ok().then_some(ask)
    }
}
