//! In place of TLS, in a build without the feature `tls`: there is no value of [`TlsSocket`].

use std::io;

use mio::net::TcpStream;

use crate::settings::Settings;

#[derive(Debug)]
pub(super) struct TlsConfigs;

impl TlsConfigs {
    pub(super) fn new(_settings: &Settings) -> Result<Self, String> {
        Ok(Self)
    }

    pub(super) const fn can_serve(&self) -> bool {
        false
    }

    pub(super) fn accept(&self, _stream: TcpStream) -> io::Result<TlsSocket> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn connect(
        &self,
        _stream: TcpStream,
        _host: &str,
        _settings: &Settings,
    ) -> io::Result<TlsSocket> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no TLS: it lacks the feature `tls`"))
    }
}

#[derive(Debug)]
pub(super) enum TlsSocket {}

impl TlsSocket {
    pub(super) const fn tcp_mut(&mut self) -> &mut TcpStream {
        match *self {}
    }

    pub(super) fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn end(&mut self) {
        match *self {}
    }
}
