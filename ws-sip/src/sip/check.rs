//! The rules that every message keeps, and what RFC 7118 asks of a WebSocket message that carries one.

use super::addr::NameAddr;
use super::error::{Fault, HeadError, ValueError};
use super::head::{Message, StartLine};
use super::lex;
use super::name::Header;
use super::via::Via;

/// What one WebSocket message of the `sip` subprotocol carries.
#[derive(Clone, Debug)]
pub enum Received<'a> {
    /// `CRLF CRLF`: a keepalive, answered by [`PONG`] (RFC 5626 section 4.4.1).
    KeepalivePing,
    /// `CRLF`: the answer to a keepalive of ours.
    KeepalivePong,
    /// One SIP message.
    Sip(Message<'a>),
}

/// What keeps a flow open when sent to its peer.
pub const PING: &[u8] = b"\r\n\r\n";
/// The answer to [`PING`].
pub const PONG: &[u8] = b"\r\n";

impl<'a> Received<'a> {
    /// Tells what a WebSocket message carries.
    ///
    /// # Errors
    /// When it is nothing that this subprotocol knows.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, HeadError> {
        match bytes {
            PING => Ok(Self::KeepalivePing),
            PONG => Ok(Self::KeepalivePong),
            _ => Message::parse(bytes).map(Self::Sip),
        }
    }
}

/// The sequence number and method of a CSeq (RFC 3261 section 20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// The method as it was written.
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads the header field's value.
    ///
    /// # Errors
    /// [`ValueError::Number`] when the number is malformed or 2^31 and above, [`ValueError::Protocol`] when no
    /// method follows.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let (digits, rest) = lex::take_while(value, |byte| byte.is_ascii_digit());
        let number = lex::number(digits)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number < 1 << 31);
        let number = number.ok_or(ValueError::Number)?;
        let method = lex::trim_start(rest);
        if method.len() == rest.len() || method.is_empty() || !method.iter().all(|&byte| lex::is_token(byte))
        {
            return Err(ValueError::Protocol);
        }
        Ok(Self { number, method })
    }
}

/// What [`Message::check`] found on its way.
#[derive(Clone, Copy, Debug)]
pub struct Essentials<'a> {
    /// The topmost Via.
    pub via: Via<'a>,
    /// From.
    pub from: NameAddr<'a>,
    /// To.
    pub to: NameAddr<'a>,
    /// Call-ID.
    pub call_id: &'a [u8],
    /// CSeq.
    pub cseq: CSeq<'a>,
    /// Max-Forwards, which a request of an old client may lack.
    pub max_forwards: Option<u8>,
}

impl<'a> Message<'a> {
    /// Checks what every element checks before it acts on a message: version, the header fields without which
    /// there is no transaction, each once, and a body as long as Content-Length says (RFC 3261 sections 8.1.1,
    /// 16.3 and 18.3; RFC 7118 section 5.1, by which Content-Length may be missing).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<Essentials<'a>, Fault> {
        if let StartLine::Request { version_2: false, .. } = self.start_line() {
            return Err(Fault::Version);
        }
        if self.has_bad_line {
            return Err(Fault::HeaderField);
        }
        let (mut via, mut from, mut to, mut call_id, mut cseq) = (None, None, None, None, None);
        let (mut max_forwards, mut content_length) = (None, None);
        for field in self.fields() {
            let value = self.value_of(field);
            match field.header() {
                Header::Via if via.is_none() => via = Some(value),
                Header::From => once(&mut from, value, "From")?,
                Header::To => once(&mut to, value, "To")?,
                Header::CallId => once(&mut call_id, value, "Call-ID")?,
                Header::CSeq => once(&mut cseq, value, "CSeq")?,
                Header::MaxForwards => once(&mut max_forwards, value, "Max-Forwards")?,
                Header::ContentLength => once(&mut content_length, value, "Content-Length")?,
                _ => {}
            }
        }
        let need = |value: Option<&'a [u8]>, name| value.ok_or(Fault::Missing(name));
        let via = need(via, "Via")?;
        let (start, end) = lex::List::new(via).next().unwrap_or_default();
        let via = Via::parse(via.get(start..end).unwrap_or_default())
            .map_err(|error| Fault::Value("Via", error))?;
        let from = address(need(from, "From")?, "From")?;
        let to = address(need(to, "To")?, "To")?;
        let call_id = need(call_id, "Call-ID")?;
        if call_id.is_empty() || call_id.iter().any(|&byte| lex::is_lws(byte)) {
            return Err(Fault::Value("Call-ID", ValueError::Parameter));
        }
        let cseq = CSeq::parse(need(cseq, "CSeq")?).map_err(|error| Fault::Value("CSeq", error))?;
        if let StartLine::Request { token, .. } = self.start_line()
            && token != cseq.method
        {
            return Err(Fault::CSeqMethod);
        }
        let max_forwards = max_forwards
            .map(|value| {
                let number = lex::number(value).and_then(|number| u8::try_from(number).ok());
                number.ok_or(Fault::Value("Max-Forwards", ValueError::Number))
            })
            .transpose()?;
        if let Some(value) = content_length {
            let declared = lex::number(value).ok_or(Fault::Value("Content-Length", ValueError::Number))?;
            match (self.body().len() as u64).cmp(&declared) {
                core::cmp::Ordering::Less => return Err(Fault::BodyTooShort),
                core::cmp::Ordering::Greater => return Err(Fault::BodyTooLong),
                core::cmp::Ordering::Equal => {}
            }
        }
        Ok(Essentials { via, from, to, call_id, cseq, max_forwards })
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], name: &'static str) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::Repeated(name)),
    }
}

/// From and To: one address, its parameters well-formed.
fn address<'a>(value: &'a [u8], name: &'static str) -> Result<NameAddr<'a>, Fault> {
    let bad = |error| Fault::Value(name, error);
    let addr = NameAddr::parse(value).map_err(bad)?;
    addr.params.into_iter().try_for_each(|param| param.map(drop)).map_err(bad)?;
    Ok(addr)
}
