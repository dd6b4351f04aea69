use core::time::Duration;
use std::path::PathBuf;

use super::Settings;
use crate::address::Prefix;
use crate::hep;

/// How a parameter's value is written in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number, bare.
    Integer,
    /// `yes` or `no`, `1` or `0`, bare.
    Flag,
    /// A string in quotes.
    Text,
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
    /// How it is written in a configuration file.
    pub kind: Kind,
    pub(super) set: fn(&mut Settings, &str) -> Result<(), Option<String>>,
}

const MAX_WORKERS: u8 = 128;

fn prefixes(value: &str) -> Result<Vec<Prefix>, Option<String>> {
    let prefixes = value.split([',', ' ']).filter(|prefix| !prefix.is_empty());
    prefixes
        .map(|prefix| {
            prefix.parse().map_err(|_| Some(format!("`{prefix}` is no address or prefix such as 10.0.0.0/8")))
        })
        .collect()
}

/// Every parameter, in the order of the documentation.
pub const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "ws_port",
        value: "PORT",
        help: "port of listeners and destinations that name none (80)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_port, value.parse().ok().filter(|&port| port != 0)),
    },
    Parameter {
        name: "wss_port",
        value: "PORT",
        help: "the same for those over TLS (443)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.wss_port, value.parse().ok().filter(|&port| port != 0)),
    },
    Parameter {
        name: "tls_certificate",
        value: "FILE",
        help: "certificate of listeners over TLS, PEM (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.tls_certificate, path(value).map(Some)),
    },
    Parameter {
        name: "tls_private_key",
        value: "FILE",
        help: "its private key, PEM (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.tls_private_key, path(value).map(Some)),
    },
    Parameter {
        name: "tls_ca",
        value: "FILE",
        help: "certificates that servers are trusted by, PEM (the system's)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.tls_ca, path(value).map(Some)),
    },
    Parameter {
        name: "ws_send_timeout",
        value: "MS",
        help: "close a connection that accepts nothing for so long (100)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_send_timeout, milliseconds(value)),
    },
    Parameter {
        name: "upstream_send_timeout",
        value: "MS",
        help: "the same for the connection to the SIP server of `upstream` (5000)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.upstream_send_timeout, milliseconds(value)),
    },
    Parameter {
        name: "upstream_max_message_len",
        value: "BYTES",
        help: "most that it takes in one message, a longer one gets 513, 0 for any number (0)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.upstream_max_message_len, value.parse().ok()),
    },
    Parameter {
        name: "upstream_origin",
        value: "ORIGIN",
        help: "Origin header to the SIP server of `upstream`, over WebSocket (none)",
        kind: Kind::Text,
        set: |settings, value| {
            if value.parse::<ws_core::Origin>().is_err() {
                return Err(Some("it is no origin such as https://example.com".into()));
            }
            settings.upstream_origin = Some(value.into());
            Ok(())
        },
    },
    Parameter {
        name: "ws_max_msg_chunks",
        value: "N",
        help: "chunks in which a message may arrive, 0 for any number (4)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_max_msg_chunks, value.parse().ok()),
    },
    Parameter {
        name: "ws_counted_chunk_len",
        value: "BYTES",
        help: "chunks of so many bytes are not counted, 0 counts all (0)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_counted_chunk_len, value.parse().ok()),
    },
    Parameter {
        name: "require_origin",
        value: "yes|no",
        help: "refuse an opening handshake without Origin (yes)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.require_origin, boolean(value)),
    },
    Parameter {
        name: "ws_allowed_origins",
        value: "ORIGIN[,ORIGIN...]",
        help: "origins that may connect (any)",
        kind: Kind::Text,
        set: |settings, value| {
            let origins = value.split([',', ' ']).filter(|origin| !origin.is_empty());
            if let Some(wrong) = origins.clone().find(|origin| origin.parse::<ws_core::Origin>().is_err()) {
                return Err(Some(format!("`{wrong}` is no origin such as https://example.com")));
            }
            settings.ws_allowed_origins.extend(origins.map(String::from));
            Ok(())
        },
    },
    Parameter {
        name: "ws_resource",
        value: "PATH",
        help: "resource that is served, others get 404 (any)",
        kind: Kind::Text,
        set: |settings, value| {
            put(&mut settings.ws_resource, value.starts_with('/').then(|| Some(value.into())))
        },
    },
    Parameter {
        name: "ws_handshake_timeout",
        value: "MS",
        help: "time for the whole opening handshake (5000)",
        kind: Kind::Integer,
        set: |settings, value| {
            put(&mut settings.ws_handshake_timeout, milliseconds(value).filter(|time| !time.is_zero()))
        },
    },
    Parameter {
        name: "ws_ping_interval",
        value: "S",
        help: "time between keepalive Pings, 0 for none (30)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_ping_interval, seconds(value)),
    },
    Parameter {
        name: "ws_pong_timeout",
        value: "S",
        help: "time for their Pongs, 0 to wait for none (10)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_pong_timeout, seconds(value)),
    },
    Parameter {
        name: "ws_max_message_len",
        value: "BYTES",
        help: "longest SIP message (262144)",
        kind: Kind::Integer,
        set: |settings, value| {
            put(&mut settings.ws_max_message_len, value.parse().ok().filter(|&len| len > 0))
        },
    },
    Parameter {
        name: "proxy_protocol_from",
        value: "PREFIX[,PREFIX...]",
        help: "balancers that begin each connection with a PROXY header (none)",
        kind: Kind::Text,
        set: |settings, value| {
            settings.proxy_protocol_from.extend(prefixes(value)?);
            Ok(())
        },
    },
    Parameter {
        name: "forwarded_for_from",
        value: "PREFIX[,PREFIX...]",
        help: "proxies whose X-Forwarded-For is believed (none)",
        kind: Kind::Text,
        set: |settings, value| {
            settings.forwarded_for_from.extend(prefixes(value)?);
            Ok(())
        },
    },
    #[cfg(feature = "deflate")]
    Parameter {
        name: "ws_compression",
        value: "yes|no",
        help: "compress messages with permessage-deflate where the peer can (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.ws_compression, boolean(value)),
    },
    Parameter {
        name: "ws_max_connections",
        value: "N",
        help: "connections at once, a further one gets 503 (65536)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_max_connections, value.parse().ok()),
    },
    Parameter {
        name: "ws_max_connections_per_address",
        value: "N",
        help: "connections from one address, 0 for any number (0)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.ws_max_connections_per_address, value.parse().ok()),
    },
    Parameter {
        name: "workers",
        value: "N",
        help: "threads that serve connections, 1 to 128 (1)",
        kind: Kind::Integer,
        set: |settings, value| {
            put(&mut settings.workers, value.parse().ok().filter(|n| (1..=MAX_WORKERS).contains(n)))
        },
    },
    Parameter {
        name: "ws_received",
        value: "yes|no",
        help: "add `received` and `rport` to the topmost Via of requests (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.ws_received, boolean(value)),
    },
    Parameter {
        name: "trace_destination",
        value: "NAME",
        help: "collector that records are sent to, the name of a hep-id (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.trace_destination, name(value).map(Some)),
    },
    Parameter {
        name: "trace_on",
        value: "yes|no",
        help: "trace from the start on (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.trace_on, boolean(value)),
    },
    Parameter {
        name: "trace_filter_route",
        value: "NAME",
        help: "route of the file that says what is traced (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.trace_filter_route, name(value).map(Some)),
    },
    Parameter {
        name: "trace_sip",
        value: "yes|no",
        help: "trace each SIP message too (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.trace_sip, boolean(value)),
    },
    Parameter {
        name: "trace_secrets",
        value: "yes|no",
        help: "tell the values of Cookie and Authorization (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.trace_secrets, boolean(value)),
    },
    Parameter {
        name: "hep_id",
        value: "[NAME] HOST[:PORT][;transport=udp|tcp|tls][;version=3]",
        help: "a collector; may be repeated",
        kind: Kind::Text,
        set: |settings, value| {
            let destination: hep::Destination =
                value.parse().map_err(|error: hep::DestinationError| Some(error.to_string()))?;
            if settings.hep_id.iter().any(|known| known.name == destination.name) {
                return Err(Some(format!("there is a `hep_id` named `{}` already", destination.name)));
            }
            settings.hep_id.push(destination);
            Ok(())
        },
    },
    Parameter {
        name: "hep_capture_id",
        value: "N",
        help: "number that tells the collector who we are (1)",
        kind: Kind::Integer,
        set: |settings, value| put(&mut settings.hep_capture_id, value.parse().ok()),
    },
    Parameter {
        name: "hep_tls_ca",
        value: "PATH",
        help: "certificates to trust for transport=tls (the system's)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.hep_tls_ca, path(value).map(Some)),
    },
    Parameter {
        name: "homer5_on",
        value: "yes|no",
        help: "records in plain text instead of JSON (no)",
        kind: Kind::Flag,
        set: |settings, value| put(&mut settings.homer5_on, boolean(value)),
    },
    Parameter {
        name: "mi_fifo",
        value: "PATH",
        help: "make a FIFO for management there (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.mi_fifo, path(value).map(Some)),
    },
    Parameter {
        name: "mi_fifo_mode",
        value: "MODE",
        help: "who may write into it, in octal (660)",
        kind: Kind::Integer,
        set: |settings, value| {
            let mode = u32::from_str_radix(value, 8).ok();
            put(&mut settings.mi_fifo_mode, mode.filter(|&mode| mode <= 0o777 && !value.starts_with('+')))
        },
    },
    Parameter {
        name: "mi_fifo_reply_dir",
        value: "DIRECTORY",
        help: "where its clients have their reply FIFOs (the temporary directory)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.mi_fifo_reply_dir, path(value)),
    },
    Parameter {
        name: "mi_datagram",
        value: "udp:IP:PORT|PATH",
        help: "receive management datagrams there, by UDP or a Unix socket (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.mi_datagram, value.parse().ok().map(Some)),
    },
    Parameter {
        name: "mi_http",
        value: "IP:PORT",
        help: "listen for management over HTTP there, /metrics included (none)",
        kind: Kind::Text,
        set: |settings, value| put(&mut settings.mi_http, value.parse().ok().map(Some)),
    },
    Parameter {
        name: "mi_http_root",
        value: "NAME",
        help: "its resource, without the slash (mi)",
        kind: Kind::Text,
        set: |settings, value| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let root = Some(value).filter(|root| root.bytes().all(plain) && *root != "metrics");
            put(&mut settings.mi_http_root, root.and_then(name))
        },
    },
];
fn put<T>(slot: &mut T, value: Option<T>) -> Result<(), Option<String>> {
    *slot = value.ok_or(None)?;
    Ok(())
}

fn name(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn path(value: &str) -> Option<PathBuf> {
    (!value.is_empty()).then(|| value.into())
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
