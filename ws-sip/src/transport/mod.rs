//! SIP over WebSocket connections: the transport that a proxy, registrar or user agent embeds.
//!
//! A [`Transport`] listens, opens flows to destinations, and runs them all in the thread that polls it. Each poll
//! hands what happened to a handler, which sends through [`Flows`]. Whatever runs above is told of each flow that
//! opens, each SIP message, and each flow that closes, exactly once.
//!
//! ```no_run
//! use ws_sip::{FlowEvent, Settings, Transport};
//!
//! let mut transport = Transport::new(Settings::default())?;
//! transport.listen("ws:127.0.0.1:8080".parse()?)?;
//! loop {
//!     transport.poll(None, |flows, event| {
//!         if let FlowEvent::Message { flow, message, .. } = event {
//!             let reply = ws_sip::sip::Reply::to(&message, None, 501, "Not Implemented", "tag");
//!             if let Some(reply) = reply {
//!                 let _ = flows.send(flow, &reply.finish());
//!             }
//!         }
//!     })?;
//! }
//! # #[expect(unreachable_code)]
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod addresses;
mod clock;
mod config;
mod dial;
mod event;
mod flows;
mod front;
mod handle;
mod limits;
mod listener;
mod liveness;
mod outgoing;
mod run;
mod socket;
mod stats;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod traced;
mod trunk;
mod trunks;

use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::sync::Arc;

use mio::{Poll, Registry, Token, Waker};

pub use config::CheckedSettings;
pub use event::{Counters, Ends, FirstClose, FlowEvent, FlowStatus, NotOpened};
pub use flows::{Flows, OpenOptions, SendError};
pub use handle::Handle;
pub use stats::Stats;
pub(crate) use trunk::MAX_DATAGRAM_LEN;
pub use trunk::{TrunkAddress, TrunkTransport};

use crate::address::ListenAddress;
use crate::settings::Settings;
use crate::trace::Tracer;
use config::Configs;
use listener::{Listener, Serves};
use outgoing::Resolver;

/// Bytes that one read takes at most.
const READ_LEN: usize = 64 << 10;
/// Listeners at most.
const MAX_LISTENERS: usize = 256;
const WAKER: Token = Token(MAX_LISTENERS);
/// The token of the flow in the first place.
const FIRST_FLOW: usize = MAX_LISTENERS + 1;

/// SIP over WebSocket connections, all in one thread. See the [module](self).
#[derive(Debug)]
pub struct Transport {
    poll: Poll,
    events: mio::Events,
    listeners: Vec<Listener>,
    flows: Flows,
    handle: Handle,
    /// What is read into, for all flows.
    scratch: Box<[u8]>,
    /// Flows that were left with something to read, so that others have their turn.
    unread: Vec<crate::flow::FlowId>,
}

