//! The parameters, by the names that `proto_ws` gave them, with their defaults.

mod parameters;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;

use crate::address::Prefix;
use crate::hep;
use crate::mi::DatagramAddress;
use crate::syntax::OneLine;

pub use parameters::{Kind, PARAMETERS, Parameter};

/// What can be set for a transport. Each field is also an option of the program (with dashes) and is read by
/// name through [`set`](Self::set).
///
/// ```
/// let mut settings = ws_sip::Settings::default();
/// settings.require_origin = false;
/// settings.set("ws_max_msg_chunks", "8")?;
/// assert_eq!(settings.ws_max_msg_chunks, 8);
/// # Ok::<(), ws_sip::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Port of listeners and destinations that name none. Default 80.
    pub ws_port: u16,
    /// The same for those over TLS. Default 443.
    pub wss_port: u16,
    /// The file of the certificate that listeners over TLS show, in PEM, with those that lead to a known one behind it.
    /// Default none. Read anew when the settings are changed.
    pub tls_certificate: Option<PathBuf>,
    /// The file of its private key, in PEM. Default none.
    pub tls_private_key: Option<PathBuf>,
    /// A file of certificates in PEM: a server that we connect to over TLS must have its own from one of them. Default none:
    /// those that the system trusts.
    pub tls_ca: Option<PathBuf>,
    /// A connection that accepts no byte for so long while something is to be sent is closed. Given in
    /// milliseconds, default 100.
    pub ws_send_timeout: Duration,
    /// The same for connections to the SIP server that an edge stands in front of, over whatever transport. Given in
    /// milliseconds, default 5000: all browsers share one, and a server that is busy for a moment must not cost them all.
    pub upstream_send_timeout: Duration,
    /// Bytes of a message as an edge sends it to the SIP server that it stands in front of, with all that the edge writes into
    /// it; a longer request is answered 513. Default 0: any number, over UDP as many as one datagram carries. A server that is
    /// sent more than it reads may end the one connection that all browsers share.
    pub upstream_max_message_len: usize,
    /// The Origin header that is sent to the SIP server that an edge stands in front of over WebSocket, such as
    /// `https://phone.example`. Default none: no header is sent, which some servers refuse.
    pub upstream_origin: Option<String>,
    /// Chunks (arrivals from the network) in which one SIP message may come; more: the connection is closed with
    /// 1008. Default 4; 0 for any number.
    pub ws_max_msg_chunks: u32,
    /// Chunks of at least so many bytes are not counted. Default 0: every chunk counts. With a TCP segment's
    /// usual size, 1000 say, large honest messages pass and dribbled ones do not.
    pub ws_counted_chunk_len: usize,
    /// Whether an opening handshake without an Origin header is refused with 403. Default yes.
    pub require_origin: bool,
    /// The origins that may connect, such as `https://phone.example`; others get 403. Default empty: any.
    pub ws_allowed_origins: Vec<String>,
    /// The resource that is served, such as `/sip`; others get 404. Default none: any.
    pub ws_resource: Option<String>,
    /// The whole opening handshake, in both roles. Given in milliseconds, default 5000.
    pub ws_handshake_timeout: Duration,
    /// Between keepalive Pings. Given in seconds, default 30; 0 for none.
    pub ws_ping_interval: Duration,
    /// From a keepalive Ping to its Pong; then the connection counts as lost. Given in seconds, default 10; 0
    /// sends Pings and demands no answer.
    pub ws_pong_timeout: Duration,
    /// Bytes of one SIP message. Default 256 KiB; beyond: 1009. From the server of an edge, 64 KiB more.
    pub ws_max_message_len: usize,
    /// Who stands in front and begins each connection with a PROXY header, version 1 or 2: its connections are those of the
    /// clients that the headers name, and one without a header is closed. Default empty: nobody.
    pub proxy_protocol_from: Vec<Prefix>,
    /// Which proxies for HTTP stand in front and tell a client's address in `X-Forwarded-For`. Default empty: none, and the
    /// field means nothing.
    pub forwarded_for_from: Vec<Prefix>,
    /// Whether messages may be compressed with permessage-deflate (RFC 7692), each for itself, in both roles: what the peer
    /// agrees to. Default no: it costs more time than it saves where the network is not the limit.
    #[cfg(feature = "deflate")]
    pub ws_compression: bool,
    /// Connections at once; a further one is answered 503. Default 65,536.
    pub ws_max_connections: usize,
    /// Connections at once from one address, with IPv6 from one /64; a further one is answered 503. Default 0: any
    /// number, since many users may sit behind one address.
    pub ws_max_connections_per_address: usize,
    /// Threads that serve connections, each with listeners of its own on the same addresses (`SO_REUSEPORT`). Default 1. This
    /// is for the program: a [`Transport`](crate::Transport) is one.
    pub workers: u8,
    /// Whether `received`, and `rport` where it is asked for and known, are added to the topmost Via of requests. Default no: RFC 7118
    /// (section 5.2.3) leaves it open, responses go back through the flow in any case, and the address may be one that is
    /// nobody's business.
    pub ws_received: bool,
    /// Whether connections are traced from the start on. Default no. [`Tracing`](crate::Tracing) changes it at run
    /// time.
    pub trace_on: bool,
    /// The name of the collector that records go to: one of `hep_id`. Default none: nothing is traced.
    pub trace_destination: Option<String>,
    /// The name of the route that says which connections are traced. Default none: all are.
    pub trace_filter_route: Option<String>,
    /// Whether each SIP message is traced too. Default no.
    pub trace_sip: bool,
    /// Whether traces of opening handshakes have the values of `Cookie` and `Authorization`. Default no: they are
    /// masked.
    pub trace_secrets: bool,
    /// The collectors, each with a name of its own. Default none.
    pub hep_id: Vec<hep::Destination>,
    /// The number that tells the collector who sent a record. Default 1.
    pub hep_capture_id: u32,
    /// A file of certificates in PEM: a collector that is sent to over TLS must have its own from one of them. Default
    /// none: those that the system trusts.
    pub hep_tls_ca: Option<PathBuf>,
    /// Whether a record's payload is plain text, its parts joined by colons, instead of JSON. Default no.
    pub homer5_on: bool,
    /// Where to make a FIFO for management. Default none.
    pub mi_fifo: Option<PathBuf>,
    /// Who may write into the FIFO, as mode bits. Default `0o660`: its owner and group.
    pub mi_fifo_mode: u32,
    /// Where the FIFOs for replies are looked for. Default: the system's directory for temporary files.
    pub mi_fifo_reply_dir: PathBuf,
    /// Where to receive datagrams for management. Default none.
    pub mi_datagram: Option<DatagramAddress>,
    /// Where to listen for management over HTTP. Default none.
    pub mi_http: Option<SocketAddr>,
    /// The resource for management over HTTP, without its slash. Default `mi`.
    pub mi_http_root: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ws_port: 80,
            wss_port: 443,
            tls_certificate: None,
            tls_private_key: None,
            tls_ca: None,
            ws_send_timeout: Duration::from_millis(100),
            upstream_send_timeout: Duration::from_secs(5),
            upstream_max_message_len: 0,
            upstream_origin: None,
            ws_max_msg_chunks: 4,
            ws_counted_chunk_len: 0,
            require_origin: true,
            ws_allowed_origins: Vec::new(),
            ws_resource: None,
            ws_handshake_timeout: Duration::from_secs(5),
            ws_ping_interval: Duration::from_secs(30),
            ws_pong_timeout: Duration::from_secs(10),
            ws_max_message_len: 256 << 10,
            proxy_protocol_from: Vec::new(),
            forwarded_for_from: Vec::new(),
            #[cfg(feature = "deflate")]
            ws_compression: false,
            ws_max_connections: 65_536,
            ws_max_connections_per_address: 0,
            workers: 1,
            ws_received: false,
            trace_on: false,
            trace_destination: None,
            trace_filter_route: None,
            trace_sip: false,
            trace_secrets: false,
            hep_id: Vec::new(),
            hep_capture_id: 1,
            hep_tls_ca: None,
            homer5_on: false,
            mi_fifo: None,
            mi_fifo_mode: 0o660,
            mi_fifo_reply_dir: std::env::temp_dir(),
            mi_datagram: None,
            mi_http: None,
            mi_http_root: "mi".into(),
        }
    }
}

