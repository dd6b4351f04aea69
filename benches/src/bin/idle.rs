//! What an idle connection takes: resident memory and heap of echo servers with many of them.
//!
//! `idle [--server TEXT]... [--connections N]... [--len N] [--rounds N]`
//!
//! Each round starts every server once for each number of connections, in a process of its own. Ten connections come
//! first, with an echo each: what all share is there then. Then the others come, with one echo each, and wait; what they
//! added is divided by their number. Resident memory is the kernel's figure; heap is what is allocated and not given
//! back, by an allocator that counts and else is the system's, the same for all servers.

use std::alloc::System;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::{Command, ExitCode};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use ws_benches::crowd::load::{Crowd, Run};
use ws_benches::crowd::process::{Process, raise_descriptor_limit};
use ws_benches::crowd::servers::servers;
use ws_benches::select::{each_option, exit, spread, takes_name};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

struct Options {
    servers: Vec<String>,
    connections: Vec<usize>,
    len: usize,
    rounds: usize,
}

/// Bytes of a connection.
#[derive(Clone, Copy)]
struct Taken {
    resident: f64,
    heap: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    exit(match &arguments[..] {
        [first, server] if first == "serve" => serve(server),
        _ => options()
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|options| compare(&options)),
    })
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options = Options { servers: vec![], connections: vec![], len: 700, rounds: 3 };
    each_option(|name, value| {
        match name {
            "server" => options.servers.push(value.text),
            "connections" => options.connections.push(value.number()?.max(1)),
            "len" => options.len = value.number()?,
            "rounds" => options.rounds = value.number()?.max(1),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if options.connections.is_empty() {
        options.connections = vec![1000, 10_000];
    }
    Ok(options)
}

/// Serves in a thread; tells the address, then for each line of input the bytes that are allocated.
fn serve(name: &str) -> io::Result<()> {
    let servers = servers();
    let server = servers.iter().find(|server| server.0 == name);
    let &(_, _, run) = server.ok_or_else(|| io::Error::other(format!("{name}: no such server")))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        if let Err(error) = run(listener) {
            eprintln!("{error}");
            std::process::exit(1);
        }
    });
    for line in io::stdin().lines() {
        line?;
        let stats = ALLOCATOR.stats();
        println!("{}", stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated));
        io::stdout().flush()?;
    }
    Ok(())
}

fn compare(options: &Options) -> io::Result<()> {
    // The generator, and each server after it, has a descriptor a connection.
    raise_descriptor_limit()?;
    println!(
        "Bytes of an idle connection after one echo of {} B, medians of {} rounds.\n",
        options.len, options.rounds
    );
    let counts = || options.connections.iter();
    let heads: Vec<String> = counts()
        .flat_map(|n| [format!("resident, {n}"), "min - max".to_owned(), format!("heap, {n}")])
        .collect();
    println!("| server | {} | what it is |", heads.join(" | "));
    println!("|---|{}---|", "---:|".repeat(heads.len()));
    for (name, what, _) in servers().iter().filter(|server| takes_name(&options.servers, server.0)) {
        let mut cells = Vec::new();
        for &connections in &options.connections {
            let rounds: io::Result<Vec<Taken>> =
                (0..options.rounds).map(|_| measure(name, connections, options.len)).collect();
            match rounds {
                Ok(rounds) => {
                    let (median, min, max) = spread(rounds.iter().map(|taken| taken.resident));
                    let (heap, ..) = spread(rounds.iter().map(|taken| taken.heap));
                    cells.push(format!("{median:.0}"));
                    cells.push(format!("{min:.0} - {max:.0}"));
                    cells.push(format!("{heap:.0}"));
                }
                Err(error) => {
                    eprintln!("{name}, {connections} connections: {error}");
                    cells.extend(core::iter::repeat_n("-".to_owned(), 3));
                }
            }
        }
        println!("| {name} | {} | {what} |", cells.join(" | "));
    }
    Ok(())
}

fn measure(server: &str, connections: usize, len: usize) -> io::Result<Taken> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(["serve", server]);
    let mut process = Process::start(command)?;
    let run = Run { len, depth: 1, batches: 1 };
    let mut first = Crowd::open(process.address, 10)?;
    first.run(&run)?;
    let (resident, heap) = (process.memory()?, process.ask()?);
    let mut crowd = Crowd::open(process.address, connections)?;
    crowd.run(&run)?;
    let count = connections as f64;
    Ok(Taken { resident: (process.memory()? - resident) / count, heap: (process.ask()? - heap) / count })
}
