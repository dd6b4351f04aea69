use super::Connection;
use super::send::State;
use crate::frame::{Header, MAX_HEADER_LEN, Opcode};
use crate::{PreparedMessage, SendBuffer, SendError};

impl Connection {
    /// Appends a message that was prepared to `out`: a server copies its frame, a client masks its payload. It goes compressed
    /// if it was prepared so and permessage-deflate was agreed on with a window that is large enough; with context takeover,
    /// the next message then refers to nothing before it.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_prepared(
        &mut self,
        message: &PreparedMessage,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.check_open()?;
        #[cfg_attr(not(feature = "deflate"), expect(unused_mut, reason = "there is but one form"))]
        let (mut frame, mut header_len) = message.plain();
        match self.send {
            State::Idle => {}
            #[cfg(feature = "deflate")]
            State::Compressing => {
                if let (Some(compressed), Some(_), Some(deflate)) =
                    (message.compressed(), self.config.deflate, &mut self.deflate)
                    && deflate.can_send(compressed.bits)
                {
                    let len = compressed.frame.len() - compressed.header_len;
                    super::send::check_fits(self.config.max_output_len, len, out)?;
                    deflate.forget_sent();
                    (frame, header_len) = (&compressed.frame, compressed.header_len);
                }
            }
            _ => return Err(SendError::MessageInProgress),
        }
        super::send::check_fits(self.config.max_output_len, frame.len() - header_len, out)?;
        let (header, payload) = frame.split_at(header_len);
        match &mut self.keys {
            None => out.append(frame, &[]),
            Some(keys) => {
                let key = keys.next_key();
                // It was written by us.
                let opcode = Opcode::new(header[0] & 0x0f).unwrap_or(Opcode::Binary);
                let (bytes, len) = Header {
                    fin: true,
                    rsv: header[0] >> 4 & 7,
                    opcode,
                    key: Some(key),
                    len: payload.len() as u64,
                }
                .write();
                debug_assert!(len <= MAX_HEADER_LEN);
                out.append_masked(&bytes[..len], payload, key);
            }
        }
        Ok(())
    }
}
