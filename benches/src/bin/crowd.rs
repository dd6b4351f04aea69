//! Echo servers with many connections: processor time a message, how long an echo takes, memory of an idle connection.
//!
//! `crowd [--server TEXT]... [--connections N]... [--len N]... [--depth N] [--messages N] [--rounds N]`
//!
//! Each round starts every server once for each number of connections, pinned to core 0, with the load generator on
//! core 1. Every connection gets one echo; then the memory is read: what an idle connection takes. Then all send at
//! once, the next batch as soon as the one before came back. Medians of the rounds are printed.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::{Command, ExitCode};

use ws_benches::crowd::load::{Crowd, Run};
use ws_benches::crowd::process::Process;
use ws_benches::crowd::servers::{Server, servers};
use ws_benches::select::{each_option, exit, takes_name};

struct Options {
    servers: Vec<String>,
    connections: Vec<usize>,
    lens: Vec<usize>,
    depth: usize,
    messages: usize,
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    exit(match arguments[..] {
        ["serve", server] => serve(server),
        ["load", server, connections, len, depth, messages] => {
            one_round(server, [connections, len, depth, messages])
        }
        _ => options()
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|options| compare(&options)),
    })
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options {
        servers: vec![],
        connections: vec![],
        lens: vec![],
        depth: 1,
        messages: 100_000,
        rounds: 3,
    };
    each_option(|name, value| {
        match name {
            "server" => options.servers.push(value.text),
            "connections" => options.connections.push(value.number()?.max(1)),
            "len" => options.lens.push(value.number()?),
            "depth" => options.depth = value.number()?.max(1),
            "messages" => options.messages = value.number()?,
            "rounds" => options.rounds = value.number()?.max(1),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if options.connections.is_empty() {
        options.connections = vec![10, 100, 1000, 9000];
    }
    if options.lens.is_empty() {
        options.lens = vec![700];
    }
    Ok(options)
}

fn serve(name: &str) -> io::Result<()> {
    let servers = servers();
    let server = servers.iter().find(|server| server.0 == name);
    let (_, _, run) = server.ok_or_else(|| io::Error::other(format!("{name}: no such server")))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    run(listener)
}

/// Measures one server once and prints the figures; runs pinned, in a process of its own.
fn one_round(server: &str, numbers: [&str; 4]) -> io::Result<()> {
    let number = |text: &str| text.parse::<usize>().map_err(io::Error::other);
    let [connections, len, depth, messages] = numbers.map(number);
    let (connections, len, depth) = (connections?, len?, depth?);
    let batches = (messages? / connections / depth).max(3);
    let process = Process::start(pinned("0", &["serve", server]))?;
    // What all connections share is there from here on: buffers, and the pages of the program itself.
    let mut first = Crowd::open(process.address, 10)?;
    first.run(&Run { len, depth, batches: 1 })?;
    let empty = process.memory()?;
    let mut crowd = Crowd::open(process.address, connections)?;
    crowd.run(&Run { len, depth, batches: 1 })?;
    let memory = (process.memory()? - empty) / connections as f64;
    crowd.run(&Run { len, depth, batches: batches.div_ceil(10) })?;
    let before = process.cpu()?;
    let mut times = crowd.run(&Run { len, depth, batches })?;
    let cpu = (process.cpu()? - before) / (connections * batches * depth) as f64;
    times.sort_unstable();
    let quantile = |per_mille: usize| times[(times.len() * per_mille / 1000).min(times.len() - 1)];
    println!("{cpu} {memory} {} {} {}", quantile(500), quantile(990), quantile(999));
    Ok(())
}

fn compare(options: &Options) -> io::Result<()> {
    let servers: Vec<Server> =
        servers().into_iter().filter(|server| takes_name(&options.servers, server.0)).collect();
    println!(
        "Medians of {} rounds of {} messages. CPU: of the server, a message, in µs.",
        options.rounds, options.messages
    );
    println!(
        "Echo: from the batch leaving to the last of it coming back, in µs. Memory: of a connection after one echo, in bytes."
    );
    for &len in &options.lens {
        for &connections in &options.connections {
            table(options, &servers, len, connections)?;
        }
    }
    Ok(())
}

fn table(options: &Options, servers: &[Server], len: usize, connections: usize) -> io::Result<()> {
    println!("\n### {connections} connections, {len} B, {} in flight on each\n", options.depth);
    println!("| server | CPU | min - max | p50 | p99 | p99.9 | memory | what it is |");
    println!("|---|---:|---:|---:|---:|---:|---:|---|");
    let mut figures: Vec<Vec<[f64; 5]>> = servers.iter().map(|_| Vec::new()).collect();
    for round in 0..options.rounds {
        for place in 0..servers.len() {
            let at = (round + place) % servers.len();
            let numbers = [connections, len, options.depth, options.messages].map(|n| n.to_string());
            let mut arguments = vec!["load", servers[at].0];
            arguments.extend(numbers.iter().map(String::as_str));
            let output = pinned("1", &arguments).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut values = text.split_whitespace().map_while(|value| value.parse::<f64>().ok());
            let values: [f64; 5] = core::array::from_fn(|_| values.next().unwrap_or(f64::NAN));
            if !output.status.success() {
                eprintln!("{}: {}", servers[at].0, String::from_utf8_lossy(&output.stderr).trim());
                continue;
            }
            figures[at].push(values);
        }
    }
    for ((name, what, _), rounds) in servers.iter().zip(figures) {
        if rounds.is_empty() {
            println!("| {name} | - | - | - | - | - | - | {what} |");
            continue;
        }
        let sorted = |column: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[column]).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |column: usize| sorted(column)[rounds.len() / 2];
        let cpu = sorted(0);
        println!(
            "| {name} | {:.2} | {:.2} - {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {what} |",
            median(0) / 1e3,
            cpu[0] / 1e3,
            cpu[cpu.len() - 1] / 1e3,
            median(2) / 1e3,
            median(3) / 1e3,
            median(4) / 1e3,
            median(1),
        );
    }
    Ok(())
}

/// Our program on one core, where that can be asked for.
fn pinned(core: &str, arguments: &[&str]) -> Command {
    let program = std::env::current_exe().expect("the program knows its path");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program).args(arguments);
        return command;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
