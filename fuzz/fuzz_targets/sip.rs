//! SIP messages of any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_fuzz::sip::head(bytes));
