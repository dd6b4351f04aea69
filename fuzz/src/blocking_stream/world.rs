use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use ws_std::Interest;

use super::lane::Lane;
use super::peer::Peer;
use super::program::Log;
use crate::stream::{Doing, Fault, Faults};

/// A stream, and who is at its other end.
#[derive(Debug)]
pub(super) struct World {
    pub(super) peer: Peer,
    /// To us.
    pub(super) down: Lane,
    /// To the peer.
    pub(super) up: Lane,
    pub(super) faults: Sides,
    /// What was taken of us and did not leave yet, as in TLS, and how much that may be.
    kept: VecDeque<u8>,
    keeps: usize,
    /// When the peer does something while we do not wait for it.
    order: u64,
    /// Our reads ended, or broke, before the peer's writes did.
    read_fault: Option<Broken>,
    pub(super) write_fault: Option<Broken>,
    is_shut: bool,
    /// What we write was ended while we still read.
    pub(super) is_half_shut: bool,
    /// Something befell a read, or a wait, since a write failed; or what arrives then may be too much to be taken in.
    pub(super) is_excused: bool,
    /// A call is our own, to see whether there is something: it neither waits nor counts.
    pub(super) is_probed: bool,
    /// Both ends waited for ever, and the stream was ended.
    pub(super) is_cut: bool,
    /// What was done for us or the peer.
    pub(super) moves: u64,
    log: Rc<Log>,
}

#[derive(Debug)]
pub(super) struct Sides {
    pub(super) reads: Faults,
    pub(super) writes: Faults,
    pub(super) waits: Faults,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    Ended,
    Lost,
}

impl World {
    pub(super) fn new(
        peer: Peer,
        capacity: usize,
        keeps: u8,
        order: u64,
        faults: Sides,
        log: Rc<Log>,
    ) -> Self {
        Self {
            peer,
            down: Lane::new(capacity),
            up: Lane::new(capacity),
            faults,
            kept: VecDeque::new(),
            keeps: keeps.into(),
            order,
            read_fault: None,
            write_fault: None,
            is_shut: false,
            is_half_shut: false,
            is_excused: false,
            is_probed: false,
            is_cut: false,
            moves: 0,
            log,
        }
    }

    /// Counts a call, and lets the peer do something first, if it is its turn.
    fn count(&mut self) {
        let calls = self.log.calls.get() + 1;
        self.log.calls.set(calls);
        assert!(calls <= 6 * (self.log.allowed.get() + self.moves), "the stream is asked in vain");
        self.order = self.order.rotate_left(1);
        if self.order & 1 == 1 {
            self.turn();
        }
    }

    pub(super) fn turn(&mut self) -> bool {
        let did = self.peer.turn(&mut self.up, &mut self.down);
        self.moves += u64::from(did);
        did
    }

    /// Has the peer do something while we wait. If it has nothing to do, we wait for ever, and the stream is ended.
    fn wait_for_peer(&mut self) {
        if self.turn() {
            return;
        }
        assert!(!self.is_cut, "it waits for what cannot come: {:?}", self.log);
        assert_eq!(self.log.doing.get(), Doing::Reading, "it and its peer wait for each other");
        assert_eq!(*self.log.received.borrow(), self.peer.sent, "not all was delivered");
        assert_eq!(self.peer.received, *self.log.sent.borrow(), "not all was sent");
        self.is_cut = true;
        self.down.ended = true;
        self.up.ended = true;
    }

    /// Begins to look whether something was left unread that should not have been.
    pub(super) fn start_probe(&mut self) -> bool {
        // As much as can wait to be read, whatever the limit.
        let is_little = self.peer.sent.iter().map(|message| message.len() + 100).sum::<usize>() < 2500;
        self.is_probed = self.write_fault.is_some() && !self.is_excused && is_little;
        self.is_probed
    }

