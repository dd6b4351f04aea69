//! What is traced of connections over TLS.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write as _;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use ws_core::Outcome;
use ws_sip::Settings;

use crate::collector::PATIENCE;
use crate::common::{Node, Raw, Seen, options as request, until};
use crate::witness::{Witness, open, options};

const REFUSED: [&str; 3] = ["ACCEPTED", "FAILURE", "Failed to accept connection..."];

/// A certificate that vouches for itself, in files that go with this.
struct Certificate {
    directory: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ws-sip-secure-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let issued = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
        std::fs::write(directory.join("certificate.pem"), issued.cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
        Self { directory, der: issued.cert.der().clone() }
    }

    fn settings(&self) -> Settings {
        let mut settings = open();
        settings.ws_handshake_timeout = PATIENCE;
        settings.tls_certificate = Some(self.directory.join("certificate.pem"));
        settings.tls_private_key = Some(self.directory.join("key.pem"));
        settings.tls_ca = Some(self.directory.join("certificate.pem"));
        settings
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn server(settings: Settings) -> (Node, SocketAddr) {
    let mut node = Node::new(settings);
    let address = node.transport.listen("wss:127.0.0.1:0".parse().unwrap()).unwrap();
    (node, address)
}

fn not_opened(node: &Node) -> usize {
    node.seen.iter().filter(|seen| matches!(seen, Seen::NotOpened(..))).count()
}

#[test]
fn a_handshake_that_comes_to_nothing() {
    let certificate = Certificate::new("nothing");
    let mut witness = Witness::new();
    let (mut server, address) = server(certificate.settings());
    witness.watch(&mut server, options());
    let gone = |server: &mut Node, count| until(&mut [server], |nodes| not_opened(nodes[0]) == count);

    // Not a byte.
    drop(Raw::connect(address));
    gone(&mut server, 1);

    // Not a byte, and no end: an answer has nobody to go to.
    let mut settings = certificate.settings();
    settings.ws_handshake_timeout = Duration::from_millis(50);
    let (mut hasty, hasty_address) = self::server(settings);
    witness.watch(&mut hasty, options());
    let raw = Raw::connect(hasty_address);
    let reading = raw.read(usize::MAX);
    until(&mut [&mut hasty], |_| reading.is_finished());
    raw.0.shutdown(Shutdown::Write).unwrap();
    gone(&mut hasty, 1);

    // No TLS.
    let mut plain = Raw::connect(address);
    plain.send(b"GET / HTTP/1.1\r\n\r\n");
    gone(&mut server, 2);

    // The start of a record.
    let mut short = Raw::connect(address);
    short.send(b"\x16\x03\x01\x02");
    short.0.shutdown(Shutdown::Write).unwrap();
    gone(&mut server, 3);

    // All of TLS, and then nothing more.
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut raw = Raw::connect(address);
    let shaking = std::thread::spawn(move || {
        while tls.is_handshaking() {
            tls.complete_io(&mut raw.0).unwrap();
        }
        tls.send_close_notify();
        tls.write_tls(&mut raw.0).unwrap();
        raw.0.flush().unwrap();
        raw
    });
    gone(&mut server, 4);
    drop(shaking.join());

    witness.see(5);
    let [silent, late, no_tls, cut, nothing] = &witness.seen[..] else { panic!("{:?}", witness.seen) };
    for ended in [silent, nothing] {
        assert_eq!(ended.what(), ["CLOSED", "SUCCESS", "EOF received"]);
        assert_eq!(ended.get("Protocol"), "WSS");
    }
    for (failed, why) in [
        (late, "opening handshake timeout"),
        (no_tls, "the transport was lost: TLS: received corrupt message of type InvalidContentType"),
        (cut, "the transport was lost: TLS: the stream ended within the handshake"),
    ] {
        assert_eq!(failed.what(), REFUSED);
        assert_eq!([failed.get("Ws-Request"), failed.get("Ws-Reply")], ["", ""]);
        assert_eq!(failed.get("Reason"), why);
    }
    assert!(witness.is_exhausted());
}

/// Of a request that TLS did not let out nothing is told, but why.
#[test]
fn a_server_that_is_not_trusted() {
    let (certificate, other) = (Certificate::new("trusted"), Certificate::new("other"));
    let mut witness = Witness::new();
    let (mut server, address) = server(certificate.settings());
    let mut client = Node::new(other.settings());
    witness.watch(&mut client, options());
    let destination = format!("wss://localhost:{}/", address.port()).parse().unwrap();
    client.transport.flows().send_to(&destination, &request("1")).unwrap();
    until(&mut [&mut server, &mut client], |nodes| nodes.iter().all(|node| not_opened(node) == 1));
    assert!(matches!(server.seen[..], [Seen::NotOpened(_, Outcome::TransportLost)]));
    witness.see(1);
    let failed = &witness.seen[0];
    assert_eq!(failed.what(), ["CONNECTED", "FAILURE", "Failed to connect..."]);
    assert_eq!([failed.get("Ws-Request"), failed.get("Ws-Reply")], ["", ""]);
    assert_eq!(failed.get("Reason"), format!("the transport was lost: {}", client.errors[0]));
    assert!(client.errors[0].starts_with("TLS: invalid peer certificate: "), "{}", client.errors[0]);
    assert_eq!(failed.get("Destination"), format!("localhost:{}", address.port()));
}
