//! A client that any bytes answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::handshake::client(bytes));
