//! A configuration file of any text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::config_file::read(bytes));
