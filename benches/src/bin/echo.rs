//! Echo servers under load: processor time, system calls and instructions of the server for one message.
//!
//! `echo [--server TEXT]... [--len N]... [--depth N]... [--messages N] [--rounds N] [--counts yes|no]`
//!
//! Each round runs every server once, pinned to core 0, with the load generator on core 1; medians of the rounds
//! are printed. `--counts` runs each server under strace and callgrind as well.

use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;

use ws_benches::clock;
use ws_benches::echo::load;
use ws_benches::echo::measure::{Load, cost, instructions, system_calls};
use ws_benches::echo::servers::{Server, servers};
use ws_benches::select::{each_option, exit, takes_name};

struct Options {
    servers: Vec<String>,
    lens: Vec<usize>,
    depths: Vec<usize>,
    messages: usize,
    rounds: usize,
    counts: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    exit(match arguments[..] {
        ["serve", server, timed] => serve(server, timed == "timed"),
        ["load", scheme, address, len, depth, messages] => {
            generate(scheme == "wss", [address, len, depth, messages])
        }
        _ => options()
            .map_err(|error| io::Error::other(error.to_string()))
            .and_then(|options| compare(&options)),
    })
}

fn options() -> Result<Options, lexopt::Error> {
    let mut options =
        Options { servers: vec![], lens: vec![], depths: vec![], messages: 20_000, rounds: 5, counts: true };
    each_option(|name, value| {
        match name {
            "server" => options.servers.push(value.text),
            "len" => options.lens.push(value.number()?),
            "depth" => options.depths.push(value.number()?.max(1)),
            "messages" => options.messages = value.number()?.max(100),
            "rounds" => options.rounds = value.number()?.max(1),
            "counts" => options.counts = value.text == "yes",
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if options.lens.is_empty() {
        options.lens = vec![16, 700];
    }
    if options.depths.is_empty() {
        options.depths = vec![1, 16];
    }
    Ok(options)
}

fn serve(name: &str, timed: bool) -> io::Result<()> {
    let servers = servers();
    let server = servers.iter().find(|server| server.0 == name);
    let (_, _, run) = server.ok_or_else(|| io::Error::other(format!("{name}: no such server")))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    // A peer that just goes away ends some servers with an error; the generator has checked what matters.
    run(listener).ok();
    // Not under valgrind, which the system library behind this clock does not survive.
    if timed {
        println!("{}", clock::process().as_nanos());
    }
    Ok(())
}

fn generate(secure: bool, [address, len, depth, messages]: [&str; 4]) -> io::Result<()> {
    let invalid = |_| io::Error::other("the generator's arguments are numbers");
    let address = address.parse().map_err(|_| io::Error::other("the first argument is an address"))?;
    let [len, depth, messages] = [len, depth, messages].map(str::parse::<usize>);
    load::run(address, secure, len.map_err(invalid)?, depth.map_err(invalid)?, messages.map_err(invalid)?)?;
    println!("{}", clock::process().as_nanos());
    Ok(())
}

fn compare(options: &Options) -> io::Result<()> {
    let servers: Vec<Server> =
        servers().into_iter().filter(|server| takes_name(&options.servers, server.0)).collect();
    println!("Medians of {} rounds of {} messages (1 connection):", options.rounds, options.messages);
    println!(
        "the server's processor time, time from message to message, the generator's processor time, in ns."
    );
    for &len in &options.lens {
        for &depth in &options.depths {
            table(options, &servers, Load { len, depth })?;
        }
    }
    Ok(())
}

fn table(options: &Options, servers: &[Server], load: Load) -> io::Result<()> {
    println!("\n### echo: {} B, {} in flight\n", load.len, load.depth);
    println!(
        "| server | CPU | min - max | message to message | generator | system calls | instructions | what it is |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---|");
    let mut costs: Vec<[Vec<f64>; 3]> = servers.iter().map(|_| Default::default()).collect();
    for round in 0..options.rounds {
        for place in 0..servers.len() {
            let at = (round + place) % servers.len();
            let cost = cost(servers[at].0, load, options.messages)?;
            for (figures, figure) in costs[at].iter_mut().zip([cost.cpu, cost.wall, cost.load]) {
                figures.push(figure);
            }
        }
    }
    for ((name, what, _), [mut cpu, mut wall, mut generator]) in servers.iter().zip(costs) {
        for figures in [&mut cpu, &mut wall, &mut generator] {
            figures.sort_by(f64::total_cmp);
        }
        let (mut calls, mut count) = (String::new(), String::new());
        if options.counts {
            calls = format!("{:.2}", system_calls(name, load, 1024)?);
            count = format!("{:.0}", instructions(name, load, 4096)?);
        }
        let median = |figures: &[f64]| figures[figures.len() / 2];
        println!(
            "| {name} | {:.0} | {:.0} - {:.0} | {:.0} | {:.0} | {calls} | {count} | {what} |",
            median(&cpu),
            cpu[0],
            cpu[cpu.len() - 1],
            median(&wall),
            median(&generator),
        );
    }
    Ok(())
}
