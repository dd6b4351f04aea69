//! Requests, from browsers to the upstream and back (RFC 3261 section 16.6).

use core::time::Duration;

use super::transactions::Arrived;
use super::{Edge, Side, UpstreamTransport};
use crate::flow::FlowId;
use crate::proxy::Refused;
use crate::sip::{
    Editor, Essentials, Header, Message, Method, NameAddr, Reply, SipUri, StartLine, append, write_received,
};

/// How far a request may go that does not say (RFC 3261 section 16.6 item 3).
const DEFAULT_MAX_FORWARDS: u8 = 70;
/// The parameter of our Via that names where the response goes.
pub(super) const VIA_PARAMETER: &str = "ws-flow";

/// Why a request is not forwarded.
enum Kept {
    /// It is answered here.
    Answer(u16, &'static str),
    /// So many bytes are too many for the upstream.
    TooLong(usize),
}
use Kept::Answer;

/// What the topmost Route values say.
struct Routes {
    /// How many of them are ours.
    own: usize,
    /// The flow that the last of ours names; `Some(None)` when it names none of ours.
    flow: Option<Option<FlowId>>,
}

impl Edge {
    pub(super) fn handle_request(
        &mut self,
        now: Duration,
        flow: FlowId,
        side: Side,
        message: &Message<'_>,
    ) -> Result<(), Refused> {
        let StartLine::Request { method, uri, .. } = message.start_line() else { return Ok(()) };
        let found = match message.check() {
            Ok(found) => found,
            Err(fault) => {
                self.answer(now, flow, message, method, fault.status(), &fault.to_string());
                return Err(Refused::Malformed(fault));
            }
        };
        if side == Side::Upstream && self.config.transport == UpstreamTransport::Udp {
            match self.transactions.handle_request(now, message, &found, method) {
                Arrived::New => {}
                Arrived::Again(None) => return Ok(()),
                Arrived::Again(Some(response)) => {
                    self.stats.retransmissions += 1;
                    self.send(flow, response);
                    return Ok(());
                }
                Arrived::TooMany => {
                    self.answer(now, flow, message, method, 503, "Service Unavailable");
                    return Ok(());
                }
            }
        }
        match self.forward(now, flow, side, message, method, uri, &found) {
            Ok(()) => {}
            Err(Answer(status, reason)) => self.answer(now, flow, message, method, status, reason),
            Err(Kept::TooLong(len)) if method == Method::Ack => return Err(Refused::TooLong(len)),
            Err(Kept::TooLong(_)) => self.answer(now, flow, message, method, 513, "Message Too Large"),
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what was found of one request, each used once")]
    fn forward(
        &mut self,
        now: Duration,
        from: FlowId,
        side: Side,
        message: &Message<'_>,
        method: Method,
        uri: &[u8],
        found: &Essentials<'_>,
    ) -> Result<(), Kept> {
        let hops = match found.max_forwards {
            Some(0) if method == Method::Options => return Err(Answer(200, "OK")),
            Some(0) => return Err(Answer(483, "Too Many Hops")),
            Some(hops) => hops - 1,
            None => DEFAULT_MAX_FORWARDS,
        };
        let uri = SipUri::parse(uri).ok();
        let routes = self.routes(message)?;
        let to = match side {
            Side::Client => self.upstream.ok_or(Answer(503, "Service Unavailable"))?,
            Side::Upstream => {
                // A strict router puts the Route into the Request-URI; what has no Route may name the flow there.
                let named = routes.flow.or_else(|| uri.as_ref().and_then(|uri| self.flow_of_uri(uri)));
                match named {
                    Some(Some(flow)) if self.flows.get(&flow) == Some(&Side::Client) => flow,
                    Some(None) if routes.own == 0 && method == Method::Options => {
                        return Err(Answer(200, "OK"));
                    }
                    Some(_) => {
                        self.stats.flow_failed += 1;
                        // RFC 5626, section 5.3.1.
                        return Err(Answer(430, "Flow Failed"));
                    }
                    None => return Err(Answer(404, "Not Found")),
                }
            }
        };
        let bytes = self.rewrite(from, to, side, message, method, found, &routes, hops);
        if side == Side::Client && !self.fits(bytes.len()) {
            return Err(Kept::TooLong(bytes.len()));
        }
        if side == Side::Client && self.config.transport == UpstreamTransport::Udp {
            let branch = self.branch(&found.via.sent_by, found.via.branch, message);
            if method == Method::Ack {
                self.transactions.send_ack(branch, &bytes);
            } else if !self.transactions.send_request(now, branch, from, message, method, &bytes) {
                return Err(Answer(503, "Service Unavailable"));
            }
        }
        if side == Side::Client && self.config.transport != UpstreamTransport::Udp {
            let branch = self.branch(&found.via.sent_by, found.via.branch, message);
            self.unanswered.add(now, branch, from, to, message, method);
        }
        match side {
            Side::Client => self.stats.requests_up += 1,
            Side::Upstream => self.stats.requests_down += 1,
        }
        self.send(to, bytes);
        Ok(())
    }

    fn routes(&self, message: &Message<'_>) -> Result<Routes, Kept> {
        let mut routes = Routes { own: 0, flow: None };
        let mut pair = None;
        for value in message.values(Header::Route) {
            let uri = NameAddr::parse(value.bytes).and_then(|addr| SipUri::parse(addr.uri));
            let uri = uri.map_err(|_| Answer(400, "Bad Route"))?;
            let is_second = pair.is_some_and(|first| uri.user == Some(first) && uri.param("r2").is_some());
            let flow = match self.flow_of_uri(&uri) {
                Some(flow) => flow,
                // An edge that was here before had another address towards the server, and other tokens.
                None if is_second => None,
                None => break,
            };
            pair = uri.user.filter(|_| !is_second && uri.param("r2").is_some());
            routes.own += 1;
            // One of a pair of Record-Routes names the browser's flow, and so does the other.
            routes.flow = Some(flow.or_else(|| routes.flow.flatten()));
        }
        Ok(routes)
    }

    #[expect(clippy::too_many_arguments, reason = "what was found of one request, each used once")]
    fn rewrite(
        &self,
        from: FlowId,
        to: FlowId,
        side: Side,
        message: &Message<'_>,
        method: Method,
        found: &Essentials<'_>,
        routes: &Routes,
        hops: u8,
    ) -> Vec<u8> {
        let branch = self.branch(&found.via.sent_by, found.via.branch, message);
        let back = self.tokens.token(from);
        let client = self.tokens.token(if side == Side::Client { from } else { to });
        let mut edit = Editor::new(message);
        edit.add_on_top(|out| {
            let (transport, host) = self.written(side.other());
            let is_secure = self.secure.contains(&to) || transport == UpstreamTransport::Wss;
            let transport = if is_secure { UpstreamTransport::Wss } else { transport };
            append(out, format_args!("Via: SIP/2.0/{} {host};branch=z9hG4bK{branch:016x};", transport.via()));
            append(out, format_args!("{VIA_PARAMETER}="));
            out.extend_from_slice(back.as_bytes());
        });
        if let Some(&peer) = self.peers.get(&from)
            && let Some(topmost) = message.values(Header::Via).next()
        {
            edit.replace(topmost.start, topmost.end, |out| write_received(topmost.bytes, peer, out));
        }
        if method == Method::Register && side == Side::Client {
            // RFC 5626, section 5.1: `ob` says that the edge keeps the flow.
            edit.add_on_top(|out| {
                out.extend_from_slice(b"Path: ");
                self.write_uri(out, Side::Upstream, client.as_bytes(), ";lr;ob");
            });
        }
        if method.forms_dialog() && found.to.tag().is_none() {
            // Two of them, since the transport changes: the one that faces the next hop on top.
            for side in [side.other(), side] {
                edit.add_on_top(|out| {
                    out.extend_from_slice(b"Record-Route: ");
                    self.write_uri(out, side, client.as_bytes(), ";lr;r2=on");
                });
            }
        }
        edit.set(Header::MaxForwards, "Max-Forwards", hops);
        edit.remove_values(Header::Route, routes.own);
        if side == Side::Client {
            edit.ensure_content_length();
        }
        edit.finish()
    }

    /// What the edge writes of itself towards a side.
    fn written(&self, side: Side) -> (UpstreamTransport, &str) {
        match side {
            Side::Client => (UpstreamTransport::Ws, &self.config.client_host),
            Side::Upstream => (self.config.transport, &self.config.upstream_host),
        }
    }

    fn write_uri(&self, out: &mut Vec<u8>, side: Side, token: &[u8], parameters: &str) {
        let (transport, host) = self.written(side);
        out.extend_from_slice(b"<sip:");
        out.extend_from_slice(token);
        append(out, format_args!("@{host};transport={}{parameters}>", transport.parameter()));
    }

    /// Answers a request here. ACK has no answer.
    pub(super) fn answer(
        &mut self,
        now: Duration,
        flow: FlowId,
        message: &Message<'_>,
        method: Method,
        status: u16,
        reason: &str,
    ) {
        if method == Method::Ack {
            return;
        }
        self.tags += 1;
        let tag = format!("e{:x}-{:x}", self.seed, self.tags);
        let Some(mut reply) = Reply::to(message, self.peers.get(&flow).copied(), status, reason, &tag) else {
            return;
        };
        if status == 200 {
            reply.header("Allow", "OPTIONS, REGISTER, INVITE, ACK, CANCEL, BYE, MESSAGE, SUBSCRIBE, NOTIFY, REFER, INFO, UPDATE, PRACK, PUBLISH");
            reply.header("Supported", "path, outbound");
        }
        let bytes = reply.finish();
        self.stats.answered += 1;
        self.transactions.send_own_answer(now, message, method, status, &bytes);
        self.send(flow, bytes);
    }
}
