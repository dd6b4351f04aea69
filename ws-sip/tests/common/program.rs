//! The program, started for a test.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

pub(crate) fn ws_sip(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws-sip"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A file of its own for each process, gone with the value.
pub(crate) struct ConfigFile(pub(crate) std::path::PathBuf);

impl ConfigFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-sip-{name}-{}.cfg", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Waits for a line of the log that has all of `words`.
#[track_caller]
pub(crate) fn log_line(log: &mut impl BufRead, words: &[&str]) -> String {
    log.lines()
        .find_map(|line| line.ok().filter(|line| words.iter().all(|word| line.contains(word))))
        .expect("the log ended")
}

/// Ends the program when a test ends early.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program and returns it with the port that it names.
pub(crate) fn start(arguments: &[&str]) -> (Running, u16) {
    started(ws_sip(arguments).spawn().unwrap())
}

/// Takes in the port of a program that was just started.
pub(crate) fn started(mut child: Child) -> (Running, u16) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let running = Running(child);
    let port = line.trim_end().strip_prefix("listening on ws:127.0.0.1:").expect(&line).parse().unwrap();
    (running, port)
}

pub(crate) fn get(port: u16, target: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Has the program carry out a management command over HTTP at `port`; returns the whole answer.
pub(crate) fn manage(port: u16, method: &str, params: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
    write!(stream, "POST /mi HTTP/1.0\r\nContent-Length: {}\r\n\r\n{request}", request.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
