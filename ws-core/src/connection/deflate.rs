use super::Connection;
use super::send::State;
use crate::frame::{COMPRESSED, Header, Opcode};
use crate::{DeflateConfig, Kind, SendBuffer, SendError};

impl Connection {
    /// Whether a part goes the compressed way: one that continues what was begun so, or begins while the settings want it.
    pub(super) fn compresses(&self) -> bool {
        matches!(self.send, State::CompressedParts(_)) || self.config.deflate.is_some()
    }

    /// Sends a whole message, compressed if the settings want that (RFC 7692, section 7.2.1).
    #[cold]
    pub(super) fn send_compressed(
        &mut self,
        opcode: Opcode,
        data: &[u8],
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        match self.config.deflate {
            Some(DeflateConfig { min_len, .. }) if data.len() >= min_len => {
                self.append_compressed(opcode, data, true, out)
            }
            _ => self.append_message(opcode, data, out),
        }
    }

    /// Sends a part of a message that is compressed.
    #[cold]
    pub(super) fn send_compressed_part(
        &mut self,
        opcode: Opcode,
        kind: Kind,
        data: &[u8],
        last: bool,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.append_compressed(opcode, data, last, out)?;
        self.send = if last { self.idle() } else { State::CompressedParts(kind) };
        Ok(())
    }

    /// The first frame of a message has its RSV1 set (section 7.2.3.1).
    fn append_compressed(
        &mut self,
        opcode: Opcode,
        data: &[u8],
        last: bool,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        // What went through the compressor cannot be taken back.
        self.check_fits(data.len(), out)?;
        let config = self.config.deflate.unwrap_or_default();
        let Some(deflate) = &mut self.deflate else { return Err(SendError::Closing) };
        let payload = deflate.deflate(config.level, data, last);
        let rsv = if opcode == Opcode::Continuation { 0 } else { COMPRESSED };
        self.write(Header { fin: last, rsv, opcode, key: None, len: payload.len() as u64 }, &payload, out);
        Ok(())
    }
}
