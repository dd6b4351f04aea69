//! Whole sessions in virtual time: two endpoints, random applications on both, and a wire between them that cuts,
//! delays, stalls and breaks. Every session ends as its script says, and what arrives is what was sent.
//!
//! A session that fails names its seed; `WS_SIMULATION_SEED=n` runs that one alone.

mod app;
mod peer;
mod script;

use script::Session;

/// Sessions in one run of the tests, in as many parts as there are tests below.
const SESSIONS: u64 = 100_000;
const PARTS: u64 = 4;

fn run(part: u64) {
    if let Ok(seed) = std::env::var("WS_SIMULATION_SEED") {
        Session::new(seed.parse().expect("a seed is a number")).run();
        return;
    }
    for seed in (part..SESSIONS).step_by(usize::try_from(PARTS).unwrap()) {
        let session = std::panic::catch_unwind(|| Session::new(seed).run());
        if let Err(panic) = session {
            eprintln!("the simulation failed; run it again with WS_SIMULATION_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn sessions_part_1() {
    run(0);
}

#[test]
fn sessions_part_2() {
    run(1);
}

#[test]
fn sessions_part_3() {
    run(2);
}

#[test]
fn sessions_part_4() {
    run(3);
}
