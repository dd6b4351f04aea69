use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use ws_core::{CloseFrame, Kind, Opened, Outcome, Request, Side};

use crate::flow::FlowId;
use crate::sip::{HeadError, Message};

/// What happened on a flow.
#[derive(Debug)]
#[non_exhaustive]
pub enum FlowEvent<'a> {
    /// A flow is open: SIP messages may be sent over it.
    Opened {
        /// The flow; one event `Closed` with it follows, once.
        flow: FlowId,
        /// Who opened it, between which addresses.
        ends: Ends,
        /// The heads of the opening handshake, and the subprotocol.
        opened: &'a Opened,
    },
    /// A connection to a SIP server is there, over TCP or UDP; it ends as any flow does.
    TrunkOpened {
        /// The flow.
        flow: FlowId,
        /// Who opened it, between which addresses.
        ends: Ends,
    },
    /// A SIP message came.
    Message {
        /// Where it came from, and where a response to it must go.
        flow: FlowId,
        /// The message.
        message: Message<'a>,
        /// Whether it came as text or binary.
        kind: Kind,
    },
    /// What came is not one SIP message and no keepalive: it was dropped (RFC 7118, section 4.1).
    Refused {
        /// Where it came from.
        flow: FlowId,
        /// What is wrong with it.
        error: HeadError,
        /// The first bytes of it, for a log.
        start: &'a [u8],
    },
    /// The network takes no datagram as long as one that was to be sent: that one was dropped.
    TooLong {
        /// Over which flow it was to go.
        flow: FlowId,
        /// Its bytes.
        len: usize,
    },
    /// An open flow ended.
    Closed {
        /// The flow.
        flow: FlowId,
        /// Between which addresses it was.
        ends: Ends,
        /// How it ended.
        outcome: &'a Outcome,
        /// The Close frame with which the end began, if there was one.
        first_close: Option<&'a FirstClose>,
        /// What the system or TLS said, if the transport of a WebSocket connection was
        /// [lost](ws_core::Outcome::TransportLost).
        error: Option<&'a std::io::Error>,
        /// What went over it.
        counters: Counters,
        /// How long it was open.
        age: Duration,
    },
    /// An opening handshake did not end in an open flow. For an outgoing flow this is the one answer to the call
    /// that asked for it; what waited to be sent over it is lost.
    NotOpened {
        /// The flow that will not be.
        flow: FlowId,
        /// Between which addresses, as far as known: an outgoing flow without a TCP connection has the last address
        /// that was tried, and an unspecified one of ours.
        ends: Ends,
        /// Why.
        why: NotOpened<'a>,
        /// What the system or TLS said, if the transport was [lost](ws_core::Outcome::TransportLost).
        error: Option<&'a std::io::Error>,
        /// Where an outgoing flow was to lead, host and port.
        destination: Option<(&'a str, u16)>,
        /// The request's head verbatim, as far as it came; empty if nothing came or was sent.
        request: &'a [u8],
        /// The response verbatim, as far as it came; empty if there was none.
        response: &'a [u8],
    },
    /// An HTTP request that asks for no WebSocket came, and was not answered yet: see
    /// [`Flows::respond`](super::Flows::respond).
    Http {
        /// The connection.
        flow: FlowId,
        /// Who asks.
        ends: Ends,
        /// The request.
        request: &'a Request,
    },
    /// A listener could not accept a connection; it goes on.
    AcceptFailed {
        /// The listener.
        local: SocketAddr,
        /// Why, such as no more file descriptors.
        error: &'a std::io::Error,
    },
}

/// Why a flow did not open.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotOpened<'a> {
    /// The host has no address, or none could be connected to.
    Connect(&'a std::io::Error),
    /// The opening handshake failed, timed out, or was answered with plain HTTP.
    Handshake(&'a Outcome),
}

/// The Close frame with which the end of a flow began (RFC 6455, section 7.1.2); an answer to it is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstClose {
    /// Who sent it.
    pub by: Side,
    /// Its status code and reason; `None` if it had none (1005).
    pub frame: Option<CloseFrame>,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The other side's address; never an IPv4 address that is written as one of IPv6.
    pub peer: SocketAddr,
    /// Our address, in the same form.
    pub local: SocketAddr,
    /// Whether the peer opened it.
    pub is_incoming: bool,
    /// Whether it is protected by TLS.
    pub is_secure: bool,
}

impl Ends {
    /// A socket for both versions of IP tells an IPv4 address as one of IPv6: what it is is an IPv4 address.
    pub(super) fn canonical(self) -> Self {
        Self { peer: canonical(self.peer), local: canonical(self.local), ..self }
    }

    /// Those of an outgoing flow that has no TCP connection yet.
    pub(crate) const fn unknown() -> Self {
        Self::towards(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
    }

    /// Those of an outgoing flow that tries to reach `peer`.
    pub(super) const fn towards(peer: SocketAddr) -> Self {
        let local = match peer {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { peer, local: SocketAddr::new(local, 0), is_incoming: false, is_secure: false }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        // Another would lose its scope.
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => SocketAddr::new(v6.to_canonical(), address.port()),
        _ => address,
    }
}

/// What went over a flow, WebSocket payloads only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent.
    pub messages_out: u64,
    /// Bytes of messages received.
    pub bytes_in: u64,
    /// Bytes of messages sent.
    pub bytes_out: u64,
}

/// An open flow, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowStatus {
    /// The flow.
    pub flow: FlowId,
    /// Between which addresses it is.
    pub ends: Ends,
    /// What went over it so far.
    pub counters: Counters,
    /// How long it has been open.
    pub age: Duration,
}
