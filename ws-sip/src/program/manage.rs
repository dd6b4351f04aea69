//! Management of the running program.

use core::time::Duration;
use std::sync::mpsc;

use ws_sip::mi::{ControlError, Server, Statistic, TransportControl};
use ws_sip::{Settings, Tracing, Transport};

use super::core::Core;
use super::log::{Level, Log};

/// How long the program's loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What management asks of the program's loop.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Question>);

/// Where the answer goes: what the program's core counted.
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

/// Starts to serve management where the settings say. The error is one line.
pub(crate) fn start(
    settings: &Settings,
    transport: &Transport,
    tracing: Tracing,
    log: Log,
) -> Result<(Option<Server>, Questions), String> {
    let (ask, questions) = mpsc::channel::<Question>();
    let handle = transport.handle();
    let control = TransportControl::new(transport.handle(), tracing).with_statistics(move || {
        let (answer, answers) = mpsc::channel();
        ask.send(answer).map_err(|_| ControlError::Unreachable)?;
        // The loop looks for questions each time that it was woken.
        handle.call(|_| ()).map_err(|_| ControlError::Unreachable)?;
        answers.recv_timeout(PATIENCE).map_err(|_| ControlError::Unreachable)
    });
    let server = Server::start(settings, control).map_err(|error| error.to_string())?;
    for address in server.iter().flat_map(Server::addresses).filter(|address| address.is_exposed()) {
        log.write(Level::Warn, "management-exposed", &[("address", address)]);
    }
    Ok((server, Questions(questions)))
}
