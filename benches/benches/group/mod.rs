//! Hands one group of the suite to criterion.

use criterion::{Criterion, Throughput};
use ws_benches::clock;
use ws_benches::sink::Sink;
use ws_benches::suite::group;

/// Runs every contestant of every case of `name`; one iteration is one message, and its time
/// is the thread's on the processor.
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
                    let start = clock::thread();
                    contestant.run(messages, &mut sink);
                    let taken = clock::thread() - start;
                    core::hint::black_box(sink);
                    taken
                });
            });
        }
        bench.finish();
    }
    criterion.final_summary();
}
