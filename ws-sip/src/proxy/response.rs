//! Responses, and all else that ends a branch: CANCEL, closed flows, deadlines (RFC 3261 sections 16.7 to 16.10).

use super::names::ViaBranch;
use super::request::{Outcome, Request, refuse};
use super::transaction::{BranchState, Final, Local, Phase, Transaction};
use super::{Proxy, Refused};
use crate::flow::FlowId;
use crate::sip::{Editor, Fault, Header, Message, Method, Via, append};
use core::time::Duration;

/// RFC 5626 section 11.5: the next hop has no flow left to the contact.
const FLOW_FAILED: u16 = 430;
const REQUEST_TIMEOUT: Local = Local { status: 408, reason: "Request Timeout" };
const REQUEST_TERMINATED: Local = Local { status: 487, reason: "Request Terminated" };

/// Whether a transaction goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    Over,
}

impl Proxy {
    pub(super) fn handle_response(
        &mut self,
        now: Duration,
        flow: FlowId,
        message: &Message<'_>,
        status: u16,
    ) -> Result<(), Refused> {
        let found = message.check().map_err(|fault| {
            self.count_malformed(fault);
            Refused::Malformed(fault)
        })?;
        self.stats.responses += 1;
        let own = found.via.branch.and_then(ViaBranch::parse);
        let own = own.filter(|branch| branch.epoch == self.epoch && self.is_own(&found.via.sent_by));
        let method = Method::of(found.cseq.method);
        let known = own.and_then(|own| {
            let transaction = self.transactions.get(own.transaction)?;
            let branch = transaction.branches.get(usize::from(own.index))?;
            // A response counts only on the flow to which its request was sent.
            let is_match = transaction.digest == own.digest
                && transaction.cseq == found.cseq.number
                && branch.flow == flow
                && (method == Method::Invite || method == Method::Cancel) == transaction.is_invite;
            is_match.then_some((own.transaction, usize::from(own.index)))
        });
        let Some((id, index)) = known else {
            self.stats.stray_responses += 1;
            return Err(Refused::StrayResponse);
        };
        if method == Method::Cancel {
            return Ok(());
        }
        // 16.7 item 3: below our Via is that of the element that the response goes to.
        let next_via = message.values(Header::Via).nth(1).ok_or(Fault::Missing("Via"));
        let next_via =
            next_via.and_then(|via| Via::parse(via.bytes).map_err(|error| Fault::Value("Via", error)));
        if let Err(fault) = next_via {
            self.count_malformed(fault);
            return Err(Refused::Malformed(fault));
        }
        if let Some(mut transaction) = self.transactions.take(id) {
            let next = self.respond(now, id, &mut transaction, index, message, status);
            self.settle(now, id, transaction, next);
        }
        Ok(())
    }

    fn respond(
        &mut self,
        now: Duration,
        id: u64,
        transaction: &mut Transaction,
        index: usize,
        message: &Message<'_>,
        status: u16,
    ) -> Next {
        let is_open = transaction.phase == Phase::Proceeding;
        match status {
            ..200 => {
                self.ring(now, id, transaction, index);
                // 16.7 item 5: a 100 goes one hop.
                if status > 100 && is_open {
                    self.pass_up(transaction, message);
                }
            }
            200..300 if transaction.is_invite => {
                self.finish_branch(transaction, index);
                self.pass_up(transaction, message);
                if !matches!(transaction.phase, Phase::Accepted { .. }) {
                    transaction.phase = Phase::Accepted { until: now + self.config.transaction_timeout };
                    transaction.best = None;
                    self.cancel_all(now, id, transaction);
                }
            }
            200..300 => {
                if is_open {
                    self.pass_up(transaction, message);
                }
                return Next::Over;
            }
            300.. => {
                if transaction.is_invite {
                    self.acknowledge(id, transaction, index, message);
                }
                let is_moved = status == FLOW_FAILED && self.fail_over(now, id, transaction, index);
                if self.finish_branch(transaction, index) && is_open && !is_moved {
                    self.offer(transaction, Final::Received { status, bytes: self.onward(message) });
                    if status >= 600 && transaction.is_invite {
                        self.cancel_all(now, id, transaction);
                    }
                }
            }
        }
        Next::Continue
    }

    /// Takes in a provisional response.
    fn ring(&mut self, now: Duration, id: u64, transaction: &mut Transaction, index: usize) {
        let Some(branch) = transaction.branches.get_mut(index).filter(|_| transaction.is_invite) else {
            return;
        };
        if let BranchState::Calling { .. } | BranchState::Proceeding { .. } = branch.state {
            branch.state = BranchState::Proceeding { until: now + self.config.ring_timeout };
            if branch.wants_cancel {
                self.cancel(now, id, transaction, index);
            }
        }
    }

    /// Ends a branch; false when it had ended before.
    fn finish_branch(&mut self, transaction: &mut Transaction, index: usize) -> bool {
        let Some(branch) = transaction.branches.get_mut(index) else { return false };
        core::mem::replace(&mut branch.state, BranchState::Done) != BranchState::Done
    }

