//! The program from its start to its end.

use core::net::SocketAddr;
use core::panic::AssertUnwindSafe;
use std::io::Write as _;
use std::sync::mpsc::{self, SyncSender};
use std::{panic, thread};

use ws_sip::auth::{Authenticator, Users};
use ws_sip::edge::{self, Edge, Upstream, UpstreamTransport};
use ws_sip::mi::Server;
use ws_sip::proxy::{self, ConfigError, Proxy};
use ws_sip::{CheckedSettings, Handle, ListenAddress, OpenOptions, Tracer, Tracing, Transport};

use super::core::{Core, EdgeCore};
use super::hub::Told;
use super::log::{Level, Log};
use super::options::{self, Options};
use super::reload::Reloader;
use super::worker::Worker;
use super::{hub, manage, signals, trace};

/// What options name, read and checked.
pub(super) struct Checked {
    pub(super) settings: CheckedSettings,
    pub(super) users: Option<Users>,
}

/// Checks all that options can be refused for, as far as that can be told without carrying them out. Start, `--check` and
/// SIGHUP agree by it. The error is one line.
pub(super) fn checked(options: &Options) -> Result<Checked, String> {
    let settings = CheckedSettings::new(options.settings.clone()).map_err(|error| error.to_string())?;
    for socket in &options.sockets {
        settings.check_listener(socket).map_err(|error| error.to_string())?;
    }
    proxy_config(options, options.sockets[0].with_default_port(80).to_string()).check().map_err(|error| {
        let option = match error {
            ConfigError::Domain => "domain",
            _ => "host",
        };
        format!("`--{option}`: {error}")
    })?;
    if let Some(socket) = options.upstream_socket {
        nth(socket, u16::from(options.settings.workers) - 1)?;
    }
    let users = options.users.as_deref().map(read_users).transpose()?;
    Ok(Checked { settings, users })
}

/// Tells whether it could run. The error is one line.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    checked(options)?;
    trace::tracer(options, &Tracing::default(), Log::new(options.log))?;
    Ok(())
}

fn proxy_config(options: &Options, default_host: String) -> proxy::Config {
    let mut config = proxy::Config::default();
    config.host = options.host.clone().unwrap_or(default_host);
    config.domains.clone_from(&options.domains);
    config.add_received = options.settings.ws_received;
    config.server = concat!("ws-sip/", env!("CARGO_PKG_VERSION")).into();
    config
}

/// Runs until it is told to stop; `reread` reads the options anew when it is told to. The error is one line.
pub(crate) fn run(
    options: Box<Options>,
    reread: impl Fn() -> Result<Box<Options>, String> + Send + 'static,
) -> Result<(), String> {
    let log = Log::new(options.log);
    let users = checked(&options)?.users;
    for notice in &options.notices {
        log.write(Level::Warn, "configuration", &[("notice", notice)]);
    }
    let tracing = Tracing::new(options.settings.trace_on);
    let (mut transports, sockets) = listen(&options, trace::tracer(&options, &tracing, log)?)?;
    let handles: Vec<Handle> = transports.iter().map(Transport::handle).collect();
    let host = sockets[0].with_default_port(0).to_string();
    let (cores, hub) = cores(&options, users, &mut transports, host, log)?;
    let (management, questions) =
        manage::start(&options.settings, &handles, hub.clone(), tracing.clone(), log)?;
    let mut workers = Vec::new();
    let mut inboxes = Vec::new();
    for (((transport, core), questions), handle) in
        transports.into_iter().zip(cores).zip(questions).zip(&handles)
    {
        let (inbox, reloads) = mpsc::channel();
        workers.push(Worker { transport, core, questions, reloads, log });
        inboxes.push((inbox, handle.clone()));
    }
    let mut reloader = Reloader::new(options.into(), tracing, log, inboxes, hub);
    signals::listen(handles, move || reloader.reload(reread()))?;

    let mut out = std::io::stdout().lock();
    for socket in &sockets {
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "listening on {socket}");
    }
    for address in management.iter().flat_map(Server::addresses) {
        let _ = writeln!(out, "management on {address}");
    }
    let _ = out.flush();
    drop(out);

    if workers.len() == 1 {
        return workers.into_iter().try_for_each(|worker| guarded(0, || worker.run()));
    }
    run_all(workers)
}

/// Runs a worker; one that panics must not leave its part of the connections to nobody.
fn guarded(number: usize, run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(format!("worker {number} failed")))
}

