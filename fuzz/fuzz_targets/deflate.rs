//! permessage-deflate, received and sent, with another library as the judge.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: ws_fuzz::deflate::Script| ws_fuzz::deflate::run(&script));
