//! What a worker is for the browsers: a registrar and proxy in memory, or the edge of another server.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::mpsc::SyncSender;

use ws_sip::auth::Users;
use ws_sip::edge::{Edge, Side, Upstream};
use ws_sip::mi::{Statistic, statistic};
use ws_sip::proxy::{Action, FlowInfo, Proxy, Refused};
use ws_sip::sip::Message;
use ws_sip::{Ends, FlowEvent, FlowId, Flows, OpenOptions, SendError, TrunkTransport};

use super::hub::Told;
use super::log::{Level, Log};

/// Between attempts to reach the upstream: doubled each time, from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

pub(crate) enum Core {
    Registrar(Box<Proxy>),
    /// The registrar is in another thread, since there are more workers.
    Hub(SyncSender<Told>),
    Edge(Box<EdgeCore>),
}

pub(crate) struct EdgeCore {
    edge: Edge,
    upstream: Upstream,
    /// Where the upstream's connections are listened for, with TCP, if that was told.
    listener: Option<SocketAddr>,
    /// If it was not: on each address that led to the upstream so far.
    found: Vec<SocketAddr>,
    /// Where datagrams are sent from, with UDP, if it matters.
    socket: Option<SocketAddr>,
    /// How a WebSocket to it is opened.
    options: OpenOptions,
    /// The flow to the upstream, open or being opened, and its other end once it is.
    flow: Option<FlowId>,
    peer: Option<SocketAddr>,
    retry_at: Option<Duration>,
    pause: Duration,
}

impl EdgeCore {
    pub(crate) const fn new(
        edge: Edge,
        upstream: Upstream,
        listener: Option<SocketAddr>,
        socket: Option<SocketAddr>,
        options: OpenOptions,
    ) -> Self {
        Self {
            edge,
            upstream,
            listener,
            found: Vec::new(),
            socket,
            options,
            flow: None,
            peer: None,
            retry_at: Some(Duration::ZERO),
            pause: RETRY.0,
        }
    }

    fn open(&mut self, flows: &mut Flows) {
        self.retry_at = None;
        let flow = match &self.upstream {
            Upstream::Tcp(address) => Some(flows.open_trunk(address, TrunkTransport::Tcp)),
            Upstream::Udp(address) => Some(flows.open_trunk_from(address, TrunkTransport::Udp, self.socket)),
            Upstream::Ws(destination) => flows.open(destination, &self.options).ok(),
            _ => None,
        };
        self.flow = flow;
    }

    fn lost(&mut self, now: Duration, flow: FlowId) {
        if self.flow == Some(flow) {
            self.flow = None;
            self.retry_at = Some(now + self.pause);
            self.pause = (self.pause * 2).min(RETRY.1);
        }
    }

    /// A connection of the upstream's side is there. Returns whether it is taken.
    fn joined(&mut self, flows: &mut Flows, flow: FlowId, ends: &Ends, log: Log) -> bool {
        if ends.is_incoming {
            // Who is not the upstream has no business here, though without our tokens it could do little.
            let known = self.peer.is_some_and(|peer| peer.ip() == ends.peer.ip());
            if known {
                self.edge.handle_upstream_accepted(flow);
            }
            return known;
        }
        self.pause = RETRY.0;
        self.peer = Some(ends.peer);
        let host = match self.listener {
            Some(listener) if listener.ip().is_unspecified() => {
                SocketAddr::new(ends.local.ip(), listener.port())
            }
            Some(listener) => listener,
            None if self.is_called_back() => self.listen(flows, ends.local, log),
            None => ends.local,
        };
        self.edge.set_upstream_host(host.to_string());
        self.edge.handle_flow_opened(flow, Side::Upstream, None);
        true
    }

    /// Whether the upstream may open connections to this edge.
    const fn is_called_back(&self) -> bool {
        matches!(self.upstream, Upstream::Tcp(_))
    }