    /// Sends a response on to the flow that the request came from.
    fn pass_up(&mut self, transaction: &Transaction, message: &Message<'_>) {
        if !transaction.upstream_gone {
            self.stats.forwarded_responses += 1;
            let bytes = self.onward(message);
            self.send(transaction.upstream, bytes);
        }
    }

    /// The response as it goes upstream: without its topmost Via, which is ours.
    fn onward(&self, message: &Message<'_>) -> Vec<u8> {
        let mut editor = Editor::new(message);
        editor.remove_values(Header::Via, 1);
        if self.authenticator.is_some() {
            // RFC 3325, section 9.1: who it says was reached is the client's word alone.
            editor.remove_lines(Header::PAssertedIdentity);
        }
        editor.finish()
    }

    /// Keeps a final response if it is the best so far; challenges of all are kept (RFC 3261 section 16.7 item 7).
    fn offer(&mut self, transaction: &mut Transaction, mut offered: Final) {
        if let Some(mut best) = transaction.best.take() {
            if best.rank() <= offered.rank() {
                core::mem::swap(&mut best, &mut offered);
            }
            // From here `best` is what loses.
            if let (
                Final::Received { status: 401 | 407, bytes },
                Final::Received { status: 401 | 407, bytes: lost },
            ) = (&mut offered, &best)
            {
                add_challenges(bytes, lost);
            }
        }
        let spare = self.config.max_stored_len.saturating_sub(self.transactions.stored_len());
        if let Final::Received { status, .. } = offered
            && offered.stored_len() > spare
            && !transaction.is_settled()
        {
            offered = Final::Local(Local { status, reason: "Response Not Kept" });
        }
        transaction.best = Some(offered);
    }

    /// Sends CANCEL to each branch that has no final response (RFC 3261 section 16.10).
    fn cancel_all(&mut self, now: Duration, id: u64, transaction: &mut Transaction) {
        for index in 0..transaction.branches.len() {
            self.cancel(now, id, transaction, index);
        }
    }

    fn cancel(&mut self, now: Duration, id: u64, transaction: &mut Transaction, index: usize) {
        let until = now + self.config.transaction_timeout;
        let Some(branch) = transaction.branches.get_mut(index) else { return };
        match branch.state {
            BranchState::Calling { .. } => branch.wants_cancel = true,
            BranchState::Proceeding { .. } => {
                branch.state = BranchState::Cancelling { until };
                let flow = branch.flow;
                let mut to = transaction.head.to().to_vec();
                to.extend_from_slice(b"\r\n");
                let bytes = self.hop(transaction, id, index, "CANCEL", &to);
                self.send(flow, bytes);
            }
            BranchState::Cancelling { .. } | BranchState::Done => {}
        }
    }

    /// Sends the ACK to a final response other than 2xx (RFC 3261 section 17.1.1.3).
    fn acknowledge(&mut self, id: u64, transaction: &Transaction, index: usize, message: &Message<'_>) {
        let Some(branch) = transaction.branches.get(index) else { return };
        let to = message.first(Header::To).map(|field| message.line_of(field)).unwrap_or_default();
        let bytes = self.hop(transaction, id, index, "ACK", to);
        self.send(branch.flow, bytes);
    }

