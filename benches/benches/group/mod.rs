//! Hands one group of the suite to criterion.

use std::time::Instant;

use criterion::{Criterion, Throughput};
use ws_benches::sink::Sink;
use ws_benches::suite::group;

/// Runs every contestant of every case of `name`; one iteration is one message.
pub(crate) fn run(name: &str) {
    let mut criterion = Criterion::default().configure_from_args();
    for case in group(name) {
        let mut bench = criterion.benchmark_group(format!("{name}/{}", case.name));
        if case.len > 0 {
            bench.throughput(Throughput::Bytes(case.len as u64));
        }
        for entry in &case.entries {
            let mut contestant = None;
            bench.bench_function(entry.name, |bencher| {
                let contestant = contestant.get_or_insert_with(|| (entry.start)());
                bencher.iter_custom(|messages| {
                    let messages = usize::try_from(messages).expect("criterion asks for what fits in memory");
                    let mut sink = Sink::touching();
                    let start = Instant::now();
                    contestant.run(messages, &mut sink);
                    let taken = start.elapsed();
                    core::hint::black_box(sink);
                    taken
                });
            });
        }
        bench.finish();
    }
    criterion.final_summary();
}
