//! Requests: what is checked first, and what is answered here.

use super::route::Destination;
use super::transaction::Local;
use super::{FlowInfo, Proxy, Refused};
use crate::flow::FlowId;
use crate::sip::{Essentials, Fault, Header, Message, Method, Reply, SipUri, StartLine, ValueError, append};
use core::time::Duration;

/// What a server that forwards every method says of itself (RFC 3261 section 11.2).
const CAPABILITIES: &[u8] =
    b"Allow: OPTIONS, REGISTER, INVITE, ACK, CANCEL, BYE, MESSAGE, SUBSCRIBE, NOTIFY, REFER, \
      INFO, UPDATE, PRACK, PUBLISH\r\nAccept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\n\
      Supported: path, outbound, gruu\r\n";

/// The option tags that Require may name in a request to the server itself.
const SUPPORTED: [&str; 3] = ["path", "outbound", "gruu"];

/// A request that passed the checks.
#[derive(Clone, Copy)]
pub(super) struct Request<'m, 'a> {
    pub(super) flow: FlowId,
    pub(super) info: FlowInfo,
    pub(super) message: &'m Message<'a>,
    pub(super) method: Method,
    /// The Request-URI as it was written.
    pub(super) raw_uri: &'a [u8],
    pub(super) uri: SipUri<'a>,
    pub(super) found: Essentials<'a>,
}

/// `Err` is a refusal that is still to be sent.
pub(super) type Outcome = Result<(), Local>;

/// A refusal.
pub(super) fn refuse<T>(status: u16, reason: &'static str) -> Result<T, Local> {
    Err(Local { status, reason })
}

impl Proxy {
    pub(super) fn handle_request(
        &mut self,
        now: Duration,
        flow: FlowId,
        message: &Message<'_>,
    ) -> Result<(), Refused> {
        let StartLine::Request { method, uri: raw_uri, .. } = message.start_line() else { return Ok(()) };
        let info = self.info(flow).ok_or(Refused::UnknownFlow)?;
        let checked = message.check().and_then(|found| match SipUri::parse(raw_uri) {
            Err(error) if error != ValueError::Scheme => Err(Fault::Value("Request-URI", error)),
            uri => Ok((found, uri.ok())),
        });
        let (found, uri) = match checked {
            Ok(found) => found,
            Err(fault) => {
                self.count_malformed(fault);
                if method != Method::Ack {
                    self.answer(flow, info, message, fault.status(), &fault.to_string(), |_| {});
                }
                return Err(Refused::Malformed(fault));
            }
        };
        self.stats.requests += 1;
        let Some(uri) = uri else {
            if method != Method::Ack {
                self.answer(flow, info, message, 416, "Unsupported URI Scheme", |_| {});
            }
            return Ok(());
        };
        let request = Request { flow, info, message, method, raw_uri, uri, found };
        let outcome = match method {
            Method::Ack => return self.handle_ack(now, &request),
            Method::Cancel => self.handle_cancel(now, &request),
            _ => self.serve_authenticated(now, &request),
        };
        if let Err(local) = outcome {
            self.answer(flow, info, message, local.status, local.reason, |_| {});
        }
        Ok(())
    }

    pub(super) fn count_malformed(&mut self, fault: Fault) {
        self.stats.malformed += 1;
        self.stats.octets_after_body += u64::from(fault == Fault::BodyTooLong);
    }

    pub(super) fn serve(&mut self, now: Duration, request: &Request<'_, '_>) -> Outcome {
        if request.message.first(Header::ProxyRequire).is_some() {
            let unsupported = |_: &&[u8]| true;
            if self.refuse_extensions(request, Header::ProxyRequire, unsupported) {
                return Ok(());
            }
        }
        if request.method == Method::Register {
            return self.register(now, request);
        }
        match self.route(now, request)? {
            Destination::Own => self.serve_own(request),
            Destination::Forward(route) => self.forward(now, request, &route),
        }
    }

    /// Answers a request whose final recipient is this server.
    pub(super) fn serve_own(&mut self, request: &Request<'_, '_>) -> Outcome {
        match request.method {
            Method::Options => {
                if !self.refuses_require(request) {
                    let lines = |out: &mut Vec<u8>| out.extend_from_slice(CAPABILITIES);
                    self.answer(request.flow, request.info, request.message, 200, "OK", lines);
                }
            }
            Method::Other => return refuse(501, "Not Implemented"),
            _ => {
                let lines = |out: &mut Vec<u8>| out.extend_from_slice(b"Allow: OPTIONS, REGISTER\r\n");
                self.answer(request.flow, request.info, request.message, 405, "Method Not Allowed", lines);
            }
        }
        Ok(())
    }

    /// Answers 420 if a request to this server requires what it does not support.
    pub(super) fn refuses_require(&mut self, request: &Request<'_, '_>) -> bool {
        let is_unknown =
            |tag: &&[u8]| !SUPPORTED.iter().any(|known| tag.eq_ignore_ascii_case(known.as_bytes()));
        request.message.first(Header::Require).is_some()
            && self.refuse_extensions(request, Header::Require, is_unknown)
    }

    /// Answers 420 if a header field lists an option tag that `is_unsupported`.
    fn refuse_extensions(
        &mut self,
        request: &Request<'_, '_>,
        header: Header,
        is_unsupported: impl Fn(&&[u8]) -> bool,
    ) -> bool {
        let mut unsupported = request.message.option_tags(header).filter(is_unsupported).peekable();
        if unsupported.peek().is_none() {
            return false;
        }
        self.answer(request.flow, request.info, request.message, 420, "Bad Extension", |out| {
            for tag in unsupported {
                out.extend_from_slice(b"Unsupported: ");
                out.extend_from_slice(tag);
                out.extend_from_slice(b"\r\n");
            }
        });
        true
    }

    /// Answers a request at once; one that lacks what a response needs is left without an answer.
    pub(super) fn answer(
        &mut self,
        flow: FlowId,
        info: FlowInfo,
        message: &Message<'_>,
        status: u16,
        reason: &str,
        lines: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(mut reply) = self.start_reply(info, message, status, reason) {
            reply.lines(lines);
            let bytes = self.finish_reply(status, reply);
            self.send(flow, bytes);
        }
    }

    pub(super) fn start_reply(
        &mut self,
        info: FlowInfo,
        message: &Message<'_>,
        status: u16,
        reason: &str,
    ) -> Option<Reply> {
        let peer = info.peer.filter(|_| self.config.add_received);
        Reply::to(message, peer, status, reason, self.tags.next())
    }

    /// Ends a response that is made here and counts it.
    pub(super) fn finish_reply(&mut self, status: u16, mut reply: Reply) -> Vec<u8> {
        if status >= 300 {
            self.stats.local_failures += 1;
        } else {
            self.stats.local_successes += 1;
        }
        if !self.config.server.is_empty() {
            reply.lines(|out| append(out, format_args!("Server: {}\r\n", self.config.server)));
        }
        reply.finish()
    }
}
