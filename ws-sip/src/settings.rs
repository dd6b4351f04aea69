//! The parameters, by the names that `proto_ws` gave them, with their defaults.

use core::fmt;
use core::time::Duration;

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
    /// A connection that accepts no byte for so long while something is to be sent is closed. Given in
    /// milliseconds, default 100.
    pub ws_send_timeout: Duration,
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
    /// Bytes of one SIP message. Default 256 KiB; beyond: 1009.
    pub ws_max_message_len: usize,
    /// Connections at once; a further one is answered 503. Default 65,536.
    pub ws_max_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ws_port: 80,
            ws_send_timeout: Duration::from_millis(100),
            ws_max_msg_chunks: 4,
            ws_counted_chunk_len: 0,
            require_origin: true,
            ws_allowed_origins: Vec::new(),
            ws_resource: None,
            ws_handshake_timeout: Duration::from_secs(5),
            ws_ping_interval: Duration::from_secs(30),
            ws_pong_timeout: Duration::from_secs(10),
            ws_max_message_len: 256 << 10,
            ws_max_connections: 65_536,
        }
    }
}

/// A parameter that [`Settings::set`] knows.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, with underscores.
    pub name: &'static str,
    /// What its value looks like, for a help text.
    pub value: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    set: fn(&mut Settings, &str) -> Option<()>,
}

/// Every parameter, in the order of the documentation.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "ws_port",
        value: "PORT",
        help: "port of listeners and destinations that name none (80)",
        set: |settings, value| put(&mut settings.ws_port, value.parse().ok().filter(|&port| port != 0)),
    },
    Parameter {
        name: "ws_send_timeout",
        value: "MS",
        help: "close a connection that accepts nothing for so long (100)",
        set: |settings, value| put(&mut settings.ws_send_timeout, milliseconds(value)),
    },
    Parameter {
        name: "ws_max_msg_chunks",
        value: "N",
        help: "chunks in which a message may arrive, 0 for any number (4)",
        set: |settings, value| put(&mut settings.ws_max_msg_chunks, value.parse().ok()),
    },
    Parameter {
        name: "ws_counted_chunk_len",
        value: "BYTES",
        help: "chunks of so many bytes are not counted, 0 counts all (0)",
        set: |settings, value| put(&mut settings.ws_counted_chunk_len, value.parse().ok()),
    },
    Parameter {
        name: "require_origin",
        value: "yes|no",
        help: "refuse an opening handshake without Origin (yes)",
        set: |settings, value| put(&mut settings.require_origin, boolean(value)),
    },
    Parameter {
        name: "ws_allowed_origins",
        value: "ORIGIN[,ORIGIN...]",
        help: "origins that may connect (any)",
        set: |settings, value| {
            let origins = value.split([',', ' ']).filter(|origin| !origin.is_empty());
            settings.ws_allowed_origins.extend(origins.map(String::from));
            Some(())
        },
    },
    Parameter {
        name: "ws_resource",
        value: "PATH",
        help: "resource that is served, others get 404 (any)",
        set: |settings, value| {
            put(&mut settings.ws_resource, value.starts_with('/').then(|| Some(value.into())))
        },
    },
    Parameter {
        name: "ws_handshake_timeout",
        value: "MS",
        help: "time for the whole opening handshake (5000)",
        set: |settings, value| {
            put(&mut settings.ws_handshake_timeout, milliseconds(value).filter(|time| !time.is_zero()))
        },
    },
    Parameter {
        name: "ws_ping_interval",
        value: "S",
        help: "time between keepalive Pings, 0 for none (30)",
        set: |settings, value| put(&mut settings.ws_ping_interval, seconds(value)),
    },
    Parameter {
        name: "ws_pong_timeout",
        value: "S",
        help: "time for their Pongs, 0 to wait for none (10)",
        set: |settings, value| put(&mut settings.ws_pong_timeout, seconds(value)),
    },
    Parameter {
        name: "ws_max_message_len",
        value: "BYTES",
        help: "longest SIP message (262144)",
        set: |settings, value| {
            put(&mut settings.ws_max_message_len, value.parse().ok().filter(|&len| len > 0))
        },
    },
    Parameter {
        name: "ws_max_connections",
        value: "N",
        help: "connections at once, a further one gets 503 (65536)",
        set: |settings, value| put(&mut settings.ws_max_connections, value.parse().ok()),
    },
];

impl Settings {
    /// Sets the parameter `name` (with underscores) to what `value` says.
    ///
    /// # Errors
    /// [`SettingError`] if there is no such parameter, or the value is not one of its values.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let parameter = PARAMETERS.iter().find(|parameter| parameter.name == name);
        let parameter = parameter.ok_or_else(|| SettingError::Unknown(name.into()))?;
        (parameter.set)(self, value.trim())
            .ok_or_else(|| SettingError::Value { parameter: *parameter, value: value.into() })
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
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown parameter `{name}`"),
            Self::Value { parameter, value } => {
                write!(f, "`{}` takes {}, not `{value}`", parameter.name, parameter.value)
            }
        }
    }
}

impl core::error::Error for SettingError {}

fn put<T>(slot: &mut T, value: Option<T>) -> Option<()> {
    *slot = value?;
    Some(())
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "yes" | "on" | "true" => Some(true),
        "0" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

fn milliseconds(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_millis)
}

fn seconds(value: &str) -> Option<Duration> {
    value.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_set_by_its_name() {
        let values = [
            ("ws_port", "8080"),
            ("ws_send_timeout", "200"),
            ("ws_max_msg_chunks", "8"),
            ("ws_counted_chunk_len", "1000"),
            ("require_origin", "no"),
            ("ws_allowed_origins", "https://a.example, https://b.example"),
            ("ws_resource", "/sip"),
            ("ws_handshake_timeout", "1500"),
            ("ws_ping_interval", "0"),
            ("ws_pong_timeout", "3"),
            ("ws_max_message_len", "1000"),
            ("ws_max_connections", "5"),
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
        }
        assert_eq!(settings.ws_send_timeout, Duration::from_millis(200));
        assert_eq!(settings.ws_pong_timeout, Duration::from_secs(3));
        assert_eq!(settings.ws_allowed_origins, ["https://a.example", "https://b.example"]);
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
