use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use mio::Waker;
use ws_core::StatusCode;

use super::Flows;
use crate::flow::FlowId;

/// Reaches a [`Transport`](super::Transport) from other threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Arc<Mutex<Vec<Command>>>,
    waker: Arc<Waker>,
}

enum Command {
    Send(FlowId, Box<[u8]>),
    SendAll(Vec<(FlowId, Box<[u8]>)>),
    Close(FlowId, StatusCode, String),
    ShutDown(Duration),
    Call(Box<dyn FnOnce(&mut Flows) + Send>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send(..) => "Send",
            Self::SendAll(_) => "SendAll",
            Self::Close(..) => "Close",
            Self::ShutDown(_) => "ShutDown",
            Self::Call(_) => "Call",
        })
    }
}

impl Handle {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { commands: Arc::default(), waker }
    }

    /// Sends a SIP message over a flow, as [`Flows::send`] does; what became of it is not told.
    ///
    /// # Errors
    /// If the transport cannot be woken.
    pub fn send(&self, flow: FlowId, message: impl Into<Box<[u8]>>) -> io::Result<()> {
        self.push(Command::Send(flow, message.into()))
    }

    /// Sends SIP messages in their order, as [`send`](Self::send) does, and wakes the transport once.
    ///
    /// # Errors
    /// If the transport cannot be woken.
    pub fn send_all(&self, messages: Vec<(FlowId, Box<[u8]>)>) -> io::Result<()> {
        self.push(Command::SendAll(messages))
    }

    /// Starts the closing handshake of a flow.
    ///
    /// # Errors
    /// If the transport cannot be woken.
    pub fn close(&self, flow: FlowId, code: StatusCode, reason: impl Into<String>) -> io::Result<()> {
        self.push(Command::Close(flow, code, reason.into()))
    }

    /// Shuts the transport down gracefully: see [`Flows::shut_down`].
    ///
    /// # Errors
    /// If the transport cannot be woken.
    pub fn shut_down(&self, timeout: Duration) -> io::Result<()> {
        self.push(Command::ShutDown(timeout))
    }

    /// Runs `act` in the transport's thread, where it holds everything up for as long as it takes; what it returns
    /// comes through the channel that is returned. If the transport is gone or not polled, nothing comes.
    ///
    /// # Errors
    /// If the transport cannot be woken.
    pub fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Flows) -> T + Send + 'static,
    ) -> io::Result<mpsc::Receiver<T>> {
        let (answer, answers) = mpsc::channel();
        // Who asked may have stopped waiting.
        self.push(Command::Call(Box::new(move |flows| drop(answer.send(act(flows))))))?;
        Ok(answers)
    }

    pub(super) fn run(&self, flows: &mut Flows) {
        let commands = core::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner));
        for command in commands {
            // A flow that ended meanwhile was reported closed: nothing is to be said here.
            let _ = match command {
                Command::Send(flow, message) => flows.send(flow, &message),
                Command::SendAll(messages) => {
                    for (flow, message) in messages {
                        let _ = flows.send(flow, &message);
                    }
                    Ok(())
                }
                Command::Close(flow, code, reason) => flows.close(flow, code, &reason),
                Command::ShutDown(timeout) => {
                    flows.shut_down(timeout);
                    Ok(())
                }
                Command::Call(act) => {
                    act(flows);
                    Ok(())
                }
            };
        }
    }

    fn push(&self, command: Command) -> io::Result<()> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        self.waker.wake()
    }
}
