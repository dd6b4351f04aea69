//! Connections of HTTP: one request each.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::{FIRST_CONNECTION, HTTP, MAX_WAITING, READS_A_TURN, Service};
use crate::mi::http::{CONTINUE, HttpInput, HttpReader, HttpRequest, refuse, respond};

/// Connections at once; a further one is answered 503.
const MAX_CONNECTIONS: usize = 64;
/// How long a whole request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to read its response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what a client still sends is read, so that the response reaches it.
const LINGER: Duration = Duration::from_secs(1);
/// How long to rest when the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Http {
    listener: TcpListener,
    local: SocketAddr,
    root: String,
    /// When to accept next; `None` until the listener is ready.
    accept_at: Option<Instant>,
    connections: Vec<Option<Connection>>,
}

struct Connection {
    stream: TcpStream,
    state: State,
    is_ready: bool,
    deadline: Instant,
}

enum State {
    Reading(HttpReader),
    Writing {
        response: Vec<u8>,
        written: usize,
    },
    /// All is written: what still comes is dropped.
    Lingering,
}

impl Http {
    pub(super) fn bind(address: SocketAddr, root: String, registry: &Registry) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let local = listener.local_addr()?;
        registry.register(&mut listener, HTTP, Interest::READABLE)?;
        let connections = core::iter::repeat_with(|| None).take(MAX_CONNECTIONS).collect();
        Ok(Self { listener, local, root, accept_at: Some(Instant::now()), connections })
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn ready(&mut self, token: Token) {
        if token == HTTP {
            self.accept_at = Some(Instant::now());
        } else if let Some(Some(connection)) =
            token.0.checked_sub(FIRST_CONNECTION).and_then(|index| self.connections.get_mut(index))
        {
            connection.is_ready = true;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let connections = self.connections.iter().flatten();
        let now = Instant::now();
        connections
            .map(|connection| if connection.is_ready { now } else { connection.deadline })
            .chain(self.accept_at)
            .min()
    }

    pub(super) fn turn(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        registry: &Registry,
        service: &mut Service,
    ) {
        if self.accept_at.is_some_and(|at| at <= now) {
            self.accept(now, registry);
        }
        for index in 0..self.connections.len() {
            let waiting = self.waiting();
            let Some(connection) = &mut self.connections[index] else { continue };
            let mut is_over = false;
            if connection.is_ready {
                connection.is_ready = false;
                is_over = connection.turn(now, scratch, |request| match request {
                    Ok(request) if waiting <= MAX_WAITING => {
                        service.counts.requests += 1;
                        respond(service, &self.root, request)
                    }
                    Ok(_) => {
                        service.counts.lost_responses += 1;
                        refuse(503)
                    }
                    Err(status) => {
                        service.counts.refused += 1;
                        refuse(status)
                    }
                });
            }
            if !is_over && connection.deadline <= now {
                match &connection.state {
                    State::Reading(reader) if !reader.is_empty() => {
                        service.counts.refused += 1;
                        connection.start_response(refuse(408), now);
                        is_over = connection.turn(now, scratch, |_| refuse(408));
                    }
                    State::Writing { .. } => {
                        service.counts.lost_responses += 1;
                        is_over = true;
                    }
                    State::Reading(_) | State::Lingering => is_over = true,
                }
            }
            if is_over && let Some(mut connection) = self.connections[index].take() {
                // Dropped with its descriptor, whatever the registry says.
                let _ = registry.deregister(&mut connection.stream);
            }
        }
    }

    fn accept(&mut self, now: Instant, registry: &Registry) {
        self.accept_at = None;
        for turn in 0.. {
            if turn == READS_A_TURN {
                self.accept_at = Some(now);
                return;
            }
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    let peers_trouble = [
                        io::ErrorKind::Interrupted,
                        io::ErrorKind::ConnectionAborted,
                        io::ErrorKind::ConnectionReset,
                    ];
                    if !peers_trouble.contains(&error.kind()) {
                        self.accept_at = Some(now + PAUSE);
                        return;
                    }
                    continue;
                }
            };
            let Some(index) = self.connections.iter().position(Option::is_none) else {
                // As much as can be done for it without waiting.
                let _ = stream.write(&refuse(503));
                continue;
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            let _ = stream.set_nodelay(true);
            if registry.register(&mut stream, Token(FIRST_CONNECTION + index), interest).is_ok() {
                let state = State::Reading(HttpReader::default());
                let deadline = now + REQUEST_TIMEOUT;
                self.connections[index] = Some(Connection { stream, state, is_ready: true, deadline });
            }
        }
    }

    /// Returns how many bytes wait for slow readers.
    fn waiting(&self) -> usize {
        let waiting = self.connections.iter().flatten().map(|connection| match &connection.state {
            State::Writing { response, .. } => response.len(),
            State::Reading(_) | State::Lingering => 0,
        });
        waiting.sum()
    }
}

impl Connection {
    /// Goes on as far as it can without waiting. Returns whether the connection is over.
    fn turn(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        mut respond: impl FnMut(Result<&HttpRequest, u16>) -> Vec<u8>,
    ) -> bool {
        for _ in 0..READS_A_TURN {
            let done = match &mut self.state {
                State::Reading(reader) => match self.stream.read(scratch) {
                    // A client that goes without a word only looked whether somebody listens.
                    Ok(0) => return true,
                    Ok(n) => match reader.push(&scratch[..n]) {
                        HttpInput::Partial(wants_continue) => {
                            if wants_continue {
                                // Who does not get it sends the body all the same, after a while.
                                let _ = self.stream.write(CONTINUE);
                            }
                            Ok(())
                        }
                        HttpInput::Request(request) => {
                            self.start_response(respond(Ok(&request)), now);
                            Ok(())
                        }
                        HttpInput::Refused(status) => {
                            self.start_response(respond(Err(status)), now);
                            Ok(())
                        }
                    },
                    Err(error) => Err(error),
                },
                State::Writing { response, written } => match self.stream.write(&response[*written..]) {
                    Ok(n) => {
                        *written += n;
                        if *written == response.len() {
                            self.state = State::Lingering;
                            self.deadline = now + LINGER;
                            // The peer may be gone: then the next read tells.
                            let _ = self.stream.shutdown(Shutdown::Write);
                        }
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                State::Lingering => match self.stream.read(scratch) {
                    Ok(0) => return true,
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
        }
        // Others have their turn; what is left to do is still there.
        self.is_ready = true;
        false
    }

    fn start_response(&mut self, response: Vec<u8>, now: Instant) {
        self.state = State::Writing { response, written: 0 };
        self.deadline = now + RESPONSE_TIMEOUT;
    }
}
