//! The program `echo`: servers of several libraries, each serving one connection on one core, and a load
//! generator of our own on another.

pub mod load;
pub mod measure;
pub mod servers;
#[cfg(feature = "tls")]
pub mod tls;
