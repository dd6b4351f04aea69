//! What slow and greedy clients make a server hold: real sockets by the hundreds, one program that serves and one that does
//! harm, and the memory that the system says the former has.
//!
//! As many connections of each class as `CROWD` says, 400 by default; `tests/crowd-memory` has 10,000, for which each of the two
//! programs needs as many descriptors.

use core::cell::Cell;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketType};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, LocalExecutor};
use ws_core::frame::{Header, Opcode};
use ws_core::{Config, ServerConfig};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ";

/// Between messages: the state, its task, and what the reactor keeps of the socket.
const IDLE: usize = 2200;
/// What a program's memory may grow by on the side.
const SLACK: usize = 512 << 10;

/// Connections that the system accepts ahead of a program.
const WAITING: usize = 100;

/// A kind of client.
struct Class {
    name: &'static str,
    /// What it sends once it is connected.
    bytes: Vec<u8>,
    /// What it sends after that, so many times, each time once the server has read all that came before.
    more: (Vec<u8>, usize),
    /// What the formula of `ws_core::Connection` allows for that, beyond an idle connection.
    allowed: usize,
}

fn frame(first: u8, payload: &[u8], declared: usize) -> Vec<u8> {
    let opcode = Opcode::new(first & 0xf).unwrap();
    let header = Header { fin: first & 0x80 != 0, rsv: 0, opcode, key: Some([0; 4]), len: declared as u64 };
    let (bytes, len) = header.write();
    [&bytes[..len], payload].concat()
}

fn classes() -> Vec<Class> {
    let opened = |frames: &[u8]| [REQUEST, frames].concat();
    let class = |name, bytes, allowed| Class { name, bytes, more: (Vec::new(), 0), allowed };
    // Before the head is complete there is the handshake instead of the connection, and the head in at most twice its length.
    let head = [HEAD, &[b'x'; 1000]].concat();
    let whole = |first, payload: &[u8]| frame(first, payload, payload.len());
    let fragments: Vec<u8> = [whole(0x01, b"fragment"), whole(0x00, b"fragment").repeat(999)].concat();
    let chunk = fragments.len();
    vec![
        class("idle", opened(&[]), 0),
        class("a head that does not end", head.clone(), 2 * head.len()),
        class("1 MiB declared, 1 byte sent", opened(&frame(0x82, b"x", 1 << 20)), 1024 + 4),
        class("1 MiB declared, 20,000 bytes sent", opened(&frame(0x82, &[b'x'; 20_000], 1 << 20)), 40_000),
        class("1,000 fragments of 8 bytes, and no end", opened(&fragments), 8000 + chunk),
        class("a header that is cut", opened(&frame(0x82, &[], 70_000)[..9]), 0),
        class("a Ping that is cut", opened(&frame(0x89, &[b'p'; 60], 125)), 136),
        class(
            "3,000 Pings, and nothing is read",
            opened(&whole(0x89, b"12345678").repeat(3000)),
            1024 + 2 * 3344,
        ),
        Class {
            more: (whole(0x89, &[b'p'; 125]).repeat(60), 10),
            ..class(
                "60 Pings of 125 bytes, ten times over, and nothing is read",
                opened(&[]),
                1024 + 2 * 3344,
            )
        },
        class(
            "40 messages of 1,000 bytes to be echoed, and nothing is read",
            opened(&whole(0x82, &[b'x'; 1000]).repeat(40)),
            // Received ahead, one being sent, and its frame.
            (64 << 10) + 2 * 1014 + 2 * 3344,
        ),
        class(
            "the same, then a Close",
            opened(&[whole(0x82, &[b'x'; 1000]).repeat(40), whole(0x88, &[])].concat()),
            (64 << 10) + 2 * 1014 + 2 * 3344,
        ),
    ]
}

