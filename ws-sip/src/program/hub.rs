//! The registrar and proxy of several workers: one, in a thread of its own, since a call goes from any worker's browser to
//! any other's.

use core::time::Duration;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Instant;

use ws_sip::auth::Users;
use ws_sip::mi::{Statistic, statistic};
use ws_sip::proxy::{Action, FlowInfo, Proxy};
use ws_sip::sip::Received;
use ws_sip::{FlowId, Handle};

use super::log::Log;
use super::report::report_refused;

/// What workers tell before they wait for the hub to keep up.
const QUEUE_LEN: usize = 1024;
/// What is taken in before what follows from it is sent.
const TURN_LEN: usize = 256;

/// What a worker tells, or management asks.
pub(crate) enum Told {
    Opened(FlowId, FlowInfo),
    Closed(FlowId),
    Message(FlowId, Box<[u8]>),
    Users(Users),
    Statistics(mpsc::Sender<Vec<Statistic>>),
}

/// Starts the thread, which ends with the last of what it is told by. The error is one line.
pub(crate) fn start(proxy: Proxy, workers: Vec<Handle>, log: Log) -> Result<SyncSender<Told>, String> {
    let (tell, told) = mpsc::sync_channel(QUEUE_LEN);
    let mut hub = Hub { proxy, workers, start: Instant::now(), log };
    let run = move || hub.run(&told);
    let thread = thread::Builder::new().name("ws-sip-hub".into()).spawn(run);
    thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    Ok(tell)
}

struct Hub {
    proxy: Proxy,
    workers: Vec<Handle>,
    start: Instant,
    log: Log,
}

impl Hub {
    fn run(&mut self, told: &Receiver<Told>) {
        loop {
            let first = match self.proxy.poll_timeout() {
                Some(at) => told.recv_timeout(at.saturating_sub(self.now())),
                None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(first) => {
                    self.handle(first);
                    told.try_iter().take(TURN_LEN).for_each(|told| self.handle(told));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.now();
            self.proxy.handle_timeout(now);
            self.send();
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn handle(&mut self, told: Told) {
        let now = self.now();
        match told {
            Told::Opened(flow, info) => self.proxy.handle_flow_opened(flow, info),
            Told::Closed(flow) => self.proxy.handle_flow_closed(now, flow),
            Told::Message(flow, bytes) => {
                // The worker has seen that it is one.
                let Ok(Received::Sip(message)) = Received::parse(&bytes) else { return };
                if let Err(refused) = self.proxy.handle_sip(now, flow, &message) {
                    report_refused(flow, refused, self.log);
                }
            }
            Told::Users(users) => self.proxy.set_users(now, users),
            // Who asked may have stopped waiting.
            Told::Statistics(answer) => drop(answer.send(statistic::proxy(self.proxy.stats()))),
        }
    }

    /// Hands what is to be sent to the workers, each of which is woken once.
    fn send(&mut self) {
        let mut batches: Vec<Vec<(FlowId, Box<[u8]>)>> = Vec::new();
        while let Some(action) = self.proxy.poll_action() {
            let (flow, bytes) = match action {
                Action::SendText { flow, text } => (flow, text.into_bytes()),
                Action::SendBinary { flow, bytes } => (flow, bytes),
            };
            batches.resize_with(self.workers.len(), Vec::new);
            if let Some(batch) = batches.get_mut(usize::from(flow.transport())) {
                batch.push((flow, bytes.into()));
            }
        }
        for (worker, batch) in self.workers.iter().zip(batches) {
            if !batch.is_empty() {
                // A worker that is gone ends the program.
                let _ = worker.send_all(batch);
            }
        }
    }
}