impl Settings {
    /// Sets the parameter `name` (with underscores) to what `value` says.
    ///
    /// # Errors
    /// [`SettingError`] if there is no such parameter, or the value is not one of its values.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let parameter = PARAMETERS.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.ok_or_else(|| SettingError::Unknown(name.into()))?;
        (parameter.set)(self, value.trim()).map_err(|why| SettingError::Value {
            parameter: *parameter,
            value: value.into(),
            why,
        })
    }

    /// Returns how many bytes one SIP message of a server may have: what a client may send, and what proxies write into it on its
    /// way to another, which must not end the connection that all share.
    #[must_use]
    pub const fn max_trunk_message_len(&self) -> usize {
        self.ws_max_message_len.saturating_add(64 << 10)
    }

    /// Empties the parameter `name` if setting it adds to what is there, so that what is set next replaces that.
    pub fn clear(&mut self, name: &str) {
        match name {
            "ws_allowed_origins" => self.ws_allowed_origins.clear(),
            "proxy_protocol_from" => self.proxy_protocol_from.clear(),
            "forwarded_for_from" => self.forwarded_for_from.clear(),
            "hep_id" => self.hep_id.clear(),
            _ => {}
        }
    }

    /// Returns the collector that records go to, if there is one.
    ///
    /// # Errors
    /// [`SettingError::NoSuchDestination`] if `trace_destination` is the name of none.
    pub fn hep_destination(&self) -> Result<Option<&hep::Destination>, SettingError> {
        let Some(name) = &self.trace_destination else { return Ok(None) };
        let found = self.hep_id.iter().find(|destination| destination.name == *name);
        found.map(Some).ok_or_else(|| SettingError::NoSuchDestination(name.clone()))
    }
}

