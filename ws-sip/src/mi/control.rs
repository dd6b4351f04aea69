use core::fmt;

use super::Statistic;
use crate::flow::FlowId;
use crate::transport::FlowStatus;

/// What the commands act on.
pub trait Control {
    /// Returns whether connections are traced.
    fn is_tracing(&mut self) -> bool;

    /// Turns tracing on or off.
    fn set_tracing(&mut self, on: bool);

    /// Returns open flows in a fixed order, at most `max`, those after `after` if that is given. A flow that opens or
    /// closes in between may or may not be among them; `after` need not be open any more.
    ///
    /// # Errors
    /// [`ControlError::Unreachable`].
    fn flows(&mut self, after: Option<FlowId>, max: usize) -> Result<Vec<FlowStatus>, ControlError>;

    /// Starts the closing handshake of a flow.
    ///
    /// # Errors
    /// [`ControlError`]; then nothing happens.
    fn close(&mut self, flow: FlowId) -> Result<(), ControlError>;

    /// Sends a WebSocket Ping over a flow.
    ///
    /// # Errors
    /// [`ControlError`]; then nothing is sent.
    fn ping(&mut self, flow: FlowId) -> Result<(), ControlError>;

    /// Returns what was counted.
    ///
    /// # Errors
    /// [`ControlError::Unreachable`].
    fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError>;
}

/// Why a command could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// The flow ended, or never was.
    NoSuchFlow,
    /// The flow cannot do it now, for this reason.
    Refused(String),
    /// The transport does not answer.
    Unreachable,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFlow => f.write_str("no such flow"),
            Self::Refused(reason) => f.write_str(reason),
            Self::Unreachable => f.write_str("the transport does not answer"),
        }
    }
}

impl core::error::Error for ControlError {}
