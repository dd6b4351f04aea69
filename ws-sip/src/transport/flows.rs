use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use ws_core::{
    Chunk, CloseFrame, Endpoint, Instant, KeySource, Outcome, Response, SendBuffer, Side, StatusCode,
};

use super::addresses::Addresses;
use super::clock::Clock;
use super::event::{Counters, Ends, FirstClose, FlowStatus};
use super::outgoing::{Connecting, Outgoing, Purpose, Resolver, Target};
use super::stats::Stats;
use super::timers::Deadlines;
use super::trunk::{Trunk, TrunkAddress, TrunkTransport};
use super::{FIRST_FLOW, config, outgoing};
use crate::address::Destination;
use crate::flow::FlowId;
use crate::hep;
use crate::settings::Settings;
use crate::sip;
use crate::trace::{Direction, Tracer, Verdict};

/// The flows of a [`Transport`](super::Transport): what an event handler sends with.
///
/// Nothing here blocks: what is sent is queued, and leaves at the end of the
/// [`poll`](super::Transport::poll) that called the handler, with one write per flow.
#[derive(Debug)]
pub struct Flows {
    pub(super) settings: Settings,
    pub(super) configs: config::Configs,
    pub(super) registry: Registry,
    pub(super) clock: Clock,
    pub(super) now: Instant,
    pub(super) deadlines: Deadlines,
    pub(super) stats: Stats,
    pub(super) resolver: Resolver,
    pub(super) tracer: Option<Box<Tracer>>,
    pub(super) slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    /// Outgoing flows by where they lead, for reuse.
    destinations: HashMap<Target, FlowId>,
    pub(super) draining: Option<Instant>,
    /// Where the accepted WebSocket connections come from.
    addresses: Addresses,
}

/// Connections beyond the limit that get an answer.
const MAX_REFUSED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Counts the flows that had this place, so that no number names two of them.
    generation: u32,
    pub(super) flow: Option<Box<Flow>>,
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) id: FlowId,
    pub(super) link: Link,
    pub(super) ends: Ends,
    pub(super) opened_at: Instant,
    pub(super) counters: Counters,
    /// For when the flow is entered in the deadlines.
    pub(super) armed: Instant,
    /// `Some` in a flow that we opened.
    pub(super) outgoing: Option<Box<Outgoing>>,
    pub(super) first_close: Option<Box<FirstClose>>,
    /// Whether the flow is traced.
    pub(super) verdict: Verdict,
    pub(super) is_open: bool,
    is_dirty: bool,
    /// The transport took less than it was given: wait until it is writable.
    pub(super) is_blocked: bool,
    is_shut: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all flows are")]
pub(super) enum Link {
    /// An outgoing flow without a TCP connection.
    Connecting(Connecting),
    /// SIP over TCP or UDP.
    Trunk(Box<Trunk>),
    /// From the opening handshake on.
    Up { stream: mio::net::TcpStream, endpoint: Endpoint, out: SendBuffer },
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The flow ended, or never was.
    NoSuchFlow,
    /// The flow cannot take it now.
    Refused(ws_core::SendError),
    /// The destination cannot be used at all.
    Unreachable,
}

impl core::fmt::Display for SendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSuchFlow => f.write_str("no such flow"),
            Self::Refused(error) => error.fmt(f),
            Self::Unreachable => f.write_str("the destination cannot be used"),
        }
    }
}

impl core::error::Error for SendError {}

impl Flows {
    pub(super) fn new(
        settings: Settings,
        configs: config::Configs,
        registry: Registry,
        resolver: Resolver,
    ) -> Self {
        let clock = Clock::start();
        Self {
            settings,
            configs,
            registry,
            now: clock.now(),
            clock,
            deadlines: Deadlines::default(),
            stats: Stats::default(),
            resolver,
            tracer: None,
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            destinations: HashMap::new(),
            draining: None,
            addresses: Addresses::default(),
        }
    }

