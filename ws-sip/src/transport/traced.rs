//! Where the transport's events meet its tracer.

use super::Transport;
use super::event::FlowEvent;
use super::flows::{Flow, Flows, index_of};
use crate::flow::FlowId;
use crate::trace::{Direction, Tracer, Verdict};

impl Transport {
    /// Traces from now on what becomes of the connections. Each transport has a tracer of its own: see
    /// [`Tracer::share`].
    pub fn set_tracer(&mut self, tracer: Tracer) {
        drop(self.replace_tracer(Some(tracer)));
    }

    /// Puts another tracer in the place of the one that was set, or none, and returns that. Connections keep their numbers.
    /// To drop the last of those that share a sender takes as long as it takes to send what waits.
    pub fn replace_tracer(&mut self, tracer: Option<Tracer>) -> Option<Tracer> {
        let numbers = &self.flows.numbers;
        let tracer = tracer.map(|mut tracer| {
            tracer.set_numbers(numbers.clone());
            Box::new(tracer)
        });
        core::mem::replace(&mut self.flows.tracer, tracer).map(|tracer| *tracer)
    }
}

impl Flows {
    /// Returns the tracer, if one was set.
    #[must_use]
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.as_deref()
    }

    /// Traces an event of a flow that is there.
    pub(super) fn trace(&mut self, id: FlowId, event: &FlowEvent<'_>) {
        if let Some(tracer) = &self.tracer
            && let Some(flow) = self.slots.get_mut(index_of(id)).and_then(|slot| slot.flow.as_deref_mut())
        {
            tracer.observe(&mut flow.verdict, event, false);
        }
    }

    /// Traces the last event of a flow that was taken out.
    pub(super) fn trace_end(&self, flow: &Flow, event: &FlowEvent<'_>) {
        if let Some(tracer) = &self.tracer
            && !flow.is_trunk()
        {
            let mut verdict: Verdict = flow.verdict;
            tracer.observe(&mut verdict, event, flow.is_silent());
        }
    }

    /// Traces a SIP message, if messages are traced.
    #[inline]
    pub(super) fn trace_message(&mut self, id: FlowId, direction: Direction, message: &[u8]) {
        if let Some(tracer) = &self.tracer
            && tracer.traces_messages()
            && let Some(flow) = self.slots.get_mut(index_of(id)).and_then(|slot| slot.flow.as_deref_mut())
        {
            let protocol = flow.protocol();
            tracer.message(&mut flow.verdict, id, &flow.ends, protocol, direction, message);
        }
    }
}
