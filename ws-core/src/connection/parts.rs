//! Messages handed out in parts as they arrive ([`Delivery::Parts`](crate::Delivery::Parts)).

use alloc::borrow::Cow;
use alloc::string::String;

use super::Connection;
use crate::{Chunk, Kind, Message, Part, ProtocolError, mask};

impl Connection {
    /// Returns the next part of a message, if the chunk holds one.
    pub(super) fn next_part<'b>(
        &mut self,
        fin: bool,
        chunk: &mut Chunk<'b>,
    ) -> Result<Option<Part<'b>>, ProtocolError> {
        let kind = self.receiver.message.unwrap_or(Kind::Binary);
        let data = if kind == Kind::Text && !self.receiver.incomplete.is_empty() {
            let point = self.complete_code_point(chunk)?;
            Message::Text(Cow::Owned(point.map(String::from).unwrap_or_default()))
        } else {
            let n = self.unmask_available(chunk);
            self.receiver.pass(n);
            let bytes = &*chunk.take(n);
            match kind {
                Kind::Text => Message::Text(Cow::Borrowed(self.receiver.incomplete.split(bytes)?)),
                Kind::Binary => Message::Binary(Cow::Borrowed(bytes)),
            }
        };
        let last = self.end_frame(fin)?;
        if data.as_bytes().is_empty() && !last {
            return Ok(None);
        }
        let first = core::mem::replace(&mut self.receiver.first, false);
        Ok(Some(Part { data, first, last }))
    }

    /// Takes the rest of a cut code point from the chunk.
    fn complete_code_point(&mut self, chunk: &mut Chunk<'_>) -> Result<Option<char>, ProtocolError> {
        let receiver = &mut self.receiver;
        let mut bytes = [0; 3];
        let n = usize::try_from(receiver.remaining).unwrap_or(usize::MAX).min(chunk.len()).min(bytes.len());
        bytes[..n].copy_from_slice(&chunk.rest()[..n]);
        if let Some(key) = receiver.key {
            mask::apply(&mut bytes[..n], key);
        }
        let (point, used) = receiver.incomplete.complete(&bytes[..n])?;
        chunk.skip(used);
        receiver.pass(used);
        Ok(point)
    }
}
