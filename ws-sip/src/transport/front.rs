//! What stands in front of us, and whose connections it passes on: a balancer that writes a PROXY header, or one that speaks
//! HTTP and adds `X-Forwarded-For`.

use core::net::{IpAddr, SocketAddr};
use std::io;

use ws_core::proxy_protocol::{self, Header};
use ws_core::{Accept, Chunk, Endpoint, Headers, Request, RequestError, Response};

use super::config::RETRY_AFTER;
use super::dial::not_connected;
use super::event::{Ends, FlowEvent};
use super::flows::{Flows, Link};
use super::run::drive;
use crate::address::Prefix;
use crate::flow::FlowId;

/// Whether an address is one of those.
pub(super) fn is_from(prefixes: &[Prefix], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}

/// Looks for the PROXY header of a connection that must begin with one. Returns whether it came.
pub(super) fn identify(
    flows: &mut Flows,
    id: FlowId,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) -> bool {
    let now = flows.now;
    let Some(flow) = flows.flow_mut(id) else { return false };
    let Link::Up { stream, endpoint, .. } = &mut flow.link else { return false };
    let stream = stream.tcp_mut();
    let mut bytes = [0; proxy_protocol::MAX_LEN];
    // It stays where it is until it is whole: what follows it is for others.
    let found = match stream.peek(&mut bytes) {
        Ok(0) => {
            endpoint.handle_eof(now);
            drive(flows, id, Chunk::empty(), handler);
            return false;
        }
        Ok(n) => proxy_protocol::parse(&bytes[..n]),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return false;
        }
        Err(error) => {
            flow.error.get_or_insert(error);
            endpoint.handle_transport_lost(now);
            drive(flows, id, Chunk::empty(), handler);
            return false;
        }
    };
    let taken = match found {
        Ok(None) => return false,
        Ok(Some((header, len))) => {
            // All of it is there.
            io::Read::read_exact(stream, &mut bytes[..len]).and_then(|()| flows.identified(id, header))
        }
        Err(error) => {
            flows.stats.bad_proxy_headers += 1;
            Err(io::Error::new(io::ErrorKind::InvalidData, error))
        }
    };
    match taken {
        Ok(()) => true,
        Err(error) => {
            not_connected(flows, id, &error, handler);
            false
        }
    }
}

impl Flows {
    /// Goes on with a connection whose PROXY header came.
    fn identified(&mut self, id: FlowId, header: Header) -> io::Result<()> {
        let Some(flow) = self.flow_mut(id) else { return Ok(()) };
        if let Header::Proxied { source, destination } = header {
            let ends = Ends { peer: source, local: destination, ..flow.ends };
            flow.ends = ends.canonical();
        }
        let (peer, is_secure) = (flow.ends.peer.ip(), flow.ends.is_secure);
        if !is_from(&self.settings.forwarded_for_from, peer) && !self.count_address(id, peer) {
            let endpoint = Endpoint::server(&self.configs.refusing, self.now);
            if let Some(Link::Up { endpoint: own, .. }) = self.flow_mut(id).map(|flow| &mut flow.link) {
                *own = endpoint;
            }
        }
        let session = if is_secure { Some(self.configs.tls.accept()?) } else { None };
        if let Some(Link::Up { stream, .. }) = self.flow_mut(id).map(|flow| &mut flow.link) {
            stream.identified(session);
        }
        self.mark(id);
        Ok(())
    }

    /// Counts a flow for its address; returns whether there may be so many.
    fn count_address(&mut self, id: FlowId, address: IpAddr) -> bool {
        let count = self.limits.add_address(address);
        if let Some(flow) = self.flow_mut(id) {
            flow.is_counted = true;
        }
        let most = self.settings.ws_max_connections_per_address;
        most == 0 || count <= most
    }

