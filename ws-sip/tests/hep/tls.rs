//! Over TLS.

use core::net::SocketAddr;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use ws_sip::hep::{Change, Destination, Sender, SenderError, SenderOptions};

use crate::collector::{PATIENCE, Stream, hasty, send, start, until};

/// A collector with a certificate of an authority of its own.
struct Collector {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    /// The authority's certificate, in a file that goes with this.
    ca: PathBuf,
}

impl Collector {
    fn new(test: &str) -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(authority, key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let ca = std::env::temp_dir().join(format!("ws-sip-{}-{test}.pem", std::process::id()));
        std::fs::write(&ca, authority.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), config: Arc::new(config), ca }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn destination(&self, host: &str) -> Destination {
        format!("[hep] {host}:{};transport=tls", self.address().port()).parse().unwrap()
    }

    fn options(&self) -> SenderOptions {
        let mut options = hasty();
        options.tls_ca = Some(self.ca.clone());
        options
    }

    fn accept(&self) -> StreamOwned<ServerConnection, TcpStream> {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(ServerConnection::new(Arc::clone(&self.config)).unwrap(), stream)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca);
    }
}

#[test]
fn packets_go_encrypted_to_whom_the_authority_vouches_for() {
    let collector = Collector::new("good");
    for host in ["127.0.0.1", "localhost"] {
        let (sender, told) = start(&collector.destination(host), &collector.options());
        for number in 0..100 {
            assert!(send(&sender, number, 600 * number));
        }
        let mut stream = Stream::new(collector.accept());
        for number in 0..100 {
            assert_eq!(stream.next(), Some(number));
        }
        told.up();
        until(|| sender.counters().sent == 100);
        drop(sender);
        assert_eq!(stream.next(), None, "the end is told as TLS tells it");
        assert!(told.rest().is_empty());
    }
}

#[test]
fn a_collector_that_nobody_vouches_for_gets_nothing() {
    let (collector, other) = (Collector::new("stranger"), Collector::new("other"));
    let mut options = collector.options();
    options.tls_ca = Some(other.ca.clone());
    let (sender, told) = start(&collector.destination("127.0.0.1"), &options);
    send(&sender, 0, 100);
    let mut stream = collector.accept();
    let mut byte = [0];
    assert!(std::io::Read::read(&mut stream, &mut byte).is_err());
    let error = told.down().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(sender.counters().sent, 0);
}

#[test]
fn a_collector_that_closed_is_noticed_before_anything_is_lost() {
    let collector = Collector::new("closing");
    let (sender, told) = start(&collector.destination("127.0.0.1"), &collector.options());
    for round in 0..2 {
        send(&sender, round, 100);
        let mut stream = Stream::new(collector.accept());
        assert_eq!(stream.next(), Some(round));
        told.up();
        let mut stream = stream.into_inner();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        told.down();
    }
    assert_eq!((sender.counters().sent, sender.counters().dropped), (2, 0));
}

#[test]
fn a_slow_reader_costs_the_newest_and_tears_nothing() {
    let collector = Collector::new("slow");
    let mut options = collector.options();
    options.stall_timeout = PATIENCE;
    let (sender, told) = start(&collector.destination("127.0.0.1"), &options);
    send(&sender, 0, 100);
    let mut stream = Stream::new(collector.accept());
    assert_eq!(stream.next(), Some(0));
    told.up();
    let mut sent = Vec::new();
    let mut number = 1;
    while sender.counters().dropped == 0 {
        if send(&sender, number, 60_000) {
            sent.push(number);
        }
        number += 1;
    }
    assert!(matches!(told.next(), Change::Dropping));
    for number in sent {
        assert_eq!(stream.next(), Some(number));
    }
}

#[test]
fn a_file_without_certificates_is_refused_at_the_start() {
    let collector = Collector::new("refused");
    let not_pem = collector.ca.with_extension("txt");
    std::fs::write(&not_pem, "no certificate").unwrap();
    for (path, told) in
        [(not_pem.as_path(), "no certificate in it"), (Path::new("/nowhere/ca.pem"), "ca.pem")]
    {
        let mut options = hasty();
        options.tls_ca = Some(path.into());
        let error = Sender::start(&collector.destination("127.0.0.1"), &options, |_| {}).unwrap_err();
        assert!(matches!(error, SenderError::Tls(_)));
        let error = error.to_string();
        assert!(error.contains(told) && !error.contains('\n'), "{error}");
    }
    std::fs::remove_file(not_pem).unwrap();
}
