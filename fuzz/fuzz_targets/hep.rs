//! HEP packets of any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::hep::decode(bytes));
