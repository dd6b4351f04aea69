//! Forwarding a request (RFC 3261 section 16.6).

use super::authenticate::name_of;
use super::names::ViaBranch;
use super::request::{Outcome, Request, refuse};
use super::route::{Destination, Route, Target};
use super::transaction::{Branch, BranchState, Phase, Transaction};
use super::{Proxy, Refused, transaction::Local};
use crate::flow::{FlowId, FlowToken};
use crate::sip::{Editor, Header, Method, NameAddr, ReplyHead, Via, append, write_received};
use core::hash::{Hash as _, Hasher as _};
use core::time::Duration;

/// How far a request may go that does not say (RFC 3261 section 16.6 item 3).
const DEFAULT_MAX_FORWARDS: u8 = 70;
/// How many branches a request may be in at a time that does not say (RFC 5393 section 5.3.3).
const DEFAULT_MAX_BREADTH: usize = 60;

/// What all branches of a request have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    pub(super) digest: u64,
    /// Max-Forwards.
    pub(super) hops: u8,
    /// Max-Breadth, if it changes.
    pub(super) breadth: Option<usize>,
    /// When a branch ends to which nothing came back.
    pub(super) until: Duration,
}

impl Proxy {
    pub(super) fn forward(&mut self, now: Duration, request: &Request<'_, '_>, route: &Route) -> Outcome {
        let is_invite = request.method == Method::Invite;
        let key = self.server_key(request, is_invite);
        if self.transactions.id_of_key(key).is_some() {
            self.stats.repeated_requests += 1;
            return Ok(());
        }
        let hops = match request.found.max_forwards {
            Some(0) if request.method == Method::Options => return self.serve_own(request),
            Some(0) => return refuse(483, "Too Many Hops"),
            Some(hops) => hops - 1,
            None => DEFAULT_MAX_FORWARDS,
        };
        let digest = self.digest(request);
        if self.is_loop(request, digest) {
            self.stats.loops += 1;
            return refuse(482, "Loop Detected");
        }
        let breadth = max_breadth(request)?;
        if breadth == 0 {
            return refuse(440, "Max-Breadth Exceeded");
        }
        let targets = route.targets.get(..breadth).unwrap_or(&route.targets);
        let peer = request.info.peer.filter(|_| self.config.add_received);
        let Some(head) = ReplyHead::of(request.message, peer) else { return refuse(400, "Bad Request") };
        self.check_load(request.flow, head.stored_len())?;

        let id = self.transactions.next_id();
        let onward = Onward {
            digest,
            hops,
            breadth: (targets.len() > 1).then(|| (breadth / targets.len()).max(1)),
            until: now + self.config.transaction_timeout,
        };
        let mut branches = Vec::with_capacity(targets.len());
        for (index, target) in targets.iter().enumerate() {
            branches.push(self.start_branch(request, route, target, (id, index), onward));
        }
        let retry = self.keep_for_retry(request, route, targets, onward);
        if is_invite {
            // 16.2: no 100 for other requests.
            let bytes = head.reply(100, "Trying", b"").finish();
            self.send(request.flow, bytes);
        }
        let transaction = Transaction {
            key,
            call: is_invite.then(|| self.call_key(request)),
            upstream: request.flow,
            upstream_gone: false,
            is_invite,
            is_cancelled: false,
            head,
            cseq: request.found.cseq.number,
            digest,
            phase: Phase::Proceeding,
            branches,
            best: None,
            retry,
        };
        if let Some(flow) = self.flows.get_mut(&request.flow) {
            flow.transactions += 1;
        }
        self.transactions.add(id, Box::new(transaction));
        Ok(())
    }

    /// Sends a request to `target` as a branch, which is known by the number of its transaction and its own.
    pub(super) fn start_branch(
        &mut self,
        request: &Request<'_, '_>,
        route: &Route,
        target: &Target,
        (id, index): (u64, usize),
        onward: Onward,
    ) -> Branch {
        let via = self.via_branch(id, index, onward.digest);
        let bytes = self.rewrite(request, route, target, via, onward.hops, onward.breadth);
        self.send(target.flow, bytes);
        self.stats.forwarded_requests += 1;
        let is_invite = request.method == Method::Invite;
        Branch {
            flow: target.flow,
            state: BranchState::Calling { until: onward.until },
            wants_cancel: false,
            gone: route.gone,
            uri: if is_invite { target.uri(request) } else { Box::default() },
            routes: if is_invite { routes_after(request, route, target) } else { Box::default() },
            instance: target.instance.clone(),
        }
    }

