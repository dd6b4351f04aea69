//! The requests that were forwarded and are not over (RFC 3261 section 16.2: the response context).

use super::fail_over::Retry;
use super::names::ViaBranch;
use super::route::Instance;
use crate::flow::FlowId;
use crate::memory::give_back;
use crate::sip::ReplyHead;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

/// A forwarded request: the server transaction on the flow that it came from, and a client transaction for each
/// branch.
#[derive(Debug)]
pub(super) struct Transaction {
    /// What identifies the server transaction; see `Proxy::server_key`.
    pub(super) key: u64,
    /// What an ACK to a 2xx has in common with the INVITE; see `Proxy::call_key`. Only of an INVITE.
    pub(super) call: Option<u64>,
    pub(super) upstream: FlowId,
    /// The upstream flow was closed: no response is sent any more.
    pub(super) upstream_gone: bool,
    pub(super) is_invite: bool,
    /// The upstream side sent CANCEL.
    pub(super) is_cancelled: bool,
    pub(super) head: ReplyHead,
    pub(super) cseq: u32,
    /// Digest part of the Via branch.
    pub(super) digest: u64,
    pub(super) phase: Phase,
    pub(super) branches: Vec<Branch>,
    /// The best final response so far that is not 2xx.
    pub(super) best: Option<Final>,
    /// Only while a branch may need it.
    pub(super) retry: Option<Box<Retry>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No final response was sent upstream.
    Proceeding,
    /// A 2xx to INVITE was: further ones may follow until then (RFC 6026 section 7.1).
    Accepted { until: Duration },
    /// Another final response to INVITE was: its ACK is awaited until then.
    Completed { until: Duration },
}

/// One client transaction.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) flow: FlowId,
    pub(super) state: BranchState,
    /// A provisional response must come before CANCEL may be sent (RFC 3261 section 9.1).
    pub(super) wants_cancel: bool,
    /// What answers for the branch when its flow is closed.
    pub(super) gone: Local,
    /// The Request-URI as sent: only of an INVITE, for CANCEL and ACK.
    pub(super) uri: Box<[u8]>,
    /// The Route lines as sent: only of an INVITE, for CANCEL and ACK.
    pub(super) routes: Box<[u8]>,
    /// Whose flow it is, if another may take its place.
    pub(super) instance: Option<Instance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BranchState {
    /// Nothing came back (Timer B; for other requests than INVITE Timer F, which runs on).
    Calling { until: Duration },
    /// A provisional response came (Timer C).
    Proceeding { until: Duration },
    /// CANCEL was sent.
    Cancelling { until: Duration },
    /// A final response came, or was made up here.
    Done,
}

impl BranchState {
    fn deadline(self) -> Option<Duration> {
        match self {
            Self::Calling { until } | Self::Proceeding { until } | Self::Cancelling { until } => Some(until),
            Self::Done => None,
        }
    }
}

/// A final response other than 2xx.
#[derive(Debug)]
pub(super) enum Final {
    /// Received, our Via taken off.
    Received { status: u16, bytes: Vec<u8> },
    /// To be made here.
    Local(Local),
}

/// A status with its Reason-Phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

impl Final {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Received { status, .. } => *status,
            Self::Local(local) => local.status,
        }
    }

    pub(super) fn stored_len(&self) -> usize {
        match self {
            Self::Received { bytes, .. } => bytes.len(),
            Self::Local(_) => 0,
        }
    }

    /// The order in which final responses are preferred, the lowest first (RFC 3261 section 16.7 item 6).
    pub(super) fn rank(&self) -> (u16, bool) {
        let status = self.status();
        // 6xx settles the matter; otherwise the lowest class, and in it what tells how to try again.
        let class = if status >= 600 { 0 } else { status / 100 };
        (class, !matches!(status, 401 | 407 | 415 | 420 | 484))
    }
}

impl Transaction {
    pub(super) fn is_settled(&self) -> bool {
        self.branches.iter().all(|branch| branch.state == BranchState::Done)
    }

    pub(super) fn deadline(&self) -> Duration {
        match self.phase {
            Phase::Accepted { until } | Phase::Completed { until } => until,
            Phase::Proceeding => {
                self.branches.iter().filter_map(|branch| branch.state.deadline()).min().unwrap_or_default()
            }
        }
    }

    /// How many bytes of messages are kept, without what may be sent again.
    fn stored_len(&self) -> usize {
        let branches: usize = self.branches.iter().map(|branch| branch.uri.len() + branch.routes.len()).sum();
        self.head.stored_len() + branches + self.best.as_ref().map_or(0, Final::stored_len)
    }

