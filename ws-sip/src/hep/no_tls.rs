//! In place of TLS, in a build without the feature `tls`: there is no value of these types.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

#[derive(Clone, Debug)]
pub(super) enum Tls {}

impl Tls {
    pub(super) fn new(_host: &str, _ca: Option<&Path>) -> Result<Self, String> {
        Err("this build has no TLS: it lacks the feature `tls`".into())
    }

    pub(super) fn handshake(&self, _stream: &TcpStream, _deadline: Instant) -> io::Result<Session> {
        match *self {}
    }
}

#[derive(Debug)]
pub(super) enum Session {}

impl Session {
    pub(super) fn check(&mut self, _stream: &mut impl io::Read) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn write(&mut self, _stream: &mut impl io::Write, _bytes: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn close(&mut self, _stream: &mut impl io::Write) {
        match *self {}
    }
}
