//! What a client may be told to ask for.
#![no_main]

libfuzzer_sys::fuzz_target!(|options: ws_fuzz::client_options::Options| ws_fuzz::client_options::run(
    options
));
