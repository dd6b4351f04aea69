use alloc::borrow::Cow;
use alloc::string::String;

use super::Connection;
use super::assembly::Assembly;
use crate::deflate::spare;
use crate::{Chunk, Delivery, Event, Kind, Message, Part, ProtocolError, mask};

impl Connection {
    /// Whether more of a message can come out before any further payload goes in.
    #[cold]
    pub(super) fn is_inflating(&self) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| deflate.is_more())
    }

    /// Takes one step through the payload of a compressed message (RFC 7692, section 7.2.2).
    #[inline(never)]
    pub(super) fn inflate(
        &mut self,
        fin: bool,
        chunk: &mut Chunk<'_>,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let mut scratch = spare::take_scratch();
        let (input, out) = scratch.buffers();
        let result = self.inflate_with(fin, chunk, input, out);
        spare::give_scratch(scratch);
        result
    }

    fn inflate_with(
        &mut self,
        fin: bool,
        chunk: &mut Chunk<'_>,
        input: &mut [u8],
        out: &mut [u8],
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let max = self.config.max_message_len;
        let receiver = &mut self.receiver;
        let Some(deflate) = &mut self.deflate else { return Err(ProtocolError::ReservedBits) };
        let mut len = 0;
        if receiver.remaining > 0 {
            let n =
                usize::try_from(receiver.remaining).unwrap_or(usize::MAX).min(chunk.len()).min(input.len());
            let input = &mut input[..n];
            input.copy_from_slice(&chunk.rest()[..n]);
            if let Some(key) = receiver.key {
                mask::apply(input, key);
            }
            let (used, produced) = deflate.inflate(input, out, max)?;
            chunk.skip(used);
            receiver.pass(used);
            len = produced;
        }
        let mut ended = receiver.remaining == 0 && len < out.len();
        if ended {
            let (produced, complete) = match fin {
                true => deflate.inflate_tail(&mut out[len..], max)?,
                false => {
                    let (_, produced) = deflate.inflate(&[], &mut out[len..], max)?;
                    (produced, !deflate.is_more())
                }
            };
            len += produced;
            ended = complete;
        }
        let piece = &out[..len];
        let before = deflate.produced() - len;
        match self.config.delivery {
            Delivery::Messages => {
                if len > 0 {
                    receiver.assembly.reserve(len, len, (max - before) as u64);
                    receiver.assembly.push_inflated(piece, &mut receiver.incomplete)?;
                }
                if !ended || !self.end_frame(fin)? {
                    return Ok(None);
                }
                self.end_compressed();
                Ok(Some(Event::Message(self.receiver.assembly.finish())))
            }
            Delivery::Parts => {
                let data = match receiver.message.unwrap_or(Kind::Binary) {
                    Kind::Binary => Message::Binary(Cow::Owned(piece.to_vec())),
                    Kind::Text => {
                        let mut text = Assembly::Text(String::new());
                        text.push_inflated(piece, &mut receiver.incomplete)?;
                        text.finish()
                    }
                };
                let last = ended && self.end_frame(fin)?;
                if last {
                    self.end_compressed();
                } else if data.as_bytes().is_empty() {
                    return Ok(None);
                }
                let first = core::mem::replace(&mut self.receiver.first, false);
                Ok(Some(Event::Part(Part { data, first, last })))
            }
        }
    }

    fn end_compressed(&mut self) {
        if let Some(deflate) = &mut self.deflate {
            deflate.end_received();
        }
    }
}