    /// Accepts a WebSocket request, unless its client has too many connections.
    pub(super) fn admit(&mut self, id: FlowId, request: &Request) {
        if self.take_forwarded_for(id, request) {
            let flow = self.flow_mut(id);
            if let Some(Link::Up { endpoint, .. }) = flow.map(|flow| &mut flow.link) {
                // The request waits: it was just told.
                let _ = endpoint.accept(&Accept::default());
            }
            return;
        }
        let _ = self.respond(id, &unavailable());
        if let Some(flow) = self.flow_mut(id) {
            flow.is_refused = true;
        }
    }

    /// Takes the client's address from a request that came through a proxy for HTTP, if that is one to be believed. Returns
    /// whether the client may have one more connection.
    fn take_forwarded_for(&mut self, id: FlowId, request: &Request) -> bool {
        if self.settings.forwarded_for_from.is_empty() {
            return true;
        }
        let Some(flow) = self.flow_mut(id).filter(|flow| flow.ends.is_incoming && !flow.is_counted) else {
            return true;
        };
        let proxy = flow.ends.peer;
        let fields = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("X-Forwarded-For"));
        let values: Vec<&[u8]> = fields.map(|(_, value)| value).collect();
        let peer = forwarded_for(&values, proxy, &self.settings.forwarded_for_from);
        if let Some(flow) = self.flow_mut(id) {
            flow.ends = Ends { peer, ..flow.ends }.canonical();
        }
        self.count_address(id, peer.ip())
    }
}

/// What a client gets that has too many connections: as the engine writes it for [`Configs::refusing`](super::config::Configs).
fn unavailable() -> Response {
    let mut response = Response::new(RequestError::Unavailable.status());
    let retry_after = RETRY_AFTER.as_secs().to_string();
    let fields = Headers::new().with("Retry-After", &retry_after);
    let fields = fields.and_then(|fields| fields.with("Content-Type", "text/plain; charset=utf-8"));
    // Both can be written.
    response.headers = fields.unwrap_or_default();
    response.body = format!("{}\n", RequestError::Unavailable.reason()).into();
    response
}

/// Returns the client behind `proxy`: the last address in the list that is not one of a proxy to be believed. It has no port
/// there.
fn forwarded_for(values: &[&[u8]], proxy: SocketAddr, believed: &[Prefix]) -> SocketAddr {
    let mut peer = proxy;
    let elements = values.iter().rev().flat_map(|value| value.rsplit(|&byte| byte == b','));
    for element in elements {
        if !is_from(believed, peer.ip()) {
            break;
        }
        let Some(address) = core::str::from_utf8(element).ok().and_then(|element| address_in(element.trim()))
        else {
            break;
        };
        peer = SocketAddr::new(address, 0);
    }
    peer
}

/// An address as it stands in the list: alone, or with a port, or in brackets.
fn address_in(element: &str) -> Option<IpAddr> {
    if let Ok(address) = element.parse() {
        return Some(address);
    }
    if let Ok(address) = element.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    element.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_is_not_ours() {
        let proxy: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let believed = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for (values, expected) in [
            (&[][..], "10.0.0.1:5000"),
            (&["192.0.2.7"], "192.0.2.7:0"),
            (&["192.0.2.7:4000"], "192.0.2.7:0"),
            (&["[2001:470::1]:4000"], "[2001:470::1]:0"),
            (&["[2001:470::1]"], "[2001:470::1]:0"),
            // What a client writes itself stands in front.
            (&["1.1.1.1, 192.0.2.7"], "192.0.2.7:0"),
            (&["1.1.1.1", "192.0.2.7"], "192.0.2.7:0"),
            (&["1.1.1.1, 192.0.2.7, 10.0.0.2 , 2001:db8::1"], "192.0.2.7:0"),
            (&["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2:0"),
            (&["", "192.0.2.7"], "192.0.2.7:0"),
            (&["unknown"], "10.0.0.1:5000"),
        ] {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(forwarded_for(&values, proxy, &believed), expected.parse().unwrap(), "{expected}");
        }
        let other = "203.0.113.1:1".parse().unwrap();
        assert_eq!(forwarded_for(&[b"192.0.2.7"], other, &believed), other, "not one of ours");
    }
}
