//! An edge proxy in front of a SIP server: browsers on one side, the upstream on the other.
//!
//! ```text
//!   browser ══ WebSocket flow ══ edge ══ TCP, UDP or WebSocket ══ SIP server
//!              REGISTER ────────────▶   + Path: <sip:TOKEN@edge;lr;ob>          keeps the Path with the binding
//!              ◀──────────── request       by the TOKEN in its Route ◀────────── Route: <sip:TOKEN@edge;lr;ob>
//! ```
//!
//! The edge holds no state of calls or registrations. A request from the upstream finds its flow by the token that
//! the edge wrote into Path or Record-Route (RFC 3327, RFC 5626), a response by the token in the edge's own Via. So
//! any number of edges share nothing, and each may come and go with its flows alone. Over UDP, where one side is
//! reliable and the other is not, a transaction layer retransmits (RFC 3261 section 17).
//!
//! [`Edge`] is sans-IO: messages and time in, messages for flows out. Connections to the upstream are flows too.

mod forward;
mod response;
mod token;
mod transactions;
mod unanswered;
mod upstream;

use core::fmt;
use core::hash::{Hash as _, Hasher as _};
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::DefaultHasher;

use crate::flow::FlowId;
use crate::memory::give_back;
use crate::proxy::Refused;
use crate::sip::{HostPort, Message, ReplyHead, SipUri, StartLine};
use crate::transport::MAX_DATAGRAM_LEN;
use token::Tokens;
use transactions::Transactions;
use unanswered::Unanswered;
pub use upstream::Upstream;

/// How the edge and the upstream reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamTransport {
    /// One stream, SIP messages delimited by Content-Length.
    Tcp,
    /// Datagrams: the edge retransmits.
    Udp,
    /// WebSocket, the edge as client.
    Ws,
    /// The same over TLS.
    Wss,
}

impl UpstreamTransport {
    /// As it stands in a Via.
    const fn via(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// As it stands in a URI.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            // RFC 7118, section 5.2.2: one value for both.
            Self::Ws | Self::Wss => "ws",
        }
    }
}

impl fmt::Display for UpstreamTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.parameter())
    }
}

/// What an [`Edge`] writes of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The edge's host, and port if any, as the browsers' side knows it.
    pub client_host: String,
    /// The edge's host and port that the upstream sends to.
    pub upstream_host: String,
    /// What is spoken with the upstream.
    pub transport: UpstreamTransport,
    /// Transactions over UDP at once; a request beyond them is answered 503. Over a stream, so many requests without a final
    /// response are known at most. Default 65,536.
    pub max_transactions: usize,
    /// Bytes of a message as it is sent to the upstream, with all that is written into it; a longer request is answered 513.
    /// Default: any number. Over UDP it is never more than a datagram carries, 65,507.
    pub max_upstream_message_len: usize,
    /// Whether `received`, and `rport` where it is asked for, are added to the topmost Via of browsers' requests. Off by
    /// default: RFC 7118 (section 5.2.3) leaves it open, and the upstream needs no address of a browser.
    pub add_received: bool,
}

impl Config {
    /// Returns a configuration with the defaults.
    #[must_use]
    pub fn new(
        client_host: impl Into<String>,
        upstream_host: impl Into<String>,
        transport: UpstreamTransport,
    ) -> Self {
        Self {
            client_host: client_host.into(),
            upstream_host: upstream_host.into(),
            transport,
            max_transactions: 65_536,
            max_upstream_message_len: usize::MAX,
            add_received: false,
        }
    }
}

/// Which side of the edge a flow is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A browser's.
    Client,
    /// The SIP server's.
    Upstream,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }
}

/// A message to be sent over a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The flow.
    pub flow: FlowId,
    /// One SIP message.
    pub bytes: Vec<u8>,
}

