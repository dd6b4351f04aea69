use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

use core::convert::Infallible;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use ws_core::ServerConfig;

use crate::{AcceptError, WebSocket, accept};

/// How long to wait before the next attempt when the system lacks what a connection takes, such as file
/// descriptors: nothing tells when there are some again.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
#[cfg(unix)]
const BACKLOG: i32 = 1024;

/// A TCP listener whose accept loop goes on through whatever does not concern the listener itself.
pub struct Listener {
    listener: TcpListener,
    report: Option<Box<Report>>,
}

type Report = dyn Fn(&io::Error) + Send + Sync;

impl Listener {
    /// Listens on `addr`; port 0 has the system choose one.
    ///
    /// # Errors
    /// The address is not one of this machine, is in use, or needs a permission.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        // More than the standard library asks for, as a burst of connections is nothing unusual.
        #[cfg(unix)]
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self::from(listener))
    }

    /// Has `report` called with the errors that [`accept`](Self::accept) goes on after: of a row of equal ones,
    /// with the first.
    #[must_use]
    pub fn on_fault(mut self, report: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for the next TCP connection, on which [`accept`](crate::accept) then does the opening handshake: best
    /// in a thread of its own, since clients may be slow.
    ///
    /// Connections that failed before they were accepted are passed over. While file descriptors or memory are
    /// short, it tries again twenty times a second.
    ///
    /// # Errors
    /// The listener itself cannot go on.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut reported = None;
        loop {
            let error = match self.listener.accept() {
                Ok(accepted) => return Ok(accepted),
                Err(error) => error,
            };
            let severity = Severity::of(&error);
            if severity == Severity::Fatal {
                return Err(error);
            }
            if let Some(report) = &self.report
                && severity != Severity::Nothing
                && reported != error.raw_os_error()
            {
                reported = error.raw_os_error();
                report(&error);
            }
            if severity == Severity::Shortage {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Accepts connections for good, each in a thread of its own: the opening handshake, then `handle`, which also
    /// gets those that failed. Ends when the listener cannot go on.
    ///
    /// A connection for which there is no thread is closed; that is reported as any other fault.
    ///
    /// # Errors
    /// As [`accept`](Self::accept). Never returns otherwise.
    pub fn serve(
        &self,
        config: &Arc<ServerConfig>,
        handle: impl Fn(Result<WebSocket, AcceptError>, SocketAddr) + Send + Sync + 'static,
    ) -> io::Result<Infallible> {
        let config = Arc::clone(config);
        self.serve_streams(move |stream, peer| handle(accept(stream, &config), peer))
    }

    /// Does the same over TLS, as [`accept_tls`](crate::accept_tls).
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "tls")]
    pub fn serve_tls(
        &self,
        tls: &Arc<rustls::ServerConfig>,
        config: &Arc<ServerConfig>,
        handle: impl Fn(Result<WebSocket<crate::TlsStream>, AcceptError>, SocketAddr) + Send + Sync + 'static,
    ) -> io::Result<Infallible> {
        let (tls, config) = (Arc::clone(tls), Arc::clone(config));
        self.serve_streams(move |stream, peer| handle(crate::accept_tls(stream, &tls, &config), peer))
    }

    fn serve_streams(
        &self,
        serve: impl Fn(TcpStream, SocketAddr) + Send + Sync + 'static,
    ) -> io::Result<Infallible> {
        let serve = Arc::new(serve);
        loop {
            let (stream, peer) = self.accept()?;
            let serve = Arc::clone(&serve);
            let spawned =
                thread::Builder::new().name(format!("ws {peer}")).spawn(move || serve(stream, peer));
            if let Err(error) = spawned {
                if let Some(report) = &self.report {
                    report(&error);
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        // A listener that does not wait would have the loop spin.
        let _ = listener.set_nonblocking(false);
        Self { listener, report: None }
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
            None | Some(Errno::BADF | Errno::FAULT | Errno::INVAL | Errno::NOTSOCK) => Self::Fatal,
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

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_ends_the_loop_and_what_does_not() {
        for (errno, severity) in [
            (Errno::INTR, Severity::Nothing),
            (Errno::CONNABORTED, Severity::Connection),
            (Errno::PERM, Severity::Connection),
            (Errno::PROTO, Severity::Connection),
            (Errno::NETUNREACH, Severity::Connection),
            (Errno::OPNOTSUPP, Severity::Connection),
            (Errno::MFILE, Severity::Shortage),
            (Errno::NFILE, Severity::Shortage),
            (Errno::NOMEM, Severity::Shortage),
            (Errno::INVAL, Severity::Fatal),
            (Errno::BADF, Severity::Fatal),
        ] {
            assert_eq!(Severity::of(&errno.into()), severity, "{errno}");
        }
    }
}
