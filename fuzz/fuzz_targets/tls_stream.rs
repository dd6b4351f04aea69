//! The async adapter over streams that are short, late, broken or ended at random, with TLS and without.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: ws_fuzz::tls_stream::Script| ws_fuzz::tls_stream::run(script));
