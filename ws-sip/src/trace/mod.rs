//! Tracing: what is told of each connection.

mod record;

pub use record::{CUT_MARK, Happened, Record};
