//! Headers, masks and text of any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::frame::run(bytes));
