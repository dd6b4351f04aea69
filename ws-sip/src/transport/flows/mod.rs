mod flow;
mod links;
mod places;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::hash::RandomState;

use mio::Registry;
use ws_core::{CloseFrame, Endpoint, Instant, Outcome, Response, SendBuffer, Side, StatusCode};

use crate::address::Destination;
use crate::flow::FlowId;
use crate::settings::Settings;
use crate::trace::{Direction, Tracer};
use crate::transport::clock::Clock;
use crate::transport::event::{Counters, Ends, FlowStatus};
use crate::transport::limits::Share;
use crate::transport::listener::{Listener, NewListeners, Serves};
use crate::transport::outgoing::{Connecting, Outgoing, Purpose, Resolver, Target};
use crate::transport::stats::Stats;
use crate::transport::timers::Deadlines;
use crate::transport::trunk::{TrunkAddress, TrunkTransport};
use crate::transport::{TransportError, config, outgoing};
pub(in crate::transport) use flow::{Flow, Link};

/// The flows of a [`Transport`](super::Transport): what an event handler sends with.
///
/// Nothing here blocks: what is sent is queued, and leaves at the end of the
/// [`poll`](super::Transport::poll) that called the handler, with one write per flow.
#[derive(Debug)]
pub struct Flows {
    pub(in crate::transport) settings: Settings,
    pub(in crate::transport) configs: config::Configs,
    pub(in crate::transport) registry: Registry,
    pub(in crate::transport) clock: Clock,
    pub(in crate::transport) now: Instant,
    pub(in crate::transport) deadlines: Deadlines,
    pub(in crate::transport) stats: Stats,
    pub(in crate::transport) resolver: Resolver,
    pub(in crate::transport) tracer: Option<Box<Tracer>>,
    /// What the tracer, whichever it is, makes the numbers of connections with.
    pub(in crate::transport) numbers: RandomState,
    pub(in crate::transport) slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    /// Datagrams that were dropped, by their lengths, and not reported yet.
    pub(in crate::transport) too_long: Vec<(FlowId, usize)>,
    /// Outgoing flows by where they lead, for reuse.
    destinations: HashMap<Target, FlowId>,
    pub(in crate::transport) new_listeners: NewListeners,
    pub(in crate::transport) draining: Option<Instant>,
    pub(in crate::transport) limits: Share,
    /// The upper bits of the flows' numbers.
    pub(in crate::transport) number: u8,
}

/// Connections beyond the limit that get an answer.
const MAX_REFUSED: usize = 1024;

#[derive(Debug, Default)]
pub(in crate::transport) struct Slot {
    /// Counts the flows that had this place, so that no number names two of them.
    generation: u32,
    pub(in crate::transport) flow: Option<Box<Flow>>,
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The flow ended, or never was.
    NoSuchFlow,
    /// The flow cannot take it now.
    Refused(ws_core::SendError),
    /// The flow is one of SIP over TCP or UDP, where there is no such thing.
    NotWebSocket,
    /// No datagram carries so long a message.
    TooLong,
    /// The destination cannot be used at all.
    Unreachable,
}

impl core::fmt::Display for SendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoSuchFlow => f.write_str("no such flow"),
            Self::Refused(error) => error.fmt(f),
            Self::NotWebSocket => f.write_str("the flow is no WebSocket connection"),
            Self::TooLong => f.write_str("too long for a datagram"),
            Self::Unreachable => f.write_str("the destination cannot be used"),
        }
    }
}

impl core::error::Error for SendError {}

impl Flows {
    pub(in crate::transport) fn new(
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
            numbers: RandomState::new(),
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            too_long: Vec::new(),
            destinations: HashMap::new(),
            new_listeners: NewListeners::default(),
            draining: None,
            limits: Share::default(),
            number: 0,
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
        let default_port = if destination.is_secure { self.settings.wss_port } else { self.settings.ws_port };
        let port = destination.port.unwrap_or(default_port);
        let target = Target::new(destination, port);
        if let Some(&flow) = self.destinations.get(&target) {
            return Ok(flow);
        }
        let request = outgoing::request(destination, port, options).ok_or(SendError::Unreachable)?;
        let mut outgoing = Outgoing::new(target);
        outgoing.send_timeout = options.send_timeout;
        outgoing.max_message_len = options.max_message_len;
        Ok(self.start(outgoing, Purpose::WebSocket(Box::new(request))))
    }

    /// Returns the flow that leads to a SIP server over TCP or UDP, and starts to open one if there is none.
    pub fn open_trunk(&mut self, address: &TrunkAddress, transport: TrunkTransport) -> FlowId {
        self.open_trunk_from(address, transport, None)
    }

    /// As [`open_trunk`](Self::open_trunk); datagrams are sent from the address `local`, and received there, if one is
    /// given. With TCP it is not used.
    pub fn open_trunk_from(
        &mut self,
        address: &TrunkAddress,
        transport: TrunkTransport,
        local: Option<SocketAddr>,
    ) -> FlowId {
        let target = Target::trunk(address, transport);
        if let Some(&flow) = self.destinations.get(&target) {
            return flow;
        }
        let mut outgoing = Outgoing::new(target);
        outgoing.local = local;
        self.start(outgoing, Purpose::Trunk(transport))
    }

    /// Listens for connections of a SIP server, as [`Transport::listen_trunk`](super::Transport::listen_trunk) does: for who
    /// learns only from a connection on which address the server reaches this side.
    ///
    /// # Errors
    /// [`TransportError::ListenTrunk`].
    pub fn listen_trunk(&mut self, address: SocketAddr) -> Result<SocketAddr, TransportError> {
        let registry = &self.registry;
        self.new_listeners
            .add(|token| Listener::bind(address, registry, token, Serves::Trunk))
            .map_err(|error| TransportError::ListenTrunk(address, error))
    }

    fn start(&mut self, outgoing: Outgoing, purpose: Purpose) -> FlowId {
        let deadline = self.now + self.settings.ws_handshake_timeout;
        let link = Link::Connecting(Connecting::new(purpose, deadline));
        let target = outgoing.target().clone();
        let flow = self.insert(link, Ends::unknown(), Some(Box::new(outgoing)));
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
    pub(in crate::transport) fn close_idle_trunks(&mut self) -> bool {
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
            Link::Connecting(_) => Err(SendError::Refused(ws_core::SendError::NotOpen)),
            Link::Trunk(_) => Err(SendError::NotWebSocket),
        })
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
    /// The flow is closed when its peer accepts no byte for so long while something is to be sent; zero for never. Default:
    /// [`ws_send_timeout`](Settings::ws_send_timeout).
    pub send_timeout: Option<Duration>,
    /// Bytes of one SIP message that comes over it. Default: [`ws_max_message_len`](Settings::ws_max_message_len).
    pub max_message_len: Option<usize>,
}

/// Bits of a flow's number that are its place; above are 32 that count the flows of the place, and 8 of the transport.
const INDEX_BITS: u32 = 24;
/// Connections of one transport at most.
const MAX_FLOWS: usize = 1 << INDEX_BITS;

pub(in crate::transport) const fn index_of(id: FlowId) -> usize {
    (id.0 & 0xff_ffff) as usize
}

fn flow_is_connecting(slot: &Slot) -> bool {
    matches!(slot.flow.as_deref(), Some(Flow { link: Link::Connecting(_), .. }))
}
