//! The same over TLS: rustls with ring for all, TLS 1.3, no resumption; the names end in `, wss`.

use core::fmt::Write as _;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::servers::{Server, core_over, open, smol_over, std_over};

/// The environment variable that tells server and generator their certificate and key.
pub const VARIABLE: &str = "WS_BENCHES_TLS";

/// A certificate and its key for this run, in hexadecimal digits.
///
/// # Panics
/// If none can be made.
pub fn identity() -> &'static str {
    static IDENTITY: OnceLock<String> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("the name is sound");
        format!("{}:{}", hex(made.cert.der()), hex(&made.signing_key.serialize_der()))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes everything");
        digits
    })
}

fn given() -> io::Result<[Vec<u8>; 2]> {
    let invalid = || io::Error::other(format!("{VARIABLE} holds no certificate and key"));
    let bytes = |digits: &str| {
        let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).ok());
        pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()
    };
    let variable = std::env::var(VARIABLE).map_err(|_| invalid())?;
    let (certificate, key) = variable.split_once(':').ok_or_else(invalid)?;
    Ok([bytes(certificate).ok_or_else(invalid)?, bytes(key).ok_or_else(invalid)?])
}

/// The settings of all servers.
///
/// # Errors
/// If the certificate is not there or unsound.
pub fn server_config() -> io::Result<Arc<ServerConfig>> {
    let [certificate, key] = given()?;
    let key = PrivateKeyDer::try_from(key).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![CertificateDer::from(certificate)], key)
        })
        .map_err(io::Error::other)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Connects the generator.
///
/// # Errors
/// Those of the handshake.
pub fn connect(stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let [certificate, _] = given()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate)).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Our servers.
pub fn servers() -> Vec<Server> {
    vec![
        ("ws-core, wss", "blocking loop around the engine and rustls, one write for a read", core),
        ("ws-std, wss", "blocking; `read_ref`, messages lent", std),
        ("ws-smol, wss", "smol; `read_ref`, messages lent, replies of a read leave together", smol),
    ]
}

fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn core(listener: TcpListener) -> io::Result<()> {
    let tls = ServerConnection::new(server_config()?).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(tls, accept(&listener)?);
    open(&mut stream)?;
    core_over(stream)
}

fn std(listener: TcpListener) -> io::Result<()> {
    let stream = accept(&listener)?;
    std_over(ws_std::accept_tls(stream, &server_config()?, &Arc::default()).map_err(io::Error::other)?)
}

fn smol(listener: TcpListener) -> io::Result<()> {
    smol::block_on(async {
        let (stream, _) = ws_smol::Listener::try_from(listener)?.accept().await?;
        stream.get_ref().set_nodelay(true)?;
        let stream = ws_smol::TlsStream::accept(stream, &server_config()?, None).await?;
        smol_over(ws_smol::accept(stream, &Arc::default()).await.map_err(io::Error::other)?).await
    })
}
