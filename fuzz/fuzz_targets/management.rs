//! Management that any bytes come to.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::management::receive(bytes));