/// Why a parameter was not set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no parameter of this name.
    Unknown(String),
    /// The value is not one of the parameter's.
    Value {
        /// The parameter.
        parameter: Parameter,
        /// What it was to be set to.
        value: String,
        /// What is wrong with it, where more can be told than what a value looks like.
        why: Option<String>,
    },
    /// `trace_destination` is the name of no `hep_id`.
    NoSuchDestination(String),
    /// `trace_filter_route` is the name of no route.
    NoSuchRoute(String),
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown parameter `{}`", OneLine(name)),
            Self::Value { parameter, value, why: None } => {
                write!(f, "`{}` takes {}, not `{}`", parameter.name, parameter.value, OneLine(value))
            }
            Self::Value { parameter, value, why: Some(why) } => {
                write!(f, "`{}` cannot be `{}`: {}", parameter.name, OneLine(value), OneLine(why))
            }
            Self::NoSuchDestination(name) => {
                let name = OneLine(name);
                write!(f, "`trace_destination` takes the name of a `hep_id`, and none is named `{name}`")
            }
            Self::NoSuchRoute(name) => {
                let name = OneLine(name);
                write!(
                    f,
                    "`trace_filter_route` takes the name of a route in the configuration file, and none is named \
                     `{name}`"
                )
            }
        }
    }
}

