//! The program `crowd`: servers of several libraries with many connections each, and a load generator on another core.

pub mod load;
pub mod process;
pub mod servers;