    /// Returns what befalls a read or a wait.
    fn fault(&mut self, of: fn(&mut Sides) -> &mut Faults) -> Fault {
        let fault = of(&mut self.faults).next();
        self.is_excused |= self.write_fault.is_some() && !matches!(fault, Fault::Short(_));
        fault
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_probed {
            let n = self.down.take(buffer);
            return if n > 0 { Ok(n) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        self.count();
        let most = match self.fault(|faults| &mut faults.reads) {
            Fault::Short(most) => most,
            Fault::Late => return Err(io::ErrorKind::WouldBlock.into()),
            Fault::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            fault => {
                let broken = if matches!(fault, Fault::End) { Broken::Ended } else { Broken::Lost };
                self.read_fault.get_or_insert(broken);
                0
            }
        };
        match self.read_fault {
            Some(Broken::Ended) => return Ok(0),
            Some(Broken::Lost) => return Err(io::ErrorKind::ConnectionReset.into()),
            None => {}
        }
        while !self.is_readable() {
            self.wait_for_peer();
        }
        let most = most.min(buffer.len());
        let n = self.down.take(&mut buffer[..most]);
        self.moves += u64::from(n > 0);
        Ok(n)
    }

    fn is_readable(&self) -> bool {
        self.down.len() > 0 || self.down.ended || self.is_shut || self.read_fault.is_some()
    }

    fn is_writable(&self) -> bool {
        self.up.room() > 0 || self.up.deserted || self.up.ended || self.write_fault.is_some()
    }

    /// Tells whether a write can be tried: nothing is in its way that has been there before.
    fn check_write(&mut self) -> io::Result<()> {
        if self.write_fault.is_none() && self.up.deserted {
            self.write_fault = Some(Broken::Lost);
        }
        if self.write_fault.is_some() || self.up.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Passes on what is kept; returns whether that was all.
    fn pass_on(&mut self, most: usize) -> bool {
        let n = self.up.room().min(self.kept.len()).min(most);
        self.up.bytes.extend(self.kept.drain(..n));
        self.moves += u64::from(n > 0);
        self.kept.is_empty()
    }

    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_probed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.count();
        let most = match self.faults.writes.next() {
            Fault::Short(most) => most,
            Fault::Late => return Err(io::ErrorKind::WouldBlock.into()),
            Fault::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            Fault::Broken => {
                self.write_fault.get_or_insert(Broken::Lost);
                0
            }
            Fault::End => {
                self.write_fault.get_or_insert(Broken::Ended);
                return Ok(0);
            }
        };
        self.check_write()?;
        if !self.pass_on(usize::MAX) || self.up.room() == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = bytes.len().min(most).min(self.up.room().saturating_add(self.keeps));
        let put = self.up.put(&bytes[..n]);
        self.kept.extend(&bytes[put..n]);
        self.moves += u64::from(n > 0);
        Ok(n)
    }

    pub(super) fn try_flush(&mut self) -> io::Result<bool> {
        if self.kept.is_empty() {
            return Ok(true);
        }
        self.count();
        let most = match self.faults.writes.next() {
            Fault::Short(most) => most,
            Fault::Late | Fault::Interrupted => 0,
            Fault::Broken | Fault::End => {
                self.write_fault.get_or_insert(Broken::Lost);
                0
            }
        };
        self.check_write()?;
        Ok(self.pass_on(most))
    }

    pub(super) fn wait(&mut self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        self.count();
        match self.fault(|faults| &mut faults.waits) {
            Fault::Short(_) => {}
            // As after a signal.
            Fault::Late | Fault::Interrupted | Fault::End => return Ok(Interest::default()),
            Fault::Broken => return Err(io::ErrorKind::Other.into()),
        }
        loop {
            let ready = Interest {
                read: interest.read && self.is_readable(),
                write: interest.write && self.is_writable(),
            };
            if ready != Interest::default() || timeout == Some(Duration::ZERO) {
                return Ok(ready);
            }
            self.wait_for_peer();
        }
    }

    /// Ends what we write, while we go on to read.
    pub(super) fn shutdown_write(&mut self) {
        assert!(
            self.kept.is_empty() || self.write_fault.is_some(),
            "the stream is ended before all of it left"
        );
        self.end_writing();
    }

    pub(super) fn shutdown(&mut self) {
        self.end_writing();
        self.is_shut = true;
    }

    /// We went.
    pub(super) fn desert(&mut self) {
        self.end_writing();
        self.down.deserted = true;
    }

    /// Ends what we write. What is kept is lost.
    fn end_writing(&mut self) {
        self.up.ended = true;
        self.kept.clear();
    }
}