impl core::error::Error for SettingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_set_by_its_name() {
        let values = [
            ("ws_port", "8080"),
            ("wss_port", "8443"),
            ("tls_certificate", "/etc/certificate.pem"),
            ("tls_private_key", "/etc/key.pem"),
            ("tls_ca", "/etc/ca.pem"),
            ("ws_send_timeout", "200"),
            ("upstream_send_timeout", "300"),
            ("upstream_max_message_len", "16384"),
            ("upstream_origin", "https://phone.example"),
            ("ws_max_msg_chunks", "8"),
            ("ws_counted_chunk_len", "1000"),
            ("require_origin", "no"),
            ("ws_allowed_origins", "https://a.example, https://b.example"),
            ("ws_resource", "/sip"),
            ("ws_handshake_timeout", "1500"),
            ("ws_ping_interval", "0"),
            ("ws_pong_timeout", "3"),
            ("ws_max_message_len", "1000"),
            ("proxy_protocol_from", "10.0.0.0/8, 2001:db8::1"),
            ("forwarded_for_from", "127.0.0.1"),
            #[cfg(feature = "deflate")]
            ("ws_compression", "yes"),
            ("ws_max_connections", "5"),
            ("ws_max_connections_per_address", "2"),
            ("workers", "2"),
            ("ws_received", "yes"),
            ("trace_destination", "hep"),
            ("trace_on", "1"),
            ("trace_filter_route", "ws_filter"),
            ("trace_sip", "yes"),
            ("trace_secrets", "yes"),
            ("hep_id", "[hep] 10.0.0.2;transport=udp"),
            ("hep_capture_id", "2001"),
            ("hep_tls_ca", "/etc/ca.pem"),
            ("homer5_on", "1"),
            ("mi_fifo", "/run/fifo"),
            ("mi_fifo_mode", "0600"),
            ("mi_fifo_reply_dir", "/nowhere"),
            ("mi_datagram", "127.0.0.1:8080"),
            ("mi_http", "127.0.0.1:8888"),
            ("mi_http_root", "jsonrpc"),
        ];
        assert_eq!(
            values.map(|(name, _)| name).as_slice(),
            PARAMETERS.iter().map(|p| p.name).collect::<Vec<_>>()
        );
        let mut settings = Settings::default();
        for (name, value) in values {
            let before = settings.clone();
            settings.set(name, value).unwrap();
            assert_ne!(settings, before, "{name}");
            // Whatever adds is replaced when it was emptied.
            let set_once = settings.clone();
            settings.clear(name);
            settings.set(name, value).unwrap();
            assert_eq!(settings, set_once, "{name}");
        }
        assert_eq!(settings.ws_send_timeout, Duration::from_millis(200));
        assert_eq!(settings.ws_pong_timeout, Duration::from_secs(3));
        assert_eq!(settings.ws_allowed_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(settings.mi_fifo_mode, 0o600);
        assert_eq!(settings.hep_destination().unwrap(), Some(&settings.hep_id[0]));
    }

    #[test]
    fn what_is_no_value_is_refused_and_named() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("ws_port", "0"),
            ("ws_port", "65536"),
            ("require_origin", "maybe"),
            ("ws_resource", "sip"),
            ("ws_handshake_timeout", "0"),
            ("ws_max_message_len", "-1"),
            ("ws_allowed_origins", "https://a.example,nonsense"),
            ("upstream_origin", "phone.example"),
            ("upstream_origin", "https://phone.example/path"),
            ("upstream_origin", "https://a.example, https://b.example"),
            ("proxy_protocol_from", "10.0.0.0/8, everybody"),
            ("forwarded_for_from", "10.0.0.0/33"),
            ("workers", "0"),
            ("workers", "129"),
            ("trace_destination", ""),
            ("hep_id", "[a]"),
            ("hep_capture_id", "4294967296"),
            ("mi_fifo_mode", "888"),
            ("mi_fifo_mode", "1777"),
            ("mi_datagram", "udp:/tmp/socket"),
            ("mi_http", "localhost:80"),
            ("mi_http_root", "a/b"),
            ("mi_http_root", "metrics"),
        ] {
            let error = settings.set(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        assert_eq!(
            settings.set("ws_nothing", "1").unwrap_err().to_string(),
            "unknown parameter `ws_nothing`"
        );
        assert_eq!(settings, Settings::default());
    }
}
