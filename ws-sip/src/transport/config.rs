use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use ws_core::{Config, OriginPolicy, ServerConfig};

use super::TransportError;
use super::tls::TlsConfigs;
use crate::address::ListenAddress;
use crate::settings::Settings;

/// Settings with all that they could be refused for behind them, the files of TLS read:
/// [`Transport::put_in_force`](super::Transport::put_in_force) takes it, and a clone for each further transport.
#[derive(Clone, Debug)]
pub struct CheckedSettings {
    pub(super) settings: Settings,
    origins: OriginPolicy,
    pub(super) tls: TlsConfigs,
}

impl CheckedSettings {
    /// Checks settings, and reads the files of TLS that they name.
    ///
    /// # Errors
    /// [`TransportError::Origin`], [`TransportError::Tls`].
    pub fn new(settings: Settings) -> Result<Self, TransportError> {
        let origins = origins(&settings)?;
        let tls = TlsConfigs::new(&settings).map_err(TransportError::Tls)?;
        Ok(Self { settings, origins, tls })
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells whether `address` can be listened on, as far as these settings go.
    ///
    /// # Errors
    /// [`TransportError::Tls`] if it is for `wss` and there is no certificate.
    pub fn check_listener(&self, address: &ListenAddress) -> Result<(), TransportError> {
        self.tls.check_listener(address)
    }
}

impl TlsConfigs {
    pub(super) fn check_listener(&self, address: &ListenAddress) -> Result<(), TransportError> {
        if !address.is_secure || self.can_serve() {
            return Ok(());
        }
        Err(TransportError::Tls(if cfg!(feature = "tls") {
            format!("{address} needs `tls_certificate` and `tls_private_key`")
        } else {
            format!("{address}: this build has no TLS, it lacks the feature `tls`")
        }))
    }
}

/// What the settings mean to the engine.
#[derive(Debug)]
pub(super) struct Configs {
    /// For connections that are accepted.
    pub(super) server: Arc<ServerConfig>,
    /// For those that are answered 503.
    pub(super) refusing: Arc<ServerConfig>,
    /// For connections that we open.
    pub(super) client: Arc<Config>,
    pub(super) tls: TlsConfigs,
}

/// After how long a client that got a 503 may come again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Configs {
    pub(super) fn new(checked: &CheckedSettings, plain_requests: bool) -> Self {
        let settings = &checked.settings;
        let mut connection = Config::default();
        connection.max_message_len = settings.ws_max_message_len;
        connection.max_message_chunks = NonZeroU32::new(settings.ws_max_msg_chunks);
        connection.counted_chunk_len = Some(settings.ws_counted_chunk_len).filter(|&len| len > 0);
        connection.opening_handshake_timeout = Some(settings.ws_handshake_timeout);
        connection.send_timeout = Some(settings.ws_send_timeout).filter(|time| !time.is_zero());
        connection.ping_interval = Some(settings.ws_ping_interval).filter(|time| !time.is_zero());
        connection.pong_timeout = match settings.ws_pong_timeout {
            Duration::ZERO => Duration::MAX,
            timeout => timeout,
        };
        connection.control_events = false;
        #[cfg(feature = "deflate")]
        if settings.ws_compression {
            connection.deflate = Some(ws_core::DeflateConfig::default());
        }
        let connection = Arc::new(connection);

        let mut server = ServerConfig::default();
        server.connection = Arc::clone(&connection);
        server.resource.clone_from(&settings.ws_resource);
        // RFC 7118, section 4.1.
        server.subprotocols = vec!["sip".into()];
        server.require_subprotocol = true;
        server.origins = checked.origins.clone();
        server.plain_requests = plain_requests;
        // Who asks is told by the request: see `Flows::admit`.
        server.ask = !settings.forwarded_for_from.is_empty();
        let mut refusing = server.clone();
        refusing.unavailable = Some(RETRY_AFTER);
        let tls = checked.tls.clone();
        Self { server: Arc::new(server), refusing: Arc::new(refusing), client: connection, tls }
    }
}

fn origins(settings: &Settings) -> Result<OriginPolicy, TransportError> {
    if settings.ws_allowed_origins.is_empty() {
        return Ok(if settings.require_origin { OriginPolicy::Required } else { OriginPolicy::Any });
    }
    let origins = settings
        .ws_allowed_origins
        .iter()
        .map(|origin| origin.parse().map_err(|_| TransportError::Origin(origin.clone())));
    Ok(OriginPolicy::AllowList(origins.collect::<Result<_, _>>()?))
}
