use core::time::Duration;

use ws_core::StatusCode;

use crate::flow::FlowId;
use crate::mi::control::{Control, ControlError};
use crate::mi::statistic::{self, Statistic};
use crate::tracing::Tracing;
use crate::transport::{FlowStatus, Flows, Handle, SendError};

/// How long a transport may take to answer: it is polled all the time, or it is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Controls a transport that another thread polls.
///
/// ```no_run
/// use ws_sip::mi::{Server, TransportControl};
/// use ws_sip::{Settings, Tracing, Transport};
///
/// let mut settings = Settings::default();
/// settings.set("mi_http", "127.0.0.1:8888")?;
/// let mut transport = Transport::new(settings.clone())?;
/// let tracing = Tracing::new(settings.trace_on);
/// let _management = Server::start(&settings, TransportControl::new(transport.handle(), tracing))?;
/// loop {
///     transport.poll(None, |flows, event| {})?;
/// }
/// # #[expect(unreachable_code)]
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct TransportControl {
    handle: Handle,
    tracing: Tracing,
    further: Vec<Source>,
}

type Source = Box<dyn FnMut() -> Result<Vec<Statistic>, ControlError> + Send>;

impl TransportControl {
    /// Returns the control of a transport and of a switch of tracing.
    #[must_use]
    pub fn new(handle: Handle, tracing: Tracing) -> Self {
        Self { handle, tracing, further: Vec::new() }
    }

    /// Adds statistics from elsewhere. `source` is called in the thread of management, and may wait for a moment.
    #[must_use]
    pub fn with_statistics(
        mut self,
        source: impl FnMut() -> Result<Vec<Statistic>, ControlError> + Send + 'static,
    ) -> Self {
        self.further.push(Box::new(source));
        self
    }

    fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Flows) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let answer = self.handle.call(act).map_err(|_| ControlError::Unreachable)?;
        answer.recv_timeout(PATIENCE).map_err(|_| ControlError::Unreachable)
    }
}

impl core::fmt::Debug for TransportControl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { handle, tracing, .. } = self;
        f.debug_struct("TransportControl")
            .field("handle", handle)
            .field("tracing", tracing)
            .finish_non_exhaustive()
    }
}

impl Control for TransportControl {
    fn is_tracing(&mut self) -> bool {
        self.tracing.is_on()
    }

    fn set_tracing(&mut self, on: bool) {
        self.tracing.set(on);
    }

    fn flows(&mut self, after: Option<FlowId>, max: usize) -> Result<Vec<FlowStatus>, ControlError> {
        self.ask(move |flows| flows.page(after, max))
    }

    fn close(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.ask(move |flows| flows.close(flow, StatusCode::NORMAL, "closed by management"))?.map_err(refused)
    }

    fn ping(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.ask(move |flows| flows.ping(flow))?.map_err(refused)
    }

    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> {
        let mut statistics = self.ask(|flows| {
            let mut statistics = statistic::transport(flows.stats(), flows.len());
            if let Some(tracer) = flows.tracer() {
                statistics.extend(statistic::trace(&tracer.sender().counters()));
            }
            statistics
        })?;
        for source in &mut self.further {
            statistics.extend(source()?);
        }
        Ok(statistics)
    }
}

fn refused(error: SendError) -> ControlError {
    match error {
        SendError::NoSuchFlow => ControlError::NoSuchFlow,
        other => ControlError::Refused(other.to_string()),
    }
}
