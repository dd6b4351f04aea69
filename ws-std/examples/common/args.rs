//! The command lines of the example programs: the same for each adapter.
#![expect(dead_code, reason = "each program uses its own part")]

use core::fmt::Display;
use core::str::FromStr;
use core::time::Duration;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::{Arg, Error, Parser, ValueExt as _};
use ws_core::{Config, Origin, OriginPolicy, ServerConfig};

/// What `echo_server` is told.
pub(crate) struct Server {
    /// Where to listen.
    pub(crate) listen: String,
    /// What to accept, and the limits.
    pub(crate) config: ServerConfig,
    /// The files of the certificate and the private key, for TLS.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

/// What `echo_client` is told.
pub(crate) struct Client {
    /// Where to connect.
    pub(crate) url: String,
    /// What to offer.
    pub(crate) subprotocols: Vec<String>,
    /// What to send as `Origin`.
    pub(crate) origin: Option<String>,
    /// The limits.
    pub(crate) config: Config,
    /// The URL of the proxy to go through.
    pub(crate) proxy: Option<String>,
    /// The file of the certificates that servers are trusted by.
    pub(crate) trusted: Option<PathBuf>,
}

/// Reads the command line of `echo_server`.
pub(crate) fn server() -> Result<Server, Error> {
    let mut parser = Parser::from_env();
    let (mut listen, mut config, mut limits) = (None, ServerConfig::default(), Config::default());
    let (mut require_origin, mut allowed) = (false, Vec::new());
    let (mut certificate, mut key) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("listen") => listen = Some(parser.value()?.string()?),
            Arg::Long("max-message-len") => limits.max_message_len = number(&mut parser)?,
            Arg::Long("max-fragments") => limits.max_fragments = number(&mut parser)?,
            Arg::Long("max-message-chunks") => limits.max_message_chunks = Some(number(&mut parser)?),
            Arg::Long("handshake-timeout-ms") => {
                limits.opening_handshake_timeout = Some(millis(&mut parser)?)
            }
            Arg::Long("message-timeout-ms") => limits.message_timeout = Some(millis(&mut parser)?),
            Arg::Long("idle-timeout-ms") => limits.idle_timeout = Some(millis(&mut parser)?),
            Arg::Long("send-timeout-ms") => limits.send_timeout = Some(millis(&mut parser)?),
            Arg::Long("ping-interval-ms") => limits.ping_interval = Some(millis(&mut parser)?),
            Arg::Long("subprotocol") => config.subprotocols.push(parser.value()?.string()?),
            Arg::Long("require-origin") => require_origin = true,
            Arg::Long("allow-origin") => allowed.push(parser.value()?.parse::<Origin>()?),
            Arg::Long("deflate") => compress(&mut limits)?,
            Arg::Long("tls-cert") => certificate = Some(tls_file(&mut parser)?),
            Arg::Long("tls-key") => key = Some(tls_file(&mut parser)?),
            other => return Err(other.unexpected()),
        }
    }
    if require_origin {
        config.origins = OriginPolicy::Required;
    }
    if !allowed.is_empty() {
        config.origins = OriginPolicy::AllowList(allowed);
    }
    let_echo_fit(&mut limits);
    config.connection = Arc::new(limits);
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("--tls-cert and --tls-key go together".into()),
    };
    Ok(Server { listen: listen.ok_or("--listen ADDR is missing")?, config, tls })
}

/// Reads the command line of `echo_client`.
pub(crate) fn client() -> Result<Client, Error> {
    let mut parser = Parser::from_env();
    let mut url = None;
    let (mut subprotocols, mut origin, mut config) = (Vec::new(), None, Config::default());
    let (mut trusted, mut proxy) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("subprotocol") => subprotocols.push(parser.value()?.string()?),
            Arg::Long("origin") => origin = Some(parser.value()?.string()?),
            Arg::Long("max-message-len") => config.max_message_len = number(&mut parser)?,
            Arg::Long("deflate") => compress(&mut config)?,
            Arg::Long("proxy") => proxy = Some(parser.value()?.string()?),
            Arg::Long("tls-ca") => trusted = Some(tls_file(&mut parser)?),
            Arg::Value(value) if url.is_none() => url = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let_echo_fit(&mut config);
    Ok(Client { url: url.ok_or("the URL is missing")?, subprotocols, origin, config, proxy, trusted })
}

/// Reads the command line of `autobahn_client`: the URL of the fuzzing server, without a slash at its end, and settings.
pub(crate) fn fuzzing_server() -> Result<(String, Config), Error> {
    let mut parser = Parser::from_env();
    let (mut url, mut config) = (None, Config::default());
    // Two cases send 4 MiB in fragments of 64 bytes.
    config.max_fragments = 100_000;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("deflate") => compress(&mut config)?,
            Arg::Value(value) if url.is_none() => url = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let_echo_fit(&mut config);
    Ok((url.ok_or("the URL is missing")?.trim_end_matches('/').to_owned(), config))
}

/// Says in one line why the program ends, and how it is used.
pub(crate) fn fail(program: &str, error: impl Display) -> ExitCode {
    eprintln!("{program}: {error}");
    ExitCode::FAILURE
}

fn number<T: FromStr<Err: Into<Box<dyn core::error::Error + Send + Sync>>>>(
    parser: &mut Parser,
) -> Result<T, Error> {
    let value: OsString = parser.value()?;
    value.parse()
}

fn millis(parser: &mut Parser) -> Result<Duration, Error> {
    number(parser).map(Duration::from_millis)
}

fn tls_file(parser: &mut Parser) -> Result<PathBuf, Error> {
    if cfg!(not(feature = "tls")) {
        return Err("--tls-...: built without the feature tls".into());
    }
    Ok(parser.value()?.into())
}

/// Leaves room for the longest message to be sent back, behind a few short ones.
fn let_echo_fit(config: &mut Config) {
    config.max_output_len = config.max_output_len.max(config.max_message_len.saturating_add(64 * 1024));
}

/// Agrees to compress messages, however short, as shortly as the peer lets it.
#[cfg(feature = "deflate")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn compress(config: &mut Config) -> Result<(), Error> {
    let mut deflate = ws_core::DeflateConfig::with_context_takeover();
    deflate.min_len = 0;
    config.deflate = Some(deflate);
    Ok(())
}

#[cfg(not(feature = "deflate"))]
fn compress(_: &mut Config) -> Result<(), Error> {
    Err("--deflate: built without the feature deflate".into())
}
