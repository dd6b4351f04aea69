use std::collections::VecDeque;

/// What a call comes to, one after the other; after the last, all goes well, a few bytes at a time.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    script: VecDeque<u8>,
    /// Bytes that a call moves at most, once the script is over; 0 for any number.
    then: usize,
    /// Nothing breaks: what would is late instead.
    harmless: bool,
}

pub(crate) enum Fault {
    /// At most so many bytes.
    Short(usize),
    /// Nothing yet.
    Late,
    /// The call is to be made again.
    Interrupted,
    Broken,
    /// The end; of a write, that nothing is taken.
    End,
}

impl Faults {
    pub(crate) fn new(script: Vec<u8>, then: u8, harmless: bool) -> Self {
        Self { script: script.into(), then: then.into(), harmless }
    }

    pub(crate) fn len(&self) -> usize {
        self.script.len()
    }

    pub(crate) fn next(&mut self) -> Fault {
        match self.script.pop_front() {
            None if self.then == 0 => Fault::Short(usize::MAX),
            None => Fault::Short(self.then),
            Some(0) => Fault::Short(usize::MAX),
            Some(n @ 1..=0x9f) => Fault::Short(n.into()),
            Some(0xe0..=0xef) => Fault::Interrupted,
            Some(0xf8..=0xfb) if !self.harmless => Fault::End,
            Some(0xfc..) if !self.harmless => Fault::Broken,
            Some(_) => Fault::Late,
        }
    }
}