    /// Sends a SIP message over `flow`: as text, or as binary if it is not UTF-8 (RFC 7118, section 4.2). Over an
    /// outgoing flow that is not open yet it waits for that.
    ///
    /// # Errors
    /// [`SendError`]; then nothing is sent.
    pub fn send(&mut self, flow: FlowId, message: &[u8]) -> Result<(), SendError> {
        let is_open = self.with(flow, |flow, max_output_len| {
            if flow.is_open {
                flow.send(message, max_output_len)?;
            } else {
                let outgoing =
                    flow.outgoing.as_mut().ok_or(SendError::Refused(ws_core::SendError::NotOpen))?;
                outgoing.queue(message, max_output_len)?;
            }
            Ok(flow.is_open)
        })?;
        if is_open {
            self.trace_message(flow, Direction::Out, message);
        }
        Ok(())
    }

    /// Sends a SIP message to a destination, over a flow that leads there or else over a new one, which is
    /// returned. If that cannot be opened, [`NotOpened`](super::FlowEvent::NotOpened) tells it.
    ///
    /// # Errors
    /// [`SendError`]; then nothing is sent.
    pub fn send_to(&mut self, destination: &Destination, message: &[u8]) -> Result<FlowId, SendError> {
        let flow = self.open(destination, &OpenOptions::default())?;
        self.send(flow, message).map(|()| flow)
    }

    /// Returns the flow that leads to a destination, and starts to open one if there is none.
    ///
    /// # Errors
    /// [`SendError::Unreachable`] if the destination or an option cannot be put into an opening handshake.
    pub fn open(&mut self, destination: &Destination, options: &OpenOptions) -> Result<FlowId, SendError> {
        let port = destination.port.unwrap_or(self.settings.ws_port);
        let target = Target::new(destination, port);
        if let Some(&flow) = self.destinations.get(&target) {
            return Ok(flow);
        }
        let request = outgoing::request(destination, port, options).ok_or(SendError::Unreachable)?;
        let deadline = self.now + self.settings.ws_handshake_timeout;
        Ok(self.start(target, Purpose::WebSocket(Box::new(request)), deadline))
    }

    /// Returns the flow that leads to a SIP server over TCP or UDP, and starts to open one if there is none.
    pub fn open_trunk(&mut self, address: &TrunkAddress, transport: TrunkTransport) -> FlowId {
        let target = Target::trunk(address, transport);
        if let Some(&flow) = self.destinations.get(&target) {
            return flow;
        }
        let deadline = self.now + self.settings.ws_handshake_timeout;
        self.start(target, Purpose::Trunk(transport), deadline)
    }

    fn start(&mut self, target: Target, purpose: Purpose, deadline: Instant) -> FlowId {
        let link = Link::Connecting(Connecting::new(purpose, deadline));
        let outgoing = Box::new(Outgoing::new(target.clone()));
        let flow = self.insert(link, Ends::unknown(), Some(outgoing));
        self.destinations.insert(target.clone(), flow);
        self.resolver.resolve(flow, target);
        self.arm(flow, deadline);
        flow
    }

    /// Sends a WebSocket Ping; the Pong shows that the flow lives.
    ///
    /// # Errors
    /// [`SendError`]; then nothing is sent.
    pub fn ping(&mut self, flow: FlowId) -> Result<(), SendError> {
        self.with_endpoint(flow, |endpoint, out| endpoint.ping(b"ws-sip", out))
    }

    /// Sends the keepalive of RFC 5626, section 3.5.1, an empty line and another, for a peer that answers it.
    ///
    /// # Errors
    /// [`SendError`]; then nothing is sent.
    pub fn keepalive(&mut self, flow: FlowId) -> Result<(), SendError> {
        self.with_endpoint(flow, |endpoint, out| endpoint.send_text("\r\n\r\n", out))
    }

    /// Starts the closing handshake of a flow.
    ///
    /// # Errors
    /// [`SendError`]; then nothing happens.
    pub fn close(&mut self, flow: FlowId, code: StatusCode, reason: &str) -> Result<(), SendError> {
        let now = self.now;
        self.with_endpoint(flow, |endpoint, out| endpoint.close(now, Some(code), reason, out))?;
        if let Some(flow) = self.flow_mut(flow) {
            flow.note_close(Side::Us, Some(CloseFrame { code, reason: reason.into() }));
        }
        Ok(())
    }

    /// Drops a flow without a closing handshake.
    ///
    /// # Errors
    /// [`SendError::NoSuchFlow`].
    pub fn abort(&mut self, flow: FlowId) -> Result<(), SendError> {
        self.with(flow, |flow, _| {
            match &mut flow.link {
                Link::Up { endpoint, .. } => endpoint.abort(),
                Link::Trunk(trunk) => drop(trunk.end.get_or_insert(Outcome::Aborted)),
                Link::Connecting(_) => {}
            }
            Ok(())
        })
    }

