//! Benchmarks: the same work done by this project, by published WebSocket libraries, and by the least code
//! that could do it, in one process and one run.
//!
//! | command | what it tells |
//! |---|---|
//! | `cargo bench -p ws-benches` | criterion groups `decode`, `encode`, `handshake`, `mask`, `utf8`: us and the limits |
//! | `cargo bench -p ws-benches --features peers` | the same with the peers (builds them, about two minutes) |
//! | `cargo run --release -p ws-benches --features peers --bin rounds` | interleaved rounds, medians, ratios: **the figures to quote** |
//! | `cargo run --release -p ws-benches --features peers --bin instructions` | instructions a message, by valgrind |
//! | `cargo run --release -p ws-benches --features peers --bin echo` | echo servers under load: processor time, system calls, instructions a message |
//! | `cargo run --release -p ws-benches --features peers --bin crowd` | the same with many connections: latencies and memory too |
//! | `cargo run --release -p ws-benches --features peers --bin idle` | resident memory and heap of an idle connection |
//!
//! The programs take `--group`, `--case` and `--contestant`, each any number of times, to run a part.
//!
//! # Equal work
//! - A contestant is a connection that lives as long as the measurement. It reads from a [`wire::Wire`]: an
//!   in-memory stream, always ready, that copies the next bytes of a prepared chunk as a system call would. So
//!   what in-place unmasking destroyed is restored by the read itself, and everybody pays for the same copy.
//! - `decode`: a server gets frames masked with random keys, whole messages are delivered and touched, text is
//!   validated. Where a library leaves a part of that to its caller, the contestant does it, and its row says so.
//! - `encode`: the text of a message is there; its frame, or 16 of them where the library can batch, is written.
//!   Libraries that want owned data get reference-counted data that need no copy.
//! - `handshake`: from the request (or URL) to a connection that is ready, that connection's buffers included.
//! - Limits: `memcpy` of the same bytes, in-place XOR, simdutf8, and the `floor`: safe Rust that reads frames
//!   from a chunk, unmasks in place, validates and lends, without any state of a connection.
//! - Before measuring anything, `cargo test -p ws-benches` (also with `--features peers`) compares what each
//!   contestant delivered or wrote with the input, byte by byte.
//!
//! Times are the thread's on the processor, so that others on the machine count little. Those of different runs
//! still cannot be compared; ratios of one run can, and instruction counts always.
#![forbid(unsafe_code)]

pub mod accept;
pub mod clock;
pub mod crowd;
#[cfg(feature = "deflate")]
pub mod deflate;
pub mod echo;
pub mod floor;
pub mod kernels;
pub mod ours;
#[cfg(feature = "peers")]
pub mod peers;
pub mod select;
pub mod sink;
pub mod suite;
pub mod wire;
pub mod workload;
