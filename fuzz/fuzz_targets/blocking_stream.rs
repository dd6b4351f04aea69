//! The blocking adapter over streams that are short, late, broken or ended at random, with TLS and without.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: ws_fuzz::blocking_stream::Script| ws_fuzz::blocking_stream::run(script));
