//! What slow and greedy clients make a server hold: real sockets by the hundreds, one program that serves and one that does
//! harm, and the memory that the system says the former has.
//!
//! As many connections of each class as `CROWD` says, 400 by default; `tests/crowd-memory` has 10,000, for which each of the two
//! programs needs as many descriptors, and that on `ws-std` as many threads.

mod classes;
mod server;
mod with_smol;
mod with_std;

use std::io::Read as _;

use classes::{REQUEST, classes, frame};
use server::Server;

/// What a program's memory may grow by on the side.
const SLACK: usize = 512 << 10;

/// Connections that the system accepts ahead of a program.
const WAITING: usize = 100;

/// How many there are at once where the server ends them.
const ENDING: usize = 25;

/// What serves, and what it may hold.
struct Adapter {
    /// The test that is its program.
    serve: &'static str,
    /// What an idle connection may take.
    idle: usize,
    /// What it reads with once so many bytes came at once.
    reading: fn(usize) -> usize,
}

/// Has a crowd of each class, one after the other, and compares what the server then holds with what it may. Where the server is
/// to end them, what is left may be no more than those take that were there at once, however many came.
fn run(adapter: &Adapter) {
    let count = std::env::var("CROWD").map_or(400, |count| count.parse().unwrap());
    println!(
        "| {count} connections each, {} | the formula, bytes | measured |\n|---|---:|---:|",
        adapter.serve
    );
    let mut failed = Vec::new();
    for class in classes() {
        let mut server = Server::start(adapter.serve);
        // Buffers that all connections share are there from here on.
        let mut early = Vec::new();
        for _ in 0..8 {
            let whole = [REQUEST, &frame(0x82, &[b'x'; 1000], 1000)].concat();
            let mut stream = server.connect(&whole);
            let mut echo = [0; 1300];
            let mut have = 0;
            while !echo[..have].ends_with(&[b'x'; 1000]) {
                have += stream.read(&mut echo[have..]).unwrap();
            }
            early.push(stream);
        }
        let before = server.resident();
        let (at_once, step) = if class.ends { (count.min(ENDING), ENDING) } else { (count, WAITING) };
        let mut crowd = Vec::new();
        while crowd.len() < count {
            let more = step.min(count - crowd.len());
            crowd.extend((0..more).map(|_| server.connect(&class.bytes)));
            if class.ends {
                server.expect_ended(more);
            }
            if crowd.len() == more {
                server.expect_each(class.bytes.len());
            }
            // No more of them may wait to be accepted.
            server.resident();
        }
        for _ in 0..class.more.1 {
            for stream in &mut crowd {
                server.send(stream, &class.more.0);
            }
            server.expect_each(class.more.0.len());
            server.resident();
        }
        let grown = usize::try_from(server.resident() - before).unwrap_or(0);
        let came = class.bytes.len().max(class.more.0.len());
        let bound = (adapter.idle + class.allowed + (adapter.reading)(came)) * at_once;
        println!("| {} | {} | {} |", class.name, bound / count, grown / count);
        if grown > bound + SLACK {
            failed.push(class.name);
        }
        // Up to here none of them is to end.
        drop((crowd, early));
    }
    assert!(failed.is_empty(), "beyond the formula: {failed:?}");
}
