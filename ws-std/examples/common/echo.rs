//! What all the example programs do once a connection is open.

use ws_core::SendError;
use ws_std::{Error, Message, Transport, WebSocket};

/// Sends every message back, until the connection ends.
pub(crate) fn echo<S: Transport>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(unsent) = ws.read_ref(|message, replies| match replies.send(&message) {
        Ok(()) => None,
        Err(Error::Refused(SendError::OutputFull)) => Some(Message::from(message)),
        // The peer closed, or worse: the next read says.
        Err(_) => None,
    })? {
        if let Some(message) = unsent {
            match ws.send(message) {
                Ok(()) | Err(Error::Refused(SendError::Closing)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
