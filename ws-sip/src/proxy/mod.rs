//! The embedded registrar and proxy: a state machine between flows (RFC 3261 sections 10 and 16).
//!
//! Nothing here knows a socket or a clock. The transport tells what happened and carries out the actions:
//!
//! ```
//! use core::time::Duration;
//! use ws_sip::FlowId;
//! use ws_sip::proxy::{Action, Config, FlowInfo, Kind, Proxy};
//!
//! let mut config = Config::default();
//! config.host = "127.0.0.1:8080".to_owned();
//! let mut proxy = Proxy::new(config, 0x5eed)?; // the seed: 64 random bits
//! let now = Duration::ZERO; // since any epoch
//!
//! proxy.handle_flow_opened(FlowId(1), FlowInfo::default());
//! let outcome = proxy.handle_message(now, FlowId(1), b"\r\n\r\n", Kind::Text);
//! assert_eq!(outcome, Ok(()));
//! while let Some(action) = proxy.poll_action() {
//!     match action {
//!         Action::SendText { flow, text } => assert_eq!((flow, text.as_str()), (FlowId(1), "\r\n")),
//!         Action::SendBinary { flow, bytes } => drop((flow, bytes)),
//!     }
//! }
//! // Sleep until a message arrives or this is due, then call `handle_timeout`.
//! assert_eq!(proxy.poll_timeout(), None);
//! proxy.handle_flow_closed(now, FlowId(1));
//! # Ok::<(), ws_sip::proxy::ConfigError>(())
//! ```
//!
//! # How messages find their way
//! - A request for the server itself (no user in the Request-URI) is answered: REGISTER, OPTIONS, else 405 or 501.
//! - A request with one of our Record-Route URIs on top of its Route goes to the flow that the URI's
//!   [token](crate::flow::FlowToken) names. Dialog-forming requests get two such URIs, one for each side, so that
//!   requests of either side find the other's flow. When that flow was closed, the flow on which the same contact is
//!   registered now takes its place: a call survives a reconnect. Without one the answer is 430.
//! - Any other request goes to the contacts of the address-of-record in the Request-URI, to all at once if there are
//!   several. The `gr` parameter picks one instance (RFC 5627). Of the flows of one instance the newest is taken; when
//!   it fails before a final response, another takes its place (RFC 5626 section 7). An unknown address-of-record
//!   gets 404, one that was known and has no contact left 480.
//! - A response goes back to the flow that its request came from. Nothing is ever sent to the address in a Via or
//!   Contact: behind WebSocket these are invented `.invalid` names.
//!
//! # State
//! Each forwarded request but ACK is a transaction until its final response, so that a closed flow can be reported
//! at once instead of after a timeout. Every transaction has a deadline, and the number of transactions and of the
//! bytes that they keep is bounded by [`Config`].

mod authenticate;
mod config;
mod fail_over;
mod forward;
mod names;
mod register;
mod request;
mod response;
mod revoke;
mod route;
mod stats;
#[cfg(test)]
mod tests;
mod transaction;

pub use config::{Config, ConfigError};
pub use stats::Stats;

use crate::auth::Authenticator;
use crate::flow::FlowId;
use crate::memory::give_back;
use crate::registrar::Registrar;
use crate::sip::{Fault, HeadError, HostPort, Message, PONG, Received, StartLine};
use core::fmt;
use core::hash::Hasher as _;
use core::net::SocketAddr;
use core::time::Duration;
use names::LocalTags;
use std::collections::{HashMap, VecDeque};
use std::hash::DefaultHasher;
use transaction::Transactions;

/// Whether a WebSocket message is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text: valid UTF-8.
    Text,
    /// Binary.
    Binary,
}

/// What the proxy must know of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowInfo {
    /// Whether it runs over TLS: then Via says `WSS`, and `sips` contacts may be reached through it.
    pub secure: bool,
    /// The peer's address, for [`Config::add_received`].
    pub peer: Option<SocketAddr>,
}

/// What the transport has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send one text message.
    SendText {
        /// An open flow.
        flow: FlowId,
        /// One SIP message, or the answer to a keepalive.
        text: String,
    },
    /// Send one binary message: a SIP message that is not UTF-8 (RFC 7118 section 4.2), or the answer to a binary
    /// keepalive.
    SendBinary {
        /// An open flow.
        flow: FlowId,
        /// The message.
        bytes: Vec<u8>,
    },
}

/// Why a message was refused. A malformed request was answered, whatever else was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The flow was never opened, or is closed.
    UnknownFlow,
    /// It is no SIP message.
    NotSip(HeadError),
    /// It breaks a rule of SIP, or is not the only SIP message in its WebSocket message.
    Malformed(Fault),
    /// It is a response to nothing that was sent on its flow.
    StrayResponse,
    /// It is an ACK of somebody who has proven nothing: see [`Proxy::set_authenticator`].
    UnprovenAck,
    /// An edge's upstream takes no message of so many bytes, which it would have been there, and it cannot be answered.
    TooLong(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFlow => f.write_str("message on a flow that is not open"),
            Self::NotSip(error) => write!(f, "not a sip message: {error}"),
            Self::Malformed(fault) => write!(f, "malformed sip message: {fault}"),
            Self::StrayResponse => f.write_str("response without a request"),
            Self::UnprovenAck => f.write_str("ack of somebody who has proven nothing"),
            Self::TooLong(len) => write!(f, "its {len} bytes are too many for the upstream"),
        }
    }
}

impl core::error::Error for Refused {}

#[derive(Debug)]
struct Flow {
    info: FlowInfo,
    /// How many transactions have it as their upstream side.
    transactions: usize,
}

