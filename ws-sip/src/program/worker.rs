//! One thread's loop: the transport's events into what the program is for the browsers, its messages back out.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::mpsc;

use ws_sip::{FlowEvent, Flows, Transport};

use super::core::Core;
use super::log::{Level, Log};
use super::manage::Questions;
use super::page;
use super::reload::Reload;
use super::report::{report, report_refused};

pub(crate) struct Worker {
    pub(crate) transport: Transport,
    pub(crate) core: Core,
    pub(crate) questions: Questions,
    pub(crate) reloads: mpsc::Receiver<Reload>,
    pub(crate) log: Log,
}

impl Worker {
    /// Runs until the transport is shut down. The error is one line.
    pub(crate) fn run(mut self) -> Result<(), String> {
        while !self.transport.flows().is_drained() {
            let now = since_start(self.transport.flows());
            let timeout = self.core.poll_timeout().map(|at| at.saturating_sub(now));
            let (core, log) = (&mut self.core, self.log);
            self.transport
                .poll(timeout, |flows, event| {
                    handle(core, flows, &event, log);
                    act(core, flows, log);
                })
                .map_err(|error| format!("cannot wait for the network: {error}"))?;
            let flows = self.transport.flows();
            self.core.handle_timeout(since_start(flows), flows);
            act(&mut self.core, flows, self.log);
            self.questions.answer(&self.core);
            while let Ok(reload) = self.reloads.try_recv() {
                let now = since_start(self.transport.flows());
                reload.apply(now, &mut self.transport, &mut self.core);
            }
        }
        Ok(())
    }
}

/// Takes in an event of the transport.
fn handle(core: &mut Core, flows: &mut Flows, event: &FlowEvent<'_>, log: Log) {
    let now = since_start(flows);
    report(event, log);
    core.handle_event(now, flows, event, log);
    match event {
        FlowEvent::Message { flow, message, .. } => {
            if let Err(refused) = core.handle_sip(now, *flow, message) {
                report_refused(*flow, refused, log);
            }
        }
        FlowEvent::Http { flow, ends, request } => {
            let response = page::respond(request);
            let peer: &SocketAddr = &ends.peer;
            let fields: [(&str, &dyn core::fmt::Display); 5] = [
                ("peer", peer),
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
