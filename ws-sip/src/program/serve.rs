//! The program's loop: the transport's events into the registrar and proxy, its messages back out.

use core::time::Duration;
use std::io::Write as _;

use ws_core::Outcome;
use ws_sip::proxy::{self, Action, FlowInfo, Proxy};
use ws_sip::{FlowEvent, Flows, NotOpened, Transport};

use super::log::{Level, Log};
use super::options::Options;
use super::page;

/// How long the flows have to close when the program ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Tells whether it could run, as far as that can be told without doing it. The error is one line.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    Transport::with_http(options.settings.clone()).map_err(|error| error.to_string())?;
    Proxy::new(proxy_config(options, options.sockets[0].with_default_port(80).to_string()), seed()?)
        .map_err(|error| error.to_string())?;
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
    config.server = concat!("ws-sip/", env!("CARGO_PKG_VERSION")).into();
    config
}

/// Runs until it is told to stop. The error is one line.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let log = Log(options.log);
    for notice in &options.notices {
        log.write(Level::Warn, "configuration", &[("notice", notice)]);
    }
    let mut transport = Transport::with_http(options.settings.clone()).map_err(|error| error.to_string())?;
    let mut sockets = Vec::new();
    for &socket in &options.sockets {
        sockets.push(transport.listen(socket).map_err(|error| error.to_string())?);
    }
    let mut proxy = Proxy::new(proxy_config(options, sockets[0].to_string()), seed()?)
        .map_err(|error| error.to_string())?;
    stop_on_signal(&transport)?;

    let mut out = std::io::stdout().lock();
    for socket in &sockets {
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "listening on ws:{socket}");
    }
    let _ = out.flush();
    drop(out);

    while !transport.flows().is_drained() {
        let now = since_start(transport.flows());
        let timeout = proxy.poll_timeout().map(|at| at.saturating_sub(now));
        transport
            .poll(timeout, |flows, event| {
                handle(&mut proxy, flows, &event, log);
                act(&mut proxy, flows, log);
            })
            .map_err(|error| format!("cannot wait for the network: {error}"))?;
        proxy.handle_timeout(since_start(transport.flows()));
        act(&mut proxy, transport.flows(), log);
    }
    Ok(())
}

/// Takes in an event of the transport.
fn handle(proxy: &mut Proxy, flows: &mut Flows, event: &FlowEvent<'_>, log: Log) {
    let now = since_start(flows);
    match event {
        FlowEvent::Opened { flow, ends, opened } => {
            let resource = opened.request().map_or("", |request| request.target());
            let fields: [(&str, &dyn core::fmt::Display); 4] =
                [("flow", flow), ("peer", &ends.peer), ("local", &ends.local), ("resource", &resource)];
            log.write(Level::Info, "flow-opened", &fields);
            proxy.handle_flow_opened(*flow, FlowInfo { secure: false, peer: Some(ends.peer) });
        }
        FlowEvent::Message { flow, message, .. } => {
            if let Err(refused) = proxy.handle_sip(now, *flow, message) {
                log.write(Level::Warn, "message-refused", &[("flow", flow), ("error", &refused)]);
            }
        }
        FlowEvent::Refused { flow, error, start } => {
            let start = String::from_utf8_lossy(start);
            let fields: [(&str, &dyn core::fmt::Display); 3] =
                [("flow", flow), ("error", error), ("start", &start)];
            log.write(Level::Warn, "message-refused", &fields);
        }
        FlowEvent::Closed { flow, ends, outcome, counters, age, .. } => {
            proxy.handle_flow_closed(now, *flow);
            let age = format!("{:.3}", age.as_secs_f64());
            let fields: [(&str, &dyn core::fmt::Display); 8] = [
                ("flow", flow),
                ("peer", &ends.peer),
                ("outcome", outcome),
                ("age", &age),
                ("messages-in", &counters.messages_in),
                ("messages-out", &counters.messages_out),
                ("bytes-in", &counters.bytes_in),
                ("bytes-out", &counters.bytes_out),
            ];
            log.write(level_of(outcome), "flow-closed", &fields);
        }
        FlowEvent::NotOpened { flow, ends, why, .. } => {
            let (level, why) = match why {
                NotOpened::Connect(error) => (Level::Warn, error.to_string()),
                NotOpened::Handshake(outcome) => (level_of(outcome), outcome.to_string()),
                _ => (Level::Warn, "unknown".into()),
            };
            log.write(level, "not-opened", &[("flow", flow), ("peer", &ends.peer), ("why", &why)]);
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
        FlowEvent::AcceptFailed { local, error } => {
            log.write(Level::Error, "accept-failed", &[("local", local), ("error", error)]);
        }
        _ => {}
    }
}

/// Sends what the proxy has to send.
fn act(proxy: &mut Proxy, flows: &mut Flows, log: Log) {
    while let Some(action) = proxy.poll_action() {
        let (flow, bytes) = match &action {
            Action::SendText { flow, text } => (*flow, text.as_bytes()),
            Action::SendBinary { flow, bytes } => (*flow, bytes.as_slice()),
        };
        if let Err(error) = flows.send(flow, bytes) {
            // What waits for a response on that flow is answered when its end is reported.
            log.write(Level::Debug, "not-sent", &[("flow", &flow), ("error", &error)]);
        }
    }
}

/// What ends by the peer's fault deserves a look, an ordinary end does not.
const fn level_of(outcome: &Outcome) -> Level {
    match outcome {
        Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Refused(_) => Level::Warn,
        Outcome::Responded(_) => Level::Debug,
        _ => Level::Info,
    }
}

fn since_start(flows: &Flows) -> Duration {
    Duration::from_nanos(flows.now().as_nanos())
}

/// A number that no other run has, for tags and branches.
fn seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the system has no random numbers: {error}"))
}

/// Shuts down gracefully on SIGTERM and SIGINT.
fn stop_on_signal(transport: &Transport) -> Result<(), String> {
    let handle = transport.handle();
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])
            .map_err(|error| format!("cannot catch signals: {error}"))?;
    let thread = std::thread::Builder::new().name("ws-sip-signals".into()).spawn(move || {
        for _ in signals.forever() {
            if handle.shut_down(DRAIN).is_err() {
                break;
            }
        }
    });
    thread.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
}
