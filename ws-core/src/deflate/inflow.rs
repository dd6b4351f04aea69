use super::TAIL;
use super::codec::Inflater;
use super::spare;
use crate::ProtocolError;

/// Messages that come in.
#[derive(Debug)]
pub(super) struct Inflow {
    bits: u8,
    takeover: bool,
    /// There while a message is under way; after the first one always, with context takeover.
    inflater: Option<Inflater>,
    /// Bytes of this message that came out so far.
    produced: usize,
    /// The last call filled its `out`.
    more: bool,
}

impl Inflow {
    pub(super) const fn new(bits: u8, takeover: bool) -> Self {
        Self { bits, takeover, inflater: None, produced: 0, more: false }
    }

    pub(super) const fn is_more(&self) -> bool {
        self.more
    }

    pub(super) const fn produced(&self) -> usize {
        self.produced
    }

    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        max_message_len: usize,
    ) -> Result<(usize, usize), ProtocolError> {
        let inflater = self.inflater.get_or_insert_with(|| match self.takeover {
            true => Inflater::new(self.bits),
            false => spare::take_inflater(),
        });
        let progress = inflater.inflate(input, out)?;
        if progress.ended {
            // 7.2.3.5: what follows a final block goes on. The library begins anew, without what came before;
            // no compressor refers to that over a final block.
            inflater.reset();
        }
        self.more = progress.produced == out.len();
        if progress.used == 0 && progress.produced == 0 && !input.is_empty() && !progress.ended {
            return Err(ProtocolError::InvalidDeflate);
        }
        self.produced = self.produced.saturating_add(progress.produced);
        if self.produced > max_message_len {
            return Err(ProtocolError::MessageTooLong);
        }
        Ok((progress.used, progress.produced))
    }

    pub(super) fn inflate_tail(
        &mut self,
        out: &mut [u8],
        max_message_len: usize,
    ) -> Result<(usize, bool), ProtocolError> {
        let (_, len) = self.inflate(&[], out, max_message_len)?;
        if self.more {
            return Ok((len, false));
        }
        if let Some(inflater) = &mut self.inflater {
            inflater.end_block(&TAIL)?;
        }
        Ok((len, true))
    }

    pub(super) fn end_message(&mut self) {
        self.produced = 0;
        self.more = false;
        if !self.takeover
            && let Some(inflater) = self.inflater.take()
        {
            spare::give_inflater(inflater);
        }
    }

    pub(super) fn stop(&mut self) {
        self.end_message();
        self.inflater = None;
    }
}