/// A stream that counts what is read of it.
struct Counted(Async<TcpStream>, Rc<Cell<u64>>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_read(cx, buf);
        if let Poll::Ready(Ok(n)) = result {
            self.1.set(self.1.get() + n as u64);
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

async fn echo(stream: Counted, config: Arc<ServerConfig>) {
    let Ok(mut ws) = ws_smol::accept(stream, &config).await else { return };
    while let Ok(Some(message)) = ws.read().await {
        if ws.send(message).await.is_err() {
            break;
        }
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Serves, and says after each line of input what its memory is, once it has read as many bytes as the line tells.
#[test]
#[ignore = "the program that the other test starts"]
fn serve() {
    let mut connection = Config::default();
    connection.max_message_len = 1 << 20;
    connection.max_output_len = 16 << 10;
    // None of them is to end during the test.
    connection.message_timeout = None;
    connection.opening_handshake_timeout = None;
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    let config = Arc::new(config);

    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    println!("\nserving {}", listener.get_ref().local_addr().unwrap());
    let executor = Rc::new(LocalExecutor::new());
    let read = Rc::new(Cell::new(0));
    let mut input = smol::Unblock::new(io::stdin());
    let accept = {
        let (executor, read) = (Rc::clone(&executor), Rc::clone(&read));
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.get_ref().set_nodelay(true).unwrap();
                // As little as the system allows waits in it.
                rustix::net::sockopt::set_socket_send_buffer_size(&stream, 1).unwrap();
                executor.spawn(echo(Counted(stream, Rc::clone(&read)), Arc::clone(&config))).detach();
            }
        }
    };
    smol::block_on(executor.run(async {
        executor.spawn(accept).detach();
        let mut line = Vec::new();
        let mut byte = [0];
        while smol::io::AsyncReadExt::read(&mut input, &mut byte).await.unwrap() == 1 {
            if byte != *b"\n" {
                line.extend_from_slice(&byte);
                continue;
            }
            let expected: u64 = str::from_utf8(&line).unwrap().parse().unwrap();
            line.clear();
            while read.get() < expected {
                smol::future::yield_now().await;
            }
            // What came last has been acted on when all others had their turn.
            for _ in 0..10_000 {
                smol::future::yield_now().await;
            }
            println!("resident {}", resident());
        }
    }));
}

/// The server, as a program of its own.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
    /// Bytes sent to it.
    sent: u64,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let address = ([127, 0, 0, 1], 0).into();
        let mut server = Self { child, input, output: BufReader::new(output), address, sent: 0 };
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

    /// Its memory once it has read all that was sent.
    fn resident(&mut self) -> i64 {
        writeln!(self.input, "{}", self.sent).unwrap();
        self.said("resident ").parse().unwrap()
    }

    fn connect(&mut self, bytes: &[u8]) -> TcpStream {
        // Before it connects: Linux lets no acknowledgement through to a socket whose window shrank too far later.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        rustix::net::connect(&socket, &self.address).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(bytes).unwrap();
        self.sent += bytes.len() as u64;
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn each_class_stays_within_the_formula() {
    let count: usize = std::env::var("CROWD").map_or(400, |count| count.parse().unwrap());
    println!("| {count} connections each | the formula, bytes | measured |\n|---|---:|---:|");
    let mut failed = Vec::new();
    for class in classes() {
        let mut server = Server::start();
        // Buffers that all connections share are there from here on.
        for _ in 0..8 {
            let whole = [REQUEST, &frame(0x82, &[b'x'; 1000], 1000)].concat();
            let mut stream = server.connect(&whole);
            let mut echo = [0; 1300];
            let mut have = 0;
            while !echo[..have].ends_with(&[b'x'; 1000]) {
                have += stream.read(&mut echo[have..]).unwrap();
            }
        }
        let before = server.resident();
        let mut crowd = Vec::new();
        while crowd.len() < count {
            crowd.extend((0..WAITING.min(count - crowd.len())).map(|_| server.connect(&class.bytes)));
            // No more of them may wait to be accepted.
            server.resident();
        }
        for _ in 0..class.more.1 {
            for stream in &mut crowd {
                stream.write_all(&class.more.0).unwrap();
                server.sent += class.more.0.len() as u64;
            }
            server.resident();
        }
        let grown = usize::try_from(server.resident() - before).unwrap_or(0);
        let bound = IDLE + class.allowed;
        println!("| {} | {bound} | {} |", class.name, grown / count);
        if grown > bound * count + SLACK {
            failed.push(class.name);
        }
        drop(crowd);
    }
    assert!(failed.is_empty(), "beyond the formula: {failed:?}");
}
