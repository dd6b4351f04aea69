//! Who may register and call, where a users file says so (RFC 3261 section 22).

use core::time::Duration;

use super::Proxy;
use super::request::{Outcome, Request};
use super::route::Destination;
use crate::auth::{Authenticator, Claim, Verdict};
use crate::flow::FlowId;
use crate::sip::{Header, Method, SipUri, StartLine, append};

/// The parameter of our Record-Route URIs that holds a seal.
pub(super) const CALLEE: &str = "callee";

impl Proxy {
    /// Lets only users of `authenticator` register and send requests, each under its own name in one of the domains
    /// that are served.
    ///
    /// A user proves itself once a flow: what it sends over it then under that name is believed. In a dialog a callee
    /// may also use the name under which it was called, to nobody but who called it so. OPTIONS to this server is
    /// answered to anybody. An ACK, which cannot be challenged, is dropped unless it may pass.
    pub fn set_authenticator(&mut self, authenticator: Option<Authenticator>) {
        self.authenticator = authenticator;
    }

    /// Whether the request may pass. If not, it was answered.
    pub(super) fn is_authenticated(
        &mut self,
        now: Duration,
        request: &Request<'_, '_>,
    ) -> Result<bool, super::transaction::Local> {
        let Some(auth) = &self.authenticator else { return Ok(true) };
        let is_register = request.method == Method::Register;
        if request.method == Method::Options && matches!(self.route(now, request), Ok(Destination::Own)) {
            return Ok(true);
        }
        if !is_register && self.is_believed(now, request) {
            return Ok(true);
        }
        let claimed = if is_register {
            SipUri::parse(request.found.to.uri).ok().and_then(|uri| uri.user)
        } else {
            self.user_in_from(request)
        };
        let is_claimed = |user: &str| claimed == Some(user.as_bytes());
        let StartLine::Request { token, .. } = request.message.start_line() else { return Ok(false) };
        let (Ok(method), Ok(uri)) = (core::str::from_utf8(token), core::str::from_utf8(request.raw_uri))
        else {
            return super::request::refuse(400, "Bad Request");
        };
        let header = if is_register { Header::Authorization } else { Header::ProxyAuthorization };
        let values = request.message.all(header).map(|field| request.message.value_of(field));
        let is_stale = match auth.check(now, &Claim { flow: request.flow, method, uri }, values) {
            Verdict::User(user) if is_claimed(&user) || !is_register && self.is_as_called(now, request) => {
                let proven = self.proven.entry(request.flow).or_default();
                if !proven.contains(&user) {
                    proven.push(user);
                }
                return Ok(true);
            }
            // The password is right, the name in the request is another's.
            Verdict::User(_) => return super::request::refuse(403, "Forbidden"),
            Verdict::Stale => true,
            Verdict::Missing | Verdict::Wrong => false,
        };
        let challenges: Vec<String> = auth.challenges(now, request.flow, is_stale).collect();
        let (status, reason, name) = if is_register {
            (401, "Unauthorized", "WWW-Authenticate")
        } else {
            (407, "Proxy Authentication Required", "Proxy-Authenticate")
        };
        self.answer(request.flow, request.info, request.message, status, reason, |out| {
            for challenge in &challenges {
                append(out, format_args!("{name}: {challenge}\r\n"));
            }
        });
        Ok(false)
    }

    /// Whether a request comes over a flow on which who sends it was proven before.
    fn is_believed(&self, now: Duration, request: &Request<'_, '_>) -> bool {
        if self.proven.get(&request.flow).is_none_or(Vec::is_empty) {
            return false;
        }
        let claimed = self.user_in_from(request);
        claimed.is_some_and(|user| self.has_proven(request.flow, user)) || self.is_as_called(now, request)
    }

    fn has_proven(&self, flow: FlowId, user: &[u8]) -> bool {
        self.proven.get(&flow).is_some_and(|users| users.iter().any(|proven| proven.as_bytes() == user))
    }

    /// The user of ours that From names.
    fn user_in_from<'a>(&self, request: &Request<'_, 'a>) -> Option<&'a [u8]> {
        self.user_in(request.found.from.uri)
    }

    fn user_in<'a>(&self, uri: &'a [u8]) -> Option<&'a [u8]> {
        SipUri::parse(uri).ok().filter(|uri| self.serves(uri.at.host))?.user
    }

    /// Whether a request in a dialog has in From what the other side wrote into To, and goes to that side: a caller
    /// may have meant another than the one who took the call (RFC 3261 section 12.1.1).
    ///
    /// That side is the flow from which it called, or another on which the same user was proven: a GRUU, or a contact
    /// that came back, leads there.
    fn is_as_called(&self, now: Duration, request: &Request<'_, '_>) -> bool {
        let Some(auth) = &self.authenticator else { return false };
        let found = &request.found;
        if found.to.tag().is_none() {
            return false;
        }
        let Some((flow, seal, route)) = self.sealed_route(now, request) else { return false };
        let name = name_of(found.from.uri);
        let is_sealed = |caller: &[u8]| auth.is_seal(seal, flow, found.call_id, &name, caller);
        let caller = self.user_in(found.to.uri).filter(|caller| is_sealed(caller));
        let is_caller = |flow| caller.is_some_and(|caller| self.has_proven(flow, caller));
        (caller.is_some() || is_sealed(b""))
            && route.targets.iter().all(|target| target.flow == flow || is_caller(target.flow))
    }

    /// The parameter of the Record-Route URI that a callee will use: by it the callee is known under the name by
    /// which it was called. Empty where nobody must prove who he is.
    pub(super) fn callee_param(&self, request: &Request<'_, '_>) -> String {
        self.authenticator.as_ref().map_or_else(String::new, |auth| {
            let name = name_of(request.found.to.uri);
            // A name that is only lent to who sends this leads to no other flow.
            let caller = self.user_in_from(request).filter(|user| self.has_proven(request.flow, user));
            let seal = auth.seal(request.flow, request.found.call_id, &name, caller.unwrap_or_default());
            format!(";{CALLEE}={seal}")
        })
    }

    /// Whether an ACK that would be forwarded may pass. There is no response to it, so no challenge either: the
    /// request that it belongs to has proven its flow, whatever became of the secret since.
    pub(super) fn is_proven_ack(&self, now: Duration, request: &Request<'_, '_>) -> bool {
        self.authenticator.is_none()
            || self.is_believed(now, request)
            || self.transactions.is_accepted(self.call_key(request))
    }

    /// What was proven goes with the flow.
    pub(super) fn forget_proofs(&mut self, flow: FlowId) {
        self.proven.remove(&flow);
    }

    /// Serves a request, if it may pass.
    pub(super) fn serve_authenticated(&mut self, now: Duration, request: &Request<'_, '_>) -> Outcome {
        if self.is_authenticated(now, request)? { self.serve(now, request) } else { Ok(()) }
    }
}

/// What a URI in From or To says, however it is spelled.
pub(super) fn name_of(uri: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(64);
    match SipUri::parse(uri) {
        Ok(uri) => uri.write_aor(&mut name),
        Err(_) => name.extend_from_slice(uri),
    }
    name
}
