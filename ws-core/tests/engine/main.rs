//! The engine from the outside: one module per behaviour, in both roles where the rule applies to both.

mod common;

mod any_split;
mod chunking;
mod closing;
mod deadlines;
#[cfg(feature = "deflate")]
mod deflate;
mod frame_rules;
mod handover;
mod keepalive;
mod limits;
mod prepared;
mod properties;
mod settings;
mod simulation;
