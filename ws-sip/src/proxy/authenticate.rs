//! Who may register and call, where a users file says so (RFC 3261 section 22).

use core::time::Duration;

use super::Proxy;
use super::request::{Outcome, Request};
use crate::auth::{Authenticator, Claim, Verdict};
use crate::flow::FlowId;
use crate::sip::{Header, Method, SipUri, StartLine, append};

impl Proxy {
    /// Lets only users of `authenticator` register and send requests, each under its own name.
    ///
    /// A user proves itself once a flow: what it sends over it then is believed. OPTIONS is answered to anybody. An
    /// ACK, which cannot be challenged, is dropped unless it may pass.
    pub fn set_authenticator(&mut self, authenticator: Option<Authenticator>) {
        self.authenticator = authenticator;
    }

    /// Returns the authenticator, to change its users.
    pub const fn authenticator_mut(&mut self) -> Option<&mut Authenticator> {
        self.authenticator.as_mut()
    }

    /// Whether the request may pass. If not, it was answered.
    pub(super) fn is_authenticated(
        &mut self,
        now: Duration,
        request: &Request<'_, '_>,
    ) -> Result<bool, super::transaction::Local> {
        let Some(auth) = &self.authenticator else { return Ok(true) };
        let is_register = request.method == Method::Register;
        if request.method == Method::Options && request.uri.user.is_none() {
            return Ok(true);
        }
        if !is_register && self.is_believed(request) {
            return Ok(true);
        }
        let claimed = if is_register { request.found.to.uri } else { request.found.from.uri };
        let claimed = SipUri::parse(claimed).ok().and_then(|uri| uri.user).unwrap_or_default();
        let StartLine::Request { token, .. } = request.message.start_line() else { return Ok(false) };
        let (Ok(method), Ok(uri)) = (core::str::from_utf8(token), core::str::from_utf8(request.raw_uri))
        else {
            return super::request::refuse(400, "Bad Request");
        };
        let header = if is_register { Header::Authorization } else { Header::ProxyAuthorization };
        let values = request.message.all(header).map(|field| request.message.value_of(field));
        let is_stale = match auth.check(now, &Claim { flow: request.flow, method, uri }, values) {
            Verdict::User(user) if user.as_bytes() == claimed => {
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
    fn is_believed(&self, request: &Request<'_, '_>) -> bool {
        let proven = self.proven.get(&request.flow).map_or(&[][..], |users| users);
        // In a dialog From may be whoever was called; that it is open shows that the flow was let in.
        if request.found.to.tag().is_some() && !proven.is_empty() {
            return true;
        }
        let claimed = SipUri::parse(request.found.from.uri).ok().and_then(|uri| uri.user).unwrap_or_default();
        proven.iter().any(|user| user.as_bytes() == claimed)
    }

    /// Whether an ACK that would be forwarded may pass. There is no response to it, so no challenge either: the
    /// request that it belongs to has proven its flow.
    pub(super) fn is_proven_ack(&self, request: &Request<'_, '_>) -> bool {
        self.authenticator.is_none() || self.is_believed(request)
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