    /// Listens for the upstream on the address that leads to it; returns where.
    fn listen(&mut self, flows: &mut Flows, local: SocketAddr, log: Log) -> SocketAddr {
        if let Some(known) = self.found.iter().find(|known| known.ip() == local.ip()) {
            return *known;
        }
        let mut any_port = local;
        any_port.set_port(0);
        match flows.listen_trunk(any_port) {
            Ok(found) => {
                self.found.push(found);
                found
            }
            Err(error) => {
                // What the upstream sends over the connection that there is arrives all the same.
                log.write(Level::Error, "not-listening", &[("error", &error)]);
                local
            }
        }
    }
}

impl Core {
    /// Takes in that a flow opened or closed.
    pub(crate) fn handle_event(&mut self, now: Duration, flows: &mut Flows, event: &FlowEvent<'_>, log: Log) {
        match (self, event) {
            (Self::Registrar(proxy), FlowEvent::Opened { flow, ends, .. }) => {
                proxy.handle_flow_opened(*flow, FlowInfo { secure: ends.is_secure, peer: Some(ends.peer) });
            }
            (Self::Registrar(proxy), FlowEvent::Closed { flow, .. }) => proxy.handle_flow_closed(now, *flow),
            (Self::Hub(hub), FlowEvent::Opened { flow, ends, .. }) => {
                let info = FlowInfo { secure: ends.is_secure, peer: Some(ends.peer) };
                tell(hub, Told::Opened(*flow, info));
            }
            (Self::Hub(hub), FlowEvent::Closed { flow, .. }) => tell(hub, Told::Closed(*flow)),
            (Self::Edge(core), FlowEvent::Opened { flow, ends, .. }) => {
                if ends.is_incoming {
                    core.edge.handle_flow_opened(*flow, Side::Client, Some(ends.peer));
                    if ends.is_secure {
                        core.edge.set_secure(*flow);
                    }
                } else {
                    core.joined(flows, *flow, ends, log);
                }
            }
            (Self::Edge(core), FlowEvent::TrunkOpened { flow, ends }) => {
                let taken = core.joined(flows, *flow, ends, log);
                if !taken {
                    // It is there: it just opened.
                    let _ = flows.abort(*flow);
                }
            }
            (Self::Edge(core), FlowEvent::Closed { flow, .. }) => {
                core.edge.handle_flow_closed(*flow);
                // Over TCP, responses may still come over a connection that the upstream opens (RFC 3261, section 18.2.2), as
                // long as it is there.
                if core.flow == Some(*flow) && !core.is_called_back() {
                    core.edge.handle_upstream_gone(now);
                }
                core.lost(now, *flow);
            }
            (Self::Edge(core), FlowEvent::NotOpened { flow, .. }) => {
                if core.flow == Some(*flow) {
                    core.edge.handle_upstream_gone(now);
                }
                core.lost(now, *flow);
            }
            _ => {}
        }
    }

    pub(crate) fn handle_sip(
        &mut self,
        now: Duration,
        flow: FlowId,
        message: &Message<'_>,
    ) -> Result<(), Refused> {
        match self {
            Self::Registrar(proxy) => proxy.handle_sip(now, flow, message),
            Self::Hub(hub) => {
                tell(hub, Told::Message(flow, message.bytes().into()));
                Ok(())
            }
            Self::Edge(core) => core.edge.handle_sip(now, flow, message),
        }
    }

    /// Changes who may register, where that is asked.
    pub(crate) fn set_users(&mut self, now: Duration, users: Users) {
        match self {
            Self::Registrar(proxy) => proxy.set_users(now, users),
            // It is told once for all workers, so that one that is late cannot bring old users back.
            Self::Hub(_) | Self::Edge(_) => {}
        }
    }