/// What an [`Edge`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests forwarded to the upstream.
    pub requests_up: u64,
    /// Requests forwarded to browsers.
    pub requests_down: u64,
    /// Responses forwarded to the upstream.
    pub responses_up: u64,
    /// Responses forwarded to browsers.
    pub responses_down: u64,
    /// Requests answered here, all but OPTIONS for the edge itself with an error.
    pub answered: u64,
    /// Messages that broke a rule, responses that no Via of ours could be found in, and what is too long for the upstream and
    /// has no answer.
    pub refused: u64,
    /// Messages for flows that are gone.
    pub flow_failed: u64,
    /// Retransmissions sent over UDP.
    pub retransmissions: u64,
}

/// An edge proxy. See the [module](self).
#[derive(Debug)]
pub struct Edge {
    config: Config,
    tokens: Tokens,
    seed: u64,
    flows: HashMap<FlowId, Side>,
    /// The browsers' addresses, for `received`.
    peers: HashMap<FlowId, SocketAddr>,
    /// Flows over TLS.
    secure: HashSet<FlowId>,
    /// The upstream's flow that requests go to: the latest.
    upstream: Option<FlowId>,
    transactions: Transactions,
    unanswered: Unanswered,
    sends: VecDeque<Send>,
    stats: Stats,
    tags: u64,
}

