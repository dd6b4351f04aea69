//! SIP OPTIONS and REGISTER over WebSocket against a server that is started for it or runs already: CPU of the
//! server per 100,000 requests, memory per idle flow.
//!
//! ```sh
//! cargo build --release -p ws-sip
//! cargo run --release -p ws-benches --bin sip -- --start target/release/ws-sip --socket ws:127.0.0.1:0
//! cargo run --release -p ws-benches --bin sip -- --address 127.0.0.1:8080 --pid 1234   # any other server
//! cargo run --release -p ws-benches --bin sip -- --compare target/release/ws-sip       # with tracing, and with Kamailio
//! ```
//!
//! One thread drives all connections over a readiness loop; each answer is checked to be a 200. The server's CPU
//! is what the kernel charged it between the first request and the last answer, threads and children included.
//!
//! `--compare` runs `ws-sip` as it is, tracing connections, tracing every SIP message over UDP and TCP, and Debian's Kamailio
//! (`kamailio` and `kamailio-websocket-modules`, its fastest allocator) if it is there; in turn, round after round
//! (`--rounds N`), the server pinned to core 0, the load and the collector to core 1.
#![forbid(unsafe_code)]

use core::error::Error;
use core::net::SocketAddr;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant as Clock;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use ws_benches::select::spread;
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
    compare: Option<PathBuf>,
    rounds: usize,
    /// Only the numbers, for `--compare`.
    bare: bool,
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
        compare: None,
        rounds: 5,
        bare: false,
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
            Arg::Long("compare") => options.compare = Some(parser.value()?.into()),
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("bare") => options.bare = true,
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
            if let Some(address) = options.address {
                let child = Command::new(program)
                    .args(arguments)
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                let server = Self { pid: child.id(), child: Some(child), address };
                while std::net::TcpStream::connect(address).is_err() {
                    std::thread::yield_now();
                }
                return Ok(server);
            }
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

    /// The server's processes: it, and what it started.
    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.pid];
        let mut at = 0;
        while let Some(&pid) = all.get(at) {
            // A kernel that does not tell has no children to add.
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            all.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
            );
            at += 1;
        }
        all
    }

    /// CPU in ticks of 10 ms: user and system.
    fn cpu(&self) -> Result<(u64, u64), Failure> {
        let mut sum = (0, 0);
        for pid in self.processes() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let fields: Vec<&str> = stat.rsplit_once(')').ok_or("stat")?.1.split_whitespace().collect();
            sum.0 += fields[11].parse::<u64>()?;
            sum.1 += fields[12].parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Memory that no other process shares, in KiB, and what is shared once.
    fn memory_kib(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for pid in self.processes() {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find(|line| line.starts_with("Pss:")).ok_or("Pss")?;
            sum += line.split_whitespace().nth(1).ok_or("Pss")?.parse::<u64>()?;
        }
        Ok(sum)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Asked to, it ends what it started too.
            let asked = Command::new("kill").arg(child.id().to_string()).status();
            if !asked.is_ok_and(|status| status.success()) {
                let _ = child.kill();
            }
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

/// What runs, and how it is started; `{}` is a free port.
struct Contestant {
    name: String,
    command: Vec<String>,
    /// Its address, if it does not tell one.
    port: Option<u16>,
}

/// The contestants there are. What is traced goes to `collector`, over UDP and TCP.
fn contestants(ws_sip: &Path, collector: SocketAddr) -> Result<Vec<Contestant>, Failure> {
    let ws_sip = ws_sip.to_str().ok_or("the path is not text")?;
    let own = |name: &str, more: &str| {
        let base = [ws_sip, "--socket", "ws:127.0.0.1:0"];
        let command = base.into_iter().chain(more.split_whitespace()).map(String::from).collect();
        Contestant { name: name.into(), command, port: None }
    };
    let traced = |transport: &str| {
        format!("--hep-id [c]{collector};transport={transport} --trace-destination c --trace-on yes")
    };
    let mut all = vec![
        own("ws-sip", ""),
        own("ws-sip, connections traced", &traced("udp")),
        own("ws-sip, each message traced over UDP", &format!("{} --trace-sip yes", traced("udp"))),
        own("ws-sip, each message traced over TCP", &format!("{} --trace-sip yes", traced("tcp"))),
    ];
    if let Ok(version) = Command::new("kamailio").arg("-v").output() {
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let version = version.split_whitespace().nth(2).unwrap_or("?").to_owned();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("BENCH_ADDRESS=127.0.0.1:{port}");
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/kamailio.cfg");
        let command =
            ["kamailio", "-DD", "-E", "-x", "fm", "-M", "16", "-m", "256", "-A", &address, "-f", config];
        let name = format!("Kamailio {version}");
        all.push(Contestant { name, command: command.map(String::from).to_vec(), port: Some(port) });
    }
    Ok(all)
}

/// Takes what is traced, and throws it away.
fn collect() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let datagrams = std::net::UdpSocket::bind(address)?;
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while datagrams.recv(&mut buffer).is_ok() {}
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut buffer = [0; 1 << 16];
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            });
        }
    });
    Ok(address)
}

