use super::{Connection, Timer};
use crate::close_payload::encode_close;
use crate::frame::{EXTENDED, FIN, Header, MASK, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode};
use crate::{Instant, Kind, Message, SendBuffer, SendError, StatusCode, mask};

/// What the application is in the middle of sending.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Nothing.
    #[default]
    Idle,
    /// Nothing; whole messages are compressed.
    #[cfg(feature = "deflate")]
    Compressing,
    /// A message in parts, of this kind.
    Parts(Kind),
    /// The same, and compressed.
    #[cfg(feature = "deflate")]
    CompressedParts(Kind),
}

impl State {
    /// Returns the kind of the message that is sent in parts and not finished.
    const fn started(&self) -> Option<Kind> {
        match *self {
            Self::Idle => None,
            Self::Parts(kind) => Some(kind),
            #[cfg(feature = "deflate")]
            Self::Compressing => None,
            #[cfg(feature = "deflate")]
            Self::CompressedParts(kind) => Some(kind),
        }
    }
}

/// Whether a frame with so long a payload may be queued. Its header may exceed the cap, and so may what compressing adds:
/// else a message that was let in could be too long to be sent back.
#[inline]
pub(super) fn check_fits(max: usize, payload_len: usize, out: &SendBuffer) -> Result<(), SendError> {
    let len = payload_len.saturating_add(out.len());
    if len > max { Err(SendError::OutputFull) } else { Ok(()) }
}

