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
    /// One for each transport, by its number.
    handles: Vec<Handle>,
    tracing: Tracing,
    further: Vec<Source>,
}

type Source = Box<dyn FnMut() -> Result<Vec<Statistic>, ControlError> + Send>;

impl TransportControl {
    /// Returns the control of a transport and of a switch of tracing.
    #[must_use]
    pub fn new(handle: Handle, tracing: Tracing) -> Self {
        Self { handles: vec![handle], tracing, further: Vec::new() }
    }

    /// Adds the next of several transports, in the order of their [numbers](FlowId::transport).
    #[must_use]
    pub fn with_transport(mut self, handle: Handle) -> Self {
        self.handles.push(handle);
        self
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

    fn len(&self) -> u8 {
        u8::try_from(self.handles.len()).unwrap_or(u8::MAX)
    }

    fn ask<T: Send + 'static>(
        &self,
        transport: u8,
        act: impl FnOnce(&mut Flows) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let handle = self.handles.get(usize::from(transport)).ok_or(ControlError::NoSuchFlow)?;
        let answer = handle.call(act).map_err(|_| ControlError::Unreachable)?;
        answer.recv_timeout(PATIENCE).map_err(|_| ControlError::Unreachable)
    }
}

impl core::fmt::Debug for TransportControl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { handles, tracing, .. } = self;
        f.debug_struct("TransportControl")
            .field("handles", handles)
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
        let mut all = Vec::new();
        let first = after.map_or(0, FlowId::transport);
        for number in first..self.len() {
            let after = after.filter(|after| after.transport() == number);
            let left = max - all.len();
            all.extend(self.ask(number, move |flows| flows.page(after, left))?);
            if all.len() == max {
                break;
            }
        }
        Ok(all)
    }

    fn close(&mut self, flow: FlowId) -> Result<(), ControlError> {
        let closed = self.ask(flow.transport(), move |flows| {
            flows.close(flow, StatusCode::NORMAL, "closed by management")
        });
        closed?.map_err(refused)
    }

    fn ping(&mut self, flow: FlowId) -> Result<(), ControlError> {
        self.ask(flow.transport(), move |flows| flows.ping(flow))?.map_err(refused)
    }

    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> {
        let mut statistics = Vec::new();
        for number in 0..self.len() {
            let own = self.ask(number, |flows| statistic::transport(flows.stats(), flows.len()))?;
            statistic::add(&mut statistics, own);
        }
        // All send their records through one.
        let trace =
            self.ask(0, |flows| flows.tracer().map(|tracer| statistic::trace(&tracer.sender().counters())))?;
        statistics.extend(trace.into_iter().flatten());
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
