//! Runs the contestants of each case in turn, round after round, and prints medians and ratios as
//! Markdown: on a machine whose speed drifts, contestants of one round share the drift. Time is the thread's on
//! the processor, so that being preempted counts for nobody.
//!
//! `rounds [--group NAME]... [--case TEXT]... [--contestant TEXT]... [--rounds N] [--ms N]`

use core::time::Duration;

use ws_benches::clock;
use ws_benches::select::{Selection, spread};
use ws_benches::sink::Sink;
use ws_benches::suite::{Case, Contestant, cases};

fn main() {
    let mut rounds = 101;
    let mut slice = Duration::from_millis(2);
    let selection = Selection::from_arguments(|name, value| match name {
        "rounds" => value.parse().map(|n| rounds = n).is_ok(),
        "ms" => value.parse().map(|ms| slice = Duration::from_millis(ms)).is_ok(),
        _ => false,
    });
    println!("{rounds} rounds of {slice:?} a contestant; ns on the processor a message: median, min - max;");
    println!("the ratio is the median of the rounds' ratios.");
    for case in cases() {
        if selection.takes(&case) {
            report(&case, &selection, rounds, slice);
        }
    }
}

struct Runner {
    index: usize,
    contestant: Box<dyn Contestant>,
    messages: usize,
    /// Nanoseconds a message, one figure a round.
    times: Vec<f64>,
}

fn report(case: &Case, selection: &Selection, rounds: usize, slice: Duration) {
    let mut runners: Vec<Runner> = case
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.name == case.base || selection.takes_contestant(entry.name))
        .map(|(index, entry)| {
            let mut contestant = (entry.start)();
            let messages = calibrate(contestant.as_mut(), slice);
            Runner { index, contestant, messages, times: Vec::new() }
        })
        .collect();
    for round in 0..rounds {
        // Each round starts one place further on, so that nobody always follows the same neighbour.
        let count = runners.len();
        for place in 0..count {
            let runner = &mut runners[(round + place) % count];
            let time = time(runner.contestant.as_mut(), runner.messages);
            runner.times.push(time.as_secs_f64() * 1e9 / runner.messages as f64);
        }
    }
    let base = runners.iter().find(|runner| case.entries[runner.index].name == case.base);
    let base = base.expect("the base takes part").times.clone();
    if case.contains_base {
        for runner in runners.iter_mut().filter(|runner| case.entries[runner.index].name != case.base) {
            runner.times.iter_mut().zip(&base).for_each(|(time, base)| *time -= base);
        }
    }
    let reference = if case.contains_base {
        runners[1..].first().map_or_else(|| base.clone(), |runner| runner.times.clone())
    } else {
        base
    };
    let reference_name = if case.contains_base { case.entries[runners[1].index].name } else { case.base };
    println!("\n### {}: {}\n", case.group, case.name);
    println!("| contestant | median | min - max | x {reference_name} | what it does |");
    println!("|---|---:|---:|---:|---|");
    for runner in &runners {
        let entry = &case.entries[runner.index];
        let ratios = runner.times.iter().zip(&reference).map(|(time, reference)| time / reference);
        let (median, min, max) = spread(runner.times.iter().copied());
        let (ratio, ..) = spread(ratios);
        println!(
            "| {} | {} | {} - {} | {ratio:.2} | {} |",
            entry.name,
            figure(median),
            figure(min),
            figure(max),
            entry.does
        );
    }
}

/// Finds how many messages fill `slice`, and warms the contestant up.
fn calibrate(contestant: &mut dyn Contestant, slice: Duration) -> usize {
    let mut messages = 1;
    loop {
        let taken = time(contestant, messages);
        if taken * 2 >= slice {
            let scale = slice.as_secs_f64() / taken.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, reason = "a count far below 2^53")]
            return ((messages as f64 * scale) as usize).max(1);
        }
        messages *= 2;
    }
}

fn time(contestant: &mut dyn Contestant, messages: usize) -> Duration {
    let mut sink = Sink::touching();
    let start = clock::thread();
    contestant.run(messages, &mut sink);
    let taken = clock::thread() - start;
    assert_eq!(core::hint::black_box(sink).messages, messages as u64, "the contestant did all of it");
    taken
}

fn figure(nanoseconds: f64) -> String {
    if nanoseconds < 100.0 { format!("{nanoseconds:.1}") } else { format!("{nanoseconds:.0}") }
}