impl Transport {
    /// Returns a transport without listeners or flows. Plain HTTP requests get 426.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn new(settings: Settings) -> Result<Self, TransportError> {
        Self::build(settings, false)
    }

    /// As [`new`](Self::new), but plain HTTP requests come as [`FlowEvent::Http`]; one that the handler does not
    /// answer at once gets 404.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn with_http(settings: Settings) -> Result<Self, TransportError> {
        Self::build(settings, true)
    }

    fn build(settings: Settings, plain_requests: bool) -> Result<Self, TransportError> {
        let checked = CheckedSettings::new(settings)?;
        let configs = Configs::new(&checked, plain_requests);
        let poll = Poll::new().map_err(TransportError::System)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(TransportError::System)?);
        let registry = poll.registry().try_clone().map_err(TransportError::System)?;
        let resolver = Resolver::new(Arc::clone(&waker));
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(1024),
            listeners: Vec::new(),
            flows: Flows::new(checked.settings, configs, registry, resolver),
            handle: Handle::new(waker),
            scratch: vec![0; READ_LEN].into(),
            unread: Vec::new(),
        })
    }

    /// Returns a further transport, for another thread: with the same settings and [`Tracer`], and with limits
    /// on connections that hold for both together. `number` must be another for each; it is in the numbers of the
    /// [flows](crate::FlowId::transport). Both listen on one address by [`listen_shared`](Self::listen_shared).
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn another(&self, number: u8) -> Result<Self, TransportError> {
        let mut another = Self::build(self.flows.settings.clone(), self.flows.configs.server.plain_requests)?;
        another.flows.limits = self.flows.limits.another();
        another.flows.number = number;
        another.replace_tracer(self.flows.tracer().map(Tracer::share));
        Ok(another)
    }

    /// Listens on an address and returns it, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// [`TransportError::Listen`].
    pub fn listen(&mut self, address: ListenAddress) -> Result<SocketAddr, TransportError> {
        self.listen_on(Listener::bind, address)
    }

    /// As [`listen`](Self::listen), on an address that further transports of this user may listen on too: the system spreads
    /// the connections over them (`SO_REUSEPORT`). If `is_first`, nobody must be there yet.
    ///
    /// # Errors
    /// [`TransportError::Listen`].
    pub fn listen_shared(
        &mut self,
        address: ListenAddress,
        is_first: bool,
    ) -> Result<SocketAddr, TransportError> {
        let bind = if is_first { Listener::bind_first_of_many } else { Listener::bind_shared };
        self.listen_on(bind, address)
    }

    /// Listens for connections of a SIP server over TCP, without WebSocket: they come as
    /// [`FlowEvent::TrunkOpened`].
    ///
    /// # Errors
    /// [`TransportError::ListenTrunk`].
    pub fn listen_trunk(&mut self, address: SocketAddr) -> Result<SocketAddr, TransportError> {
        self.listen_by(Listener::bind, address, Serves::Trunk)
    }

    fn listen_on(
        &mut self,
        bind: impl Fn(SocketAddr, &Registry, Token, Serves) -> io::Result<Listener>,
        address: ListenAddress,
    ) -> Result<SocketAddr, TransportError> {
        let settings = &self.flows.settings;
        let (port, serves) = match address.is_secure {
            false => (settings.ws_port, Serves::WebSocket),
            true => (settings.wss_port, Serves::SecureWebSocket),
        };
        self.flows.configs.tls.check_listener(&address)?;
        self.listen_by(bind, address.with_default_port(port), serves)
    }

    fn listen_by(
        &mut self,
        bind: impl Fn(SocketAddr, &Registry, Token, Serves) -> io::Result<Listener>,
        address: SocketAddr,
        serves: Serves,
    ) -> Result<SocketAddr, TransportError> {
        let registry = self.poll.registry();
        let local = self.flows.new_listeners.add(|token| bind(address, registry, token, serves));
        self.flows.new_listeners.move_to(&mut self.listeners);
        local.map_err(|error| match serves {
            Serves::Trunk => TransportError::ListenTrunk(address, error),
            Serves::WebSocket | Serves::SecureWebSocket => {
                let is_secure = serves == Serves::SecureWebSocket;
                TransportError::Listen(ListenAddress { is_secure, ..address.into() }, error)
            }
        })
    }

    /// Changes the settings, for connections that come from now on; those that are there keep theirs, and the
    /// listeners stay.
    ///
    /// # Errors
    /// [`TransportError::Origin`], [`TransportError::Tls`]; nothing is changed then. The files of TLS are read anew, and a
    /// listener for `wss` needs them still.
    pub fn reconfigure(&mut self, settings: Settings) -> Result<(), TransportError> {
        self.put_in_force(CheckedSettings::new(settings)?)
    }

    /// As [`reconfigure`](Self::reconfigure), with settings that were checked already: nothing is read here, so that several
    /// transports take the same.
    ///
    /// # Errors
    /// [`TransportError::Tls`] if there is a listener for `wss` and no certificate any more; nothing is changed then.
    pub fn put_in_force(&mut self, checked: CheckedSettings) -> Result<(), TransportError> {
        for listener in self.listeners.iter().filter(|listener| listener.serves == Serves::SecureWebSocket) {
            checked.check_listener(&ListenAddress { is_secure: true, ..listener.local().into() })?;
        }
        self.flows.configs = Configs::new(&checked, self.flows.configs.server.plain_requests);
        self.flows.settings = checked.settings;
        Ok(())
    }

    /// Returns the flows, to send outside of a handler; what is sent leaves with the next poll.
    #[must_use]
    pub const fn flows(&mut self) -> &mut Flows {
        &mut self.flows
    }

    /// Returns what reaches this transport from other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

/// Why a transport cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The system refused what every transport needs.
    System(io::Error),
    /// The address cannot be listened on.
    Listen(ListenAddress, io::Error),
    /// The address cannot be listened on for a SIP server.
    ListenTrunk(SocketAddr, io::Error),
    /// This is no origin.
    Origin(String),
    /// TLS cannot be spoken: a file does not serve, or none is named.
    Tls(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot set up: {error}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::ListenTrunk(address, error) => write!(f, "cannot listen on tcp:{address}: {error}"),
            Self::Tls(why) => f.write_str(why),
            Self::Origin(origin) => write!(f, "`{origin}` is no origin such as https://example.com"),
        }
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::System(error) | Self::Listen(_, error) | Self::ListenTrunk(_, error) => Some(error),
            Self::Origin(_) | Self::Tls(_) => None,
        }
    }
}