    /// Answers a request that came as [`FlowEvent::Http`](super::FlowEvent::Http). The connection closes then.
    ///
    /// # Errors
    /// [`SendError`] if there is no such connection, or it was answered.
    pub fn respond(&mut self, flow: FlowId, response: &Response) -> Result<(), SendError> {
        let now = self.now;
        self.with(flow, |flow, _| match &mut flow.link {
            Link::Up { endpoint, .. } => {
                endpoint.respond(now, response).map_err(|_| SendError::Refused(ws_core::SendError::Closing))
            }
            Link::Connecting(_) | Link::Trunk(_) => Err(SendError::NoSuchFlow),
        })
    }

    /// Returns how many connections there are, in whatever state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns both ends of a flow, and what went over it.
    #[must_use]
    pub fn get(&self, flow: FlowId) -> Option<(Ends, Counters)> {
        let flow = self.flow(flow)?;
        Some((flow.ends, flow.counters))
    }

    /// Returns the flows that are open.
    pub fn iter(&self) -> impl Iterator<Item = FlowId> {
        self.slots
            .iter()
            .filter_map(|slot| slot.flow.as_ref())
            .filter(|flow| flow.is_open)
            .map(|flow| flow.id)
    }

    /// Returns open flows in the order of their places, at most `max`, those behind the place of `after` if that is
    /// given. A list that is fetched in parts has each flow that is open all the while exactly once.
    #[must_use]
    pub fn page(&self, after: Option<FlowId>, max: usize) -> Vec<FlowStatus> {
        let first = after.map_or(0, |after| index_of(after) + 1);
        self.slots
            .iter()
            .skip(first)
            .filter_map(|slot| slot.flow.as_ref())
            .filter(|flow| flow.is_open)
            .take(max)
            .map(|flow| FlowStatus {
                flow: flow.id,
                ends: flow.ends,
                counters: flow.counters,
                age: self.now - flow.opened_at,
            })
            .collect()
    }

