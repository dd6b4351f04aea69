//! The async adapter over streams that are short, late, broken or ended as a script says, with TLS in between or without.
//!
//! No clock has a say: there are no deadlines that could pass. What TLS draws at random changes no length, and so not
//! where a fault strikes.

mod lane;
mod program;
mod tap;

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;

use arbitrary::Arbitrary;
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Outcome, ServerConfig};
use ws_smol::{ClientBuilder, TlsStream};

use crate::stream::{Doing, Faults, Identity, Last, MAX_STEPS, Seen, settings};
use lane::{Faulty, Traffic};
use program::{Log, Step};
use tap::Tap;

/// What goes on.
#[derive(Arbitrary, Debug)]
pub struct Script {
    secure: bool,
    /// Nothing breaks.
    harmless: bool,
    /// Bytes that are on their way at most.
    capacity: u16,
    /// Which end goes first, where both can.
    order: u64,
    client: End,
    server: End,
}

/// What one end does, and what befalls it.
#[derive(Arbitrary, Debug)]
struct End {
    reads: Vec<u8>,
    writes: Vec<u8>,
    then: u8,
    steps: Vec<Step>,
    last: Last,
}

/// Runs the script.
///
/// # Panics
/// If what arrives is not what was sent, an end is not told as what it was, anything comes after it, or an end waits for
/// nothing or turns round and round.
pub fn run(script: Script) {
    Pair::new(script).run();
}

/// Tells whether a task was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A client and a server that talk to each other, in one thread.
struct Pair {
    script: Script,
    logs: [Log; 2],
    seen: [Rc<RefCell<Seen>>; 2],
    traffic: Rc<RefCell<Traffic>>,
    /// The connection was cut because both ends waited.
    is_cut: bool,
}

impl Pair {
    fn new(script: Script) -> Self {
        Self {
            script,
            logs: Default::default(),
            seen: Default::default(),
            traffic: Rc::default(),
            is_cut: false,
        }
    }

