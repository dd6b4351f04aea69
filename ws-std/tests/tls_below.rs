//! TLS over streams that are more than a socket: what they keep leaves, and what they bring is read when they break.
#![cfg(all(feature = "tls", unix))]

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore};
use ws_core::{Outcome, StatusCode};
use ws_std::{ClientBuilder, Error, Interest, Message, TlsStream, Transport, WebSocket};

/// A socket.
#[derive(Debug)]
struct Below {
    socket: TcpStream,
    /// What it took and passes on only when asked to, if that is its way.
    kept: Option<Mutex<Vec<u8>>>,
    /// Writes fail from now on.
    is_broken: AtomicBool,
    /// How much it takes yet.
    room: AtomicUsize,
}

impl Below {
    fn new(socket: TcpStream, keeps: bool) -> Self {
        Self {
            socket,
            kept: keeps.then(Mutex::default),
            is_broken: AtomicBool::new(false),
            room: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Transport for Below {
    fn prepare(&self) -> io::Result<()> {
        Transport::prepare(&self.socket)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&self.socket, buffer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Transport::set_read_timeout(&self.socket, timeout)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match &self.kept {
            None => {
                let room = self.room.load(Ordering::Relaxed);
                if room == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let n = self.socket.try_write(&bytes[..bytes.len().min(room)])?;
                self.room.store(room - n, Ordering::Relaxed);
                Ok(n)
            }
            Some(_) if !self.try_flush()? => Err(io::ErrorKind::WouldBlock.into()),
            Some(kept) => {
                kept.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn try_flush(&self) -> io::Result<bool> {
        let Some(kept) = &self.kept else { return Ok(true) };
        let mut kept = kept.lock().unwrap();
        while !kept.is_empty() {
            match self.socket.try_write(&kept) {
                Ok(n) => drop(kept.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        self.socket.wait(interest, timeout)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown_write()
    }

    fn shutdown(&self) {
        Transport::shutdown(&self.socket);
    }
}

/// What a server goes by, and a client that trusts it.
fn identity() -> (Arc<rustls::ServerConfig>, Arc<ClientConfig>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let client = client.with_safe_default_protocol_versions().unwrap();
    let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
    let server = rustls::ServerConfig::builder_with_provider(provider);
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (Arc::new(server.with_single_cert(vec![certificate.der().clone()], key).unwrap()), client)
}

/// A server over a socket, and a client over a socket that may keep what it takes.
fn pair(keeps: bool) -> (WebSocket<TlsStream>, WebSocket<TlsStream<Below>>) {
    let (server, client) = identity();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let client = thread::spawn(move || {
        let below = Below::new(connected, keeps);
        let stream = TlsStream::connect(below, "localhost", &client, Some(Duration::from_secs(10))).unwrap();
        ClientBuilder::new("wss://localhost/").connect_over(stream).unwrap()
    });
    let server = ws_std::accept_tls(listener.accept().unwrap().0, &server, &Arc::default()).unwrap();
    (server, client.join().unwrap())
}

#[test]
fn what_the_stream_below_keeps_leaves() {
    let (mut server, mut client) = pair(true);
    let server = thread::spawn(move || {
        while let Some(message) = server.read().unwrap() {
            server.send(message).unwrap();
        }
    });
    client.send_text("hello").unwrap();
    assert_eq!(client.read().unwrap(), Some("hello".into()));
    assert!(client.close(StatusCode::NORMAL, "").unwrap().is_clean());
    server.join().unwrap();
}

/// Waits until a server's whole message of `len` bytes lies in a socket, in records of TLS 1.3.
fn await_message(socket: &TcpStream, len: usize) {
    let frame = len + if len < 126 { 2 } else { 4 };
    let bytes = frame + 22 * frame.div_ceil(1 << 14);
    while rustix::io::ioctl_fionread(socket).unwrap() < bytes as u64 {
        thread::yield_now();
    }
}

/// Of one record, and of several, none of which comes in one read.
#[test]
fn what_arrived_is_read_although_a_write_failed() {
    for len in [5, 60_000] {
        let (mut server, mut client) = pair(false);
        let message = Message::from(vec![7; len]);
        server.send(message.clone()).unwrap();
        await_message(&client.get_ref().get_ref().socket, len);
        client.get_ref().get_ref().is_broken.store(true, Ordering::Relaxed);
        let is_lost = |error: &Error| error.outcome() == Some(&Outcome::TransportLost);
        assert!(client.send_text("hello").is_err_and(|error| is_lost(&error)));
        assert_eq!(client.read().unwrap(), Some(message), "{len} bytes");
        assert!(client.read().is_err_and(|error| is_lost(&error)));
    }
}

#[test]
fn each_piece_of_a_record_that_leaves_is_told() {
    let (_server, client) = pair(false);
    let stream = client.get_ref();
    let set_room = |room| stream.get_ref().room.store(room, Ordering::Relaxed);
    let mut told = vec![stream.passed_on()];
    set_room(10);
    assert_eq!(stream.try_write(b"hello").unwrap(), 5);
    told.push(stream.passed_on());
    assert!(!stream.try_flush().unwrap());
    assert_eq!(stream.passed_on(), told[1], "nothing left");
    set_room(1);
    assert!(!stream.try_flush().unwrap());
    told.push(stream.passed_on());
    set_room(usize::MAX);
    assert!(stream.try_flush().unwrap());
    told.push(stream.passed_on());
    assert!(told.is_sorted_by(|a, b| a < b), "{told:?}");
}

/// A peer that never says anything.
#[derive(Debug, Default)]
struct Silent {
    read_timeout: Mutex<Option<Duration>>,
    waited: Mutex<Duration>,
}

impl Silent {
    fn wait_in_vain(&self, timeout: Option<Duration>) {
        let timeout = timeout.expect("there is a limit");
        *self.waited.lock().unwrap() += timeout;
        thread::sleep(timeout);
    }
}

impl Transport for &Silent {
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        self.wait_in_vain(*self.read_timeout.lock().unwrap());
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.read_timeout.lock().unwrap() = timeout;
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn wait(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Interest> {
        let ready = Interest { read: false, ..interest };
        if ready == Interest::default() {
            self.wait_in_vain(timeout);
        }
        Ok(ready)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self) {}
}

#[test]
fn a_handshake_with_who_is_silent_takes_its_limit_once() {
    let limit = Duration::from_millis(20);
    let ends = |handshake: &dyn Fn(&Silent) -> io::Result<()>| {
        let (silent, start) = (Silent::default(), Instant::now());
        assert_eq!(handshake(&silent).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= limit);
        let waited = *silent.waited.lock().unwrap();
        assert!(waited <= limit, "waited for {waited:?}");
    };
    let (server, client) = identity();
    ends(&|stream| TlsStream::accept(stream, &server, Some(limit)).map(drop));
    ends(&|stream| TlsStream::connect(stream, "localhost", &client, Some(limit)).map(drop));
}
