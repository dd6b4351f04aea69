//! What TLS goes by: whom to trust, and who we are.

use core::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What WebSocket starts with, by its name in ALPN (RFC 7301).
pub(crate) const HTTP: &[u8] = b"http/1.1";

/// Returns what a client goes by. `ca` is a file of certificates in PEM to trust instead of the platform's; the error names
/// `setting` where such a file would help.
pub(crate) fn client_config(ca: Option<&Path>, setting: &str) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(ca, setting)?)
        .with_no_client_auth())
}

/// Returns what a server goes by: its certificate with those that lead to a known one behind it, and its private key, both
/// in PEM files.
pub(crate) fn server_config(certificate: &Path, private_key: &Path) -> Result<ServerConfig, String> {
    let cannot_use = |path: &Path, error: &dyn Display| format!("cannot use {}: {error}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| cannot_use(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| cannot_use(private_key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| cannot_use(certificate, &error))
}

fn roots(ca: Option<&Path>, setting: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        let failed = |error: &dyn Display| format!("cannot use {}: {error}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(&error))?;
            roots.add(certificate).map_err(|error| failed(&error))?;
        }
        if roots.is_empty() {
            return Err(failed(&"there is no certificate in it"));
        }
        return Ok(roots);
    }
    let platform = rustls_native_certs::load_native_certs();
    // A platform's store has odd certificates among many good ones.
    roots.add_parsable_certificates(platform.certs);
    if roots.is_empty() {
        return Err(format!("the system has no trusted certificates; name a file with `{setting}`"));
    }
    Ok(roots)
}
