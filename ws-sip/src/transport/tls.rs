//! TLS over the connection of a flow.

use core::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::settings::Settings;
use crate::tls;

/// Bytes that are encrypted at once: a TLS record.
const RECORD_LEN: usize = 16 << 10;

/// What the settings mean to TLS.
#[derive(Clone, Debug)]
pub(super) struct TlsConfigs {
    /// `None` without a certificate.
    server: Option<Arc<ServerConfig>>,
    /// Made when the first flow needs it: a system without certificates has none to lack.
    client: OnceLock<Option<Arc<ClientConfig>>>,
}

impl TlsConfigs {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let server = match (&settings.tls_certificate, &settings.tls_private_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let mut config = tls::server_config(certificate, key)?;
                config.alpn_protocols = vec![tls::HTTP.to_vec()];
                Some(Arc::new(config))
            }
            (Some(_), None) => return Err("`tls_certificate` needs `tls_private_key`".into()),
            (None, Some(_)) => return Err("`tls_private_key` needs `tls_certificate`".into()),
        };
        let client = OnceLock::new();
        if settings.tls_ca.is_some() {
            // What is wrong with a file that was named is told at once.
            let _ = client.set(Some(client_config(settings)?));
        }
        Ok(Self { server, client })
    }

    /// Whether there is a certificate to serve with.
    pub(super) const fn can_serve(&self) -> bool {
        self.server.is_some()
    }

    /// Starts to speak TLS as a server.
    pub(super) fn accept(&self) -> io::Result<TlsSession> {
        let config = self.server.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(TlsSession::new(tls))
    }

    /// Starts to speak TLS as a client of `host`.
    pub(super) fn connect(&self, host: &str, settings: &Settings) -> io::Result<TlsSession> {
        let config = self.client.get_or_init(|| client_config(settings).ok());
        let config = config.as_ref().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "nothing to trust servers by: name a file with `tls_ca`")
        })?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(TlsSession::new(tls))
    }
}

fn client_config(settings: &Settings) -> Result<Arc<ClientConfig>, String> {
    let mut config = tls::client_config(settings.tls_ca.as_deref(), "tls_ca")?;
    config.alpn_protocols = vec![tls::HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// What TLS found wrong, or was told by the peer.
#[derive(Debug)]
struct TlsError(rustls::Error);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS: {}", self.0)
    }
}

impl core::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The stream ended, and TLS did not say so before.
fn cut_off(is_handshaking: bool) -> io::Error {
    let how = if is_handshaking { "within the handshake" } else { "without close_notify" };
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("TLS: the stream ended {how}"))
}

/// TLS over a connection that does not block.
#[derive(Debug)]
pub(super) struct TlsSession {
    tls: Connection,
    /// The peer has sent something.
    has_begun: bool,
}

impl TlsSession {
    fn new(tls: impl Into<Connection>) -> Self {
        Self { tls: tls.into(), has_begun: false }
    }

    /// Whether the handshake is not done: of what was written nothing has left, and nothing was read.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the peer has sent something.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Reads what is there, as many records as fit: together they are one arrival. The end of a stream that was cut off, and
    /// not ended by TLS's own means, is an error.
    pub(super) fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.tls.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(n) => {
                    filled += n;
                    if filled == buffer.len() {
                        return Ok(filled);
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // What came before it is told first; it is told again.
                Err(_) if filled > 0 => return Ok(filled),
                // A peer that never said a word of TLS cut nothing off.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !self.has_begun => {
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(cut_off(self.is_handshaking()));
                }
                Err(error) => return Err(error),
            }
            match self.tls.read_tls(stream) {
                Ok(n) => self.has_begun |= n > 0,
                Err(_) if filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The peer is told what is wrong, as far as that goes.
                let _ = self.flush(stream);
                if filled > 0 {
                    return Ok(filled);
                }
                return Err(io::Error::new(io::ErrorKind::InvalidData, TlsError(error)));
            }
        }
    }

    /// Takes some bytes to be encrypted and sent, if those before have left.
    pub(super) fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush(stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.tls.writer().write(&bytes[..bytes.len().min(RECORD_LEN)])?;
        if n == 0 {
            // Before its handshake is done, TLS keeps a bounded number of bytes.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.flush(stream)?;
        Ok(n)
    }

    /// Writes what was encrypted and did not leave yet; returns whether that is all.
    pub(super) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will come, as far as the stream takes it at once.
    pub(super) fn end(&mut self, stream: &mut TcpStream) {
        self.tls.send_close_notify();
        let _ = self.flush(stream);
    }
}
