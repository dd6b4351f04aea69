//! TLS by rustls, under a [`Transport`].

use core::cell::Cell;
use core::mem;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

use crate::transport::is_early;
use crate::{Duplex, Interest, Transport};

/// What is read of the stream at once: a TLS record.
const RECORD_LEN: usize = 16 << 10;
/// For how long the end of the TLS stream may wait to leave.
const PATIENCE: Duration = Duration::from_secs(1);
/// What WebSocket starts with, by its name in ALPN (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// TLS over a stream.
///
/// The peer's end of the stream is one only if it said so (close_notify): a stream that ends otherwise was cut off, by
/// whomever, and breaks the connection with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) as its cause.
#[derive(Debug)]
pub struct TlsStream<S = TcpStream> {
    stream: S,
    /// Locked for single steps, never while something is waited for.
    tls: Mutex<Tls>,
}

#[derive(Debug)]
struct Tls {
    connection: Connection,
    /// What was read and waits, from `held_at` on, until what came before it was fetched: rustls holds little that is
    /// decrypted.
    held: Vec<u8>,
    held_at: usize,
    /// How many bytes the stream took, modulo 2^n.
    passed_on: usize,
}

thread_local! {
    /// What this thread reads into.
    static RECORD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `read` with room for a record.
fn with_record<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut record = RECORD.try_with(Cell::take).unwrap_or_default();
    record.resize(RECORD_LEN, 0);
    let result = read(&mut record);
    // None while the thread ends.
    let _ = RECORD.try_with(|kept| kept.set(record));
    result
}

impl<S: Transport> TlsStream<S> {
    /// Does the TLS handshake of a client with the server of that name, or address. `timeout`: for all of it.
    ///
    /// # Errors
    /// The stream's own; [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no name;
    /// [`InvalidData`](io::ErrorKind::InvalidData) with a [`rustls::Error`] if the handshake fails;
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn connect(
        stream: S,
        host: &str,
        config: &Arc<ClientConfig>,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Self::open(stream, tls.into(), timeout)
    }