    /// Changes how long an edge's upstream may accept no byte, and how long a message of it may be, over the next WebSocket
    /// connection to it. Over TCP and UDP the transport has it from its settings.
    pub(crate) fn set_upstream_limits(&mut self, send_timeout: Duration, max_message_len: usize) {
        if let Self::Edge(core) = self {
            core.options.send_timeout = Some(send_timeout);
            core.options.max_message_len = Some(max_message_len);
        }
    }

    pub(crate) fn statistics(&self) -> Vec<Statistic> {
        match self {
            Self::Registrar(proxy) => statistic::proxy(proxy.stats()),
            // It is asked itself.
            Self::Hub(_) => Vec::new(),
            Self::Edge(core) => statistic::edge(core.edge.stats()),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        match self {
            Self::Registrar(proxy) => proxy.poll_timeout(),
            Self::Hub(_) => None,
            Self::Edge(core) => core.edge.poll_timeout().into_iter().chain(core.retry_at).min(),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration, flows: &mut Flows) {
        match self {
            Self::Registrar(proxy) => proxy.handle_timeout(now),
            Self::Hub(_) => {}
            Self::Edge(core) => {
                core.edge.handle_timeout(now);
                if flows.is_draining() {
                    // Never: a time that passed and is not acted on would leave the worker no rest until the end.
                    core.retry_at = None;
                } else if core.retry_at.is_some_and(|at| at <= now) {
                    core.open(flows);
                }
            }
        }
    }

    /// Sends what is to be sent; `report` hears of what could not be.
    pub(crate) fn act(
        &mut self,
        flows: &mut Flows,
        mut sent: impl FnMut(&mut Flows, FlowId, &[u8], Result<(), SendError>),
    ) {
        match self {
            Self::Registrar(proxy) => {
                while let Some(action) = proxy.poll_action() {
                    let (flow, bytes) = match &action {
                        Action::SendText { flow, text } => (*flow, text.as_bytes()),
                        Action::SendBinary { flow, bytes } => (*flow, bytes.as_slice()),
                    };
                    let result = flows.send(flow, bytes);
                    sent(flows, flow, bytes, result);
                }
            }
            // It sends by itself.
            Self::Hub(_) => {}
            Self::Edge(core) => {
                while let Some(send) = core.edge.poll_send() {
                    let result = flows.send(send.flow, &send.bytes);
                    sent(flows, send.flow, &send.bytes, result);
                }
            }
        }
    }
}

/// Tells the hub, and waits if it is behind. It lives as long as there are workers.
fn tell(hub: &SyncSender<Told>, told: Told) {
    let _ = hub.send(told);
}

#[cfg(test)]
mod tests {
    use ws_sip::edge::Config;
    use ws_sip::{Settings, Transport};

    use super::*;

    fn edge(upstream: &str) -> EdgeCore {
        let upstream: Upstream = upstream.parse().unwrap();
        let edge = Edge::new(Config::new("edge.invalid", "edge.invalid", upstream.transport()), &[7; 32]);
        EdgeCore::new(edge, upstream, None, None, OpenOptions::default())
    }

    #[test]
    fn the_next_websocket_connection_has_new_limits() {
        let mut core = Core::Edge(Box::new(edge("ws://127.0.0.1/")));
        core.set_upstream_limits(Duration::from_millis(7), 8000);
        let Core::Edge(core) = core else { unreachable!() };
        assert_eq!(core.options.send_timeout, Some(Duration::from_millis(7)));
        assert_eq!(core.options.max_message_len, Some(8000));
    }

    #[test]
    fn a_lost_upstream_is_not_waited_for_while_the_flows_close() {
        let mut transport = Transport::new(Settings::default()).unwrap();
        let flows = transport.flows();
        let mut edge = edge("sip:127.0.0.1;transport=tcp");
        edge.retry_at = Some(RETRY.0);
        let mut core = Core::Edge(Box::new(edge));
        flows.shut_down(Duration::from_secs(5));
        for now in [Duration::ZERO, RETRY.0] {
            core.handle_timeout(now, flows);
            assert_eq!(core.poll_timeout(), None);
        }
    }
}
