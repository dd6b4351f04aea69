//! Where a request goes (RFC 3261 sections 16.4 and 16.5).

use super::Proxy;
use super::authenticate::CALLEE;
use super::request::{Request, refuse};
use super::transaction::Local;
use crate::flow::{FlowId, FlowToken};
use crate::registrar::Binding;
use crate::sip::{Header, NameAddr, SipUri, ValueError};
use core::cmp::Reverse;
use core::time::Duration;

const UNAVAILABLE: Local = Local { status: 480, reason: "Temporarily Unavailable" };
const FLOW_FAILED: Local = Local { status: 430, reason: "Flow Failed" };

pub(super) enum Destination {
    /// The request is for this server.
    Own,
    Forward(Route),
}

#[derive(Debug)]
pub(super) struct Route {
    /// How many of the topmost Route values are ours and to be removed.
    pub(super) own_routes: usize,
    /// Whether the last Route value was the Request-URI before a strict router (RFC 3261 section 16.4) moved it.
    pub(super) is_strict: bool,
    /// What answers the request when the flow of its only target is closed.
    pub(super) gone: Local,
    /// At least one.
    pub(super) targets: Vec<Target>,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) flow: FlowId,
    /// The new Request-URI, if it changes.
    pub(super) uri: Option<Box<[u8]>>,
    /// Route values to be put on top, comma-separated; may be empty.
    pub(super) path: Box<[u8]>,
    /// Whose flow it is, if the same instance had another.
    pub(super) instance: Option<Instance>,
}

/// A user agent with several flows.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// `+sip.instance`.
    pub(super) id: Box<[u8]>,
    /// The `reg-id` of this flow.
    pub(super) reg_id: Option<u32>,
}

/// What the Route header field says.
struct Routes<'a> {
    own: usize,
    /// The flow of the last token of ours: `Some(None)` when the token is from an earlier run.
    flow: Option<Option<FlowId>>,
    /// What stands beside that token: see [`Proxy::sealed_route`].
    seal: Option<&'a [u8]>,
    /// Whether values for others follow ours.
    has_more: bool,
    /// The Request-URI, as it was before a strict router.
    uri: SipUri<'a>,
    strict_uri: Option<&'a [u8]>,
}

impl Proxy {
    pub(super) fn route(&self, now: Duration, request: &Request<'_, '_>) -> Result<Destination, Local> {
        let routes = self.read_routes(request)?;
        let uri = &routes.uri;
        let forward = |targets: Vec<Target>, gone| {
            Ok(Destination::Forward(Route {
                own_routes: routes.own,
                is_strict: routes.strict_uri.is_some(),
                gone,
                targets,
            }))
        };
        if routes.has_more && routes.flow.is_none() {
            return refuse(403, "Route Not Served");
        }
        let is_served = self.serves(uri.at.host);
        if !routes.has_more
            && is_served
            && let Some(target) = self.instance(now, uri)
        {
            return forward(vec![target], UNAVAILABLE);
        }
        let unchanged =
            |flow, path| Target { flow, uri: routes.strict_uri.map(Box::from), path, instance: None };
        let contact = || {
            let binding = self.registrar.binding_of_contact(now, uri)?;
            self.is_usable(now, binding, uri).then(|| unchanged(binding.flow, binding.path.clone()))
        };
        if let Some(flow) = routes.flow {
            return match flow.filter(|flow| self.flows.contains_key(flow)) {
                Some(flow) => forward(vec![unchanged(flow, Box::default())], FLOW_FAILED),
                // The user agent may have come back on another flow.
                None => match contact().filter(|_| !routes.has_more) {
                    Some(target) => forward(vec![target], FLOW_FAILED),
                    None => Err(FLOW_FAILED),
                },
            };
        }
        let is_contact = is_invalid(uri.at.host);
        let own = is_served && !is_contact;
        match uri.user {
            None if own => return Ok(Destination::Own),
            Some(user) if is_served => {
                let mut aor = Vec::with_capacity(64);
                uri.write_aor(&mut aor);
                if let Some(bindings) = self.registrar.bindings(&aor) {
                    // A GRUU's instance is gone; the others are not meant.
                    let is_gruu = uri.param("gr").is_some();
                    let targets = if is_gruu { Vec::new() } else { self.select(now, bindings, uri) };
                    return if targets.is_empty() { Err(UNAVAILABLE) } else { forward(targets, UNAVAILABLE) };
                }
                // JsSIP writes the server's own address, `sip:example.com`, as `sip:example.com@example.com`.
                if own && user.eq_ignore_ascii_case(uri.at.host) {
                    return Ok(Destination::Own);
                }
            }
            _ => {}
        }
        match contact() {
            Some(target) => forward(vec![target], UNAVAILABLE),
            None if is_contact => Err(UNAVAILABLE),
            None if is_served => refuse(404, "Not Found"),
            None => refuse(403, "Domain Not Served"),
        }
    }