    fn run(mut self) {
        let harmless = self.script.harmless;
        let faults = |end: &mut End| {
            [
                Faults::new(core::mem::take(&mut end.reads), end.then, harmless),
                Faults::new(core::mem::take(&mut end.writes), end.then, harmless),
            ]
        };
        let faults = [faults(&mut self.script.client), faults(&mut self.script.server)];
        let count = |end: &End| end.steps.len().min(MAX_STEPS) as u64 * 8;
        let mut allowed = count(&self.script.client) + count(&self.script.server) + 200;
        allowed += faults.iter().flatten().map(|faults| faults.len() as u64).sum::<u64>();

        // rustls reads nothing while it has something of its handshake to send: that has to fit, as it does in any socket.
        let least = if self.script.secure { 512 } else { 1 };
        let capacity = usize::from(self.script.capacity).max(least);
        let ([client, server], cut) = lane::pair(capacity, faults, &self.traffic);
        let (mut polls, mut order) = (0_u64, self.script.order);
        let mut was_cut = false;
        {
            let mut tasks: [Option<Task<'_>>; 2] =
                [Some(Box::pin(self.client(client))), Some(Box::pin(self.server(server)))];
            let flags: [Arc<Flag>; 2] = Default::default();
            for flag in &flags {
                flag.0.store(true, Ordering::Relaxed);
            }
            while tasks.iter().any(Option::is_some) {
                order = order.rotate_left(1);
                let first = (order & 1) as usize;
                let ready = [first, 1 - first]
                    .into_iter()
                    .find(|&at| tasks[at].is_some() && flags[at].0.swap(false, Ordering::Relaxed));
                let Some(at) = ready else {
                    assert!(!was_cut, "an end waits for what cannot come: {:?}", self.logs);
                    self.check_quiet();
                    was_cut = true;
                    cut.cut();
                    continue;
                };
                polls += 1;
                let waker = Waker::from(Arc::clone(&flags[at]));
                if let Some(task) = &mut tasks[at]
                    && task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
                {
                    tasks[at] = None;
                }
                let traffic = self.traffic.borrow();
                assert!(polls <= 4 * (allowed + traffic.moves), "tasks are woken for nothing");
                assert!(traffic.calls <= 16 * (allowed + traffic.moves), "streams are asked in vain");
            }
        }
        self.is_cut = was_cut;
        self.judge();
    }

    async fn client(&self, stream: Faulty) {
        if !self.script.secure {
            return self.open_client(stream).await;
        }
        let config = &Identity::get().client;
        if let Ok(stream) = TlsStream::connect(stream, "localhost", config, None).await {
            self.open_client(stream).await;
        }
        self.logs[0].doing.set(Doing::Done);
    }

    async fn open_client<S: AsyncRead + AsyncWrite + core::fmt::Debug + Unpin>(&self, stream: S) {
        let stream = Tap(stream, Rc::clone(&self.seen[0]));
        let opened = ClientBuilder::new("ws://localhost/").config(settings()).connect_over(stream).await;
        if let Ok(ws) = opened {
            program::run(ws, 0, &self.script.client.steps, self.script.client.last, &self.logs[0]).await;
        }
        self.logs[0].doing.set(Doing::Done);
    }

    async fn server(&self, stream: Faulty) {
        if !self.script.secure {
            return self.open_server(stream).await;
        }
        let config = &Identity::get().server;
        if let Ok(stream) = TlsStream::accept(stream, config, None).await {
            self.open_server(stream).await;
        }
        self.logs[1].doing.set(Doing::Done);
    }

    async fn open_server<S: AsyncRead + AsyncWrite + core::fmt::Debug + Unpin>(&self, stream: S) {
        let stream = Tap(stream, Rc::clone(&self.seen[1]));
        let mut config = ServerConfig::default();
        config.connection = Arc::new(settings());
        if let Ok(ws) = ws_smol::accept(stream, &Arc::new(config)).await {
            program::run(ws, 1, &self.script.server.steps, self.script.server.last, &self.logs[1]).await;
        }
        self.logs[1].doing.set(Doing::Done);
    }

    /// Nothing can happen any more. So it must be that each end that is there reads, and has read all.
    fn check_quiet(&self) {
        for log in &self.logs {
            assert!(
                matches!(log.doing.get(), Doing::Reading | Doing::Done),
                "both ends wait for each other: {:?}",
                self.logs
            );
        }
        let [client, server] = &self.logs;
        if client.doing.get() == Doing::Reading && server.doing.get() == Doing::Reading {
            assert_eq!(*client.received.borrow(), *server.sent.borrow());
            assert_eq!(*server.received.borrow(), *client.sent.borrow());
        }
    }

    fn judge(&self) {
        for at in 0..2 {
            let (log, peer) = (&self.logs[at], &self.logs[1 - at]);
            let (seen, peer_seen) = (self.seen[at].borrow(), self.seen[1 - at].borrow());
            let (received, sent) = (log.received.borrow(), peer.sent.borrow());
            assert!(sent.starts_with(&received), "what arrives is what was sent: {received:?} of {sent:?}");
            match &*log.outcome.borrow() {
                None => {}
                Some(Outcome::Clean { .. }) => {
                    assert!(seen.read_close() && seen.written_close(), "a clean end has two Close frames");
                }
                Some(Outcome::Vanished) => assert!(seen.eof && !seen.read_close(), "the stream did not end"),
                Some(Outcome::TransportLost) => assert!(seen.broken, "the stream did not break"),
                other => panic!("{other:?} between two of our own"),
            }
            if self.script.secure && seen.eof {
                // What only stops is no end.
                assert!(peer_seen.closed, "TLS ended without its last word");
            }
            if self.script.harmless && !self.is_cut {
                self.judge_undisturbed(at);
            }
        }
    }

    /// Nothing broke: all must have come to where it was going.
    fn judge_undisturbed(&self, at: usize) {
        let (log, peer) = (&self.logs[at], &self.logs[1 - at]);
        assert!(log.opened.get(), "it did not open");
        if !peer.closes.get() {
            return;
        }
        // Who only reads until the peer closes gets all, and a clean end.
        if log.read_all.get() && !log.closes.get() {
            let outcome = log.outcome.borrow();
            assert!(outcome.as_ref().is_some_and(Outcome::is_clean), "{outcome:?}");
            assert_eq!(*log.received.borrow(), *peer.sent.borrow());
        }
    }
}
