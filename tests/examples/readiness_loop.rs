//! An echo server on a bare readiness loop: what any reactor needs to drive the engine, in about a page.
//!
//! One thread, one receive buffer and one send buffer serve all connections. A connection that waits costs its
//! `Endpoint` and its socket; it gets a send buffer of its own only while its peer does not keep up. Takes the same
//! options as the adapters' `echo_server`:
//!
//! ```sh
//! cargo run --release -p ws-tests --example readiness_loop -- --listen 127.0.0.1:9001
//! ```

#[path = "../../ws-std/examples/common/args.rs"]
mod args;

use core::time::Duration;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use ws_core::{Chunk, Endpoint, Event, Instant, Message, SendBuffer, ServerConfig};

const LISTENER: Token = Token(usize::MAX);
/// After how long to try again when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

struct Connection {
    stream: TcpStream,
    endpoint: Endpoint,
    /// What the peer has not taken yet.
    unsent: Option<Box<SendBuffer>>,
    /// For when it stands in the deadlines.
    armed: Option<Instant>,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    deadlines: BTreeSet<(Instant, usize)>,
    buffer: Vec<u8>,
    out: Box<SendBuffer>,
    accept_at: Option<Instant>,
    start: std::time::Instant,
}

fn main() -> ExitCode {
    let run = || -> Result<(), Box<dyn core::error::Error>> {
        let args::Server { listen, config, .. } = args::server()?;
        // Bound by std, which resolves names too.
        let listener = std::net::TcpListener::bind(&listen).map_err(|error| format!("{listen}: {error}"))?;
        listener.set_nonblocking(true)?;
        let mut server = Server::new(TcpListener::from_std(listener), config)?;
        println!("{}", server.listener.local_addr()?);
        loop {
            server.turn()?;
        }
    };
    run().map_or_else(|error| args::fail("readiness_loop", error), |()| ExitCode::SUCCESS)
}

impl Server {
    fn new(mut listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            config: Arc::new(config),
            connections: Vec::new(),
            free: Vec::new(),
            deadlines: BTreeSet::new(),
            buffer: vec![0; 64 << 10],
            out: Box::default(),
            accept_at: None,
            start: std::time::Instant::now(),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_epoch(self.start.elapsed())
    }

    /// Waits once, and does all that is to be done then.
    fn turn(&mut self) -> io::Result<()> {
        let next = self.deadlines.first().map(|&(at, _)| at).into_iter().chain(self.accept_at).min();
        // Rounded up, so as not to wake just before the deadline.
        let wait = next.map(|at| (at - self.now()) + Duration::from_micros(1));
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.now();
        for event in &events {
            match event.token() {
                LISTENER => self.accept_at = Some(now),
                Token(index) => self.read(index, now, event.is_read_closed()),
            }
        }
        while let Some(&(at, index)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, index));
            if let Some(connection) = self.connections[index].as_mut() {
                connection.armed = None;
                connection.endpoint.handle_timeout(now);
                self.finish(index, now);
            }
        }
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept(now);
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant) {
        self.accept_at = None;
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    let index = self.free.pop().unwrap_or_else(|| {
                        self.connections.push(None);
                        self.connections.len() - 1
                    });
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    let registered = self.poll.registry().register(&mut stream, Token(index), interest);
                    if stream.set_nodelay(true).and(registered).is_err() {
                        self.free.push(index);
                        continue;
                    }
                    let endpoint = Endpoint::server(&self.config, now);
                    self.connections[index] =
                        Some(Connection { stream, endpoint, unsent: None, armed: None });
                    self.finish(index, now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    // Out of descriptors, say: the connections that are there go on.
                    eprintln!("accept: {error}");
                    self.accept_at = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    /// Reads until the socket is empty, echoes each message, and writes once.
    fn read(&mut self, index: usize, now: Instant, until_end: bool) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let out = connection.unsent.as_mut().unwrap_or(&mut self.out);
        loop {
            let n = match connection.stream.read(&mut self.buffer) {
                Ok(0) => {
                    connection.endpoint.handle_eof(now);
                    break;
                }
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    connection.endpoint.handle_transport_lost(now);
                    break;
                }
            };
            let full = n == self.buffer.len();
            let mut chunk =
                if full { Chunk::cut(&mut self.buffer) } else { Chunk::within(&mut self.buffer, n) };
            while let Some(event) = connection.endpoint.poll_event(now, &mut chunk) {
                let sent = match event {
                    Event::Message(Message::Text(text)) => connection.endpoint.send_text(&text, out),
                    Event::Message(Message::Binary(data)) => connection.endpoint.send_binary(&data, out),
                    Event::Closed(outcome) => return self.close(index, &outcome),
                    _ => Ok(()),
                };
                if sent == Err(ws_core::SendError::OutputFull) {
                    // The peer sends and does not read. It was told what the limit is by the documentation.
                    connection.endpoint.abort();
                }
            }
            // A read that does not fill the buffer empties the socket: what comes later is told again.
            if !full && !until_end {
                break;
            }
        }
        self.finish(index, now);
    }

    /// Writes what the connection has to send, enters its deadline, and closes it if that is due.
    fn finish(&mut self, index: usize, now: Instant) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let Connection { stream, endpoint, unsent, .. } = connection;
        let out = unsent.as_mut().unwrap_or(&mut self.out);
        while endpoint.poll_transmit(now, out) && !endpoint.is_closed() {
            match stream.write(out.pending()) {
                Ok(0) => endpoint.handle_transport_lost(now),
                Ok(n) => endpoint.handle_transmitted(now, n, out),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    endpoint.handle_transmitted(now, 0, out);
                    break;
                }
                Err(_) => endpoint.handle_transport_lost(now),
            }
        }
        if out.is_empty() {
            *unsent = None;
            if endpoint.is_write_closed() {
                // Fails if the peer is gone, which the next read tells.
                let _ = stream.shutdown(std::net::Shutdown::Write);
            }
        } else if unsent.is_none() {
            *unsent = Some(core::mem::take(&mut self.out));
        }
        if let Some(Event::Closed(outcome)) = endpoint.poll_event(now, &mut Chunk::empty()) {
            return self.close(index, &outcome);
        }
        let due = endpoint.poll_timeout();
        if due != connection.armed {
            connection.armed.take().map(|at| self.deadlines.remove(&(at, index)));
            due.map(|at| self.deadlines.insert((at, index)));
            connection.armed = due;
        }
    }

    fn close(&mut self, index: usize, outcome: &ws_core::Outcome) {
        let Some(mut connection) = self.connections[index].take() else { return };
        if !outcome.is_clean() {
            eprintln!("connection {index}: {outcome}");
        }
        connection.armed.map(|at| self.deadlines.remove(&(at, index)));
        // What it did not send must not reach another one.
        drop(self.out.take());
        // The descriptor is closed next, which takes it out of the poll anyway.
        let _ = self.poll.registry().deregister(&mut connection.stream);
        self.free.push(index);
    }
}
