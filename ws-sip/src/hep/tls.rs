//! HEP over TLS: the client's side of a connection to a collector.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::link::{READS_A_CHECK, closed};
use crate::tls;

/// Whom to trust, and who the other side must be.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `ca` is a file of certificates in PEM to trust instead of the platform's.
    pub(super) fn new(host: &str, ca: Option<&Path>) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("`{host}` cannot be the name in a certificate"))?;
        let config = tls::client_config(ca, "hep_tls_ca")?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// Does the TLS handshake, until `deadline` at the latest, over a stream that blocks.
    pub(super) fn handshake(&self, stream: &TcpStream, deadline: Instant) -> io::Result<Session> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(io::Error::other)
            .map(Session::new)?;
        let mut stream = stream;
        while session.tls.is_handshaking() || session.tls.wants_write() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"));
            }
            stream.set_read_timeout(Some(left))?;
            stream.set_write_timeout(Some(left))?;
            let done = if session.tls.wants_write() {
                session.tls.write_tls(&mut stream).map(drop)
            } else {
                session.read(&mut stream)
            };
            match done {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                done => done?,
            }
        }
        Ok(session)
    }
}

/// The TLS of one connection.
#[derive(Debug)]
pub(super) struct Session {
    tls: ClientConnection,
    /// Bytes that were encrypted and did not leave as a whole yet.
    taken: usize,
}

impl Session {
    const fn new(tls: ClientConnection) -> Self {
        Self { tls, taken: 0 }
    }

    /// Takes in what the other side says, which should be nothing but TLS's own messages.
    fn read(&mut self, stream: &mut impl io::Read) -> io::Result<()> {
        if self.tls.read_tls(stream)? == 0 {
            return Err(closed());
        }
        let state = self.tls.process_new_packets().map_err(io::Error::other)?;
        if state.peer_has_closed() {
            return Err(closed());
        }
        let mut unread = state.plaintext_bytes_to_read();
        let mut scratch = [0; 1024];
        while unread > 0 {
            match self.tls.reader().read(&mut scratch)? {
                0 => break,
                n => unread = unread.saturating_sub(n),
            }
        }
        Ok(())
    }

    /// Passes over what the other side sends, for a bounded time; an error if the connection ended.
    pub(super) fn check(&mut self, stream: &mut impl io::Read) -> io::Result<()> {
        for _ in 0..READS_A_CHECK {
            match self.read(stream) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes some of `bytes`: returns how many once all of them left. When it would block, the next call must begin
    /// with the same bytes.
    pub(super) fn write(&mut self, stream: &mut impl io::Write, bytes: &[u8]) -> io::Result<usize> {
        if self.taken == 0 {
            self.taken = self.tls.writer().write(bytes)?;
        }
        while self.tls.wants_write() {
            if self.tls.write_tls(stream)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(core::mem::take(&mut self.taken))
    }

    /// Says that nothing more will come, as far as the stream takes it at once.
    pub(super) fn close(&mut self, stream: &mut impl io::Write) {
        self.tls.send_close_notify();
        while self.tls.wants_write() && self.tls.write_tls(stream).is_ok_and(|n| n > 0) {}
    }
}
