//! The program `ws-sip`: a SIP registrar and proxy in memory, for browsers over WebSocket.
#![forbid(unsafe_code)]

mod program {
    pub(crate) mod core;
    pub(crate) mod hub;
    mod lines;
    pub(crate) mod log;
    pub(crate) mod manage;
    pub(crate) mod options;
    pub(crate) mod page;
    pub(crate) mod reload;
    pub(crate) mod report;
    pub(crate) mod serve;
    pub(crate) mod signals;
    pub(crate) mod trace;
    pub(crate) mod worker;
}

use std::io::{self, Write as _};
use std::process::ExitCode;

use program::options::{self, Command};
use program::{log, serve};

fn main() -> ExitCode {
    let arguments = || std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let parse = move || options::parse(arguments(), options::read_file);
    let done = match parse() {
        Ok(Command::Help) => print(&options::help()),
        Ok(Command::Version) => print(concat!("ws-sip ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Run(options)) => serve::run(options, move || match parse()? {
            Command::Run(options) => Ok(options),
            _ => Err("the command line has changed".into()),
        }),
        Ok(Command::Check(options)) => serve::check(&options).and_then(|()| {
            options.notices.iter().for_each(|notice| log::last_words(notice));
            print("the configuration is valid\n")
        }),
        Err(error) => Err(error),
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::last_words(&format!("ws-sip: {error}"));
            ExitCode::FAILURE
        }
    };
    log::flush();
    code
}

/// Writes to standard output. A pipe that was closed is no fault: its reader has seen enough.
fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