    /// Returns the time, as the transport counts it: it stands still while a handler runs.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Returns what the transport counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Shuts down gracefully: from now on opening handshakes are answered 503, each flow is closed with 1001, and
    /// what is left after `timeout` is dropped. Every flow is still reported closed. Poll until
    /// [`is_drained`](Self::is_drained).
    pub fn shut_down(&mut self, timeout: Duration) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(self.now + timeout);
        for index in 0..self.slots.len() {
            let Some(flow) = &self.slots[index].flow else { continue };
            let id = flow.id;
            if self.close(id, StatusCode::GOING_AWAY, "shutting down").is_err()
                && flow_is_connecting(&self.slots[index])
            {
                self.arm(id, self.now);
            }
        }
    }

    /// Returns whether a shutdown was started.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Returns whether a shutdown was started and no connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining.is_some() && self.is_empty()
    }

    /// While draining, closes the trunks once they are the last flows: until then they carry what ends the others.
    pub(super) fn close_idle_trunks(&mut self) -> bool {
        let is_trunk = |slot: &Slot| match &slot.flow {
            Some(flow) => matches!(flow.link, Link::Trunk(_)),
            None => true,
        };
        if self.is_empty() || !self.slots.iter().all(is_trunk) {
            return false;
        }
        for flow in self.ids() {
            // Each is there: the list was just made.
            let _ = self.abort(flow);
        }
        true
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.slots.get(index_of(id))?.flow.as_deref().filter(|flow| flow.id == id)
    }

    pub(super) fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slots.get_mut(index_of(id))?.flow.as_deref_mut().filter(|flow| flow.id == id)
    }

    pub(super) fn id_at(&self, index: usize) -> Option<FlowId> {
        self.slots.get(index)?.flow.as_ref().map(|flow| flow.id)
    }

    pub(super) fn ids(&self) -> Vec<FlowId> {
        self.slots.iter().filter_map(|slot| slot.flow.as_ref()).map(|flow| flow.id).collect()
    }

    /// Takes in an accepted connection.
    pub(super) fn accept(&mut self, mut stream: mio::net::TcpStream, ends: Ends) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let max = self.settings.ws_max_connections;
        if self.len() >= max.saturating_add(MAX_REFUSED) {
            // Even a refusal is more than can be given to so many.
            return Ok(());
        }
        let from_address = self.addresses.add(ends.peer.ip());
        let per_address = self.settings.ws_max_connections_per_address;
        let is_full = self.len() >= max || (per_address > 0 && from_address > per_address);
        let config =
            if is_full || self.draining.is_some() { &self.configs.refusing } else { &self.configs.server };
        let endpoint = Endpoint::server(config, self.now);
        let index = self.next_index();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut stream, Token(FIRST_FLOW + index), interest)
            .inspect_err(|_| self.addresses.remove(ends.peer.ip()))?;
        let link = Link::Up { stream, endpoint, out: SendBuffer::new() };
        let flow = self.insert(link, ends, None);
        self.mark(flow);
        Ok(())
    }

    /// Goes on with an outgoing flow whose TCP connection is there.
    pub(super) fn connected(&mut self, id: FlowId, stream: mio::net::TcpStream) -> io::Result<()> {
        let (client, now) = (Arc::clone(&self.configs.client), self.now);
        let ends = Ends { peer: stream.peer_addr()?, local: stream.local_addr()?, is_incoming: false };
        stream.set_nodelay(true)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let Some(flow) = self.flow_mut(id) else { return Ok(()) };
        let Link::Connecting(connecting) = &flow.link else { return Ok(()) };
        flow.link = match connecting.purpose() {
            Purpose::WebSocket(request) => {
                let endpoint = Endpoint::client(request, &client, KeySource::from_seed(seed), now);
                Link::Up { stream, endpoint, out: SendBuffer::new() }
            }
            Purpose::Trunk(_) => Link::Trunk(Box::new(Trunk::tcp(stream, client.max_message_len))),
        };
        flow.ends = ends;
        self.mark(id);
        Ok(())
    }

    /// Takes in an accepted connection of a SIP server.
    pub(super) fn accept_trunk(&mut self, stream: mio::net::TcpStream, ends: Ends) -> io::Result<FlowId> {
        stream.set_nodelay(true)?;
        let mut trunk = Trunk::tcp(stream, self.settings.ws_max_message_len);
        trunk.register(&self.registry, Token(FIRST_FLOW + self.next_index()))?;
        let flow = self.insert(Link::Trunk(Box::new(trunk)), ends, None);
        self.mark(flow);
        Ok(flow)
    }

    /// Binds a UDP socket that exchanges datagrams with one address.
    pub(super) fn bind_udp(&mut self, id: FlowId, peer: SocketAddr) -> io::Result<()> {
        let any: IpAddr =
            if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = mio::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(peer)?;
        let ends = Ends { peer, local: socket.local_addr()?, is_incoming: false };
        let mut trunk = Trunk::udp(socket, self.settings.ws_max_message_len);
        trunk.register(&self.registry, Token(FIRST_FLOW + index_of(id)))?;
        let Some(flow) = self.flow_mut(id) else { return Ok(()) };
        flow.link = Link::Trunk(Box::new(trunk));
        flow.ends = ends;
        self.mark(id);
        Ok(())
    }

    /// Sends what waited for the flow to open.
    pub(super) fn send_queued(&mut self, id: FlowId) {
        let draining = self.draining.is_some();
        let queue = self.flow_mut(id).and_then(|flow| flow.outgoing.as_mut());
        for message in queue.map(|outgoing| outgoing.take_queue()).unwrap_or_default() {
            // What the flow does not take is lost with it.
            if self.send(id, &message).is_err() {
                break;
            }
        }
        if draining {
            let _ = self.close(id, StatusCode::GOING_AWAY, "shutting down");
        }
    }

    /// Writes what the flow has to send, as far as the transport takes it. Returns whether the flow ended.
    pub(super) fn flush(&mut self, id: FlowId) -> bool {
        let now = self.now;
        let Some(flow) = self.flow_mut(id) else { return false };
        flow.is_dirty = false;
        if matches!(flow.link, Link::Trunk(_)) {
            return self.flush_trunk(id);
        }
        let Link::Up { stream, endpoint, out } = &mut flow.link else { return false };
        while endpoint.poll_transmit(now, out) && !flow.is_blocked {
            match io::Write::write(stream, out.pending()) {
                Ok(0) => endpoint.handle_transport_lost(now),
                Ok(n) => endpoint.handle_transmitted(now, n, out),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    endpoint.handle_transmitted(now, 0, out);
                    flow.is_blocked = true;
                }
                Err(_) => endpoint.handle_transport_lost(now),
            }
            if endpoint.is_closed() {
                break;
            }
        }
        if out.is_empty() {
            out.release();
            if endpoint.is_write_closed() && !flow.is_shut {
                flow.is_shut = true;
                // A peer that is gone already is no error here.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        let ended = endpoint.is_closed();
        if let Some(at) = endpoint.poll_timeout() {
            self.arm(id, at);
        }
        ended
    }

    fn flush_trunk(&mut self, id: FlowId) -> bool {
        let (now, timeout) = (self.now, self.settings.ws_send_timeout);
        let Some(flow) = self.flow_mut(id) else { return false };
        let Link::Trunk(trunk) = &mut flow.link else { return false };
        if trunk.end.is_some() {
            trunk.shut_down();
            return true;
        }
        match trunk.flush() {
            Ok(true) => {
                trunk.blocked_since = None;
                flow.is_blocked = false;
            }
            Ok(false) => {
                flow.is_blocked = true;
                let since = *trunk.blocked_since.get_or_insert(now);
                if !timeout.is_zero() {
                    self.arm(id, since + timeout);
                }
            }
            Err(_) => {
                trunk.end = Some(Outcome::TransportLost);
                return true;
            }
        }
        false
    }

    /// Returns the next flow that has something to send.
    pub(super) fn next_dirty(&mut self) -> Option<FlowId> {
        while let Some(index) = self.dirty.pop() {
            if let Some(id) = self.id_at(index as usize) {
                return Some(id);
            }
        }
        None
    }

    /// Notes that the flow may have something to send, or to report.
    pub(super) fn mark(&mut self, id: FlowId) {
        if let Some(flow) = self.flow_mut(id)
            && !flow.is_dirty
        {
            flow.is_dirty = true;
            self.dirty.push(u32::try_from(index_of(id)).unwrap_or(u32::MAX));
        }
    }

    /// Wakes the flow at `at`, unless it is woken before.
    pub(super) fn arm(&mut self, id: FlowId, at: Instant) {
        if let Some(flow) = self.flow_mut(id)
            && at < flow.armed
        {
            flow.armed = at;
            self.deadlines.arm(at, id.0);
        }
    }

    /// Takes a flow out, its descriptor with it.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<Box<Flow>> {
        self.flow(id)?;
        let slot = self.slots.get_mut(index_of(id))?;
        let mut flow = slot.flow.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(u32::try_from(index_of(id)).unwrap_or(u32::MAX));
        if let Some(outgoing) = &flow.outgoing {
            self.destinations.remove(outgoing.target());
        }
        match &mut flow.link {
            Link::Up { stream, .. } => {
                drop(self.registry.deregister(stream));
                if flow.ends.is_incoming {
                    self.addresses.remove(flow.ends.peer.ip());
                }
            }
            Link::Connecting(connecting) => connecting.deregister(&self.registry),
            Link::Trunk(trunk) => trunk.deregister(&self.registry),
        }
        if self.slots.len() == self.free.len() && self.slots.len() > 1024 {
            self.forget_places();
        }
        Some(flow)
    }

    /// After the last of many flows, gives their places back; numbers go on from where they were.
    fn forget_places(&mut self) {
        let generation = self.slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
        self.slots = vec![Slot { generation, flow: None }];
        self.free = vec![0];
        self.dirty = Vec::new();
        self.deadlines = Deadlines::default();
        self.slots[0].generation = generation;
    }

    fn next_index(&self) -> usize {
        self.free.last().map_or(self.slots.len(), |&index| index as usize)
    }

    fn insert(&mut self, link: Link, ends: Ends, outgoing: Option<Box<Outgoing>>) -> FlowId {
        let index = self.next_index();
        if self.free.pop().is_none() {
            // Later places start where the first one is, so that numbers stay apart after `forget_places`.
            let generation = self.slots.first().map_or(0, |slot| slot.generation);
            self.slots.push(Slot { generation, flow: None });
        }
        let slot = &mut self.slots[index];
        let id = FlowId(u64::from(slot.generation) << 32 | index as u64);
        slot.flow = Some(Box::new(Flow {
            id,
            link,
            ends,
            opened_at: self.now,
            counters: Counters::default(),
            armed: Instant::from_nanos(u64::MAX),
            outgoing,
            first_close: None,
            verdict: Verdict::default(),
            is_open: false,
            is_dirty: false,
            is_blocked: false,
            is_shut: false,
        }));
        id
    }

    fn with<T>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, usize) -> Result<T, SendError>,
    ) -> Result<T, SendError> {
        let max_output_len = self.configs.client.max_output_len;
        let done = act(self.flow_mut(id).ok_or(SendError::NoSuchFlow)?, max_output_len)?;
        self.mark(id);
        Ok(done)
    }

    fn with_endpoint(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Endpoint, &mut SendBuffer) -> Result<(), ws_core::SendError>,
    ) -> Result<(), SendError> {
        self.with(id, |flow, _| match &mut flow.link {
            Link::Up { endpoint, out, .. } => act(endpoint, out).map_err(SendError::Refused),
            Link::Connecting(_) | Link::Trunk(_) => Err(SendError::Refused(ws_core::SendError::NotOpen)),
        })
    }
}

