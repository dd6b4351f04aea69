//! TLS by rustls, under a futures-io stream.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::{TlsAcceptor, TlsConnector};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig};

use crate::TcpStream;
use crate::dial::within;

/// What WebSocket starts with, by its name in ALPN (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// What took too long.
const TIMEOUT: &str = "TLS handshake timeout";

/// TLS over a stream.
///
/// The peer's end of the stream is one only if it said so (close_notify): a stream that ends otherwise was cut off, by
/// whomever, and breaks the connection with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) as its cause.
#[derive(Debug)]
pub struct TlsStream<S = TcpStream>(futures_rustls::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Does the TLS handshake of a client with the server of that name, or address. `timeout`: for all of it.
    ///
    /// # Errors
    /// The stream's own; [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no name;
    /// [`InvalidData`](io::ErrorKind::InvalidData) with a [`rustls::Error`] if the handshake fails;
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub async fn connect(
        stream: S,
        host: &str,
        config: &Arc<ClientConfig>,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        Ok(Self(within(timeout, TIMEOUT, handshake).await?.into()))
    }

    /// Does the TLS handshake of a server. `timeout`: for all of it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn accept(
        stream: S,
        config: &Arc<ServerConfig>,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
        Ok(Self(within(timeout, TIMEOUT, handshake).await?.into()))
    }

    /// Returns the stream below.
    pub fn get_ref(&self) -> &S {
        self.0.get_ref().0
    }

    /// Returns the state of TLS: ALPN, the peer's certificates and the like.
    pub fn connection(&self) -> &CommonState {
        self.0.get_ref().1
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
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
