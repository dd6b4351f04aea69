//! The adapter over real sockets.
#![cfg(unix)]

mod common;

mod closing;
mod deadlines;
mod halves;
mod handshake;
mod messages;
mod parts;
mod volume;
