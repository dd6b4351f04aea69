//! The program's loop: the transport's events into the registrar and proxy, its messages back out.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write as _;

use ws_sip::auth::{Authenticator, Users};
use ws_sip::edge::{self, Edge, UpstreamTransport};
use ws_sip::mi::Server;
use ws_sip::proxy::{self, Proxy};
use ws_sip::{FlowEvent, Flows, Tracing, Transport};

use super::core::{Core, EdgeCore};
use super::log::{Level, Log};
use super::manage;
use super::options::Options;
use super::page;
use super::report::report;
use super::signals::Signals;
use super::trace;

/// Tells whether it could run, as far as that can be told without doing it. The error is one line.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    Transport::with_http(options.settings.clone()).map_err(|error| error.to_string())?;
    Proxy::new(proxy_config(options, options.sockets[0].with_default_port(80).to_string()), seed()?)
        .map_err(|error| error.to_string())?;
    if let Some(path) = &options.users {
        read_users(path)?;
    }
    trace::tracer(options, &Tracing::default(), Log(options.log))?;
    for notice in &options.notices {
        eprintln!("{notice}");
    }
    println!("the configuration is valid");
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
    options: &Options,
    reread: impl Fn() -> Result<Box<Options>, String>,
) -> Result<(), String> {
    let mut log = Log(options.log);
    for notice in &options.notices {
        log.write(Level::Warn, "configuration", &[("notice", notice)]);
    }
    let mut transport = Transport::with_http(options.settings.clone()).map_err(|error| error.to_string())?;
    let mut sockets = Vec::new();
    for &socket in &options.sockets {
        sockets.push(transport.listen(socket).map_err(|error| error.to_string())?);
    }
    let tracing = Tracing::new(options.settings.trace_on);
    if let Some(tracer) = trace::tracer(options, &tracing, log)? {
        transport.set_tracer(tracer);
    }
    let mut core = core(options, &mut transport, sockets[0].to_string())?;
    let (management, questions) = manage::start(&options.settings, &transport, tracing, log)?;
    let signals = Signals::listen(&transport)?;

    let mut out = std::io::stdout().lock();
    for socket in &sockets {
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "listening on ws:{socket}");
    }
    for address in management.iter().flat_map(Server::addresses) {
        let _ = writeln!(out, "management on {address}");
    }
    let _ = out.flush();
    drop(out);

    while !transport.flows().is_drained() {
        let now = since_start(transport.flows());
        let timeout = core.poll_timeout().map(|at| at.saturating_sub(now));
        transport
            .poll(timeout, |flows, event| {
                handle(&mut core, flows, &event, log);
                act(&mut core, flows, log);
            })
            .map_err(|error| format!("cannot wait for the network: {error}"))?;
        let flows = transport.flows();
        core.handle_timeout(since_start(flows), flows);
        act(&mut core, flows, log);
        questions.answer(&core);
        if signals.take_reload() {
            match reread().and_then(|options| reload(&options, &mut transport, &mut core)) {
                Ok(level) => {
                    log = Log(level);
                    log.write(Level::Info, "reloaded", &[]);
                }
                // What was in force stays.
                Err(error) => log.write(Level::Error, "not-reloaded", &[("error", &error)]),
            }
        }
    }
    Ok(())
}

/// Puts in force what can change in a running program: limits, timeouts, origins and the resource for connections
/// that come, users, and the level of the log. Listeners, names and the upstream stay.
fn reload(options: &Options, transport: &mut Transport, core: &mut Core) -> Result<Level, String> {
    let users = options.users.as_deref().map(read_users).transpose()?;
    transport.reconfigure(options.settings.clone()).map_err(|error| error.to_string())?;
    if let (Core::Registrar(proxy), Some(users)) = (core, users)
        && let Some(authenticator) = proxy.authenticator_mut()
    {
        authenticator.set_users(users);
    }
    Ok(options.log)
}

/// Returns what the program is for the browsers.
fn core(options: &Options, transport: &mut Transport, host: String) -> Result<Core, String> {
    let Some(upstream) = &options.upstream else {
        let config = proxy_config(options, host);
        let realm =
            options.realm.as_ref().or_else(|| options.domains.first()).unwrap_or(&config.host).clone();
        let mut proxy = Proxy::new(config, seed()?).map_err(|error| error.to_string())?;
        if let Some(path) = &options.users {
            proxy.set_authenticator(Some(Authenticator::new(read_users(path)?, realm, &random()?)));
        }
        return Ok(Core::Registrar(Box::new(proxy)));
    };
    let listener = match (upstream.transport(), options.upstream_socket) {
        (UpstreamTransport::Tcp, socket) => {
            let socket = socket.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            Some(transport.listen_trunk(socket).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    let host = options.host.clone().unwrap_or(host);
    // The address that the upstream is told comes with the first connection to it.
    let mut config = edge::Config::new(host.clone(), host, upstream.transport());
    config.add_received = options.settings.ws_received;
    let edge = Edge::new(config, &random()?);
    let socket = options.upstream_socket;
    let send_timeout = options.settings.upstream_send_timeout;
    Ok(Core::Edge(Box::new(EdgeCore::new(edge, upstream.clone(), listener, socket, send_timeout))))
}

/// Takes in an event of the transport.
fn handle(core: &mut Core, flows: &mut Flows, event: &FlowEvent<'_>, log: Log) {
    let now = since_start(flows);
    report(event, log);
    core.handle_event(now, flows, event);
    match event {
        FlowEvent::Message { flow, message, .. } => {
            if let Err(refused) = core.handle_sip(now, *flow, message) {
                log.write(Level::Warn, "message-refused", &[("flow", flow), ("error", &refused)]);
            }
        }
        FlowEvent::Http { flow, ends, request } => {
            let response = page::respond(request);
            let fields: [(&str, &dyn core::fmt::Display); 5] = [
                ("peer", &ends.peer),
                ("method", &request.method()),
                ("target", &request.target()),
                ("status", &response.status),
                ("flow", flow),
            ];
            log.write(Level::Debug, "http", &fields);
            // The connection may be gone, which its own event tells.
            let _ = flows.respond(*flow, &response);
        }
        _ => {}
    }
}

/// Sends what is to be sent.
fn act(core: &mut Core, flows: &mut Flows, log: Log) {
    core.act(flows, |_, flow, _, result| {
        if let Err(error) = result {
            // What waits for a response on that flow is answered when its end is reported.
            log.write(Level::Debug, "not-sent", &[("flow", &flow), ("error", &error)]);
        }
    });
}

fn since_start(flows: &Flows) -> Duration {
    Duration::from_nanos(flows.now().as_nanos())
}

/// Reads the file of users.
fn read_users(path: &str) -> Result<Users, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    text.parse().map_err(|error| format!("{path}:{error}"))
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
