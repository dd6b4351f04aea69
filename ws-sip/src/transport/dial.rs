//! Outgoing flows on their way to a connection, in the transport's loop.

use core::net::SocketAddr;
use std::io;

use mio::Token;

use super::FIRST_FLOW;
use super::event::{Ends, FlowEvent, NotOpened};
use super::flows::{Flows, Link, index_of};
use super::outgoing::Purpose;
use super::trunk::TrunkTransport;
use super::trunks::open_trunk;
use crate::flow::FlowId;

/// Takes in the addresses of a destination.
pub(super) fn resolved(
    flows: &mut Flows,
    id: FlowId,
    addresses: io::Result<Vec<SocketAddr>>,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    let token = Token(FIRST_FLOW + index_of(id));
    let Some(flow) = flows.flow_mut(id) else { return };
    let Link::Connecting(connecting) = &mut flow.link else { return };
    match addresses {
        Ok(addresses) => {
            connecting.set_addresses(addresses);
            connect(flows, id, token, handler);
        }
        Err(error) => not_connected(flows, id, &error, handler),
    }
}

/// Starts a TCP connection to the next address of an outgoing flow.
pub(super) fn connect(
    flows: &mut Flows,
    id: FlowId,
    token: Token,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    let Ok(registry) = flows.registry.try_clone() else {
        return not_connected(flows, id, &io::ErrorKind::Other.into(), handler);
    };
    let Some(flow) = flows.flow_mut(id) else { return };
    let Link::Connecting(connecting) = &mut flow.link else { return };
    if let Purpose::Trunk(TrunkTransport::Udp) = connecting.purpose() {
        let peer = connecting.next_address().ok_or_else(|| io::ErrorKind::NotFound.into());
        return match peer.and_then(|peer| flows.bind_udp(id, peer)) {
            Ok(()) => open_trunk(flows, id, handler),
            Err(error) => not_connected(flows, id, &error, handler),
        };
    }
    if let Err(error) = connecting.connect(&registry, token) {
        not_connected(flows, id, &error, handler);
    }
}

/// An outgoing flow has no TCP connection, and gets none.
pub(super) fn not_connected(
    flows: &mut Flows,
    id: FlowId,
    error: &io::Error,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    let Some(flow) = flows.remove(id) else { return };
    flows.stats.not_opened += 1;
    let ends = match &flow.link {
        Link::Connecting(connecting) => connecting.tried.map_or(flow.ends, Ends::towards),
        Link::Up { .. } | Link::Trunk(_) => flow.ends,
    };
    let destination = flow.outgoing.as_ref().map(|outgoing| outgoing.target().host_and_port());
    let why = NotOpened::Connect(error);
    let event =
        FlowEvent::NotOpened { flow: id, ends, why, error: None, destination, request: &[], response: &[] };
    flows.trace_end(&flow, &event);
    handler(flows, event);
}