    /// ACK has no transaction of its own: that to a 2xx is forwarded, that to another response ends here
    /// (RFC 3261 section 17.1.1.3).
    pub(super) fn handle_ack(&mut self, now: Duration, request: &Request<'_, '_>) -> Result<(), Refused> {
        let key = self.server_key(request, true);
        if let Some(id) = self.transactions.id_of_key(key) {
            let phase = self.transactions.get(id).map(|transaction| transaction.phase);
            if matches!(phase, Some(Phase::Completed { .. }))
                && let Some(transaction) = self.transactions.take(id)
            {
                self.end(id, &transaction);
            }
            if !matches!(phase, Some(Phase::Accepted { .. })) {
                return Ok(());
            }
        } else if request.found.to.tag().is_some_and(|tag| self.tags.is_own(tag)) {
            return Ok(());
        }
        if !self.is_proven_ack(now, request) {
            self.stats.unproven_acks += 1;
            return Err(Refused::UnprovenAck);
        }
        let hops = request.found.max_forwards.unwrap_or(DEFAULT_MAX_FORWARDS);
        let digest = self.digest(request);
        let route = match self.route(now, request) {
            Ok(Destination::Forward(route)) if hops > 0 && !self.is_loop(request, digest) => route,
            _ => {
                self.stats.stray_acks += 1;
                return Ok(());
            }
        };
        let Some(target) = route.targets.first() else { return Ok(()) };
        let id = self.transactions.next_id();
        let via = self.via_branch(id, 0, digest);
        let bytes = self.rewrite(request, &route, target, via, hops - 1, None);
        self.send(target.flow, bytes);
        self.stats.forwarded_requests += 1;
        Ok(())
    }

    fn check_load(&mut self, flow: FlowId, len: usize) -> Outcome {
        let config = &self.config;
        let of_flow = self.flows.get(&flow).map_or(0, |flow| flow.transactions);
        if self.transactions.len() >= config.max_transactions
            || of_flow >= config.max_transactions_per_flow
            || self.transactions.stored_len() + len > config.max_stored_len
        {
            self.stats.overloads += 1;
            return refuse(503, "Too Many Transactions");
        }
        Ok(())
    }

    fn via_branch(&self, transaction: u64, index: usize, digest: u64) -> ViaBranch {
        // `Config::max_branches` is cut to what fits.
        ViaBranch { epoch: self.epoch, transaction, index: u16::try_from(index).unwrap_or(u16::MAX), digest }
    }

    /// The request as it goes to `target`.
    fn rewrite(
        &self,
        request: &Request<'_, '_>,
        route: &Route,
        target: &Target,
        via: ViaBranch,
        hops: u8,
        breadth: Option<usize>,
    ) -> Vec<u8> {
        let mut editor = Editor::new(request.message);
        if let Some(uri) = &target.uri {
            editor.set_request_uri(uri);
        }
        editor.add_on_top(|out| self.write_via(out, target.flow, via));
        if request.method.forms_dialog() {
            // The side that reads them from the top sends to the last: each side's route ends at the other's flow.
            let callee = self.callee_param(request);
            for (flow, param) in [(target.flow, ""), (request.flow, callee.as_str())] {
                let scheme = if request.uri.secure { "sips" } else { "sip" };
                let token = FlowToken::new(self.epoch, flow);
                let host = &self.config.host;
                editor.add_on_top(|out| {
                    append(
                        out,
                        format_args!("Record-Route: <{scheme}:{token}@{host};transport=ws;lr{param}>"),
                    )
                });
            }
        }
        if !target.path.is_empty() {
            editor.add_on_top(|out| {
                out.extend_from_slice(b"Route: ");
                out.extend_from_slice(&target.path);
            });
        }
        let values = request.message.values(Header::Route).count();
        if route.is_strict && route.own_routes + 1 >= values {
            editor.remove_values(Header::Route, values);
        } else {
            editor.remove_values(Header::Route, route.own_routes);
            if route.is_strict {
                editor.remove_last_value(Header::Route);
            }
        }
        if let Some(peer) = request.info.peer.filter(|_| self.config.add_received)
            && let Some(topmost) = request.message.values(Header::Via).next()
        {
            editor.replace(topmost.start, topmost.end, |out| write_received(topmost.bytes, peer, out));
        }
        if self.authenticator.is_some() {
            // 22.3: what was meant for this proxy goes no further.
            editor.remove_lines(Header::ProxyAuthorization);
            // RFC 3325, section 9.1: who it says is calling is the client's word alone.
            editor.remove_lines(Header::PAssertedIdentity);
        }
        editor.set(Header::MaxForwards, "Max-Forwards", hops);
        if let Some(breadth) = breadth {
            editor.set(Header::MaxBreadth, "Max-Breadth", breadth);
        }
        editor.finish()
    }

