//! PROXY headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::proxy_protocol::run(bytes));
