//! Responses, back where the requests came from (RFC 3261 section 16.11).

use core::time::Duration;

use super::forward::VIA_PARAMETER;
use super::{Edge, Side, UpstreamTransport};
use crate::flow::FlowId;
use crate::proxy::Refused;
use crate::sip::{Editor, Fault, Header, Message, Method, Via};

impl Edge {
    pub(super) fn handle_response(
        &mut self,
        now: Duration,
        from: FlowId,
        side: Side,
        message: &Message<'_>,
        status: u16,
    ) -> Result<(), Refused> {
        let found = message.check().map_err(Refused::Malformed)?;
        let method = Method::of(found.cseq.method);
        let udp = self.config.transport == UpstreamTransport::Udp;
        if side == Side::Upstream && udp {
            let branch = found.via.branch.and_then(parse_branch).ok_or(Refused::StrayResponse)?;
            if let Some(ack) = self.transactions.handle_response(now, branch, method, status) {
                self.stats.retransmissions += 1;
                self.send(from, ack);
                return Ok(());
            }
        }
        let token = found.via.params.into_iter().flatten().find(|param| param.is(VIA_PARAMETER));
        let to = token.and_then(|param| self.tokens.flow(param.value?)).ok_or(Refused::StrayResponse)?;
        let next = message.values(Header::Via).nth(1).ok_or(Refused::Malformed(Fault::Missing("Via")))?;
        let next = Via::parse(next.bytes).map_err(|error| Refused::Malformed(Fault::Value("Via", error)))?;
        if side == Side::Upstream
            && !udp
            && let Some(branch) = found.via.branch.and_then(parse_branch)
        {
            self.unanswered.answered(now, branch, method, status);
        }
        let wanted = side.other();
        let to = match self.flows.get(&to) {
            Some(&is) if is == wanted => to,
            // Never back to the side it came from.
            Some(_) => return Err(Refused::StrayResponse),
            // RFC 3261, section 18.2.2: the upstream's connection is gone, another leads there too.
            None if wanted == Side::Upstream && self.upstream.is_some() => {
                self.upstream.ok_or(Refused::UnknownFlow)?
            }
            None => {
                self.stats.flow_failed += 1;
                return Ok(());
            }
        };
        let mut edit = Editor::new(message);
        edit.remove_values(Header::Via, 1);
        if wanted == Side::Upstream {
            edit.ensure_content_length();
        }
        let bytes = edit.finish();
        if wanted == Side::Upstream && !self.fits(bytes.len()) {
            return Err(Refused::TooLong(bytes.len()));
        }
        match wanted {
            Side::Client => self.stats.responses_down += 1,
            Side::Upstream => {
                self.stats.responses_up += 1;
                if udp {
                    self.transactions.send_response(now, &next, method, status, &bytes);
                }
            }
        }
        self.send(to, bytes);
        Ok(())
    }
}

/// The number in a branch that [`Edge::branch`] made.
pub(super) fn parse_branch(branch: &[u8]) -> Option<u64> {
    let digits = core::str::from_utf8(branch.strip_prefix(b"z9hG4bK")?).ok()?;
    (digits.len() == 16 && !digits.starts_with('+')).then(|| u64::from_str_radix(digits, 16).ok())?
}