    fn retry_len(&self) -> usize {
        self.retry.as_ref().map_or(0, |retry| retry.stored_len())
    }

    pub(super) fn via_branch(&self, epoch: u32, transaction: u64, index: usize) -> ViaBranch {
        // `Config::max_branches` is cut to what fits.
        ViaBranch { epoch, transaction, index: u16::try_from(index).unwrap_or(u16::MAX), digest: self.digest }
    }
}

/// All transactions, found by number, by key, by call, by flow and by deadline.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    entries: HashMap<u64, Entry>,
    keys: HashMap<u64, u64>,
    calls: BTreeSet<(u64, u64)>,
    flows: BTreeSet<(FlowId, u64)>,
    deadlines: BTreeSet<(Duration, u64)>,
    stored_len: usize,
    retries_len: usize,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    transaction: Box<Transaction>,
    deadline: Duration,
    stored_len: usize,
    retry_len: usize,
}

impl Transactions {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn stored_len(&self) -> usize {
        self.stored_len
    }

    /// How many bytes of requests are kept to be sent again; not part of [`stored_len`](Self::stored_len).
    pub(super) fn retries_len(&self) -> usize {
        self.retries_len
    }

    /// Whether no table holds anything.
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let tables =
            [self.entries.len(), self.keys.len(), self.calls.len(), self.flows.len(), self.deadlines.len()];
        tables == [0; 5] && self.stored_len + self.retries_len == 0
    }

    /// A number that no transaction had before.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn id_of_key(&self, key: u64) -> Option<u64> {
        self.keys.get(&key).copied()
    }

    /// Whether an INVITE of this call was answered 2xx and is not over.
    pub(super) fn is_accepted(&self, call: u64) -> bool {
        self.calls.range((call, 0)..=(call, u64::MAX)).any(|&(_, id)| {
            self.get(id).is_some_and(|transaction| matches!(transaction.phase, Phase::Accepted { .. }))
        })
    }

    pub(super) fn get(&self, id: u64) -> Option<&Transaction> {
        self.entries.get(&id).map(|entry| &*entry.transaction)
    }

    /// Takes a transaction out to be changed; it is over unless it is put back.
    pub(super) fn take(&mut self, id: u64) -> Option<Box<Transaction>> {
        let entry = self.entries.remove(&id)?;
        give_back(&mut self.entries);
        self.stored_len -= entry.stored_len;
        self.retries_len -= entry.retry_len;
        self.deadlines.remove(&(entry.deadline, id));
        Some(entry.transaction)
    }

    /// Ends a transaction that was taken out.
    pub(super) fn end(&mut self, id: u64, transaction: &Transaction) {
        if self.keys.get(&transaction.key) == Some(&id) {
            self.keys.remove(&transaction.key);
            give_back(&mut self.keys);
        }
        if let Some(call) = transaction.call {
            self.calls.remove(&(call, id));
        }
        self.flows.remove(&(transaction.upstream, id));
        for branch in &transaction.branches {
            self.flows.remove(&(branch.flow, id));
        }
    }

    /// Puts in a new transaction.
    pub(super) fn add(&mut self, id: u64, transaction: Box<Transaction>) {
        self.keys.insert(transaction.key, id);
        if let Some(call) = transaction.call {
            self.calls.insert((call, id));
        }
        self.flows.insert((transaction.upstream, id));
        for branch in &transaction.branches {
            self.flows.insert((branch.flow, id));
        }
        self.put(id, transaction);
    }

    /// Tells that a transaction that was taken out has a branch to a further flow.
    pub(super) fn join(&mut self, id: u64, flow: FlowId) {
        self.flows.insert((flow, id));
    }

    /// Puts a transaction back that was taken out.
    pub(super) fn put(&mut self, id: u64, transaction: Box<Transaction>) {
        let deadline = transaction.deadline();
        let (stored_len, retry_len) = (transaction.stored_len(), transaction.retry_len());
        self.stored_len += stored_len;
        self.retries_len += retry_len;
        self.deadlines.insert((deadline, id));
        self.entries.insert(id, Entry { transaction, deadline, stored_len, retry_len });
    }

    /// The transactions that a flow takes part in.
    pub(super) fn of_flow(&self, flow: FlowId) -> Vec<u64> {
        self.flows.range((flow, 0)..=(flow, u64::MAX)).map(|&(_, id)| id).collect()
    }

    pub(super) fn first_deadline(&self) -> Option<(Duration, u64)> {
        self.deadlines.first().copied()
    }
}