/// Runs each worker in a thread of its own, until all have ended or one has failed.
fn run_all(workers: Vec<Worker>) -> Result<(), String> {
    let (ended, ends) = mpsc::channel();
    let count = workers.len();
    for (number, worker) in workers.into_iter().enumerate() {
        let ended = ended.clone();
        let run = move || {
            let _ = ended.send(guarded(number, || worker.run()));
        };
        let thread = thread::Builder::new().name(format!("ws-sip-{number}")).spawn(run);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    ends.into_iter().take(count).collect()
}

/// Makes the transport of each worker, which listens; returns also where.
fn listen(options: &Options, tracer: Option<Tracer>) -> Result<(Vec<Transport>, Vec<ListenAddress>), String> {
    let mut first = Transport::with_http(options.settings.clone()).map_err(|error| error.to_string())?;
    if let Some(tracer) = tracer {
        first.set_tracer(tracer);
    }
    let count = options.settings.workers;
    let mut sockets = Vec::new();
    for &socket in &options.sockets {
        let local = if count == 1 { first.listen(socket) } else { first.listen_shared(socket, true) };
        let local = local.map_err(|error| error.to_string())?;
        sockets.push(ListenAddress { is_secure: socket.is_secure, ..local.into() });
    }
    let mut transports = vec![first];
    for number in 1..count {
        let mut next = transports[0].another(number).map_err(|error| error.to_string())?;
        for &socket in &sockets {
            next.listen_shared(socket, false).map_err(|error| error.to_string())?;
        }
        transports.push(next);
    }
    Ok((transports, sockets))
}

/// Returns what each worker is for the browsers, and the hub if that is one for all.
fn cores(
    options: &Options,
    users: Option<Users>,
    transports: &mut [Transport],
    host: String,
    log: Log,
) -> Result<(Vec<Core>, Option<SyncSender<Told>>), String> {
    if let Some(upstream) = &options.upstream {
        let key = random()?;
        let cores = transports.iter_mut().zip(0..).map(|(transport, number)| {
            let edge = edge_core(options, upstream, transport, &host, number, &key)?;
            Ok(Core::Edge(Box::new(edge)))
        });
        return Ok((cores.collect::<Result<_, String>>()?, None));
    }
    let config = proxy_config(options, host);
    let realm = options.realm.as_ref().or_else(|| options.domains.first()).unwrap_or(&config.host).clone();
    let mut proxy = Proxy::new(config, seed()?).map_err(|error| error.to_string())?;
    if let Some(users) = users {
        proxy.set_authenticator(Some(Authenticator::new(users, realm, &random()?)));
    }
    if let [_] = transports {
        return Ok((vec![Core::Registrar(Box::new(proxy))], None));
    }
    let hub = hub::start(proxy, transports.iter().map(Transport::handle).collect(), log)?;
    Ok((transports.iter().map(|_| Core::Hub(hub.clone())).collect(), Some(hub)))
}

/// Returns the edge of one worker. Each is one by itself, with an address of its own towards the upstream, where what is for
/// its browsers comes back.
fn edge_core(
    options: &Options,
    upstream: &Upstream,
    transport: &mut Transport,
    host: &str,
    number: u16,
    key: &[u8; 32],
) -> Result<EdgeCore, String> {
    let socket = options.upstream_socket.map(|socket| nth(socket, number)).transpose()?;
    let listener = match (upstream.transport(), socket) {
        (UpstreamTransport::Tcp, Some(socket)) => {
            let failed = |error| format!("`--upstream-socket {socket}`: {error}");
            Some(transport.listen_trunk(socket).map_err(failed)?)
        }
        // The address to listen on over TCP comes with the first connection to the upstream.
        _ => None,
    };
    let host = options.host.clone().unwrap_or_else(|| host.into());
    // The address that the upstream is told comes with the first connection to it.
    let mut config = edge::Config::new(host.clone(), host, upstream.transport());
    config.add_received = options.settings.ws_received;
    if options.settings.upstream_max_message_len > 0 {
        config.max_upstream_message_len = options.settings.upstream_max_message_len;
    }
    let edge = Edge::new(config, key);
    let mut opening = OpenOptions::default();
    opening.send_timeout = Some(options.settings.upstream_send_timeout);
    opening.max_message_len = Some(options.settings.max_trunk_message_len());
    opening.origin.clone_from(&options.settings.upstream_origin);
    Ok(EdgeCore::new(edge, upstream.clone(), listener, socket, opening))
}

/// The address of the worker with that number: its port is as many above the one that was given, unless any will do.
fn nth(socket: SocketAddr, number: u16) -> Result<SocketAddr, String> {
    let port = match socket.port() {
        0 => Some(0),
        port => port.checked_add(number),
    };
    let port =
        port.ok_or_else(|| format!("`--upstream-socket {socket}`: no port is left for each worker"))?;
    Ok(SocketAddr::new(socket.ip(), port))
}

/// Reads the file of users.
fn read_users(path: &str) -> Result<Users, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    options::decode(path, bytes)?.parse().map_err(|error| format!("{path}:{error}"))
}

/// Bytes that nobody can guess.
fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system has no random numbers: {error}"))?;
    Ok(bytes)
}

/// A number that no other run has, for tags and branches.
fn seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the system has no random numbers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panics_has_failed() {
        assert_eq!(guarded(0, || panic!("a fault, for the test")), Err("worker 0 failed".into()));
        assert_eq!(guarded(0, || Ok(())), Ok(()));
    }
}
