//! What the kernel says of a server that runs.

use core::net::SocketAddr;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts, have as many descriptors as the system allows it.
///
/// # Errors
/// If the kernel refuses.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// A server in a process of its own, which ends with this value.
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Where it listens: the first line of its output.
    pub address: SocketAddr,
}

impl Process {
    /// Starts `command` and waits for its address.
    ///
    /// # Errors
    /// If it does not start, or tells no address.
    pub fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::other(format!("{:?} does not start: {error}", command.get_program()))
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a pipe that was asked for is not there"));
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim().parse();
        let address = address.map_err(|_| io::Error::other(format!("{line:?} instead of an address")))?;
        Ok(Self { child, stdin, stdout, address })
    }

    /// Sends an empty line and returns the number in the line that comes back.
    ///
    /// # Errors
    /// If there is none.
    pub fn ask(&mut self) -> io::Result<f64> {
        self.stdin.write_all(b"\n")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        line.trim().parse().map_err(|_| io::Error::other(format!("{line:?} instead of a number")))
    }

    /// Nanoseconds on a processor so far, of all threads that run.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn cpu(&self) -> io::Result<f64> {
        let mut sum = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // One that ended in between has nothing to tell.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let time = text.split_whitespace().next().and_then(|time| time.parse::<f64>().ok());
            sum += time.ok_or_else(|| io::Error::other("schedstat tells no time"))?;
        }
        Ok(sum)
    }

    /// Bytes of memory that are resident.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn memory(&self) -> io::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let kib = kib.and_then(|kib| kib.parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).ok_or_else(|| io::Error::other("no VmRSS"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
