//! SIP OPTIONS and REGISTER over WebSocket against a server that is started for it or runs already: CPU of the
//! server per 100,000 requests, memory per idle flow.
//!
//! ```sh
//! cargo build --release -p ws-sip
//! cargo run --release -p ws-benches --bin sip -- --start target/release/ws-sip --socket ws:127.0.0.1:0
//! cargo run --release -p ws-benches --bin sip -- --address 127.0.0.1:8080 --pid 1234   # any other server
//! ```
//!
//! One thread drives all connections over a readiness loop; each answer is checked to be a 200. The server's CPU
//! is what the kernel charged it between the first request and the last answer, threads and children included.
#![forbid(unsafe_code)]

use core::error::Error;
use core::net::SocketAddr;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant as Clock;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use ws_core::{Chunk, ClientRequest, Config, Endpoint, Event, Instant, KeySource, SendBuffer};

type Failure = Box<dyn Error>;

struct Options {
    start: Option<Vec<String>>,
    address: Option<SocketAddr>,
    pid: Option<u32>,
    connections: usize,
    in_flight: usize,
    requests: usize,
    register: bool,
    idle: usize,
}

fn options() -> Result<Options, Failure> {
    use lexopt::{Arg, ValueExt as _};
    let mut options = Options {
        start: None,
        address: None,
        pid: None,
        connections: 100,
        in_flight: 1,
        requests: 100_000,
        register: false,
        idle: 0,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("start") => {
                let words = parser.raw_args()?.map(|word| word.string());
                options.start = Some(words.collect::<Result<_, _>>()?);
            }
            Arg::Long("address") => options.address = Some(parser.value()?.parse()?),
            Arg::Long("pid") => options.pid = Some(parser.value()?.parse()?),
            Arg::Long("connections") => options.connections = parser.value()?.parse()?,
            Arg::Long("in-flight") => options.in_flight = parser.value()?.parse()?,
            Arg::Long("requests") => options.requests = parser.value()?.parse()?,
            Arg::Long("register") => options.register = true,
            Arg::Long("idle") => options.idle = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// The server under load; ended with the program if it was started here.
struct Server {
    child: Option<Child>,
    pid: u32,
    address: SocketAddr,
}

impl Server {
    fn find(options: &Options) -> Result<Self, Failure> {
        if let Some(words) = &options.start {
            let (program, arguments) = words.split_first().ok_or("--start takes a program")?;
            let mut child = Command::new(program)
                .args(arguments)
                .arg("--log")
                .arg("error")
                .stdout(Stdio::piped())
                .spawn()?;
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut line)?;
            let address = line.trim().strip_prefix("listening on ws:").ok_or("no address")?.parse()?;
            return Ok(Self { pid: child.id(), child: Some(child), address });
        }
        let address = options.address.ok_or("give --address and --pid, or --start")?;
        Ok(Self { child: None, pid: options.pid.ok_or("give --pid")?, address })
    }

    /// CPU in ticks of 10 ms: user and system.
    fn cpu(&self) -> Result<(u64, u64), Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit_once(')').ok_or("stat")?.1.split_whitespace().collect();
        Ok((fields[11].parse()?, fields[12].parse()?))
    }

    fn rss_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("VmRSS")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

struct Client {
    number: usize,
    stream: TcpStream,
    endpoint: Endpoint,
    out: SendBuffer,
    sent: usize,
    is_open: bool,
}

impl Client {
    fn request(&mut self, register: bool) -> Result<(), Failure> {
        let (number, sent) = (self.number, self.sent);
        self.sent += 1;
        let text = if register {
            format!(
                "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS c{number}.invalid;branch=z9hG4bK{number}x{sent}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:u{number}@example.com>;tag=f{number}\r\n\
                 To: <sip:u{number}@example.com>\r\nCall-ID: c{number}\r\nCSeq: {} REGISTER\r\n\
                 Contact: <sip:u{number}@c{number}.invalid;transport=ws>;expires=600\r\n\
                 User-Agent: load\r\nContent-Length: 0\r\n\r\n",
                sent + 1
            )
        } else {
            format!(
                "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS c{number}.invalid;branch=z9hG4bK{number}x{sent}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:u{number}@example.com>;tag=f{number}\r\nTo: <sip:example.com>\r\n\
                 Call-ID: c{number}x{sent}\r\nCSeq: 1 OPTIONS\r\nAccept: application/sdp\r\n\
                 User-Agent: load\r\nContent-Length: 0\r\n\r\n"
            )
        };
        self.endpoint.send_text(&text, &mut self.out)?;
        Ok(())
    }

    fn flush(&mut self, now: Instant) -> Result<(), Failure> {
        while self.endpoint.poll_transmit(now, &mut self.out) {
            match self.stream.write(self.out.pending()) {
                Ok(n) => self.endpoint.handle_transmitted(now, n, &mut self.out),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

struct Load {
    poll: Poll,
    clients: Vec<Client>,
    start: Clock,
    scratch: Vec<u8>,
}

impl Load {
    fn connect(&mut self, server: &Server) -> Result<(), Failure> {
        let number = self.clients.len();
        let mut stream = TcpStream::connect(server.address)?;
        self.poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
        let request = ClientRequest::new(&format!("ws://{}/", server.address))?
            .subprotocol("sip")?
            .origin("http://load.example")?;
        let config = Arc::new(Config::default());
        let seed = [u8::try_from(number % 251)?; 32];
        let endpoint = Endpoint::client(&request, &config, KeySource::from_seed(seed), Instant::EPOCH);
        let out = SendBuffer::new();
        self.clients.push(Client { number, stream, endpoint, out, sent: 0, is_open: false });
        Ok(())
    }

    /// Runs until `done` says so, which is told of each opened connection (`false`) and each answer (`true`).
    fn run(
        &mut self,
        mut done: impl FnMut(&mut Client, bool) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        loop {
            self.poll.poll(&mut events, Some(core::time::Duration::from_secs(10)))?;
            if events.is_empty() {
                return Err("no answer for 10 s".into());
            }
            let now = Instant::from_epoch(self.start.elapsed());
            for event in &events {
                let client = &mut self.clients[event.token().0];
                if event.is_readable() {
                    match client.stream.read(&mut self.scratch) {
                        Ok(0) => return Err("the server closed a connection".into()),
                        Ok(n) => {
                            let mut chunk = Chunk::new(&mut self.scratch[..n]);
                            while let Some(event) = client.endpoint.poll_event(now, &mut chunk) {
                                let finished = match event {
                                    Event::Open(_) => {
                                        client.is_open = true;
                                        done(client, false)?
                                    }
                                    Event::Message(message) => {
                                        if !message.as_bytes().starts_with(b"SIP/2.0 200 ") {
                                            return Err(format!("{message:?}").into());
                                        }
                                        done(client, true)?
                                    }
                                    Event::Closed(outcome) => return Err(outcome.to_string().into()),
                                    _ => false,
                                };
                                if finished {
                                    return Ok(());
                                }
                            }
                        }
                        Err(error)
                            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                client.flush(now)?;
            }
        }
    }

    fn open(&mut self, server: &Server, count: usize) -> Result<(), Failure> {
        for _ in 0..count {
            self.connect(server)?;
            self.run(|_, _| Ok(true))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let server = Server::find(&options)?;
    let mut load =
        Load { poll: Poll::new()?, clients: Vec::new(), start: Clock::now(), scratch: vec![0; 64 << 10] };

    if options.idle > 0 {
        load.open(&server, 10)?;
        let before = server.rss_kib()?;
        load.open(&server, options.idle)?;
        let kib = server.rss_kib()?.saturating_sub(before);
        println!("| idle flows | {} | {:.2} KiB each |", options.idle, kib as f64 / options.idle as f64);
        return Ok(());
    }

    load.open(&server, options.connections)?;
    let (register, total) = (options.register, options.requests);
    for warm_up in [true, false] {
        let total = if warm_up { total / 10 } else { total };
        let (before, start) = (server.cpu()?, Clock::now());
        let (mut sent, mut answered) = (0, 0);
        for client in &mut load.clients {
            for _ in 0..options.in_flight {
                client.request(register)?;
                sent += 1;
            }
            client.flush(Instant::from_epoch(load.start.elapsed()))?;
        }
        load.run(|client, is_answer| {
            answered += usize::from(is_answer);
            if sent < total {
                client.request(register)?;
                sent += 1;
            }
            Ok(answered == sent)
        })?;
        if !warm_up {
            let after = server.cpu()?;
            let per = |ticks: u64| ticks as f64 / 100.0 * 100_000.0 / answered as f64;
            let (user, system) = (per(after.0 - before.0), per(after.1 - before.1));
            println!(
                "| {} | {} connections, {} in flight | CPU per 100,000: {:.2} s (user {user:.2}, system {system:.2}) | {:.0} a second |",
                if register { "REGISTER" } else { "OPTIONS" },
                options.connections,
                options.in_flight,
                user + system,
                answered as f64 / start.elapsed().as_secs_f64(),
            );
        }
    }
    Ok(())
}
