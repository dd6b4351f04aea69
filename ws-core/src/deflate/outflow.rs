use alloc::vec::Vec;

use super::TAIL;
use super::codec::Deflater;
use super::spare;

/// Messages that go out.
#[derive(Debug)]
pub(super) struct Outflow {
    bits: u8,
    takeover: bool,
    /// There while a message is under way; after the first one always, with context takeover.
    deflater: Option<Deflater>,
    /// What `deflater` was made for.
    level: u8,
}

impl Outflow {
    pub(super) const fn new(bits: u8, takeover: bool) -> Self {
        Self { bits, takeover, deflater: None, level: 0 }
    }

    pub(super) const fn bits(&self) -> u8 {
        self.bits
    }

    /// Forgets what was sent: the next message refers to nothing before it.
    pub(super) fn forget(&mut self) {
        if let Some(deflater) = &mut self.deflater {
            deflater.reset();
        }
    }

    pub(super) fn deflate(&mut self, level: u8, data: &[u8], last: bool) -> Vec<u8> {
        let deflater = self.deflater.get_or_insert_with(|| {
            self.level = level;
            match self.takeover {
                true => Deflater::new(level, self.bits),
                false => spare::take_deflater(level, self.bits),
            }
        });
        let mut out = Vec::new();
        deflater.deflate(data, &mut out);
        if last {
            if out.ends_with(&TAIL) {
                out.truncate(out.len() - TAIL.len());
            }
            // 7.2.3.6: the start of the empty block whose rest is the tail.
            if out.is_empty() {
                out.push(0);
            }
            if !self.takeover
                && let Some(deflater) = self.deflater.take()
            {
                spare::give_deflater(self.level, self.bits, deflater);
            }
        }
        out
    }
}
