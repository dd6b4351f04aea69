//! The server as a program of its own, and what all of them have in common.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::net::{AddressFamily, SocketType};
use ws_core::{Config, ServerConfig};

/// What no answer takes.
const STUCK: Duration = Duration::from_secs(60);

/// A server, as its clients and the test see it.
pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
    /// Bytes sent to it.
    sent: u64,
    /// Bytes sent to it on each connection of the crowd that is complete.
    each: u64,
    /// Connections that it is to end.
    ended: usize,
}

impl Server {
    /// Starts this same program with the one test that serves.
    pub(crate) fn start(test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            // Else glibc has memory apart for up to eight threads a processor, each with what was freed there.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let address = ([127, 0, 0, 1], 0).into();
        let mut server =
            Self { child, input, output: BufReader::new(output), address, sent: 0, each: 0, ended: 0 };
        server.address = server.said("serving ").parse().unwrap();
        server
    }

    /// Returns what follows `word` in its output.
    fn said(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server is gone");
            if let Some(rest) = line.trim().strip_prefix(word) {
                return rest.to_owned();
            }
        }
    }

    /// Its memory once it has acted on all that was sent.
    pub(crate) fn resident(&mut self) -> i64 {
        writeln!(self.input, "{} {} {}", self.sent, self.each, self.ended).unwrap();
        self.said("resident ").parse().unwrap()
    }

    pub(crate) fn connect(&mut self, bytes: &[u8]) -> TcpStream {
        // Before it connects: Linux lets no acknowledgement through to a socket whose window shrank too far later.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        rustix::net::connect(&socket, &self.address).unwrap();
        let mut stream = TcpStream::from(socket);
        self.send(&mut stream, bytes);
        stream
    }

    /// Has it end so many connections more, from the next question on.
    pub(crate) const fn expect_ended(&mut self, connections: usize) {
        self.ended += connections;
    }

    /// Has it know that so much more was sent on each connection, from the next question on.
    pub(crate) const fn expect_each(&mut self, bytes: usize) {
        self.each += bytes as u64;
    }

    pub(crate) fn send(&mut self, stream: &mut TcpStream, bytes: &[u8]) {
        stream.write_all(bytes).unwrap();
        self.sent += bytes.len() as u64;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What a connection queues.
pub(crate) const MAX_OUTPUT_LEN: usize = 16 << 10;

/// What a server serves with.
pub(crate) fn config() -> Arc<ServerConfig> {
    let mut connection = Config::default();
    connection.max_message_len = 1 << 20;
    connection.max_output_len = MAX_OUTPUT_LEN;
    // None of them is to end during the test.
    connection.message_timeout = None;
    connection.opening_handshake_timeout = None;
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    Arc::new(config)
}

/// Sets up a stream that a server accepted: as little as the system allows waits in it.
///
/// It has no `TCP_NODELAY`. Each Pong in a segment of its own is more than a client's socket has memory for, long before its
/// window is full; then Linux lets no acknowledgement through to it, and what it sends is stuck.
pub(crate) fn prepare(stream: &TcpStream) {
    stream.set_nodelay(false).unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(stream, 1).unwrap();
}

/// A question of the test: what the memory is once so much happened.
pub(crate) struct Question {
    /// Bytes that all connections together received.
    pub(crate) sent: u64,
    /// Bytes that each connection of the crowd received.
    each: u64,
    /// Connections that ended.
    pub(crate) ended: usize,
    asked: Instant,
}

impl Question {
    pub(crate) fn new(line: &str) -> Self {
        let mut numbers = line.split(' ');
        let mut next = || numbers.next().unwrap();
        Self {
            sent: next().parse().unwrap(),
            each: next().parse().unwrap(),
            ended: next().parse().unwrap(),
            asked: Instant::now(),
        }
    }

    /// How much of what a connection received it leaves where it is, `read` having been read, if it asks for no more.
    pub(crate) const fn left(&self, read: u64) -> u64 {
        self.each.saturating_sub(read)
    }

    /// Panics when that never happens.
    pub(crate) fn assert_not_stuck(&self, read: u64, ended: usize) {
        let (sent, to_end) = (self.sent, self.ended);
        assert!(self.asked.elapsed() < STUCK, "{read} of {sent} bytes were read, {ended} of {to_end} ended");
    }
}

/// Answers a question.
pub(crate) fn tell_resident() {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    println!("resident {}", pages * rustix::param::page_size());
}
