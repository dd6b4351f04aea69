//! HEP records on their way to collectors, over real sockets: the sender alone, then the transport's traces.

mod collector;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "tls")]
mod secure;
mod sender;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod traces;
mod witness;
