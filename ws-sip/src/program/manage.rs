//! Management of the running program.

use core::time::Duration;
use std::sync::mpsc::{self, SyncSender};

use ws_sip::mi::{ControlError, Server, Statistic, TransportControl, statistic};
use ws_sip::{Handle, Settings, Tracing};

use super::core::Core;
use super::hub::Told;
use super::log::{Level, Log};

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What management asks of a worker.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Question>);

/// Where the answer goes: what the worker's core counted.
type Question = mpsc::Sender<Vec<Statistic>>;

impl Questions {
    /// Answers what was asked since the last time.
    pub(crate) fn answer(&self, core: &Core) {
        while let Ok(answer) = self.0.try_recv() {
            // Who asked may have stopped waiting.
            let _ = answer.send(core.statistics());
        }
    }
}

/// Starts to serve management where the settings say; returns with it the questions for each worker. The error is one line.
pub(crate) fn start(
    settings: &Settings,
    workers: &[Handle],
    hub: Option<SyncSender<Told>>,
    tracing: Tracing,
    log: Log,
) -> Result<(Option<Server>, Vec<Questions>), String> {
    let (asks, questions): (Vec<_>, Vec<_>) = workers
        .iter()
        .map(|worker| {
            let (ask, questions) = mpsc::channel::<Question>();
            ((ask, worker.clone()), Questions(questions))
        })
        .unzip();
    let mut handles = workers.iter().cloned();
    let first = handles.next().ok_or("there is no worker")?;
    let control = handles.fold(TransportControl::new(first, tracing), TransportControl::with_transport);
    let control = control.with_statistics(move || {
        let mut total = Vec::new();
        for (ask, worker) in &asks {
            let (answer, answers) = mpsc::channel();
            ask.send(answer).map_err(|_| ControlError::Unreachable)?;
            // The worker looks for questions each time that it was woken.
            worker.call(|_| ()).map_err(|_| ControlError::Unreachable)?;
            let counted = answers.recv_timeout(PATIENCE).map_err(|_| ControlError::Unreachable)?;
            statistic::add(&mut total, counted);
        }
        if let Some(hub) = &hub {
            let (answer, answers) = mpsc::channel();
            hub.send(Told::Statistics(answer)).map_err(|_| ControlError::Unreachable)?;
            let counted = answers.recv_timeout(PATIENCE).map_err(|_| ControlError::Unreachable)?;
            statistic::add(&mut total, counted);
        }
        Ok(total)
    });
    let server = Server::start(settings, control).map_err(|error| error.to_string())?;
    for address in server.iter().flat_map(Server::addresses).filter(|address| address.is_exposed()) {
        log.write(Level::Warn, "management-exposed", &[("address", address)]);
    }
    Ok((server, questions))
}
