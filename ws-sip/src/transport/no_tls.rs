//! In place of TLS, in a build without the feature `tls`: there is no value of [`TlsSession`].

use std::io;

use mio::net::TcpStream;

use crate::settings::Settings;

#[derive(Clone, Debug)]
pub(super) struct TlsConfigs;

impl TlsConfigs {
    pub(super) fn new(_settings: &Settings) -> Result<Self, String> {
        Ok(Self)
    }

    pub(super) const fn can_serve(&self) -> bool {
        false
    }

    pub(super) fn accept(&self) -> io::Result<TlsSession> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn connect(&self, _host: &str, _settings: &Settings) -> io::Result<TlsSession> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no TLS: it lacks the feature `tls`"))
    }
}

#[derive(Debug)]
pub(super) enum TlsSession {}

impl TlsSession {
    pub(super) const fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(super) const fn has_begun(&self) -> bool {
        match *self {}
    }

    pub(super) fn read(&mut self, _stream: &mut TcpStream, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn write(&mut self, _stream: &mut TcpStream, _bytes: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush(&mut self, _stream: &mut TcpStream) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn end(&mut self, _stream: &mut TcpStream) {
        match *self {}
    }
}
