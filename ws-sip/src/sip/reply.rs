//! Responses made here to a request (RFC 3261 section 8.2.6).

use super::edit::{append, append_number};
use super::head::Message;
use super::name::Header;
use super::via::Via;
use core::fmt;
use core::net::SocketAddr;

/// The header fields that every response copies from its request, kept for responses that come later.
///
/// Holds the lines Via (all of them), From, Call-ID, CSeq and To in this order.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    lines: Box<[u8]>,
    parts: Parts,
}

/// Where the lines end, counted from the first Via. To has no CRLF yet: a tag may follow.
#[derive(Clone, Copy, Debug)]
struct Parts {
    via_end: usize,
    call_id_end: usize,
    cseq_end: usize,
    has_tag: bool,
}

impl ReplyHead {
    /// Copies the header fields of a request, or returns `None` when it lacks one of them and so cannot be answered.
    ///
    /// With `peer`, the topmost Via gets `received`, and `rport` if it asked for it (RFC 3261 section 18.2.1,
    /// RFC 3581); over WebSocket a server may leave both out (RFC 7118 section 5.2.3).
    pub fn of(request: &Message<'_>, peer: Option<SocketAddr>) -> Option<Self> {
        let mut lines = Vec::with_capacity(512);
        let parts = write_lines(request, peer, &mut lines)?;
        Some(Self { lines: lines.into_boxed_slice(), parts })
    }

    /// Starts a response.
    pub fn reply(&self, status: u16, reason: &str, tag: impl AsRef<[u8]>) -> Reply {
        let mut out = Vec::with_capacity(self.lines.len() + 160);
        write_status_line(&mut out, status, reason);
        out.extend_from_slice(&self.lines);
        end_to(&mut out, status, self.parts.has_tag, tag.as_ref());
        Reply { out }
    }

    /// How many bytes are kept.
    pub fn stored_len(&self) -> usize {
        self.lines.len()
    }

    /// From and Call-ID, two whole lines: what a CANCEL or ACK to the next hop has in common with the request.
    pub fn from_and_call_id(&self) -> &[u8] {
        self.lines.get(self.parts.via_end..self.parts.call_id_end).unwrap_or_default()
    }

    /// The To line, without a tag unless the request had one, and without CRLF.
    pub fn to(&self) -> &[u8] {
        self.lines.get(self.parts.cseq_end..).unwrap_or_default()
    }
}

/// A response under construction.
#[derive(Debug)]
pub struct Reply {
    out: Vec<u8>,
}

impl Reply {
    /// Starts a response to `request`; see [`ReplyHead::of`]. `tag` becomes the To tag unless there is one or the
    /// status is 100.
    pub fn to(
        request: &Message<'_>,
        peer: Option<SocketAddr>,
        status: u16,
        reason: &str,
        tag: impl AsRef<[u8]>,
    ) -> Option<Self> {
        let mut out = Vec::with_capacity(request.body_start() + 256);
        write_status_line(&mut out, status, reason);
        let parts = write_lines(request, peer, &mut out)?;
        end_to(&mut out, status, parts.has_tag, tag.as_ref());
        Some(Self { out })
    }

    /// Adds a header field.
    pub fn header(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        append(&mut self.out, format_args!("{name}: {value}\r\n"));
        self
    }

    /// Adds what `write` appends: whole lines with their CRLF.
    pub fn lines(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(&mut self.out);
        self
    }

    /// Ends the response, which has no body.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        self.out
    }
}

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"SIP/2.0 ");
    append_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn end_to(out: &mut Vec<u8>, status: u16, has_tag: bool, tag: &[u8]) {
    if !has_tag && status > 100 {
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(tag);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_lines(request: &Message<'_>, peer: Option<SocketAddr>, out: &mut Vec<u8>) -> Option<Parts> {
    let start = out.len();
    let line = |header| request.first(header).map(|field| request.line_of(field));
    let mut is_topmost = true;
    for field in request.all(Header::Via) {
        match peer.filter(|_| is_topmost).and_then(|peer| Some((peer, request.values(Header::Via).next()?))) {
            Some((peer, topmost)) => {
                out.extend_from_slice(b"Via: ");
                write_received(topmost.bytes, peer, out);
                out.extend_from_slice(request.bytes().get(topmost.end..field.end()).unwrap_or_default());
            }
            None => out.extend_from_slice(request.line_of(field)),
        }
        is_topmost = false;
    }
    let via_end = out.len() - start;
    if via_end == 0 {
        return None;
    }
    out.extend_from_slice(line(Header::From)?);
    out.extend_from_slice(line(Header::CallId)?);
    let call_id_end = out.len() - start;
    out.extend_from_slice(line(Header::CSeq)?);
    let cseq_end = out.len() - start;
    let to = request.first(Header::To)?;
    out.extend_from_slice(request.bytes().get(to.start()..to.value_end())?);
    let has_tag = super::addr::NameAddr::parse(request.value_of(to)).is_ok_and(|to| to.tag().is_some());
    Some(Parts { via_end, call_id_end, cseq_end, has_tag })
}

/// Appends a Via value with the address that it came from, and the port, unless that is 0: not known. One that cannot be read is
/// passed on as it is.
pub(crate) fn write_received(value: &[u8], peer: SocketAddr, out: &mut Vec<u8>) {
    let Ok(via) = Via::parse(value) else {
        out.extend_from_slice(value);
        return;
    };
    out.extend_from_slice(b"SIP/2.0/");
    out.extend_from_slice(via.transport);
    out.push(b' ');
    out.extend_from_slice(via.sent_by.host);
    if let Some(port) = via.sent_by.port {
        append(out, format_args!(":{port}"));
    }
    for param in via.params.map_while(Result::ok).filter(|param| !param.is("received") && !param.is("rport"))
    {
        out.push(b';');
        out.extend_from_slice(param.name);
        if let Some(value) = param.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    append(out, format_args!(";received={}", peer.ip()));
    if via.rport.is_some() && peer.port() != 0 {
        append(out, format_args!(";rport={}", peer.port()));
    }
}