    /// The flow that a token of ours names, be it open or not, the seal beside the token, and where the request goes.
    pub(super) fn sealed_route<'a>(
        &self,
        now: Duration,
        request: &Request<'_, 'a>,
    ) -> Option<(FlowId, &'a [u8], Route)> {
        let routes = self.read_routes(request).ok()?;
        let (flow, seal) = (routes.flow??, routes.seal?);
        match self.route(now, request).ok()? {
            Destination::Forward(route) => Some((flow, seal, route)),
            Destination::Own => None,
        }
    }

    fn read_routes<'a>(&self, request: &Request<'_, 'a>) -> Result<Routes<'a>, Local> {
        let bad = |_: ValueError| Local { status: 400, reason: "Bad Route" };
        let message = request.message;
        let mut routes =
            Routes { own: 0, flow: None, seal: None, has_more: false, uri: request.uri, strict_uri: None };
        let mut others = usize::MAX;
        // 16.4: a strict router has put our Record-Route URI into the Request-URI and moved that to the end.
        if self.is_own(&request.uri.at)
            && let Some(token) = request.uri.user.and_then(FlowToken::parse)
        {
            let count = message.values(Header::Route).count();
            let Some(last) = message.values(Header::Route).last() else { return refuse(404, "Not Found") };
            let addr = NameAddr::parse(last.bytes).map_err(bad)?;
            routes.uri = SipUri::parse(addr.uri).map_err(bad)?;
            routes.strict_uri = Some(addr.uri);
            routes.flow = Some(token.flow(self.epoch));
            others = count - 1;
        }
        for value in message.values(Header::Route).take(others) {
            let addr = NameAddr::parse(value.bytes).map_err(bad)?;
            let uri = SipUri::parse(addr.uri).map_err(bad)?;
            let is_own = self.is_own(&uri.at);
            match uri.user.and_then(FlowToken::parse).filter(|_| is_own) {
                Some(token) => {
                    routes.flow = Some(token.flow(self.epoch));
                    routes.seal = uri.param(CALLEE).and_then(|param| param.value);
                }
                // A client's preloaded Route names the server by whatever name it was reached.
                None if is_own || routes.flow.is_none() && self.serves(uri.at.host) => {}
                None => {
                    routes.has_more = true;
                    break;
                }
            }
            routes.own += 1;
        }
        Ok(routes)
    }

    /// Whether a binding can be used now for a request to `uri`: `sips` asks for TLS on each hop.
    fn is_usable(&self, now: Duration, binding: &Binding, uri: &SipUri<'_>) -> bool {
        binding.is_current(now) && self.info(binding.flow).is_some_and(|info| info.secure || !uri.secure)
    }

    /// The contact of the instance that a GRUU names (RFC 5627 section 6).
    fn instance(&self, now: Duration, uri: &SipUri<'_>) -> Option<Target> {
        let wanted = uri.param("gr")?.value?;
        let mut aor = Vec::with_capacity(64);
        uri.write_aor(&mut aor);
        let of_instance = |binding: &&Binding| {
            let is_wanted =
                binding.gruu_value().is_some_and(|instance| instance.eq_ignore_ascii_case(wanted));
            is_wanted && self.is_usable(now, binding, uri)
        };
        let flows = self.registrar.bindings(&aor)?.iter().filter(of_instance);
        let newest = flows.clone().max_by_key(|binding| binding.recency())?;
        Some(Target::of(newest, flows.count() > 1))
    }

    /// The newest flow of an instance through which a request was not tried.
    pub(super) fn other_flow(
        &self,
        now: Duration,
        request: &Request<'_, '_>,
        instance: &[u8],
        is_tried: impl Fn(&Binding) -> bool,
    ) -> Option<Target> {
        let uri = self.read_routes(request).ok()?.uri;
        let mut aor = Vec::with_capacity(64);
        uri.write_aor(&mut aor);
        let is_left = |binding: &&Binding| {
            binding.instance.as_deref() == Some(instance)
                && self.is_usable(now, binding, &uri)
                && !is_tried(binding)
        };
        let flows = self.registrar.bindings(&aor)?.iter().filter(is_left);
        Some(Target::of(flows.max_by_key(|binding| binding.recency())?, true))
    }

    /// The contacts that a request is sent to: of each instance the newest (RFC 5626 section 7), the most preferred
    /// first.
    fn select(&self, now: Duration, bindings: &[Binding], uri: &SipUri<'_>) -> Vec<Target> {
        let usable = || bindings.iter().filter(|binding| self.is_usable(now, binding, uri));
        let is_other = |other: &Binding, binding: &Binding| {
            binding.instance.is_some()
                && other.instance == binding.instance
                && other.recency() != binding.recency()
        };
        let is_newest = |binding: &&Binding| {
            !usable().any(|other| is_other(other, binding) && other.recency() > binding.recency())
        };
        let mut chosen: Vec<&Binding> = usable().filter(is_newest).collect();
        chosen.sort_by_key(|binding| Reverse((binding.q, binding.recency())));
        let target = |binding: &&Binding| Target::of(binding, usable().any(|other| is_other(other, binding)));
        chosen.iter().take(self.config.max_branches).map(target).collect()
    }
}

impl Target {
    fn of(binding: &Binding, has_other_flow: bool) -> Self {
        let instance = binding.instance.as_ref().filter(|_| has_other_flow);
        Self {
            flow: binding.flow,
            uri: Some(binding.contact.clone()),
            path: binding.path.clone(),
            instance: instance.map(|id| Instance { id: id.clone(), reg_id: binding.reg_id }),
        }
    }
}

/// Whether a host is one that browsers make up for themselves (RFC 7118 appendix B.1).
fn is_invalid(host: &[u8]) -> bool {
    let (_, tail) = host.split_at(host.len().saturating_sub(b".invalid".len()));
    tail.eq_ignore_ascii_case(b".invalid")
}
