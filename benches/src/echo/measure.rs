//! One run of a server under load: its processor time, its system calls, its instructions.

use core::net::SocketAddr;
use std::io::{self, BufRead as _, BufReader};

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::select::WITHOUT_REP;

/// What is sent: length of a message in bytes, messages in flight.
#[derive(Clone, Copy)]
pub struct Load {
    /// Bytes of a message.
    pub len: usize,
    /// Messages in flight.
    pub depth: usize,
}

/// What one message cost.
pub struct Cost {
    /// The server's processor time, user and system, in nanoseconds.
    pub cpu: f64,
    /// From the first to the last message, in nanoseconds.
    pub wall: f64,
    /// The generator's processor time in nanoseconds: where it comes near `wall`, it is the limit.
    pub load: f64,
}

/// Runs `server` under load on a core of its own.
///
/// # Errors
/// If the programs do not start or fail.
pub fn cost(server: &str, load: Load, messages: usize) -> io::Result<Cost> {
    let warm = messages / 10;
    let mut figures = Vec::new();
    // The difference of two runs leaves out start-up, handshake and warm-up.
    for messages in [warm, warm + messages] {
        let (child, address) = serve(pinned("0"), server, "timed")?;
        let begin = Instant::now();
        let output = loading(pinned("1"), server, address, load, messages).output()?;
        let wall = begin.elapsed().as_secs_f64() * 1e9;
        succeeded(output.status.success(), &output.stderr)?;
        let own = String::from_utf8_lossy(&output.stdout);
        let own: f64 = own.trim().parse().map_err(|_| io::Error::other("the generator tells no time"))?;
        let cpu = finish(child)?;
        figures.push([cpu, wall, own]);
    }
    let difference = |at: usize| (figures[1][at] - figures[0][at]) / messages as f64;
    Ok(Cost { cpu: difference(0), wall: difference(1), load: difference(2) })
}

/// Counts the server's system calls a message, with strace.
///
/// # Errors
/// If the programs do not start or fail.
pub fn system_calls(server: &str, load: Load, messages: usize) -> io::Result<f64> {
    let log = std::env::temp_dir().join(format!("ws-benches-{}.strace", std::process::id()));
    let count = |messages| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-c", "-U", "calls,name", "-o"]).arg(&log).arg(program());
        under_load(strace, server, load, messages)?;
        total(&log)
    };
    let difference = count(2 * messages).and_then(|long| Ok(long - count(messages)?));
    std::fs::remove_file(&log).ok();
    Ok(difference? / messages as f64)
}

/// Counts the server's user-space instructions a message, with callgrind.
///
/// # Errors
/// If the programs do not start or fail.
pub fn instructions(server: &str, load: Load, messages: usize) -> io::Result<f64> {
    let count = |messages| {
        let text = under_load(callgrind(), server, load, messages)?;
        let count =
            text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok());
        count.ok_or_else(|| io::Error::other("valgrind did not count"))
    };
    Ok((count(2 * messages)? - count(messages)?) / messages as f64)
}

/// Runs `wrapped` (a tool and our program) as server until the load has passed; returns its standard error.
fn under_load(wrapped: Command, server: &str, load: Load, messages: usize) -> io::Result<String> {
    let (mut child, address) = serve(wrapped, server, "untimed")?;
    let output = loading(Command::new(program()), server, address, load, messages).output()?;
    let mut text = String::new();
    if let Some(stderr) = &mut child.stderr {
        io::Read::read_to_string(stderr, &mut text)?;
    }
    succeeded(child.wait()?.success(), text.as_bytes())?;
    succeeded(output.status.success(), &output.stderr)?;
    Ok(text)
}

fn callgrind() -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .env("GLIBC_TUNABLES", WITHOUT_REP)
        .arg(program());
    valgrind
}

fn program() -> std::path::PathBuf {
    std::env::current_exe().expect("the program knows its path")
}

/// Our program on one core, where that can be asked for.
fn pinned(core: &str) -> Command {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program());
        return command;
    }
    Command::new(program())
}

fn loading(mut command: Command, server: &str, address: SocketAddr, load: Load, messages: usize) -> Command {
    let scheme = if server.ends_with(", wss") { "wss" } else { "ws" };
    command.args(["load", scheme, &address.to_string()]);
    command.args([load.len, load.depth, messages].map(|number| number.to_string()));
    with_identity(&mut command);
    command
}

/// Server and generator get the same certificate from us.
fn with_identity(command: &mut Command) {
    #[cfg(feature = "tls")]
    command.env(super::tls::VARIABLE, super::tls::identity());
    #[cfg(not(feature = "tls"))]
    let _ = command;
}

/// Starts a server and waits for its address.
fn serve(mut command: Command, server: &str, timed: &str) -> io::Result<(Child, SocketAddr)> {
    with_identity(&mut command);
    let mut child = command
        .args(["serve", server, timed])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::other(format!("{:?} does not start: {error}", command.get_program())))?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    child.stdout = Some(lines.into_inner());
    let address = line.trim().parse().map_err(|_| io::Error::other(format!("{server} tells no address")))?;
    Ok((child, address))
}

/// Waits for the server, which reports its processor time last.
fn finish(child: Child) -> io::Result<f64> {
    let output = child.wait_with_output()?;
    succeeded(output.status.success(), &output.stderr)?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other("the server tells no time"))
}

fn succeeded(success: bool, stderr: &[u8]) -> io::Result<()> {
    if success { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(stderr).into_owned())) }
}

/// The calls in strace's summary: the first column's total.
fn total(log: &Path) -> io::Result<f64> {
    let text = std::fs::read_to_string(log)?;
    let rows = text.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((calls.parse::<f64>().ok()?, name.trim()))
    });
    Ok(rows.filter(|(_, name)| *name != "total").map(|(calls, _)| calls).sum())
}
