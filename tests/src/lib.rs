//! Tests that cross crates.
#![forbid(unsafe_code)]

/// The examples of the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
