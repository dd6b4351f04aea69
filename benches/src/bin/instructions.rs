//! Counts the instructions that a message costs, under valgrind's callgrind.
//!
//! Each contestant runs twice, with different numbers of messages; the difference of the counts over the
//! difference of the numbers leaves out start-up and set-up. Counts repeat where times do not. Valgrind
//! offers programs AVX2 but not AVX-512, so who chooses vectors at run time is counted with AVX2.
//!
//! `instructions [--group NAME]... [--case TEXT]... [--contestant TEXT]...`

use std::process::Command;

use ws_benches::select::{Selection, WITHOUT_REP};
use ws_benches::sink::Sink;
use ws_benches::suite::{Case, Entry, cases};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, group, case, contestant, messages] = &arguments[..]
        && mode == "run"
    {
        return run(group, case, contestant, messages.parse().expect("a number of messages"));
    }
    let selection = Selection::from_arguments(|_, _| false);
    for case in cases().iter().filter(|case| selection.takes(case)) {
        println!("\n### {}: {}\n", case.group, case.name);
        println!("| contestant | instructions a message | x {} | what it does |", case.base);
        println!("|---|---:|---:|---|");
        let mut base = None;
        let taken = case
            .entries
            .iter()
            .filter(|entry| entry.name == case.base || selection.takes_contestant(entry.name));
        for entry in taken {
            let mut count = per_message(case, entry);
            if case.contains_base {
                count -= base.unwrap_or(0.0);
            }
            if entry.name == case.base {
                base = Some(count);
            }
            let ratio = base.map_or_else(String::new, |base| format!("{:.2}", count / base));
            println!("| {} | {count:.0} | {ratio} | {} |", entry.name, entry.does);
        }
    }
}

/// What callgrind counts: one contestant, so many messages.
fn run(group: &str, case: &str, contestant: &str, messages: usize) {
    let cases = cases();
    let case = cases.iter().find(|it| it.group == group && it.name == case).expect("the case exists");
    let entry = case.entries.iter().find(|entry| entry.name == contestant).expect("the contestant exists");
    let mut sink = Sink::touching();
    (entry.start)().run(messages, &mut sink);
    core::hint::black_box(sink);
}

fn per_message(case: &Case, entry: &Entry) -> f64 {
    // Whole rounds of every workload, and about a million payload bytes in the difference.
    let messages = ((1 << 20) / (case.len + 64)).next_multiple_of(1024).clamp(4, 4096);
    let messages = if case.len >= 4096 { (messages / 1024 * 8).max(8) } else { messages };
    let (warm, long) = (messages, messages * 3);
    let counts = [warm, long].map(|messages| counted(case, entry, messages));
    (counts[1] - counts[0]) / (long - warm) as f64
}

fn counted(case: &Case, entry: &Entry, messages: usize) -> f64 {
    let program = std::env::current_exe().expect("the program knows its path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .env("GLIBC_TUNABLES", WITHOUT_REP)
        .arg(program)
        .args(["run", case.group, case.name, entry.name, &messages.to_string()])
        .output()
        .unwrap_or_else(|error| {
            eprintln!("valgrind does not start: {error}");
            std::process::exit(1);
        });
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.unwrap_or_else(|| {
        eprintln!("valgrind did not count {}: {}: {}:\n{text}", case.group, case.name, entry.name);
        std::process::exit(1);
    })
}