fn compare(ws_sip: &Path, options: &Options) -> Result<(), Failure> {
    let contestants = contestants(ws_sip, collect()?)?;
    let own = std::env::current_exe()?;
    let run = |contestant: &Contestant, load: &[String]| -> Result<Vec<f64>, Failure> {
        let mut command = Command::new("taskset");
        command
            .args(["-c", "1"])
            .arg(&own)
            .args(["--bare", "--requests", &options.requests.to_string()])
            .args(load);
        if let Some(port) = contestant.port {
            command.args(["--address", &format!("127.0.0.1:{port}")]);
        }
        command.args(["--start", "taskset", "-c", "0"]).args(&contestant.command);
        let output = command.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.ok().filter(|numbers| output.status.success() && !numbers.is_empty());
        numbers.ok_or_else(|| format!("{}: {text}", contestant.name).into())
    };
    let load = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    for (name, load) in [
        ("OPTIONS, 1 in flight", load("--in-flight 1")),
        ("OPTIONS, 16 in flight", load("--in-flight 16")),
        ("REGISTER, 1 in flight", load("--in-flight 1 --register")),
    ] {
        println!("\n### {name} on each of {} connections\n", options.connections);
        println!("| server | CPU per 100,000 | min - max | user | system | x {} |", contestants[0].name);
        println!("|---|---:|---:|---:|---:|---:|");
        let mut figures: Vec<Vec<Vec<f64>>> = contestants.iter().map(|_| Vec::new()).collect();
        for round in 0..options.rounds {
            for place in 0..contestants.len() {
                let at = (round + place) % contestants.len();
                figures[at].push(run(&contestants[at], &load)?);
            }
        }
        let total = |round: &Vec<f64>| round[0] + round[1];
        for (contestant, rounds) in contestants.iter().zip(&figures) {
            let (middle, least, most) = spread(rounds.iter().map(total));
            let (user, ..) = spread(rounds.iter().map(|round| round[0]));
            let (system, ..) = spread(rounds.iter().map(|round| round[1]));
            let (ratio, ..) =
                spread(rounds.iter().zip(&figures[0]).map(|(own, base)| total(own) / total(base)));
            println!(
                "| {} | {middle:.2} s | {least:.2} - {most:.2} | {user:.2} | {system:.2} | {ratio:.2} |",
                contestant.name
            );
        }
    }
    println!("\n| server | memory of an idle flow, of 5,000 |\n|---|---:|");
    for contestant in &contestants {
        // One that cannot have so many connections, as it is set up, has no figure.
        let kib = run(contestant, &load("--idle 5000")).ok();
        let kib = kib.map_or_else(|| "-".into(), |kib| format!("{:.2} KiB", kib[0]));
        println!("| {} | {kib} |", contestant.name);
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    if let Some(ws_sip) = &options.compare {
        return compare(ws_sip, &options);
    }
    let server = Server::find(&options)?;
    let mut load =
        Load { poll: Poll::new()?, clients: Vec::new(), start: Clock::now(), scratch: vec![0; 64 << 10] };

    if options.idle > 0 {
        load.open(&server, 10)?;
        let before = server.memory_kib()?;
        load.open(&server, options.idle)?;
        let kib = server.memory_kib()?.saturating_sub(before);
        if options.bare {
            println!("{}", kib as f64 / options.idle as f64);
            return Ok(());
        }
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
            if options.bare {
                println!("{user} {system}");
                continue;
            }
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