    /// A CANCEL or ACK for the next hop, made from the INVITE; `to` is a whole line.
    fn hop(&self, transaction: &Transaction, id: u64, index: usize, method: &str, to: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let Some(branch) = transaction.branches.get(index) else { return out };
        append(&mut out, format_args!("{method} "));
        out.extend_from_slice(&branch.uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        self.write_via(&mut out, branch.flow, transaction.via_branch(self.epoch, id, index));
        out.extend_from_slice(b"\r\nMax-Forwards: 70\r\n");
        out.extend_from_slice(&branch.routes);
        out.extend_from_slice(transaction.head.from_and_call_id());
        out.extend_from_slice(to);
        append(&mut out, format_args!("CSeq: {} {method}\r\nContent-Length: 0\r\n\r\n", transaction.cseq));
        out
    }

    /// Sends the best response once all branches have ended, and puts the transaction back or ends it.
    fn settle(&mut self, now: Duration, id: u64, mut transaction: Box<Transaction>, next: Next) {
        let mut next = next;
        if next == Next::Continue && transaction.phase == Phase::Proceeding && transaction.is_settled() {
            self.send_best(&mut transaction);
            if transaction.is_invite && !transaction.upstream_gone {
                transaction.phase = Phase::Completed { until: now + self.config.transaction_timeout };
            } else {
                next = Next::Over;
            }
        }
        if transaction.phase != Phase::Proceeding {
            transaction.retry = None;
        }
        match next {
            Next::Continue => self.transactions.put(id, transaction),
            Next::Over => self.end(id, &transaction),
        }
    }

    fn send_best(&mut self, transaction: &mut Transaction) {
        let best = transaction.best.take().unwrap_or(Final::Local(REQUEST_TIMEOUT));
        if transaction.upstream_gone {
            return;
        }
        let local = match best {
            // 16.7 item 6: a 503 would be taken for ours.
            Final::Received { status: 503, .. } => Local { status: 500, reason: "Server Internal Error" },
            Final::Received { bytes, .. } => {
                self.stats.forwarded_responses += 1;
                return self.send(transaction.upstream, bytes);
            }
            Final::Local(local) => local,
        };
        let reply = transaction.head.reply(local.status, local.reason, self.tags.next());
        let bytes = self.finish_reply(local.status, reply);
        self.send(transaction.upstream, bytes);
    }

    /// Ends a transaction that was taken out.
    pub(super) fn end(&mut self, id: u64, transaction: &Transaction) {
        if let Some(flow) = self.flows.get_mut(&transaction.upstream) {
            flow.transactions = flow.transactions.saturating_sub(1);
        }
        self.transactions.end(id, transaction);
    }

    pub(super) fn handle_cancel(&mut self, now: Duration, request: &Request<'_, '_>) -> Outcome {
        let key = self.server_key(request, true);
        let Some((id, mut transaction)) =
            self.transactions.id_of_key(key).and_then(|id| Some((id, self.transactions.take(id)?)))
        else {
            return refuse(481, "Call/Transaction Does Not Exist");
        };
        self.answer(request.flow, request.info, request.message, 200, "OK", |_| {});
        if transaction.is_invite && transaction.phase == Phase::Proceeding {
            transaction.is_cancelled = true;
            self.cancel_all(now, id, &mut transaction);
        }
        self.transactions.put(id, transaction);
        Ok(())
    }

    /// Takes in that a flow of a transaction was closed.
    pub(super) fn fail_flow(&mut self, now: Duration, id: u64, flow: FlowId) {
        let Some(mut transaction) = self.transactions.take(id) else { return };
        for index in 0..transaction.branches.len() {
            let Some(branch) = transaction.branches.get(index).filter(|branch| branch.flow == flow) else {
                continue;
            };
            let gone = if transaction.is_cancelled { REQUEST_TERMINATED } else { branch.gone };
            let is_moved = self.fail_over(now, id, &mut transaction, index);
            if self.finish_branch(&mut transaction, index) {
                self.stats.failed_flows += 1;
                if transaction.phase == Phase::Proceeding && !is_moved {
                    self.offer(&mut transaction, Final::Local(gone));
                }
            }
        }
        let mut next = Next::Continue;
        if transaction.upstream == flow {
            transaction.upstream_gone = true;
            if transaction.is_invite && transaction.phase == Phase::Proceeding {
                self.cancel_all(now, id, &mut transaction);
            } else {
                next = Next::Over;
            }
        }
        self.settle(now, id, transaction, next);
    }

    /// Takes in that a transaction's deadline has come.
    pub(super) fn expire(&mut self, now: Duration, id: u64) {
        let Some(mut transaction) = self.transactions.take(id) else { return };
        if transaction.phase != Phase::Proceeding {
            return self.end(id, &transaction);
        }
        for index in 0..transaction.branches.len() {
            let state = transaction.branches.get(index).map_or(BranchState::Done, |branch| branch.state);
            match state {
                BranchState::Calling { until } | BranchState::Cancelling { until } if until <= now => {
                    self.stats.timeouts += 1;
                    self.finish_branch(&mut transaction, index);
                    if transaction.is_invite {
                        let local =
                            if transaction.is_cancelled { REQUEST_TERMINATED } else { REQUEST_TIMEOUT };
                        self.offer(&mut transaction, Final::Local(local));
                    }
                }
                BranchState::Proceeding { until } if until <= now => {
                    self.stats.timeouts += 1;
                    self.cancel(now, id, &mut transaction, index);
                }
                _ => {}
            }
        }
        // RFC 4320 section 4.2: no 408 to other requests than INVITE, their client has given up as well.
        let is_silent = !transaction.is_invite && transaction.best.is_none();
        let next = if is_silent { Next::Over } else { Next::Continue };
        self.settle(now, id, transaction, next);
    }
}

/// Puts the challenges of one response into another.
fn add_challenges(response: &mut Vec<u8>, other: &[u8]) {
    let Ok(other) = Message::parse(other) else { return };
    let Ok(message) = Message::parse(response) else { return };
    let mut editor = Editor::new(&message);
    let is_challenge = |header| matches!(header, Header::WwwAuthenticate | Header::ProxyAuthenticate);
    for field in other.fields().iter().filter(|field| is_challenge(field.header())) {
        let line = other.line_of(field);
        editor.add_on_top(|out| out.extend_from_slice(line.strip_suffix(b"\r\n").unwrap_or(line)));
    }
    let merged = editor.finish();
    *response = merged;
}
