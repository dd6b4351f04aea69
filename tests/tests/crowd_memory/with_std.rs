//! A server on `ws-std`: a thread a connection.

use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, ThreadId};

use ws_core::ServerConfig;
use ws_std::{Interest, Transport};

use crate::Adapter;
use crate::server::{self, Question};

/// What a thread may use of its stack.
const STACK: usize = 64 << 10;
/// Between messages: seven pages of the stack, of which six are touched in a debug build and three in an optimised one; the
/// 4 KiB that a thread reads with; what std, and glibc's cache, keep for it; and the connection, as in `with_smol`.
const IDLE: usize = 7 * 4096 + 4096 + 2048 + 2200;

#[test]
fn each_class_stays_within_the_formula() {
    crate::run(&Adapter { serve: "with_std::serve", idle: IDLE, reading });
}

/// What is read with after so much came at once, beyond the 4 KiB of each thread: see `ws_std::WebSocket`.
const fn reading(came: usize) -> usize {
    const SMALL: usize = 4 << 10;
    const WIDE: usize = 16 << 10;
    const FILLED: usize = SMALL + WIDE;
    match came {
        0..SMALL => 0,
        SMALL..FILLED => WIDE,
        FILLED.. => (WIDE - SMALL) + (64 << 10),
    }
}

/// What the threads of a server are at.
#[derive(Default)]
struct Crowd(Mutex<State>);

#[derive(Default)]
struct State {
    /// Bytes read by all.
    read: u64,
    /// Threads that neither wait for their stream nor were seen to end.
    busy: usize,
    /// What was read of the streams whose threads wait for room alone, by their descriptors.
    full: HashMap<i32, u64>,
    threads: HashMap<ThreadId, JoinHandle<()>>,
    /// Threads that are done with their stream.
    ending: Vec<ThreadId>,
    ended: usize,
}

impl Crowd {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn serve(self: &Arc<Self>, stream: TcpStream, config: Arc<ServerConfig>) {
        let stream = Counted { stream, crowd: Arc::clone(self), read: AtomicU64::new(0) };
        let mut state = self.lock();
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || echo(stream, &config));
        let thread = thread.expect("the system has one more thread");
        state.busy += 1;
        state.threads.insert(thread.thread().id(), thread);
    }

    /// Whether all is done that a question is about.
    ///
    /// A read counts its bytes in the same step in which its thread is busy again, so once all were read, who is not
    /// busy waits for more. Who waits for room alone reads no more, whatever came.
    fn is_done(&self, question: &Question) -> bool {
        let mut state = self.lock();
        for id in mem::take(&mut state.ending) {
            let thread = state.threads.remove(&id).unwrap();
            // It needs the lock no more, and gives back its stack.
            thread.join().unwrap();
            state.busy -= 1;
            state.ended += 1;
        }
        question.assert_not_stuck(state.read, state.ended);
        let left = state.full.values().map(|&read| question.left(read));
        state.busy == 0 && state.ended >= question.ended && state.read + left.sum::<u64>() >= question.sent
    }
}

/// A stream that tells what its thread is at.
struct Counted {
    stream: TcpStream,
    crowd: Arc<Crowd>,
    read: AtomicU64,
}

impl Transport for Counted {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()?;
        server::prepare(&self.stream);
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.crowd.lock().busy -= 1;
        let result = Transport::read(&self.stream, buffer);
        let n = *result.as_ref().unwrap_or(&0) as u64;
        self.read.fetch_add(n, Ordering::Relaxed);
        let mut state = self.crowd.lock();
        state.busy += 1;
        state.read += n;
        result
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Transport::set_read_timeout(&self.stream, timeout)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        // What is possible at once is not waited for.
        let ready = self.stream.wait(interest, Some(Duration::ZERO))?;
        if ready != Interest::default() || timeout == Some(Duration::ZERO) {
            return Ok(ready);
        }
        let descriptor = self.stream.as_raw_fd();
        {
            let mut state = self.crowd.lock();
            state.busy -= 1;
            if !interest.read {
                state.full.insert(descriptor, self.read.load(Ordering::Relaxed));
            }
        }
        let result = self.stream.wait(interest, timeout);
        let mut state = self.crowd.lock();
        state.busy += 1;
        state.full.remove(&descriptor);
        result
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn shutdown(&self) {
        Transport::shutdown(&self.stream);
    }
}

/// Also if the thread panics.
impl Drop for Counted {
    fn drop(&mut self) {
        self.crowd.lock().ending.push(thread::current().id());
    }
}

fn echo(stream: Counted, config: &Arc<ServerConfig>) {
    let Ok(mut ws) = ws_std::accept(stream, config) else { return };
    while let Ok(Some(message)) = ws.read() {
        if ws.send(message).is_err() {
            break;
        }
    }
}

/// Serves, and answers each question.
#[test]
#[ignore = "the program that the other test starts"]
fn serve() {
    let config = server::config();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    println!("\nserving {}", listener.local_addr().unwrap());
    let crowd = Arc::new(Crowd::default());
    let accepting = {
        let crowd = Arc::clone(&crowd);
        thread::spawn(move || {
            for stream in listener.incoming() {
                crowd.serve(stream.unwrap(), Arc::clone(&config));
            }
        })
    };
    for line in io::stdin().lines() {
        let question = Question::new(&line.unwrap());
        while !crowd.is_done(&question) {
            assert!(!accepting.is_finished(), "nobody accepts any more");
            thread::yield_now();
        }
        server::tell_resident();
    }
}
