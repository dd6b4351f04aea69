//! The whole of RFC 6455 as sans-IO state machines.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
