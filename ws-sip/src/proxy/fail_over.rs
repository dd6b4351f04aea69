//! Another flow of the same instance takes over from one that failed (RFC 5626 section 7).

use super::Proxy;
use super::forward::Onward;
use super::request::Request;
use super::route::{Instance, Route, Target};
use super::transaction::{BranchState, Phase, Transaction};
use crate::sip::{Message, SipUri, StartLine};
use core::time::Duration;

/// What it takes to send a request once more.
#[derive(Debug)]
pub(super) struct Retry {
    message: Box<[u8]>,
    /// Without targets.
    route: Route,
    onward: Onward,
}

impl Retry {
    pub(super) fn stored_len(&self) -> usize {
        self.message.len()
    }
}

impl Proxy {
    /// Keeps a request if one of its targets has another flow, and if there is room. The room is not that of what every
    /// request needs, so that no copy has another request refused.
    pub(super) fn keep_for_retry(
        &self,
        request: &Request<'_, '_>,
        route: &Route,
        targets: &[Target],
        onward: Onward,
    ) -> Option<Box<Retry>> {
        let message = request.message.bytes();
        let spare = (self.config.max_stored_len / 4).saturating_sub(self.transactions.retries_len());
        if message.len() > spare || targets.iter().all(|target| target.instance.is_none()) {
            return None;
        }
        let route = Route { targets: Vec::new(), ..*route };
        Some(Box::new(Retry { message: message.into(), route, onward }))
    }

    /// Sends the request of a branch whose flow failed to the same instance over another flow, as a new branch; false
    /// when there is none, or nothing more is to be sent.
    pub(super) fn fail_over(
        &mut self,
        now: Duration,
        id: u64,
        transaction: &mut Transaction,
        index: usize,
    ) -> bool {
        let branches = &transaction.branches;
        let limit = self.config.max_branches.saturating_mul(2).min(usize::from(u16::MAX));
        let (Some(retry), Some(failed)) = (&transaction.retry, branches.get(index)) else { return false };
        let Some(Instance { id: instance, .. }) = &failed.instance else { return false };
        let until = match failed.state {
            // Timer F of the client runs on.
            BranchState::Calling { until } if !transaction.is_invite => until,
            BranchState::Calling { .. } | BranchState::Proceeding { .. } => {
                now + self.config.transaction_timeout
            }
            BranchState::Cancelling { .. } | BranchState::Done => return false,
        };
        if transaction.phase != Phase::Proceeding || failed.wants_cancel || branches.len() >= limit {
            return false;
        }
        let Ok(message) = Message::parse(&retry.message) else { return false };
        let StartLine::Request { method, uri: raw_uri, .. } = message.start_line() else { return false };
        let flow = transaction.upstream;
        let (Some(info), Ok(uri), Ok(found)) = (self.info(flow), SipUri::parse(raw_uri), message.check())
        else {
            return false;
        };
        let request = Request { flow, info, message: &message, method, raw_uri, uri, found };
        let other = self.other_flow(now, &request, instance, |binding| {
            branches.iter().any(|branch| {
                let tried = branch.instance.as_ref().map(|instance| (branch.flow, instance.reg_id));
                tried == Some((binding.flow, binding.reg_id))
            })
        });
        let Some(target) = other else { return false };
        let onward = Onward { until, ..retry.onward };
        let branch = self.start_branch(&request, &retry.route, &target, (id, branches.len()), onward);
        self.transactions.join(id, branch.flow);
        transaction.branches.push(branch);
        true
    }
}
