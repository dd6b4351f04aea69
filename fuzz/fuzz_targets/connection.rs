//! A connection under any script of chunks and operations.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: ws_fuzz::connection::Script| ws_fuzz::connection::run(script));
