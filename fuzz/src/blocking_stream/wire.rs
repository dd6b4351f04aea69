use core::time::Duration;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use ws_std::{Duplex, Interest, Transport};

use super::world::World;

/// Our end of a stream in memory whose other end is run whenever this one waits.
#[derive(Debug)]
pub(super) struct Wire(pub(super) Rc<RefCell<World>>);

impl Transport for Wire {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        assert_ne!(timeout, Some(Duration::ZERO), "that would be none");
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().try_write(bytes)
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.0.borrow_mut().try_flush()
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        self.0.borrow_mut().wait(interest, timeout)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.borrow_mut().shutdown_write();
        Ok(())
    }

    fn shutdown(&self) {
        self.0.borrow_mut().shutdown();
    }
}

impl Duplex for Wire {}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.borrow_mut().desert();
    }
}