impl Flow {
    fn send(&mut self, message: &[u8], max_output_len: usize) -> Result<(), SendError> {
        if let Link::Trunk(trunk) = &mut self.link {
            trunk.queue(message, max_output_len)?;
            self.counters.messages_out += 1;
            self.counters.bytes_out += message.len() as u64;
            return Ok(());
        }
        let Link::Up { endpoint, out, .. } = &mut self.link else {
            return Err(SendError::Refused(ws_core::SendError::NotOpen));
        };
        match core::str::from_utf8(message) {
            Ok(text) => endpoint.send_text(text, out),
            Err(_) => endpoint.send_binary(message, out),
        }
        .map_err(SendError::Refused)?;
        self.counters.messages_out += 1;
        self.counters.bytes_out += message.len() as u64;
        Ok(())
    }

    /// Whether the flow is SIP as it is, or is to be.
    pub(super) fn is_trunk(&self) -> bool {
        matches!(self.link, Link::Trunk(_))
            || self.outgoing.as_ref().is_some_and(|outgoing| outgoing.target().is_trunk())
    }

    /// Returns what HEP calls what carries the flow.
    pub(super) fn protocol(&self) -> u8 {
        match &self.link {
            Link::Trunk(trunk) if trunk.is_datagram() => hep::PROTOCOL_UDP,
            Link::Trunk(_) => hep::PROTOCOL_TCP,
            _ => hep::PROTOCOL_WS,
        }
    }