/// A SIP registrar and proxy for the user agents at the other end of its flows.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    registrar: Registrar,
    flows: HashMap<FlowId, Flow>,
    transactions: Transactions,
    actions: VecDeque<Action>,
    stats: Stats,
    /// Tells what this process wrote into messages from what an earlier one did.
    epoch: u32,
    seed: u64,
    tags: LocalTags,
    authenticator: Option<Authenticator>,
    /// The users that proved themselves over a flow.
    proven: HashMap<FlowId, Vec<String>>,
}

impl Proxy {
    /// A proxy without flows.
    ///
    /// `seed` should be random: it keeps apart what different runs write into messages, and makes it hard to guess.
    ///
    /// # Errors
    /// When a name in `config` cannot be written into a SIP message.
    pub fn new(mut config: Config, seed: u64) -> Result<Self, ConfigError> {
        config.check()?;
        let epoch = (seed >> 32) as u32;
        config.max_branches = config.max_branches.clamp(1, usize::from(u16::MAX));
        Ok(Self {
            registrar: Registrar::new(config.registrar.clone()),
            config,
            flows: HashMap::new(),
            transactions: Transactions::default(),
            actions: VecDeque::new(),
            stats: Stats::default(),
            epoch,
            seed,
            tags: LocalTags::new(epoch),
            authenticator: None,
            proven: HashMap::new(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The bindings.
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// How many transactions are not over.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Takes in that a connection was opened. A flow's number is never used again.
    pub fn handle_flow_opened(&mut self, flow: FlowId, info: FlowInfo) {
        self.flows.insert(flow, Flow { info, transactions: 0 });
    }

    /// Takes in that a connection was closed: its bindings end, requests that wait for it are answered, and those
    /// that it sent are cancelled. Repeated calls do nothing.
    pub fn handle_flow_closed(&mut self, now: Duration, flow: FlowId) {
        if self.flows.remove(&flow).is_none() {
            return;
        }
        give_back(&mut self.flows);
        self.forget_proofs(flow);
        self.registrar.handle_flow_closed(now, flow);
        for id in self.transactions.of_flow(flow) {
            self.fail_flow(now, id, flow);
        }
    }

    /// Takes in one whole WebSocket message.
    ///
    /// # Errors
    /// When the message is refused, for the transport to log. What there is to answer was queued.
    pub fn handle_message(
        &mut self,
        now: Duration,
        flow: FlowId,
        bytes: &[u8],
        kind: Kind,
    ) -> Result<(), Refused> {
        if !self.flows.contains_key(&flow) {
            self.stats.unknown_flow += 1;
            return Err(Refused::UnknownFlow);
        }
        let message = match Received::parse(bytes) {
            Ok(Received::Sip(message)) => message,
            Ok(Received::KeepalivePing) => {
                self.stats.keepalive_pings += 1;
                self.actions.push_back(match kind {
                    Kind::Text => Action::SendText { flow, text: String::from("\r\n") },
                    Kind::Binary => Action::SendBinary { flow, bytes: PONG.to_vec() },
                });
                return Ok(());
            }
            Ok(Received::KeepalivePong) => {
                self.stats.keepalive_pongs += 1;
                return Ok(());
            }
            Err(error) => {
                self.stats.not_sip += 1;
                return Err(Refused::NotSip(error));
            }
        };
        self.handle_sip(now, flow, &message)
    }

    /// Takes in a SIP message that was read already; see [`handle_message`](Self::handle_message).
    ///
    /// # Errors
    /// When the message is refused, for the transport to log. What there is to answer was queued.
    pub fn handle_sip(&mut self, now: Duration, flow: FlowId, message: &Message<'_>) -> Result<(), Refused> {
        if !self.flows.contains_key(&flow) {
            self.stats.unknown_flow += 1;
            return Err(Refused::UnknownFlow);
        }
        match message.start_line() {
            StartLine::Request { .. } => self.handle_request(now, flow, message),
            StartLine::Response { status, .. } => self.handle_response(now, flow, message, status),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let transactions = self.transactions.first_deadline().map(|(at, _)| at);
        [transactions, self.registrar.poll_timeout()].into_iter().flatten().min()
    }

    /// Carries out what is due; early or repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.registrar.handle_timeout(now);
        while let Some((at, id)) = self.transactions.first_deadline()
            && at <= now
        {
            self.expire(now, id);
        }
    }

    /// The next thing to do.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn send(&mut self, flow: FlowId, bytes: Vec<u8>) {
        self.actions.push_back(match String::from_utf8(bytes) {
            Ok(text) => Action::SendText { flow, text },
            Err(error) => Action::SendBinary { flow, bytes: error.into_bytes() },
        });
    }

    fn info(&self, flow: FlowId) -> Option<FlowInfo> {
        self.flows.get(&flow).map(|flow| flow.info)
    }

    /// A hasher whose results others cannot foresee.
    fn hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher
    }

    /// Whether a Via or Route names this proxy.
    fn is_own(&self, at: &HostPort<'_>) -> bool {
        HostPort::parse(self.config.host.as_bytes()).is_ok_and(|own| own.is_same(at))
    }

    /// Whether requests for this domain are served here.
    fn serves(&self, host: &[u8]) -> bool {
        let domains = &self.config.domains;
        domains.is_empty()
            || domains.iter().any(|domain| domain.as_bytes().eq_ignore_ascii_case(host))
            || HostPort::parse(self.config.host.as_bytes())
                .is_ok_and(|own| own.host.eq_ignore_ascii_case(host))
    }
}
