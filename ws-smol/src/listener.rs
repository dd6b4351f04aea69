use core::net::SocketAddr;
use core::time::Duration;
use std::net::{TcpListener, ToSocketAddrs};
use std::{fmt, io};

use async_io::{Async, Timer};

use crate::TcpStream;

/// How long to wait before the next attempt when the system lacks what a connection takes, such as file
/// descriptors: nothing tells when there are some again.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
#[cfg(unix)]
const BACKLOG: i32 = 1024;

/// A TCP listener whose accept loop goes on through whatever does not concern the listener itself.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let config = std::sync::Arc::new(ws_core::ServerConfig::default());
/// let listener = ws_smol::Listener::bind("127.0.0.1:8080")?.on_fault(|error| eprintln!("accept: {error}"));
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let config = config.clone();
///     smol::spawn(async move {
///         match ws_smol::accept(stream, &config).await {
///             Ok(mut ws) => while let Ok(Some(message)) = ws.read().await { println!("{peer}: {message:?}") },
///             Err(error) => eprintln!("{peer}: {error}"),
///         }
///     })
///     .detach();
/// }
/// # }
/// ```
pub struct Listener {
    listener: Async<TcpListener>,
    fault: Option<Report>,
}

type Report = Box<dyn Fn(&io::Error) + Send + Sync>;

impl Listener {
    /// Listens on `addr`; port 0 has the system choose one. A name is looked up, which blocks; an address is not.
    ///
    /// # Errors
    /// The address is not one of this machine, is in use, or needs a permission.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        // More than the standard library asks for, as a burst of connections is nothing unusual.
        #[cfg(unix)]
        rustix::net::listen(&listener, BACKLOG)?;
        Self::try_from(listener)
    }

    /// Has `report` called with the errors that [`accept`](Self::accept) goes on after: of a row of equal ones,
    /// with the first.
    #[must_use]
    pub fn on_fault(mut self, report: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.fault = Some(Box::new(report));
        self
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.get_ref().local_addr()
    }

    /// Waits for the next TCP connection, on which [`accept`](crate::accept) then does the opening handshake: best
    /// in a task of its own, since clients may be slow.
    ///
    /// Connections that failed before they were accepted are passed over. While file descriptors or memory are
    /// short, it tries again twenty times a second. Can be dropped at any await without losing a connection.
    ///
    /// # Errors
    /// The listener itself cannot go on.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut reported = None;
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // A stream that cannot even do that fails at its first use.
                    let _ = stream.get_ref().set_nodelay(true);
                    return Ok((stream.into(), peer));
                }
                Err(error) => error,
            };
            let severity = Severity::of(&error);
            if severity == Severity::Fatal {
                return Err(error);
            }
            let code = error.raw_os_error();
            if severity != Severity::Nothing
                && reported != Some(code)
                && let Some(report) = &self.fault
            {
                report(&error);
                reported = Some(code);
            }
            if severity == Severity::Shortage {
                Timer::after(PAUSE).await;
            }
        }
    }
}

impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<Self> {
        Ok(Self { listener: Async::new(listener)?, fault: None })
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// What an error of `accept` means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// A signal came.
    Nothing,
    /// One connection failed before it was accepted.
    Connection,
    /// The system lacks something, for now.
    Shortage,
    /// No attempt will do better.
    Fatal,
}

impl Severity {
    #[cfg(unix)]
    fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(error) {
            Some(Errno::INTR) => Self::Nothing,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC) => Self::Shortage,
            None | Some(Errno::BADF | Errno::FAULT | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => {
                Self::Fatal
            }
            // The network's errors for a connection that is not accepted yet, and a firewall's refusal.
            Some(_) => Self::Connection,
        }
    }

    #[cfg(not(unix))]
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Nothing,
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => Self::Connection,
            io::ErrorKind::InvalidInput => Self::Fatal,
            _ => Self::Shortage,
        }
    }
}
