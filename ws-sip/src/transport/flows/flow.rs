use std::io;

use ws_core::{Chunk, CloseFrame, Endpoint, Instant, SendBuffer, Side};

use super::SendError;
use crate::flow::FlowId;
use crate::hep;
use crate::sip;
use crate::trace::Verdict;
use crate::transport::event::{Counters, Ends, FirstClose};
use crate::transport::outgoing::{Connecting, Outgoing};
use crate::transport::socket::Socket;
use crate::transport::trunk::Trunk;

#[derive(Debug)]
pub(in crate::transport) struct Flow {
    pub(in crate::transport) id: FlowId,
    pub(in crate::transport) link: Link,
    pub(in crate::transport) ends: Ends,
    pub(in crate::transport) opened_at: Instant,
    pub(in crate::transport) counters: Counters,
    /// For when the flow is entered in the deadlines.
    pub(in crate::transport) armed: Instant,
    /// `Some` in a flow that we opened.
    pub(in crate::transport) outgoing: Option<Box<Outgoing>>,
    pub(in crate::transport) first_close: Option<Box<FirstClose>>,
    /// What the transport was lost by, first of all.
    pub(in crate::transport) error: Option<io::Error>,
    /// Whether the flow is traced.
    pub(in crate::transport) verdict: Verdict,
    pub(in crate::transport) is_open: bool,
    /// The limit of connections from one address knows of it.
    pub(in crate::transport) is_counted: bool,
    /// It is one more than its client may have: answered 503.
    pub(in crate::transport) is_refused: bool,
    pub(super) is_dirty: bool,
    /// The transport took less than it was given: wait until it is writable.
    pub(in crate::transport) is_blocked: bool,
    pub(super) is_shut: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all flows are")]
pub(in crate::transport) enum Link {
    /// An outgoing flow without a TCP connection.
    Connecting(Connecting),
    /// SIP over TCP or UDP.
    Trunk(Box<Trunk>),
    /// From the opening handshake on.
    Up { stream: Socket, endpoint: Endpoint, out: SendBuffer },
}

impl Flow {
    pub(super) fn send(&mut self, message: &[u8], max_output_len: usize) -> Result<(), SendError> {
        if let Link::Trunk(trunk) = &mut self.link {
            trunk.queue(message, max_output_len)?;
            self.counters.messages_out += 1;
            self.counters.bytes_out += message.len() as u64;
            return Ok(());
        }
        let Link::Up { endpoint, out, .. } = &mut self.link else {
            return Err(SendError::Refused(ws_core::SendError::NotOpen));
        };
        match ws_core::utf8::validate(message) {
            Ok(text) => endpoint.send_text(text, out),
            Err(_) => endpoint.send_binary(message, out),
        }
        .map_err(SendError::Refused)?;
        self.counters.messages_out += 1;
        self.counters.bytes_out += message.len() as u64;
        Ok(())
    }

    /// Whether the flow is SIP as it is, or is to be.
    pub(in crate::transport) fn is_trunk(&self) -> bool {
        matches!(self.link, Link::Trunk(_))
            || self.outgoing.as_ref().is_some_and(|outgoing| outgoing.target().is_trunk())
    }

    /// Whether the peer opened it and has not begun to say anything.
    pub(in crate::transport) fn is_silent(&self) -> bool {
        self.ends.is_incoming
            && matches!(&self.link, Link::Up { stream, endpoint, .. }
                if endpoint.raw_request().is_empty() && !stream.is_in_handshake())
    }

    /// Returns what HEP calls what carries the flow.
    pub(in crate::transport) fn protocol(&self) -> u8 {
        match &self.link {
            Link::Trunk(trunk) if trunk.is_datagram() => hep::PROTOCOL_UDP,
            Link::Trunk(_) => hep::PROTOCOL_TCP,
            _ => hep::PROTOCOL_WS,
        }
    }

    /// Notes a Close frame, if it is the first.
    pub(in crate::transport) fn note_close(&mut self, by: Side, frame: Option<CloseFrame>) {
        self.first_close.get_or_insert_with(|| Box::new(FirstClose { by, frame }));
    }

    /// Answers a keepalive in the kind it came in (RFC 5626, section 4.4.1).
    pub(in crate::transport) fn answer_keepalive(&mut self, kind: ws_core::Kind) {
        if let Link::Trunk(trunk) = &mut self.link {
            let _ = trunk.queue(sip::PONG, usize::MAX);
        }
        if let Link::Up { endpoint, out, .. } = &mut self.link {
            // A flow that is closing, or whose output is full, needs no answer.
            let _ = match kind {
                ws_core::Kind::Text => endpoint.send_text("\r\n", out),
                ws_core::Kind::Binary => endpoint.send_binary(sip::PONG, out),
            };
        }
    }

    /// Returns the next event of the connection.
    pub(in crate::transport) fn poll_event<'b>(
        &mut self,
        now: Instant,
        chunk: &mut Chunk<'b>,
    ) -> Option<ws_core::Event<'b>> {
        match &mut self.link {
            Link::Up { endpoint, .. } => endpoint.poll_event(now, chunk),
            Link::Connecting(_) | Link::Trunk(_) => None,
        }
    }
}
