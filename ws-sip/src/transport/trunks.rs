//! Trunks in the transport's loop.

use ws_core::{Kind, Outcome};

use super::event::FlowEvent;
use super::flows::{Flows, Link};
use super::run::receive_bytes;
use super::trunk::Decoded;
use crate::flow::FlowId;

/// Tells that a trunk is there, if the flow is one.
pub(super) fn open_trunk(flows: &mut Flows, id: FlowId, handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>)) {
    let now = flows.now;
    let Some(flow) = flows.flow_mut(id) else { return };
    if !matches!(flow.link, Link::Trunk(_)) {
        return;
    }
    flow.is_open = true;
    flow.opened_at = now;
    let ends = flow.ends;
    flows.stats.opened += 1;
    handler(flows, FlowEvent::TrunkOpened { flow: id, ends });
    flows.send_queued(id);
}

/// Reads once from a trunk, and hands on the messages. Returns whether there may be more.
pub(super) fn read_trunk(
    flows: &mut Flows,
    id: FlowId,
    scratch: &mut [u8],
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) -> bool {
    let Some(flow) = flows.flow_mut(id) else { return false };
    let Link::Trunk(trunk) = &mut flow.link else { return false };
    let is_datagram = trunk.is_datagram();
    let n = match trunk.read(scratch) {
        Ok(None) => return false,
        Ok(Some(0)) if !is_datagram => {
            trunk.end.get_or_insert(Outcome::Vanished);
            flows.mark(id);
            return false;
        }
        Ok(Some(n)) => n,
        Err(_) => {
            trunk.end.get_or_insert(Outcome::TransportLost);
            flows.mark(id);
            return false;
        }
    };
    if is_datagram {
        // Keepalives between servers are nobody's message.
        if n > 4 {
            receive_bytes(flows, id, &scratch[..n], Kind::Binary, handler);
        }
        return true;
    }
    let mut decoder = trunk.take_decoder();
    decoder.push(&scratch[..n]);
    loop {
        let len = match decoder.next() {
            Ok(None) => break,
            Ok(Some(Decoded::Message(len))) => {
                receive_bytes(flows, id, &decoder.bytes()[..len], Kind::Binary, handler);
                len
            }
            Ok(Some(Decoded::Keepalive(len))) => {
                flows.stats.keepalives_in += 1;
                if let Some(flow) = flows.flow_mut(id) {
                    flow.answer_keepalive(Kind::Binary);
                }
                len
            }
            Err(_) => {
                // Where the next message would start nobody can tell.
                flows.stats.refused_messages += 1;
                let _ = flows.abort(id);
                break;
            }
        };
        decoder.advance(len);
    }
    if let Some(flow) = flows.flow_mut(id)
        && let Link::Trunk(trunk) = &mut flow.link
    {
        trunk.put_decoder(decoder);
    }
    flows.mark(id);
    true
}
