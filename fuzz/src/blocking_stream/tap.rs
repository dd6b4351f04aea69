use core::time::Duration;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use ws_std::{Duplex, Interest, Transport};

use super::world::World;
use crate::stream::Seen;

/// A stream that is watched.
#[derive(Debug)]
pub(super) struct Tap<S> {
    pub(super) stream: S,
    pub(super) seen: Rc<RefCell<Seen>>,
    pub(super) world: Rc<RefCell<World>>,
}

impl<S> Tap<S> {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            self.seen.borrow_mut().broken |=
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
        })
    }
}

impl<S: Transport> Tap<S> {
    /// What had arrived when a write failed is not lost to it.
    fn check_taken_in(&self) {
        let is_probed = self.world.borrow_mut().start_probe();
        if is_probed && !self.seen.borrow().eof {
            let read = self.stream.read(&mut [0; 64]);
            assert!(!matches!(read, Ok(1..)), "what arrived before a write failed was not taken in");
        }
        self.world.borrow_mut().is_probed = false;
    }
}

impl<S: Transport> Transport for Tap<S> {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.seen.borrow().eof, "read beyond the end");
        let n = self.note(self.stream.read(buffer))?;
        let mut seen = self.seen.borrow_mut();
        seen.read.extend_from_slice(&buffer[..n]);
        seen.eof = n == 0;
        Ok(n)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "nothing is no write");
        assert!(!self.seen.borrow().closed, "written after the end: {}", bytes.escape_ascii());
        let n = self.note(self.stream.try_write(bytes))?;
        let mut seen = self.seen.borrow_mut();
        seen.written.extend_from_slice(&bytes[..n]);
        seen.broken |= n == 0;
        Ok(n)
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.note(self.stream.try_flush())
    }

    fn passed_on(&self) -> usize {
        self.stream.passed_on()
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        self.note(self.stream.wait(interest, timeout))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.seen.borrow_mut().closed = true;
        self.note(self.stream.shutdown_write())?;
        self.world.borrow_mut().is_half_shut = true;
        Ok(())
    }

    fn shutdown(&self) {
        self.seen.borrow_mut().closed = true;
        self.check_taken_in();
        self.stream.shutdown();
    }
}

impl<S: Duplex> Duplex for Tap<S> {}
