//! The blocking adapter over a stream that is short, late, interrupted, broken or ended as a script says, with TLS in
//! between or without.
//!
//! One thread does it all: the stream itself runs the peer, an engine without a transport, when the adapter waits. So
//! no clock has a say, and a wait that nothing can end is found at once. What TLS draws at random changes no length, and
//! so not where a fault strikes.

mod lane;
mod peer;
mod program;
mod socket;
mod tap;
mod wire;
mod world;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use arbitrary::Arbitrary;
use core::fmt::Debug;
use ws_core::{Delivery, Outcome, ProtocolError, ServerConfig};
use ws_std::{AcceptError, ClientBuilder, ConnectError, Duplex, TlsStream};

use crate::stream::{Faults, Identity, Last, MAX_STEPS, Seen, settings};
use peer::Peer;
use program::{Log, Step};
use tap::Tap;
use wire::Wire;
use world::{Sides, World};

/// What goes on.
#[derive(Arbitrary, Debug)]
pub struct Script {
    secure: bool,
    /// Our role.
    is_client: bool,
    /// Nothing breaks.
    harmless: bool,
    in_parts: bool,
    /// Bytes that are on their way at most.
    capacity: u16,
    /// Bytes that the stream takes of us beyond that and keeps, as TLS does.
    keeps: u8,
    /// When the peer does something while we do not wait for it.
    order: u64,
    reads: Vec<u8>,
    writes: Vec<u8>,
    waits: Vec<u8>,
    then: u8,
    steps: Vec<Step>,
    last: Last,
    peer: PeerScript,
}

/// What the peer does.
#[derive(Arbitrary, Debug)]
struct PeerScript {
    /// Bytes that it reads and writes at once at most; 0 for any number.
    pace: u8,
    steps: Vec<PeerStep>,
    last: PeerLast,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum PeerStep {
    Text(u16),
    Binary(u16),
    /// A message in so many parts.
    Parts(u16, u8),
    Ping(u8),
    /// Goes on when one more message came.
    Await,
    /// Does nothing at all for so many turns.
    Idle(u8),
}

/// The last thing that it does.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum PeerLast {
    Close,
    ReadToEnd,
    /// Ends what it writes as a stream ends, without a Close frame.
    End,
    /// Goes without a word, and without reading on.
    Drop,
    /// Sends what is no frame, and reads to the end.
    Offend,
}

/// Runs the script.
///
/// # Panics
/// If what arrives is not what was sent, the end is not told as what it was, anything comes after it, or the adapter
/// waits for nothing or turns round and round.
pub fn run(script: Script) {
    let run = Run::new(script);
    run.play();
    run.judge();
}

struct Run {
    secure: bool,
    is_client: bool,
    harmless: bool,
    delivery: Delivery,
    steps: Vec<Step>,
    last: Last,
    log: Rc<Log>,
    seen: Rc<RefCell<Seen>>,
    world: Rc<RefCell<World>>,
}

impl Run {
    fn new(script: Script) -> Self {
        let Script { secure, is_client, harmless, .. } = script;
        let log = Rc::new(Log::default());
        let peer = Peer::new(script.peer, !is_client, secure);
        let faults = Sides {
            reads: Faults::new(script.reads, script.then, harmless),
            writes: Faults::new(script.writes, script.then, harmless),
            waits: Faults::new(script.waits, 0, harmless),
        };
        let steps = script.steps.len().min(MAX_STEPS) + peer.steps();
        let faulty = faults.reads.len() + faults.writes.len() + faults.waits.len();
        log.allowed.set((steps * 8 + faulty + 50) as u64);
        // A TLS handshake byte by byte takes its time.
        let capacity = usize::from(script.capacity).max(if secure { 64 } else { 1 });
        let mut world = World::new(peer, capacity, script.keeps, script.order, faults, Rc::clone(&log));
        // Each part takes far more room than its bytes.
        world.is_excused = script.in_parts;
        Self {
            secure,
            is_client,
            harmless,
            delivery: if script.in_parts { Delivery::Parts } else { Delivery::Messages },
            steps: script.steps,
            last: script.last,
            log,
            seen: Rc::default(),
            world: Rc::new(RefCell::new(world)),
        }
    }

    fn play(&self) {
        let wire = Wire(Rc::clone(&self.world));
        let identity = Identity::get();
        match (self.secure, self.is_client) {
            (false, _) => self.open(wire),
            (true, true) => {
                self.open_secure(TlsStream::connect(wire, "localhost", &identity.client, None));
            }
            (true, false) => self.open_secure(TlsStream::accept(wire, &identity.server, None)),
        }
        // What is on its way still arrives.
        let mut world = self.world.borrow_mut();
        while world.turn() {}
    }

