//! What all the example programs do once a connection is open.

use futures_io::{AsyncRead, AsyncWrite};
use ws_core::SendError;
use ws_smol::{Error, Message, WebSocket};

/// Sends every message back, until the connection ends.
pub(crate) async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(unsent) = ws
        .read_ref(|message, replies| match replies.send(&message) {
            Ok(()) => None,
            Err(Error::Refused(SendError::OutputFull)) => Some(Message::from(message)),
            // The peer closed, or worse: the next read says.
            Err(_) => None,
        })
        .await?
    {
        if let Some(message) = unsent {
            match ws.send(message).await {
                Ok(()) | Err(Error::Refused(SendError::Closing)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