    /// Notes a Close frame, if it is the first.
    pub(super) fn note_close(&mut self, by: Side, frame: Option<CloseFrame>) {
        self.first_close.get_or_insert_with(|| Box::new(FirstClose { by, frame }));
    }

    /// Answers a keepalive in the kind it came in (RFC 5626, section 4.4.1).
    pub(super) fn answer_keepalive(&mut self, kind: ws_core::Kind) {
        if let Link::Trunk(trunk) = &mut self.link {
            let _ = trunk.queue(sip::PONG, usize::MAX);
        }
        if let Link::Up { endpoint, out, .. } = &mut self.link {
            // A flow that is closing, or whose output is full, needs no answer.
            let _ = match kind {
                ws_core::Kind::Text => endpoint.send_text("\r\n", out),
                ws_core::Kind::Binary => endpoint.send_binary(sip::PONG, out),
            };
        }
    }

    /// Returns the next event of the connection.
    pub(super) fn poll_event<'b>(
        &mut self,
        now: Instant,
        chunk: &mut Chunk<'b>,
    ) -> Option<ws_core::Event<'b>> {
        match &mut self.link {
            Link::Up { endpoint, .. } => endpoint.poll_event(now, chunk),
            Link::Connecting(_) | Link::Trunk(_) => None,
        }
    }
}

/// How to open an outgoing flow, beyond where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The Origin header to send, if any.
    pub origin: Option<String>,
    /// Further headers, such as `Authorization`.
    pub headers: Vec<(String, String)>,
}

pub(super) fn index_of(id: FlowId) -> usize {
    (id.0 & 0xffff_ffff) as usize
}

fn flow_is_connecting(slot: &Slot) -> bool {
    matches!(slot.flow.as_deref(), Some(Flow { link: Link::Connecting(_), .. }))
}