    /// Appends our Via without CRLF.
    pub(super) fn write_via(&self, out: &mut Vec<u8>, to: FlowId, branch: ViaBranch) {
        let transport = if self.info(to).is_some_and(|info| info.secure) { "WSS" } else { "WS" };
        append(out, format_args!("Via: SIP/2.0/{transport} {};branch={branch}", self.config.host));
    }

    /// What identifies a server transaction (RFC 3261 section 17.2.3). ACK and CANCEL of an INVITE have its key.
    /// Call-ID and CSeq are part of it for old clients whose branch alone is not unique.
    pub(super) fn server_key(&self, request: &Request<'_, '_>, is_invite: bool) -> u64 {
        let mut hasher = self.hasher();
        let found = &request.found;
        request.flow.hash(&mut hasher);
        is_invite.hash(&mut hasher);
        found.via.branch.hash(&mut hasher);
        found.via.sent_by.host.hash(&mut hasher);
        found.via.sent_by.port.hash(&mut hasher);
        found.call_id.hash(&mut hasher);
        found.cseq.number.hash(&mut hasher);
        hasher.finish()
    }

    /// What an ACK to a 2xx, which is a transaction of its own, has in common with its INVITE (RFC 3261 section 13.2.2.4),
    /// and who sent both.
    pub(super) fn call_key(&self, request: &Request<'_, '_>) -> u64 {
        let mut hasher = self.hasher();
        let found = &request.found;
        request.flow.hash(&mut hasher);
        found.call_id.hash(&mut hasher);
        found.cseq.number.hash(&mut hasher);
        found.from.tag().hash(&mut hasher);
        name_of(found.from.uri).hash(&mut hasher);
        hasher.finish()
    }

    /// A digest of all that decides where a request goes (RFC 5393 section 4.2).
    fn digest(&self, request: &Request<'_, '_>) -> u64 {
        let mut hasher = self.hasher();
        let found = &request.found;
        request.raw_uri.hash(&mut hasher);
        found.from.tag().hash(&mut hasher);
        found.to.tag().hash(&mut hasher);
        found.call_id.hash(&mut hasher);
        found.cseq.number.hash(&mut hasher);
        found.cseq.method.hash(&mut hasher);
        for value in request.message.values(Header::Route) {
            value.bytes.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether the request was here before and would take the same way again (RFC 3261 section 16.3 item 4).
    fn is_loop(&self, request: &Request<'_, '_>, digest: u64) -> bool {
        request.message.values(Header::Via).any(|value| {
            Via::parse(value.bytes).is_ok_and(|via| {
                let branch = via.branch.and_then(ViaBranch::parse);
                self.is_own(&via.sent_by)
                    && branch.is_some_and(|branch| branch.epoch == self.epoch && branch.digest == digest)
            })
        })
    }
}

impl Target {
    fn uri(&self, request: &Request<'_, '_>) -> Box<[u8]> {
        self.uri.clone().unwrap_or_else(|| request.raw_uri.into())
    }
}

/// The Route lines of the request as it is sent to `target`.
fn routes_after(request: &Request<'_, '_>, route: &Route, target: &Target) -> Box<[u8]> {
    let mut lines = Vec::new();
    let mut add = |value: &[u8]| {
        lines.extend_from_slice(b"Route: ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    };
    if !target.path.is_empty() {
        add(&target.path);
    }
    let count = request.message.values(Header::Route).count() - usize::from(route.is_strict);
    for value in request.message.values(Header::Route).take(count).skip(route.own_routes) {
        if NameAddr::parse(value.bytes).is_ok() {
            add(value.bytes);
        }
    }
    lines.into_boxed_slice()
}

/// The Max-Breadth of a request (RFC 5393 section 5.3).
fn max_breadth(request: &Request<'_, '_>) -> Result<usize, Local> {
    let Some(field) = request.message.first(Header::MaxBreadth) else { return Ok(DEFAULT_MAX_BREADTH) };
    let text = core::str::from_utf8(request.message.value_of(field)).unwrap_or_default();
    match text.parse() {
        Ok(breadth) if !text.starts_with('+') => Ok(breadth),
        _ => refuse(400, "Bad Max-Breadth"),
    }
}
