//! The settings of the proxy.

use crate::registrar;
use crate::sip::HostPort;
use core::fmt;
use core::time::Duration;

/// What a [`Proxy`](super::Proxy) is called, what it serves, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The proxy's own name or address with its port, as it goes into Via and Record-Route: `sip.example.com`,
    /// `127.0.0.1:8080`, `[::1]:8080`. No default is useful to others, so it is `localhost`.
    pub host: String,
    /// The domains that are served, without ports. Empty by default: every domain is.
    pub domains: Vec<String>,
    /// Whether `received` (and `rport` where asked for) is added to the topmost Via. Off by default: responses take
    /// their flow, and the address would only tell about the network (RFC 7118 section 5.2.3).
    pub add_received: bool,
    /// The Server header field of responses made here; empty by default, which leaves it out.
    pub server: String,
    /// The most contacts that a request is forked to; 10 by default. As many more may be tried in place of those whose
    /// flow fails.
    pub max_branches: usize,
    /// The most transactions at a time, over all flows; 65,536 by default. Over it: 503.
    pub max_transactions: usize,
    /// The most transactions that one flow may have started at a time; 4,096 by default. Over it: 503.
    pub max_transactions_per_flow: usize,
    /// The most bytes of messages that all transactions together keep; 64 MiB by default. Over it: 503. Copies of
    /// requests that another flow may have to take may fill a quarter as much besides; a request that finds no room
    /// there is forwarded all the same, and takes no other flow.
    pub max_stored_len: usize,
    /// How long a request waits for a first response (INVITE) or its final one (others), and how long a finished
    /// INVITE is remembered: 64*T1, 32 s by default (RFC 3261 Timers B, F, H; RFC 6026 Timer L).
    pub transaction_timeout: Duration,
    /// How long an INVITE may ring: Timer C, 181 s by default (RFC 3261 section 16.6: above 3 minutes). A
    /// provisional response starts it again.
    pub ring_timeout: Duration,
    /// The limits of the registrar.
    pub registrar: registrar::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            domains: Vec::new(),
            add_received: false,
            server: String::new(),
            max_branches: 10,
            max_transactions: 65_536,
            max_transactions_per_flow: 4_096,
            max_stored_len: 64 << 20,
            transaction_timeout: Duration::from_secs(32),
            ring_timeout: Duration::from_secs(181),
            registrar: registrar::Config::default(),
        }
    }
}

impl Config {
    /// Checks what could not be written into a message as it is.
    ///
    /// # Errors
    /// [`ConfigError`], which [`Proxy::new`](super::Proxy::new) gives too.
    pub fn check(&self) -> Result<(), ConfigError> {
        if HostPort::parse(self.host.as_bytes()).is_err() {
            return Err(ConfigError::Host);
        }
        let is_domain =
            |name: &String| HostPort::parse(name.as_bytes()).is_ok_and(|name| name.port.is_none());
        if !self.domains.iter().all(is_domain) {
            return Err(ConfigError::Domain);
        }
        if self.server.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(ConfigError::Server);
        }
        Ok(())
    }
}

/// A setting that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`Config::host`] is not a host with an optional port.
    Host,
    /// One of [`Config::domains`] is not a host.
    Domain,
    /// [`Config::server`] has a control character.
    Server,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the own host is not a host with an optional port",
            Self::Domain => "a domain is not a host",
            Self::Server => "the server header field has a control character",
        })
    }
}

impl core::error::Error for ConfigError {}
