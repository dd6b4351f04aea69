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
use std::panic;
use std::process::ExitCode;

use program::options::{self, Command};
use program::{log, serve};

fn main() -> ExitCode {
    log::tell_panics();
    // What a panic said waits to be written, as the rest of the log does.
    let done = panic::catch_unwind(run).unwrap_or_else(|_| Err("the program failed".into()));
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

/// Does what the command line asks for. The error is one line.
fn run() -> Result<(), String> {
    let arguments = || std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let parse = move || options::parse(arguments(), options::read_file);
    match parse()? {
        Command::Help => print(&options::help()),
        Command::Version => print(concat!("ws-sip ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Run(options) => serve::run(options, move || match parse()? {
            Command::Run(options) => Ok(options),
            _ => Err("the command line has changed".into()),
        }),
        Command::Check(options) => {
            serve::check(&options)?;
            options.notices.iter().for_each(|notice| log::last_words(notice));
            print("the configuration is valid\n")
        }
    }
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
