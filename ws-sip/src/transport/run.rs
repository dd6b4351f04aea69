use core::time::Duration;
use std::io;

use mio::Token;
use ws_core::{
    Chunk, CloseFrame, Deadline, Event, Instant, Kind, Message, Outcome, RequestError, Response, Side,
};

use super::dial::{connect, not_connected, resolved};
use super::event::{Ends, FlowEvent, NotOpened};
use super::flows::{Flows, Link, index_of};
use super::front::identify;
use super::listener::Serves;
use super::trunks::{open_trunk, read_trunk};
use super::{FIRST_FLOW, Transport, WAKER};
use crate::flow::FlowId;
use crate::sip::Received;
use crate::trace::Direction;

/// Reads of one flow before the others have their turn.
const READS_A_TURN: usize = 16;
/// Connections accepted before the flows have their turn.
const ACCEPTS_A_TURN: usize = 64;

impl Transport {
    /// Waits until something happens, at most for `timeout`, and hands all that happened to `handler`. What is
    /// sent leaves before this returns, as far as the network takes it.
    ///
    /// # Errors
    /// Only if the system's poll fails; what happens to one flow is an event.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        mut handler: impl FnMut(&mut Flows, FlowEvent<'_>),
    ) -> io::Result<()> {
        // What was sent since the last poll leaves before we wait.
        self.flows.now = self.flows.clock.now();
        flush(&mut self.flows, &mut handler);
        self.flows.new_listeners.move_to(&mut self.listeners);
        let wait = self.wait(timeout);
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        self.flows.now = self.flows.clock.now();
        self.expire(&mut handler);
        let mut woken = false;
        let unread = core::mem::take(&mut self.unread);
        for event in &self.events {
            match event.token() {
                WAKER => woken = true,
                Token(index) if index < FIRST_FLOW => self.listeners[index].retry_at = Some(Instant::EPOCH),
                Token(token) => {
                    let Some(flow) = self.flows.id_at(token - FIRST_FLOW) else { continue };
                    let closed = event.is_read_closed() || event.is_error();
                    if ready(&mut self.flows, flow, event.is_writable(), &mut handler)
                        && (event.is_readable() || closed)
                        && read(&mut self.flows, flow, &mut self.scratch, closed, &mut handler)
                    {
                        self.unread.push(flow);
                    }
                }
            }
        }
        for flow in unread {
            if read(&mut self.flows, flow, &mut self.scratch, true, &mut handler) {
                self.unread.push(flow);
            }
        }
        if woken {
            self.handle.run(&mut self.flows);
            while let Some((flow, addresses)) = self.flows.resolver.poll() {
                resolved(&mut self.flows, flow, addresses, &mut handler);
            }
        }
        self.accept(&mut handler);
        flush(&mut self.flows, &mut handler);
        if self.flows.draining.is_some() && self.flows.close_idle_trunks() {
            flush(&mut self.flows, &mut handler);
        }
        Ok(())
    }

    /// Returns how long to wait for the system.
    fn wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = self.flows.now;
        let retries = self.listeners.iter().filter_map(|listener| listener.retry_at);
        let next = retries.chain(self.flows.deadlines.next()).chain(self.flows.draining).min();
        let wait = next.map(|at| (at - now) + Duration::from_micros(1));
        match (wait, timeout) {
            (Some(wait), Some(timeout)) => Some(wait.min(timeout)),
            (wait, timeout) => wait.or(timeout),
        }
    }

    /// Accepts the connections that wait.
    fn accept(&mut self, handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>)) {
        let now = self.flows.now;
        for listener in &mut self.listeners {
            if listener.retry_at.is_none_or(|at| at > now) {
                continue;
            }
            let local = listener.local();
            for turn in 1.. {
                let accepted = listener.accept(now).and_then(|accepted| {
                    let Some((stream, peer)) = accepted else { return Ok(false) };
                    self.flows.stats.accepted += 1;
                    // A wildcard listener's connections have addresses of their own.
                    let local = stream.local_addr().unwrap_or(local);
                    let is_secure = listener.serves == Serves::SecureWebSocket;
                    let ends = Ends { peer, local, is_incoming: true, is_secure }.canonical();
                    if listener.serves == Serves::Trunk {
                        let flow = self.flows.accept_trunk(stream, ends)?;
                        open_trunk(&mut self.flows, flow, handler);
                    } else {
                        self.flows.accept(stream, ends)?;
                    }
                    Ok(true)
                });
                match accepted {
                    Ok(true) if turn == ACCEPTS_A_TURN => {
                        listener.retry_at = Some(Instant::EPOCH);
                        break;
                    }
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.flows.stats.accept_failures += 1;
                        handler(&mut self.flows, FlowEvent::AcceptFailed { local, error: &error });
                        if listener.retry_at.is_some() {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Acts on the deadlines that passed.
    fn expire(&mut self, handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>)) {
        let flows = &mut self.flows;
        let now = flows.now;
        while let Some((at, flow)) = flows.deadlines.expire(now) {
            let flow = FlowId(flow);
            let (draining, send_timeout) = (flows.draining.is_some(), flows.settings.upstream_send_timeout);
            let Some(state) = flows.flow_mut(flow) else { continue };
            if state.armed != at {
                continue;
            }
            state.armed = Instant::from_nanos(u64::MAX);
            match &mut state.link {
                Link::Up { endpoint, .. } => {
                    endpoint.handle_timeout(now);
                    flows.mark(flow);
                }
                Link::Connecting(connecting) if connecting.deadline <= now || draining => {
                    not_connected(flows, flow, &io::ErrorKind::TimedOut.into(), handler);
                }
                Link::Connecting(connecting) => {
                    let deadline = connecting.deadline;
                    flows.arm(flow, deadline);
                }
                Link::Trunk(trunk) => {
                    if trunk.blocked_since.is_some_and(|since| since + send_timeout <= now) {
                        trunk.end.get_or_insert(Outcome::TimedOut(Deadline::Send));
                    }
                    flows.mark(flow);
                }
            }
        }
        if flows.draining.is_some_and(|at| at <= now) {
            for flow in flows.ids() {
                // Each is there: the list was just made.
                let _ = flows.abort(flow);
            }
        }
    }
}

/// Takes in that a flow's socket is ready. Returns whether it may be read.
fn ready(
    flows: &mut Flows,
    id: FlowId,
    is_writable: bool,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) -> bool {
    let registry_token = Token(FIRST_FLOW + index_of(id));
    let Some(flow) = flows.flow_mut(id) else { return false };
    match &mut flow.link {
        Link::Up { .. } | Link::Trunk(_) => {
            if is_writable && flow.is_blocked {
                flow.is_blocked = false;
                flows.mark(id);
            }
            true
        }
        Link::Connecting(connecting) => match connecting.attempt() {
            Ok(None) => false,
            Ok(Some(stream)) => match flows.connected(id, stream) {
                Ok(()) => {
                    open_trunk(flows, id, handler);
                    true
                }
                Err(error) => {
                    not_connected(flows, id, &error, handler);
                    false
                }
            },
            Err(error) => {
                if connecting.has_more_addresses() {
                    connect(flows, id, registry_token, handler);
                } else {
                    not_connected(flows, id, &error, handler);
                }
                false
            }
        },
    }
}

/// Reads what came on a flow. Returns whether there may be more, for its next turn.
fn read(
    flows: &mut Flows,
    id: FlowId,
    scratch: &mut [u8],
    until_blocked: bool,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) -> bool {
    for _ in 0..READS_A_TURN {
        let now = flows.now;
        let Some(flow) = flows.flow_mut(id) else { return false };
        if let Link::Trunk(_) = flow.link {
            if !read_trunk(flows, id, scratch, handler) {
                return false;
            }
            continue;
        }
        let Link::Up { stream, endpoint, .. } = &mut flow.link else { return false };
        let is_read_out = stream.is_read_out();
        match stream.read(scratch) {
            Ok(0) => {
                endpoint.handle_eof(now);
                drive(flows, id, Chunk::empty(), handler);
                return false;
            }
            Ok(n) => {
                let full = n == scratch.len();
                let chunk = if full { Chunk::cut(scratch) } else { Chunk::within(scratch, n) };
                drive(flows, id, chunk, handler);
                // A read that did not fill the buffer emptied the socket; what comes later is an edge of its own.
                if !full && !until_blocked && is_read_out {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if flow_is_fronted(flows, id) {
                    if identify(flows, id, handler) {
                        continue;
                    }
                    return false;
                }
                if !is_read_out {
                    // TLS may have to answer to what it read.
                    flows.mark(id);
                }
                return false;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                flow.error.get_or_insert(error);
                endpoint.handle_transport_lost(now);
                drive(flows, id, Chunk::empty(), handler);
                return false;
            }
        }
    }
    true
}

/// Whether a flow waits for a PROXY header.
fn flow_is_fronted(flows: &Flows, id: FlowId) -> bool {
    let link = flows.flow(id).map(|flow| &flow.link);
    matches!(link, Some(Link::Up { stream, .. }) if stream.is_fronted())
}

/// Hands on what a chunk brings, and the end of the flow.
pub(super) fn drive(
    flows: &mut Flows,
    id: FlowId,
    mut chunk: Chunk<'_>,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    let now = flows.now;
    loop {
        let Some(flow) = flows.flow_mut(id) else { return };
        let ends = flow.ends;
        match flow.poll_event(now, &mut chunk) {
            None => break,
            Some(Event::Message(message)) => {
                receive(flows, id, &message, handler);
            }
            Some(Event::Open(opened)) => {
                flow.is_open = true;
                flow.opened_at = now;
                flows.stats.opened += 1;
                let event = FlowEvent::Opened { flow: id, ends, opened: &opened };
                flows.trace(id, &event);
                handler(flows, event);
                flows.send_queued(id);
            }
            Some(Event::Request(request)) if request.is_websocket() => flows.admit(id, &request),
            Some(Event::Request(request)) => {
                flows.stats.http_requests += 1;
                handler(flows, FlowEvent::Http { flow: id, ends, request: &request });
                // Fails if the handler answered.
                let _ = flows.respond(id, &Response::new(404));
            }
            Some(Event::Close(frame)) => flow.note_close(Side::Peer, frame),
            Some(Event::Failed(error)) => {
                let frame = CloseFrame { code: error.status_code(), reason: error.reason().into() };
                flow.note_close(Side::Us, Some(frame));
            }
            Some(Event::Closed(outcome)) => return ended(flows, id, &outcome, handler),
            Some(_) => {}
        }
    }
    flows.mark(id);
}

/// Takes out a flow that ended, and tells it.
fn ended(
    flows: &mut Flows,
    id: FlowId,
    outcome: &Outcome,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    let Some(flow) = flows.remove(id) else { return };
    let ends = flow.ends;
    let refused = Outcome::Refused(RequestError::Unavailable);
    // To the engine the 503 was an answer as any other.
    let is_answer = matches!(outcome, Outcome::Responded(_));
    let outcome = if flow.is_refused && is_answer { &refused } else { outcome };
    let error = flow.error.as_ref().filter(|_| *outcome == Outcome::TransportLost);
    if flow.is_open {
        flows.stats.closed += 1;
        let age = flows.now - flow.opened_at;
        let (counters, first_close) = (flow.counters, flow.first_close.as_deref());
        let event = FlowEvent::Closed { flow: id, ends, outcome, first_close, error, counters, age };
        flows.trace_end(&flow, &event);
        handler(flows, event);
        return;
    }
    flows.stats.not_opened += 1;
    let (request, response) = match &flow.link {
        Link::Up { stream, .. } if stream.is_handshaking() => (&[][..], &[][..]),
        Link::Up { endpoint, .. } => (endpoint.raw_request(), endpoint.raw_response()),
        Link::Connecting(_) | Link::Trunk(_) => (&[][..], &[][..]),
    };
    let response = match outcome {
        Outcome::Rejected(error) => error.head().raw(),
        _ => response,
    };
    let destination = flow.outgoing.as_ref().map(|outgoing| outgoing.target().host_and_port());
    let why = NotOpened::Handshake(outcome);
    let event = FlowEvent::NotOpened { flow: id, ends, why, error, destination, request, response };
    flows.trace_end(&flow, &event);
    handler(flows, event);
}

/// Hands on a WebSocket message, if it is a SIP message; answers a keepalive.
fn receive(
    flows: &mut Flows,
    id: FlowId,
    message: &Message<'_>,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    receive_bytes(flows, id, message.as_bytes(), message.kind(), handler);
}

pub(super) fn receive_bytes(
    flows: &mut Flows,
    id: FlowId,
    bytes: &[u8],
    kind: Kind,
    handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>),
) {
    if let Some(flow) = flows.flow_mut(id) {
        flow.counters.messages_in += 1;
        flow.counters.bytes_in += bytes.len() as u64;
    }
    match Received::parse(bytes) {
        Ok(Received::Sip(message)) => {
            flows.stats.messages_in += 1;
            flows.trace_message(id, Direction::In, bytes);
            handler(flows, FlowEvent::Message { flow: id, message, kind });
        }
        Ok(Received::KeepalivePing) => {
            flows.stats.keepalives_in += 1;
            if let Some(flow) = flows.flow_mut(id) {
                flow.answer_keepalive(kind);
            }
        }
        Ok(Received::KeepalivePong) => flows.stats.keepalive_answers_in += 1,
        Err(error) => {
            flows.stats.refused_messages += 1;
            let start = &bytes[..bytes.len().min(64)];
            handler(flows, FlowEvent::Refused { flow: id, error, start });
        }
    }
}

/// Writes what the flows have to send, and reports those that end by it.
fn flush(flows: &mut Flows, handler: &mut impl FnMut(&mut Flows, FlowEvent<'_>)) {
    while let Some(flow) = flows.next_dirty() {
        let is_over = flows.flush(flow);
        for (flow, len) in core::mem::take(&mut flows.too_long) {
            handler(flows, FlowEvent::TooLong { flow, len });
        }
        if is_over {
            match flows.flow(flow).map(|flow| &flow.link) {
                Some(Link::Trunk(trunk)) => {
                    let outcome = trunk.end.clone().unwrap_or(Outcome::Aborted);
                    ended(flows, flow, &outcome, handler);
                }
                _ => drive(flows, flow, Chunk::empty(), handler),
            }
        }
    }
}
