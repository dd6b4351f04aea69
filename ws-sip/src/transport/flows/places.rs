//! Where flows are kept, and by which numbers they are found.

use ws_core::Instant;

use super::{Flow, Flows, INDEX_BITS, Link, Slot, index_of};
use crate::flow::FlowId;
use crate::trace::Verdict;
use crate::transport::event::{Counters, Ends};
use crate::transport::outgoing::Outgoing;
use crate::transport::timers::Deadlines;

impl Flows {
    pub(in crate::transport) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.slots.get(index_of(id))?.flow.as_deref().filter(|flow| flow.id == id)
    }

    pub(in crate::transport) fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slots.get_mut(index_of(id))?.flow.as_deref_mut().filter(|flow| flow.id == id)
    }

    pub(in crate::transport) fn id_at(&self, index: usize) -> Option<FlowId> {
        self.slots.get(index)?.flow.as_ref().map(|flow| flow.id)
    }

    pub(in crate::transport) fn ids(&self) -> Vec<FlowId> {
        self.slots.iter().filter_map(|slot| slot.flow.as_ref()).map(|flow| flow.id).collect()
    }

    /// Returns the next flow that has something to send.
    pub(in crate::transport) fn next_dirty(&mut self) -> Option<FlowId> {
        while let Some(index) = self.dirty.pop() {
            if let Some(id) = self.id_at(index as usize) {
                return Some(id);
            }
        }
        None
    }

    /// Notes that the flow may have something to send, or to report.
    pub(in crate::transport) fn mark(&mut self, id: FlowId) {
        if let Some(flow) = self.flow_mut(id)
            && !flow.is_dirty
        {
            flow.is_dirty = true;
            self.dirty.push(u32::try_from(index_of(id)).unwrap_or(u32::MAX));
        }
    }

    /// Wakes the flow at `at`, unless it is woken before.
    pub(in crate::transport) fn arm(&mut self, id: FlowId, at: Instant) {
        if let Some(flow) = self.flow_mut(id)
            && at < flow.armed
        {
            flow.armed = at;
            self.deadlines.arm(at, id.0);
        }
    }

    /// Takes a flow out, its descriptor with it.
    pub(in crate::transport) fn remove(&mut self, id: FlowId) -> Option<Box<Flow>> {
        self.flow(id)?;
        let slot = self.slots.get_mut(index_of(id))?;
        let mut flow = slot.flow.take()?;
        self.limits.remove();
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(u32::try_from(index_of(id)).unwrap_or(u32::MAX));
        if let Some(outgoing) = &flow.outgoing {
            self.destinations.remove(outgoing.target());
        }
        match &mut flow.link {
            Link::Up { stream, .. } => {
                drop(self.registry.deregister(stream.tcp_mut()));
                if flow.is_counted {
                    self.limits.remove_address(flow.ends.peer.ip());
                }
            }
            Link::Connecting(connecting) => connecting.deregister(&self.registry),
            Link::Trunk(trunk) => trunk.deregister(&self.registry),
        }
        if self.slots.len() == self.free.len() && self.slots.len() > 1024 {
            self.forget_places();
        }
        Some(flow)
    }

    /// After the last of many flows, gives their places back; numbers go on from where they were.
    fn forget_places(&mut self) {
        let generation = self.slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
        self.slots = vec![Slot { generation, flow: None }];
        self.free = vec![0];
        self.dirty = Vec::new();
        self.deadlines = Deadlines::default();
        self.slots[0].generation = generation;
    }

    pub(super) fn next_index(&self) -> usize {
        self.free.last().map_or(self.slots.len(), |&index| index as usize)
    }

    pub(super) fn insert(&mut self, link: Link, ends: Ends, outgoing: Option<Box<Outgoing>>) -> FlowId {
        let index = self.next_index();
        if self.free.pop().is_none() {
            // Later places start where the first one is, so that numbers stay apart after `forget_places`.
            let generation = self.slots.first().map_or(0, |slot| slot.generation);
            self.slots.push(Slot { generation, flow: None });
        }
        let slot = &mut self.slots[index];
        let id =
            FlowId(u64::from(self.number) << 56 | u64::from(slot.generation) << INDEX_BITS | index as u64);
        self.limits.add();
        slot.flow = Some(Box::new(Flow {
            id,
            link,
            ends,
            opened_at: self.now,
            counters: Counters::default(),
            armed: Instant::from_nanos(u64::MAX),
            outgoing,
            first_close: None,
            error: None,
            verdict: Verdict::default(),
            is_open: false,
            is_dirty: false,
            is_blocked: false,
            is_counted: false,
            is_refused: false,
            is_shut: false,
        }));
        id
    }
}
