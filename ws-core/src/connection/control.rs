//! Control frames of the peer (RFC 6455, section 5.5).

use alloc::borrow::Cow;
use alloc::boxed::Box;

use super::Connection;
use super::receive::Inside;
use super::timer::Timer;
use crate::close_payload::parse_close;
use crate::frame::{Header, MAX_CONTROL_LEN, Opcode};
use crate::{Chunk, Event, Instant, ProtocolError};

/// The payload of a control frame that the end of a chunk cut.
#[derive(Debug)]
pub(super) struct CutControl {
    bytes: [u8; MAX_CONTROL_LEN],
    len: usize,
}

impl Connection {
    /// Starts a control frame.
    pub(super) fn begin_control(&mut self, header: Header) {
        self.receiver.inside = Inside::Control(header.opcode);
        // A data frame is never open here: control frames come between frames (section 5.4).
        self.receiver.remaining = header.len;
        self.receiver.key = header.key;
    }

    /// Returns the payload of the control frame when it is complete.
    pub(super) fn control_payload<'b>(&mut self, chunk: &mut Chunk<'b>) -> Option<Cow<'b, [u8]>> {
        let n = self.unmask_available(chunk);
        let receiver = &mut self.receiver;
        receiver.pass(n);
        let whole = receiver.remaining == 0;
        if whole {
            receiver.leave_frame();
            if receiver.control.is_none() {
                return Some(Cow::Borrowed(chunk.take(n)));
            }
        }
        if n > 0 || whole {
            let cut = receiver
                .control
                .get_or_insert_with(|| Box::new(CutControl { bytes: [0; MAX_CONTROL_LEN], len: 0 }));
            cut.bytes[cut.len..cut.len + n].copy_from_slice(&chunk.rest()[..n]);
            cut.len += n;
            chunk.skip(n);
        }
        if !whole {
            return None;
        }
        receiver.control.take().map(|cut| Cow::Owned(cut.bytes[..cut.len].to_vec()))
    }

    /// Acts on a control frame (section 5.5).
    pub(super) fn handle_control<'b>(
        &mut self,
        now: Instant,
        opcode: Opcode,
        payload: Cow<'b, [u8]>,
    ) -> Result<Option<Event<'b>>, ProtocolError> {
        if self.receiver.message.is_none() {
            self.timers.clear(Timer::Message);
        }
        let event = match opcode {
            Opcode::Ping => {
                self.pongs.push(&payload);
                Event::Ping(payload)
            }
            Opcode::Close => {
                let frame = parse_close(&payload)?;
                self.closing.handle_close(frame.as_ref().map(|frame| frame.code), self.role());
                self.stop_receiving(now);
                self.settle();
                return Ok(Some(Event::Close(frame)));
            }
            _ => {
                // 5.5.3: only the Pong that answers our keepalive Ping counts as its answer.
                if self.keepalive.awaited && *payload == self.keepalive.last.to_be_bytes() {
                    self.keepalive.awaited = false;
                    self.timers.clear(Timer::Pong);
                    if let Some(interval) = self.config.ping_interval {
                        self.timers.set(Timer::Ping, now + interval);
                    }
                }
                Event::Pong(payload)
            }
        };
        Ok(self.config.control_events.then_some(event))
    }
}
