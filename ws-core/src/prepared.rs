use bytes::Bytes;

use crate::frame::{Header, Opcode};
use crate::{Kind, Message};

/// A message that is framed once, and compressed once where that is asked for, to be sent over many connections:
/// [`send_prepared`](crate::Connection::send_prepared). Clones share its bytes.
///
/// ```
/// # use std::sync::Arc;
/// # use ws_core::{Config, Connection, Instant, Role, SendBuffer};
/// use ws_core::{Message, PreparedMessage};
/// let news = PreparedMessage::new(&Message::Text("to whom it may concern".into()));
/// # let mut connections = [Connection::new(Role::Server, &Arc::default(), Instant::EPOCH, None)];
/// # let mut out = SendBuffer::new();
/// for connection in &mut connections {
///     connection.send_prepared(&news, &mut out)?;
/// }
/// # Ok::<(), ws_core::SendError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMessage {
    kind: Kind,
    /// A server's frame.
    frame: Bytes,
    header_len: usize,
    #[cfg(feature = "deflate")]
    deflated: Option<Deflated>,
}

/// The compressed form.
#[cfg(feature = "deflate")]
#[derive(Clone, Debug)]
pub(crate) struct Deflated {
    pub(crate) frame: Bytes,
    pub(crate) header_len: usize,
    /// The least window that it needs.
    pub(crate) bits: u8,
}

impl PreparedMessage {
    /// Prepares a message. Where permessage-deflate was agreed on it goes uncompressed.
    #[must_use]
    pub fn new(message: &Message<'_>) -> Self {
        let kind = message.kind();
        let (frame, header_len) = frame(kind, 0, message.as_bytes());
        Self {
            kind,
            frame,
            header_len,
            #[cfg(feature = "deflate")]
            deflated: None,
        }
    }

    /// Prepares a message, and compresses it for connections that agreed on permessage-deflate, as hard as
    /// [`level`](crate::DeflateConfig::level) says. A message that does not become shorter goes as it is.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflated(message: &Message<'_>, level: u8) -> Self {
        let data = message.as_bytes();
        let payload = crate::deflate::deflate_alone(level, data);
        let mut prepared = Self::new(message);
        if payload.len() < data.len() {
            let (frame, header_len) = frame(message.kind(), crate::frame::COMPRESSED, &payload);
            prepared.deflated =
                Some(Deflated { frame, header_len, bits: crate::deflate::window_for(data.len()) });
        }
        prepared
    }

    /// Returns which kind of message this is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the length of the data in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frame.len() - self.header_len
    }

    /// Returns whether there are no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) const fn plain(&self) -> (&Bytes, usize) {
        (&self.frame, self.header_len)
    }

    #[cfg(feature = "deflate")]
    pub(crate) const fn compressed(&self) -> Option<&Deflated> {
        self.deflated.as_ref()
    }
}

/// Frames a payload as a server does; returns also how long the header is.
fn frame(kind: Kind, rsv: u8, payload: &[u8]) -> (Bytes, usize) {
    let opcode = match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    };
    let (header, len) = Header { fin: true, rsv, opcode, key: None, len: payload.len() as u64 }.write();
    ([&header[..len], payload].concat().into(), len)
}
