//! The same bytes into this engine and into tungstenite.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: ws_fuzz::differential::Script| ws_fuzz::differential::run(&script));
