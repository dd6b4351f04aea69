use std::collections::VecDeque;
use std::io;

/// Bytes on their way from one end to the other.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) bytes: VecDeque<u8>,
    capacity: usize,
    /// No more comes.
    pub(super) ended: bool,
    /// Nobody reads any more.
    pub(super) deserted: bool,
}

impl Lane {
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, ended: false, deserted: false }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let n = buffer.len().min(self.bytes.len());
        for (to, from) in buffer.iter_mut().zip(self.bytes.drain(..n)) {
            *to = from;
        }
        n
    }

    /// Takes what there is room for. What goes to nobody is as good as taken.
    pub(super) fn put(&mut self, bytes: &[u8]) -> usize {
        if self.deserted || self.ended {
            return bytes.len();
        }
        let n = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..n]);
        n
    }
}

/// Writes what there is room for.
impl io::Write for Lane {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.put(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
