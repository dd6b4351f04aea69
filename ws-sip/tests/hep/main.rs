//! HEP records on their way to collectors, over real sockets: the sender alone, then the transport's traces.

mod collector;
#[path = "../common/mod.rs"]
mod common;
mod sender;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod traces;
mod witness;
