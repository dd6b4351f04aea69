use core::time::Duration;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A byte stream that blocks, with what it takes to keep deadlines on it.
///
/// Implemented for TCP and Unix stream sockets; [`Blocking`] makes one of any `Read + Write`. All methods take
/// `&self`, so that one thread can read while another writes; a stream that really allows that is [`Duplex`].
pub trait Transport {
    /// Sets the stream up for what follows: blocking, with no read timeout, and sending without delay. Called once.
    ///
    /// # Errors
    /// The stream's own.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    /// Reads at least one byte, or 0 at the end, waiting no longer than [`set_read_timeout`] allowed.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when that time passed, too early or too late as it may be;
    /// others mean that the stream broke.
    ///
    /// [`set_read_timeout`]: Self::set_read_timeout
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Limits how long [`read`](Self::read) waits; `None` for ever. Never called with zero. A stream that
    /// cannot do that keeps no deadlines while it waits for input.
    ///
    /// # Errors
    /// The stream's own.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Writes what can be taken without waiting. A stream that cannot do that may wait. What is taken may be kept until
    /// [`try_flush`](Self::try_flush), which is always called behind this; while anything is kept, nothing more is taken:
    /// that more is taken proves that what was kept has left, and the time for that starts anew.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing could be taken now; others mean that it broke.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Passes on what an earlier [`try_write`](Self::try_write) took and keeps, such as a TLS record that left in part,
    /// without waiting. Returns whether nothing is kept: always, by default.
    ///
    /// # Errors
    /// The stream's own: it broke.
    fn try_flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Counts what left of what was kept: another number than before whenever some did. What is kept has to leave within
    /// [`send_timeout`](ws_core::Config::send_timeout), which starts anew with each step that is told here. None is by
    /// default: then all of it has to.
    fn passed_on(&self) -> usize {
        0
    }

    /// Waits until something of `interest` is possible without waiting, or `timeout` passed (`None`: no limit),
    /// and returns what is. A stream that cannot tell returns at once that it can write, not that it can read.
    ///
    /// # Errors
    /// The stream's own.
    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest>;

    /// Ends what we write: the peer reads to the end of the stream.
    ///
    /// # Errors
    /// The stream's own.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Ends the stream in both directions: a thread that waits in one of the other methods returns.
    fn shutdown(&self);
}

/// A [`Transport`] on which one thread may read while another writes, neither waiting for the other: what
/// [`WebSocket::split`](crate::WebSocket::split) takes.
pub trait Duplex: Transport {}

/// What to wait for, or what can be done without waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Input, its end included.
    pub read: bool,
    /// Room for output.
    pub write: bool,
}

impl Interest {
    /// Input only.
    pub const READ: Self = Self { read: true, write: false };
    /// Room for output only.
    pub const WRITE: Self = Self { read: false, write: true };
    /// Either.
    pub const BOTH: Self = Self { read: true, write: true };
}

/// Makes a [`Transport`] of anything that reads and writes, such as a TLS stream, a pipe or a serial line.
///
/// There is no way to interrupt such a stream: a read or a write lasts until the stream itself ends it, and
/// deadlines are kept only between them. A stream whose calls return [`WouldBlock`](io::ErrorKind::WouldBlock)
/// or [`TimedOut`](io::ErrorKind::TimedOut) after a time of its own keeps deadlines to that time's precision.
/// What such a call took before is never given to the stream again, and nothing more is while its `flush` returns that.
/// One whose calls never wait does not belong here.
#[derive(Debug)]
pub struct Blocking<T>(Mutex<Flushed<T>>);

#[derive(Debug)]
struct Flushed<T> {
    stream: T,
    /// It took something, as far as is known, and was not flushed since.
    is_due: bool,
}

impl<T: Read + Write> Blocking<T> {
    /// Wraps a stream. What it took before is flushed first.
    #[must_use]
    pub const fn new(stream: T) -> Self {
        Self(Mutex::new(Flushed { stream, is_due: true }))
    }