    fn open_secure(&self, stream: io::Result<TlsStream<Wire>>) {
        match stream {
            Ok(stream) => self.open(stream),
            Err(error) => assert!(!self.harmless, "TLS did not open: {error}"),
        }
    }

    fn open<S: Duplex + Debug>(&self, stream: S) {
        let stream = Tap { stream, seen: Rc::clone(&self.seen), world: Rc::clone(&self.world) };
        let mut config = settings();
        config.delivery = self.delivery;
        let opened = if self.is_client {
            let opened = ClientBuilder::new("ws://localhost/").config(config).connect_over(stream);
            opened.map_err(|error| match error {
                ConnectError::Ended(ended) => ended.outcome,
                error => panic!("{error}"),
            })
        } else {
            let mut server = ServerConfig::default();
            server.connection = Arc::new(config);
            ws_std::accept(stream, &Arc::new(server)).map_err(|error| match error {
                AcceptError::Ended(ended) => ended.outcome,
                error => panic!("{error}"),
            })
        };
        match opened {
            Ok(ws) => {
                let side = usize::from(!self.is_client);
                program::run(ws, side, self.delivery, &self.steps, self.last, &self.log);
            }
            Err(outcome) => {
                assert!(matches!(outcome, Outcome::Vanished | Outcome::TransportLost), "{outcome:?}");
                *self.log.outcome.borrow_mut() = Some(outcome);
            }
        }
    }

    fn judge(&self) {
        let (log, seen, world) = (&self.log, self.seen.borrow(), self.world.borrow());
        let peer = &world.peer;
        let (received, sent) = (log.received.borrow(), log.sent.borrow());
        assert!(
            peer.sent.starts_with(&received),
            "what arrives is what was sent: {received:?} of {:?}",
            peer.sent
        );
        assert!(
            sent.starts_with(&peer.received),
            "what arrives is what was sent: {:?} of {sent:?}",
            peer.received
        );
        // Nothing that we wrote was lost on its way.
        let is_there = world.write_fault.is_none() && !peer.is_gone();
        if is_there {
            assert!(peer.received.len() >= log.taken.get(), "what was taken did not leave");
            let is_ended = !self.secure || !world.is_half_shut || peer.got_end;
            assert!(is_ended, "TLS was ended without our last word");
        }
        let outcome = log.outcome.borrow();
        match &*outcome {
            None => assert!(!log.opened.get() || self.last == Last::Drop, "there is an end"),
            Some(Outcome::Clean { .. }) => {
                assert!(seen.read_close() && seen.written_close(), "a clean end has two Close frames");
                assert!(peer.got_close || !is_there, "the Close frame did not leave");
            }
            Some(Outcome::Vanished) => assert!(seen.eof && !seen.read_close(), "the stream did not end"),
            Some(Outcome::TransportLost) => assert!(seen.broken, "the stream did not break"),
            Some(Outcome::Failed(error)) => {
                assert!(peer.last == PeerLast::Offend && *error == ProtocolError::ReservedBits, "{error}");
            }
            other => panic!("{other:?} between two of our own"),
        }
        if self.secure && seen.eof {
            // What only stops is no end.
            assert!(peer.is_ended_by_tls(), "TLS ended without its last word");
        }
        if self.harmless && !world.is_cut {
            self.judge_undisturbed(peer);
        }
    }

    /// Nothing broke: all must have come to where it was going.
    fn judge_undisturbed(&self, peer: &Peer) {
        let log = &self.log;
        // A peer that drops the connection may do so before its answer left.
        assert!(log.opened.get() || peer.is_gone(), "it did not open");
        let (received, sent, outcome) = (log.received.borrow(), log.sent.borrow(), log.outcome.borrow());
        // Who only reads until the peer ends gets all.
        if log.read_all.get() && !log.closes.get() && peer.last != PeerLast::Drop {
            assert_eq!(*received, peer.sent);
        }
        if let Some(outcome) = &*outcome
            && matches!(peer.last, PeerLast::Close | PeerLast::ReadToEnd)
        {
            assert!(outcome.is_clean(), "{outcome:?}");
        }
        // A peer that only reads gets all that was sent before the Close frame.
        if log.closes.get() && log.taken.get() == sent.len() && peer.last == PeerLast::ReadToEnd {
            assert_eq!(peer.received, *sent);
        }
    }
}
