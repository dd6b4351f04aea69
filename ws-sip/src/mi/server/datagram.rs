//! Datagrams over UDP or a Unix socket: each is a request, and its response goes where it came from.

use core::net::SocketAddr;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Instant;

use mio::net::{UdpSocket, UnixDatagram};
use mio::{Interest, Registry};

use super::files::Made;
use super::{DATAGRAM, READS_A_TURN, Service};
use crate::mi::DatagramAddress;
use crate::mi::rpc::answer;

/// Bytes that a UDP datagram can carry over IPv4. Clients set their buffers by it for Unix sockets too.
const MAX_DATAGRAM_LEN: usize = 65_507;
/// Who may use the Unix socket: its owner and group.
const MODE: u32 = 0o660;

pub(super) struct Datagrams {
    socket: Socket,
    is_readable: bool,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram, #[expect(dead_code, reason = "held for its end")] Made),
}

/// Who sent a datagram.
enum Sender {
    Udp(SocketAddr),
    Unix(std::os::unix::net::SocketAddr),
}

impl Datagrams {
    pub(super) fn bind(address: &DatagramAddress, registry: &Registry) -> io::Result<Self> {
        let socket = match address {
            DatagramAddress::Udp(address) => {
                let mut socket = UdpSocket::bind(*address)?;
                registry.register(&mut socket, DATAGRAM, Interest::READABLE)?;
                Socket::Udp(socket)
            }
            DatagramAddress::Unix(path) => {
                let mut socket = bind_unix(path)?;
                let made = Made::new(path.clone(), &fs::symlink_metadata(path)?);
                fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
                registry.register(&mut socket, DATAGRAM, Interest::READABLE)?;
                Socket::Unix(socket, made)
            }
        };
        Ok(Self { socket, is_readable: true })
    }

    /// Returns the UDP address.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Udp(socket) => socket.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    pub(super) const fn ready(&mut self) {
        self.is_readable = true;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.is_readable.then(Instant::now)
    }

    pub(super) fn turn(&mut self, scratch: &mut [u8], service: &mut Service) {
        let mut turns = READS_A_TURN;
        while self.is_readable && turns > 0 {
            turns -= 1;
            match self.receive(scratch) {
                Ok((len, sender)) => {
                    service.counts.requests += 1;
                    let Some(response) = answer(service, &scratch[..len], MAX_DATAGRAM_LEN) else { continue };
                    if self.send(response.as_bytes(), &sender).is_err() {
                        service.counts.lost_responses += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_readable = false,
                // An earlier response met a closed port, or a signal came: the next datagram is what counts.
                Err(_) => {}
            }
        }
    }

    fn receive(&self, scratch: &mut [u8]) -> io::Result<(usize, Sender)> {
        match &self.socket {
            Socket::Udp(socket) => socket.recv_from(scratch).map(|(len, from)| (len, Sender::Udp(from))),
            Socket::Unix(socket, _) => socket.recv_from(scratch).map(|(len, from)| (len, Sender::Unix(from))),
        }
    }

    fn send(&self, response: &[u8], to: &Sender) -> io::Result<usize> {
        match (&self.socket, to) {
            (Socket::Udp(socket), Sender::Udp(to)) => socket.send_to(response, *to),
            (Socket::Unix(socket, _), Sender::Unix(to)) => match to.as_pathname() {
                Some(path) => socket.send_to(response, path),
                None => Err(io::Error::other("the sender has no address")),
            },
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Binds a Unix socket, in the place of one whose program is gone.
fn bind_unix(path: &Path) -> io::Result<UnixDatagram> {
    match UnixDatagram::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::Error::other("there is a file that is no socket"));
            }
            match UnixDatagram::unbound()?.connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                _ => return Err(io::Error::other("another program serves it")),
            }
            UnixDatagram::bind(path)
        }
        bound => bound,
    }
}