    /// Does the TLS handshake of a server. `timeout`: for all of it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn accept(stream: S, config: &Arc<ServerConfig>, timeout: Option<Duration>) -> io::Result<Self> {
        let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Self::open(stream, tls.into(), timeout)
    }

    fn open(stream: S, tls: Connection, timeout: Option<Duration>) -> io::Result<Self> {
        stream.prepare()?;
        let open = Self {
            stream,
            tls: Mutex::new(Tls { connection: tls, held: Vec::new(), held_at: 0, passed_on: 0 }),
        };
        open.handshake(timeout)?;
        Ok(open)
    }

    fn handshake(&self, timeout: Option<Duration>) -> io::Result<()> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let interest = {
                let mut tls = self.lock();
                let flushed = self.flush(&mut tls)?;
                if flushed && !tls.connection.is_handshaking() {
                    return Ok(());
                }
                Interest { read: tls.connection.wants_read(), write: !flushed }
            };
            let left = match until {
                None => None,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timeout"));
                    }
                    Some(left)
                }
            };
            self.stream.set_read_timeout(left)?;
            // Where nothing but input is waited for, the read does that: after a wait in vain it would wait as long again.
            if !interest.write || self.wait(interest, left)?.read {
                match self.receive() {
                    Ok(true) => {}
                    Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) if is_early(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Returns the stream below.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Calls `look` with the state of TLS: for ALPN, the peer's certificates and the like.
    pub fn with_connection<R>(&self, look: impl FnOnce(&Connection) -> R) -> R {
        look(&self.lock().connection)
    }

    fn lock(&self) -> MutexGuard<'_, Tls> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decrypts what is held, or else what one read of the stream brings; false at its end. Nothing that is decrypted waits
    /// to be fetched.
    fn receive(&self) -> io::Result<bool> {
        {
            let mut tls = self.lock();
            if !tls.held.is_empty() {
                let (held, at) = (mem::take(&mut tls.held), tls.held_at);
                let used = self.decrypt(&mut tls, &held[at..])?;
                if at + used < held.len() {
                    tls.held = held;
                    tls.held_at = at + used;
                }
                return Ok(true);
            }
        }
        with_record(|record| {
            let n = self.stream.read(record)?;
            let mut tls = self.lock();
            if n == 0 {
                tls.connection.read_tls(&mut io::empty())?;
                return Ok(false);
            }
            let used = self.decrypt(&mut tls, &record[..n])?;
            if used < n {
                tls.held = record[used..n].to_vec();
                tls.held_at = 0;
            }
            Ok(true)
        })
    }

    /// Decrypts up to the first record that holds anything; returns how many bytes that took.
    fn decrypt(&self, tls: &mut Tls, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            tls.connection.read_tls(&mut rest)?;
            match tls.connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => break,
                Ok(_) => {}
                Err(error) => {
                    // What is wrong is told to the peer, as far as that goes at once.
                    let _ = self.flush(tls);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
        // What fails there fails in the next write too, and what arrived is not lost to it.
        let _ = self.flush(tls);
        Ok(bytes.len() - rest.len())
    }

    /// Writes what TLS has to send, without waiting; returns whether that was all.
    fn flush(&self, tls: &mut Tls) -> io::Result<bool> {
        let mut has_room = true;
        while has_room && tls.connection.wants_write() {
            match tls.connection.write_tls(&mut Sink(&self.stream)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => tls.passed_on = tls.passed_on.wrapping_add(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => has_room = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // The stream below may itself keep what it took, as TLS to a proxy does.
        Ok(self.stream.try_flush()? && has_room)
    }
}

impl<S: Transport> Transport for TlsStream<S> {
    fn prepare(&self) -> io::Result<()> {
        self.stream.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waited = false;
        loop {
            match self.lock().connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waited => {}
                result => return result,
            }
            // A record that is not complete is an early return to those who wait with a limit.
            self.receive()?;
            waited = true;
        }
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.lock();
        if !self.flush(&mut tls)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // What is taken here and not by the stream is no longer the caller's: not much, then.
        let n = tls.connection.writer().write(&bytes[..bytes.len().min(RECORD_LEN)])?;
        self.flush(&mut tls)?;
        Ok(n)
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.flush(&mut self.lock())
    }

    fn passed_on(&self) -> usize {
        self.lock().passed_on.wrapping_add(self.stream.passed_on())
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        if interest.read {
            let mut tls = self.lock();
            let state = tls.connection.process_new_packets();
            // An error shows in the read.
            let is_there =
                state.map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed());
            if is_there || !tls.held.is_empty() {
                return Ok(Interest::READ);
            }
        }
        self.stream.wait(interest, timeout)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        self.lock().connection.send_close_notify();
        while !self.try_flush()? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.stream.wait(Interest::WRITE, Some(left))?;
        }
        self.stream.shutdown_write()
    }

    fn shutdown(&self) {
        self.lock().connection.send_close_notify();
        // To a peer that does not take it, it makes no difference.
        let _ = self.try_flush();
        self.stream.shutdown();
    }
}

impl<S: Duplex> Duplex for TlsStream<S> {}

/// The write half of a [`Transport`] as rustls wants it.
struct Sink<'a, S>(&'a S);

impl<S: Transport> io::Write for Sink<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what a client goes by that was told nothing else: the certificates that the system trusts, TLS 1.2 and 1.3,
/// ALPN `http/1.1`. The certificates are read once.
///
/// # Errors
/// The system has no certificates that can be used.
pub fn client_config() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let platform = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(platform.certs);
    if taken == 0 {
        let why = platform.errors.first().map_or_else(|| "there are none".into(), ToString::to_string);
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("certificates that the system trusts: {why}"),
        ));
    }
    let config = client_config_for(roots)?;
    Ok(Arc::clone(CONFIG.get_or_init(|| config)))
}

/// Returns what a client goes by that trusts the certificates in this PEM file alone, and is else like
/// [`client_config`].
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn client_config_trusting(path: impl AsRef<Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(invalid)? {
        roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no certificate in the file"));
    }
    client_config_for(roots)
}

fn client_config_for(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// Returns what a server goes by that has this certificate, with those that lead to a known one behind it, and this
/// private key, both in PEM files. TLS 1.2 and 1.3, ALPN `http/1.1`, no certificates of clients.
///
/// # Errors
/// A file cannot be read or does not hold what it should, or the two do not belong together.
pub fn server_config(
    certificate: impl AsRef<Path>,
    private_key: impl AsRef<Path>,
) -> io::Result<Arc<ServerConfig>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).map_err(invalid)?.collect();
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(invalid)?;
    let mut config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(invalid)?, key)
        .map_err(invalid)?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}

fn invalid(error: impl core::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