const fn opcode_of(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

impl Connection {
    /// Appends a whole text message to `out`, in one frame.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    #[inline]
    pub fn send_text(&mut self, text: &str, out: &mut SendBuffer) -> Result<(), SendError> {
        self.send_message(Opcode::Text, text.as_bytes(), out)
    }

    /// Appends a whole binary message to `out`, in one frame.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    #[inline]
    pub fn send_binary(&mut self, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.send_message(Opcode::Binary, data, out)
    }

    /// Appends a part of a message as a frame of its own; `last` ends the message. A text may be cut anywhere, also inside a
    /// code point; the parts are not looked at, so it is the caller's to see to it that together they are UTF-8. A peer fails
    /// the connection (1007) if they are not.
    ///
    /// Control frames go in between by themselves; other messages cannot until the last part was sent.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_part(
        &mut self,
        kind: Kind,
        data: &[u8],
        last: bool,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let opcode = match self.send.started() {
            Some(started) if started != kind => return Err(SendError::KindMismatch),
            Some(_) => Opcode::Continuation,
            None => opcode_of(kind),
        };
        #[cfg(feature = "deflate")]
        if matches!(self.send, State::Compressing | State::CompressedParts(_)) && self.compresses() {
            return self.send_compressed_part(opcode, kind, data, last, out);
        }
        self.append(Header { fin: last, rsv: 0, opcode, key: None, len: data.len() as u64 }, data, out)?;
        self.send = if last { self.idle() } else { State::Parts(kind) };
        Ok(())
    }

    /// Appends a whole message to `out` in one frame, and does not compress it where permessage-deflate was agreed on: for
    /// what holds a secret beside what others may choose, and for what is compressed already.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn send_uncompressed(
        &mut self,
        message: &Message<'_>,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if self.send.started().is_some() {
            return Err(SendError::MessageInProgress);
        }
        self.append_message(opcode_of(message.kind()), message.as_bytes(), out)
    }

    /// Queues a Ping with at most 125 bytes of Application data, before the data that wait. Its Pong comes as
    /// [`Event::Pong`](crate::Event::Pong).
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn ping(&mut self, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.check_open()?;
        if data.len() > MAX_CONTROL_LEN {
            return Err(SendError::ControlTooLong);
        }
        self.check_fits(data.len(), out)?;
        let (frame, len) = self.control_frame(Opcode::Ping, data);
        out.append_control(&frame[..len]);
        Ok(())
    }

    /// Starts the closing handshake: the Close frame goes to `out`, behind the data queued before; messages of
    /// the peer still come until its own Close frame. `None` sends a frame without a code (1005).
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then.
    pub fn close(
        &mut self,
        now: Instant,
        code: Option<StatusCode>,
        reason: &str,
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if code.is_none() && !reason.is_empty() {
            return Err(SendError::ReasonWithoutCode);
        }
        let (payload, len) = encode_close(code, reason).ok_or(SendError::ReasonTooLong)?;
        let header = Header { fin: true, rsv: 0, opcode: Opcode::Close, key: None, len: len as u64 };
        self.write(header, &payload[..len], out);
        self.closing.start();
        for timer in [Timer::Idle, Timer::Ping, Timer::Pong] {
            self.timers.clear(timer);
        }
        self.keepalive.stop();
        self.arm_close(now);
        Ok(())
    }

    #[inline(always)]
    fn send_message(&mut self, opcode: Opcode, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.check_open()?;
        // Most messages need no more than a short header, whose length is known here.
        if matches!(self.send, State::Idle)
            && let Ok(len) = u16::try_from(data.len())
        {
            self.check_fits(data.len(), out)?;
            let first = FIN | opcode as u8;
            let ([high, low], is_short) = (len.to_be_bytes(), len < u16::from(EXTENDED));
            match &mut self.keys {
                None if is_short => out.append_sized([first, low], data),
                None => out.append_sized([first, EXTENDED, high, low], data),
                Some(keys) => {
                    let key = keys.next_key();
                    let [a, b, c, d] = key;
                    match is_short {
                        true => out.append_sized([first, MASK | low, a, b, c, d], data),
                        false => out.append_sized([first, MASK | EXTENDED, high, low, a, b, c, d], data),
                    }
                    out.mask_last(data.len(), key);
                }
            }
            return Ok(());
        }
        self.send_elsewise(opcode, data, out)
    }

    /// Sends a whole message, if that may be. Apart, so that nothing of it is in the way of the messages that need no
    /// more than a short header.
    #[inline(never)]
    fn send_elsewise(&mut self, opcode: Opcode, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        if matches!(self.send, State::Idle) {
            return self.append_message(opcode, data, out);
        }
        #[cfg(feature = "deflate")]
        if matches!(self.send, State::Compressing) {
            return self.send_compressed(opcode, data, out);
        }
        Err(SendError::MessageInProgress)
    }

    /// The state between messages.
    pub(super) fn idle(&self) -> State {
        #[cfg(feature = "deflate")]
        if self.deflate.is_some() {
            return State::Compressing;
        }
        State::Idle
    }

    #[inline]
    pub(super) fn append_message(
        &mut self,
        opcode: Opcode,
        data: &[u8],
        out: &mut SendBuffer,
    ) -> Result<(), SendError> {
        self.append(Header { fin: true, rsv: 0, opcode, key: None, len: data.len() as u64 }, data, out)
    }

    #[inline]
    pub(super) const fn check_open(&self) -> Result<(), SendError> {
        if self.closing.is_open() { Ok(()) } else { Err(SendError::Closing) }
    }

    #[inline]
    fn append(&mut self, header: Header, data: &[u8], out: &mut SendBuffer) -> Result<(), SendError> {
        self.check_fits(data.len(), out)?;
        self.write(header, data, out);
        Ok(())
    }

    #[inline]
    pub(super) fn check_fits(&self, payload_len: usize, out: &SendBuffer) -> Result<(), SendError> {
        check_fits(self.config.max_output_len, payload_len, out)
    }

    #[inline]
    pub(super) fn write(&mut self, mut header: Header, data: &[u8], out: &mut SendBuffer) {
        match &mut self.keys {
            None => {
                let (bytes, len) = header.write();
                out.append(&bytes[..len], data);
            }
            Some(keys) => {
                let key = keys.next_key();
                header.key = Some(key);
                let (bytes, len) = header.write();
                out.append_masked(&bytes[..len], data, key);
            }
        }
    }

    /// Writes a control frame, header and payload, into the front of an array.
    fn control_frame(
        &mut self,
        opcode: Opcode,
        data: &[u8],
    ) -> ([u8; MAX_HEADER_LEN + MAX_CONTROL_LEN], usize) {
        let key = self.keys.as_mut().map(|keys| keys.next_key());
        let (bytes, header_len) = Header { fin: true, rsv: 0, opcode, key, len: data.len() as u64 }.write();
        let len = header_len + data.len();
        let mut frame = [0; MAX_HEADER_LEN + MAX_CONTROL_LEN];
        frame[..header_len].copy_from_slice(&bytes[..header_len]);
        frame[header_len..len].copy_from_slice(data);
        if let Some(key) = key {
            mask::apply(&mut frame[header_len..len], key);
        }
        (frame, len)
    }

    /// Queues the control frames that are due.
    #[cold]
    pub(super) fn send_due(&mut self, out: &mut SendBuffer) {
        // While one Pong or keepalive Ping waits for the transport no other is queued, however many Pings
        // come: the latest is kept.
        if out.is_reply_waiting() {
            self.pongs.keep_latest();
        } else {
            let mut pongs = core::mem::take(&mut self.pongs);
            if !self.closing.may_reply() {
                pongs.clear();
            }
            for data in pongs.iter() {
                let (frame, len) = self.control_frame(Opcode::Pong, data);
                out.append_reply(&frame[..len]);
            }
            if core::mem::take(&mut self.keepalive.due) && self.closing.is_open() {
                let (frame, len) = self.control_frame(Opcode::Ping, &self.keepalive.last.to_be_bytes());
                out.append_reply(&frame[..len]);
            }
        }
        if let Some((code, reason)) = self.closing.take_due() {
            self.pongs.clear();
            // Our own reasons are short.
            if let Some((payload, len)) = encode_close(code, reason) {
                let (frame, len) = self.control_frame(Opcode::Close, &payload[..len]);
                out.append_last(&frame[..len]);
            }
        }
    }
}