    /// Returns the stream.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).stream
    }

    fn lock(&self) -> MutexGuard<'_, Flushed<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Write> Flushed<T> {
    /// Returns whether nothing is left to be flushed.
    fn flush(&mut self) -> io::Result<bool> {
        if self.is_due {
            match self.stream.flush().map_err(timed_out) {
                Ok(()) => self.is_due = false,
                Err(error) if is_early(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(!self.is_due)
    }
}

impl<T: Read + Write> Transport for Blocking<T> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lock().stream.read(buffer).map_err(timed_out)
    }

    fn set_read_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut flushed = self.lock();
        if !flushed.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = flushed.stream.write(bytes).map_err(timed_out)?;
        // The flush is a call of its own: what was taken is told, whatever comes of that.
        flushed.is_due = true;
        Ok(written)
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.lock().flush()
    }

    fn wait(&self, interest: Interest, _timeout: Option<Duration>) -> io::Result<Interest> {
        Ok(Interest { read: false, write: interest.write })
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

/// Streams with timeouts of their own report them as one or the other, by system.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::TimedOut { io::ErrorKind::WouldBlock.into() } else { error }
}

/// Whether the same call may do better later.
pub(crate) fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(unix)]
mod sockets {
    use core::time::Duration;
    use std::io;
    use std::net::{Shutdown, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::{SendFlags, send};

    use super::{Duplex, Interest, Transport};

    #[cfg(not(target_vendor = "apple"))]
    const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
    // std sets SO_NOSIGPIPE there.
    #[cfg(target_vendor = "apple")]
    const FLAGS: SendFlags = SendFlags::DONTWAIT;

    fn wait(socket: &impl AsFd, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, interest.read);
        events.set(PollFlags::OUT, interest.write);
        let mut fds = [PollFd::new(socket, events)];
        // A time too long to be expressed is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Interest::default()),
            Err(error) => return Err(error.into()),
        }
        let found = fds[0].revents();
        // An error or the end is learned by doing what was waited for.
        let ended = found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        Ok(Interest {
            read: interest.read && (ended || found.contains(PollFlags::IN)),
            write: interest.write && (ended || found.contains(PollFlags::OUT)),
        })
    }

    macro_rules! socket {
        ($socket:ty, $prepare:expr) => {
            impl Transport for $socket {
                fn prepare(&self) -> io::Result<()> {
                    self.set_nonblocking(false)?;
                    Self::set_read_timeout(self, None)?;
                    $prepare(self)
                }

                fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                    let mut socket = self;
                    io::Read::read(&mut socket, buffer)
                }

                fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                    Self::set_read_timeout(self, timeout)
                }

                fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                    Ok(send(self, bytes, FLAGS)?)
                }

                fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
                    wait(self, interest, timeout)
                }

                fn shutdown_write(&self) -> io::Result<()> {
                    Self::shutdown(self, Shutdown::Write)
                }

                fn shutdown(&self) {
                    // Fails only if the peer did so first.
                    let _ = Self::shutdown(self, Shutdown::Both);
                }
            }

            impl Duplex for $socket {}
        };
    }

    socket!(TcpStream, |socket: &TcpStream| socket.set_nodelay(true));
    socket!(UnixStream, |_: &UnixStream| Ok(()));
}

/// Without a way to write or to wait that std offers, a write waits until the system took the bytes.
#[cfg(not(unix))]
mod sockets {
    use std::io;
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

    use super::{Duplex, Interest, Transport, timed_out};

    impl Transport for TcpStream {
        fn prepare(&self) -> io::Result<()> {
            self.set_nonblocking(false)?;
            Self::set_read_timeout(self, None)?;
            self.set_nodelay(true)
        }

        fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut socket = self;
            io::Read::read(&mut socket, buffer).map_err(timed_out)
        }

        fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
            Self::set_read_timeout(self, timeout)
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut socket = self;
            io::Write::write(&mut socket, bytes)
        }

        fn wait(&self, interest: Interest, _timeout: Option<Duration>) -> io::Result<Interest> {
            Ok(Interest { read: false, write: interest.write })
        }

        fn shutdown_write(&self) -> io::Result<()> {
            Self::shutdown(self, Shutdown::Write)
        }

        fn shutdown(&self) {
            // Fails only if the peer did so first.
            let _ = Self::shutdown(self, Shutdown::Both);
        }
    }

    impl Duplex for TcpStream {}
}