impl Edge {
    /// Returns an edge without flows. `key` must come from the operating system's random numbers.
    #[must_use]
    pub fn new(config: Config, key: &[u8; 32]) -> Self {
        let mut seed = DefaultHasher::new();
        seed.write(key);
        Self {
            transactions: Transactions::new(config.max_transactions),
            unanswered: Unanswered::new(config.max_transactions),
            config,
            tokens: Tokens::new(key),
            seed: seed.finish(),
            flows: HashMap::new(),
            peers: HashMap::new(),
            secure: HashSet::new(),
            upstream: None,
            sends: VecDeque::new(),
            stats: Stats::default(),
            tags: 0,
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns whether there is a flow to the upstream.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.upstream.is_some()
    }

    /// Changes the host and port that the upstream is told to send to.
    pub fn set_upstream_host(&mut self, host: impl Into<String>) {
        self.config.upstream_host = host.into();
    }

    /// Takes in that a flow is open; `peer`, for [`Config::add_received`], is a browser's address. Requests go to the
    /// upstream's flow that opened last.
    pub fn handle_flow_opened(&mut self, flow: FlowId, side: Side, peer: Option<SocketAddr>) {
        self.flows.insert(flow, side);
        if let Some(peer) = peer.filter(|_| self.config.add_received) {
            self.peers.insert(flow, peer);
        }
        if side == Side::Upstream {
            self.upstream = Some(flow);
        }
    }

    /// Notes that a browser's flow is protected by TLS: that stands in the Via of what is sent to it.
    pub fn set_secure(&mut self, flow: FlowId) {
        self.secure.insert(flow);
    }

    /// Takes in that the upstream opened a further connection to the edge: it may send over it, and gets the
    /// responses there.
    pub fn handle_upstream_accepted(&mut self, flow: FlowId) {
        self.flows.insert(flow, Side::Upstream);
    }

    /// Takes in that a flow is closed.
    pub fn handle_flow_closed(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
        self.peers.remove(&flow);
        self.secure.remove(&flow);
        give_back(&mut self.flows);
        give_back(&mut self.peers);
        if self.upstream == Some(flow) {
            self.upstream = None;
        }
        self.transactions.handle_flow_closed(flow);
    }

    /// Takes in that no response of the upstream can come any more to what was forwarded to it over a stream, since it is gone
    /// and will not be back soon: what has no final response is answered 503 (RFC 3261, section 16.9). Over UDP the
    /// transactions' own timers tell.
    pub fn handle_upstream_gone(&mut self, now: Duration) {
        self.handle_timeout(now);
        for (flow, head) in self.unanswered.take() {
            self.answer_late(flow, head, 503, "Service Unavailable");
        }
    }

    /// Answers what was forwarded, and what nobody else will answer.
    fn answer_late(&mut self, flow: FlowId, head: ReplyHead, status: u16, reason: &str) {
        if self.flows.get(&flow) == Some(&Side::Client) {
            self.tags += 1;
            let tag = format!("e{:x}-{:x}", self.seed, self.tags);
            self.stats.answered += 1;
            self.send(flow, head.reply(status, reason, tag).finish());
        }
    }

    /// Takes in a SIP message that came over a flow.
    ///
    /// # Errors
    /// When it is refused, for a log. What there is to answer was queued.
    pub fn handle_sip(&mut self, now: Duration, flow: FlowId, message: &Message<'_>) -> Result<(), Refused> {
        let side = *self.flows.get(&flow).ok_or(Refused::UnknownFlow)?;
        match message.start_line() {
            StartLine::Request { .. } => self.handle_request(now, flow, side, message),
            StartLine::Response { status, .. } => self.handle_response(now, flow, side, message, status),
        }
        .inspect_err(|_| self.stats.refused += 1)
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.transactions.poll_timeout().into_iter().chain(self.unanswered.poll_timeout()).min()
    }

    /// Acts on the deadlines that passed by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((flow, over, head)) = self.unanswered.handle_timeout(now) {
            // As long as its connection is there, the upstream has it in hand.
            if !self.flows.contains_key(&over) {
                self.answer_late(flow, head, 408, "Request Timeout");
            }
        }
        while let Some(due) = self.transactions.handle_timeout(now) {
            match due {
                transactions::Due::Retransmit(bytes) => {
                    if let Some(flow) = self.upstream {
                        self.stats.retransmissions += 1;
                        self.sends.push_back(Send { flow, bytes });
                    }
                }
                transactions::Due::Answer(flow, bytes) => {
                    self.stats.answered += 1;
                    self.sends.push_back(Send { flow, bytes });
                }
            }
        }
    }

    /// Returns the next message to be sent.
    pub fn poll_send(&mut self) -> Option<Send> {
        self.sends.pop_front()
    }

    fn send(&mut self, flow: FlowId, bytes: Vec<u8>) {
        self.sends.push_back(Send { flow, bytes });
    }

    /// Whether the upstream takes a message of so many bytes.
    const fn fits(&self, len: usize) -> bool {
        len <= self.config.max_upstream_message_len
            && (!matches!(self.config.transport, UpstreamTransport::Udp) || len <= MAX_DATAGRAM_LEN)
    }

    /// Whether an address is the edge's own, on either side.
    fn is_own(&self, at: &HostPort<'_>) -> bool {
        [&self.config.client_host, &self.config.upstream_host]
            .into_iter()
            .any(|own| HostPort::parse(own.as_bytes()).is_ok_and(|own| own.is_same(at)))
    }

    /// The flow that a URI of ours names: `Some(None)` if it is ours by its address and names none. A token is
    /// ours whatever the address, which may have changed since.
    fn flow_of_uri(&self, uri: &SipUri<'_>) -> Option<Option<FlowId>> {
        let flow = uri.user.and_then(|user| self.tokens.flow(user));
        (flow.is_some() || self.is_own(&uri.at)).then_some(flow)
    }

    /// A branch for our Via that a retransmission, CANCEL or ACK of the same transaction gets again (RFC 3261
    /// section 16.11).
    fn branch(&self, sent_by: &HostPort<'_>, branch: Option<&[u8]>, message: &Message<'_>) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        match branch.filter(|branch| branch.starts_with(b"z9hG4bK")) {
            Some(branch) => {
                branch.hash(&mut hasher);
                sent_by.host.hash(&mut hasher);
                sent_by.port.hash(&mut hasher);
            }
            None => {
                // An element of RFC 2543: what its transactions are told by.
                for header in [crate::sip::Header::CallId, crate::sip::Header::From] {
                    message.first(header).map(|field| message.value_of(field)).hash(&mut hasher);
                }
                if let Some(cseq) = message.first(crate::sip::Header::CSeq) {
                    let number = message.value_of(cseq).split(|b| !b.is_ascii_digit()).next();
                    number.hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
