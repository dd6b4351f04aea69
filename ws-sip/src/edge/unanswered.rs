//! Requests that went to the upstream over a stream and have no final response yet: should the upstream be gone for good, the
//! browsers need not wait for timers of their own. All else about calls is the upstream's to know.
//!
//! Should only the connection be gone and the upstream there again, it may answer over the new one (RFC 3261 section 18.2.2). An
//! INVITE for which it does not is ended here, after what Timers B and C allow; any other request ended at its browser by then,
//! which must not be told 408 any more (RFC 4320 section 4.2).

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

use crate::flow::FlowId;
use crate::memory::give_back;
use crate::sip::{Message, Method, ReplyHead};

/// After 64 T1 a browser has given up a request without a response (RFC 3261 sections 17.1.1.2 and 17.1.2.2).
const LIFETIME: Duration = Duration::from_secs(32);
/// An INVITE may ring for longer than three minutes (section 16.6 item 11).
const RINGING_LIFETIME: Duration = Duration::from_secs(300);

/// Bytes that are kept of all of them together: 64 MiB.
const MAX_STORED_LEN: usize = 64 << 20;

/// By the number in our branch, and the method, since CANCEL has the branch of what it cancels.
type Key = (u64, u8);

#[derive(Debug)]
struct Request {
    from: FlowId,
    /// The upstream's flow that it went over.
    over: FlowId,
    head: ReplyHead,
    ends: Duration,
}

#[derive(Debug)]
pub(super) struct Unanswered {
    max: usize,
    all: HashMap<Key, Request>,
    deadlines: BTreeSet<(Duration, Key)>,
    /// Bytes of the heads.
    stored_len: usize,
}

const INVITE: u8 = 0;

const fn key(branch: u64, method: Method) -> Key {
    let kind = match method {
        Method::Invite => INVITE,
        Method::Cancel => 1,
        _ => 2,
    };
    (branch, kind)
}

impl Unanswered {
    pub(super) fn new(max: usize) -> Self {
        Self { max, all: HashMap::new(), deadlines: BTreeSet::new(), stored_len: 0 }
    }

    /// Notes a request that is forwarded `over` a flow. Beyond `max`, or [`MAX_STORED_LEN`], none is.
    pub(super) fn add(
        &mut self,
        now: Duration,
        branch: u64,
        from: FlowId,
        over: FlowId,
        message: &Message<'_>,
        method: Method,
    ) {
        // A CANCEL is answered with what it cancels.
        if matches!(method, Method::Ack | Method::Cancel) || self.all.len() >= self.max {
            return;
        }
        let Some(head) = ReplyHead::of(message, None) else { return };
        let len = head.stored_len();
        let (key, ends) = (key(branch, method), now + LIFETIME);
        self.remove(key);
        if self.stored_len + len > MAX_STORED_LEN {
            return;
        }
        self.stored_len += len;
        self.all.insert(key, Request { from, over, head, ends });
        self.deadlines.insert((ends, key));
    }

    fn remove(&mut self, key: Key) -> Option<Request> {
        let request = self.all.remove(&key)?;
        self.deadlines.remove(&(request.ends, key));
        self.stored_len -= request.head.stored_len();
        give_back(&mut self.all);
        Some(request)
    }

    /// Takes in a response.
    pub(super) fn answered(&mut self, now: Duration, branch: u64, method: Method, status: u16) {
        let key = key(branch, method);
        if status >= 200 {
            self.remove(key);
        } else if method == Method::Invite
            && let Some(request) = self.all.get_mut(&key)
        {
            self.deadlines.remove(&(request.ends, key));
            request.ends = now + RINGING_LIFETIME;
            self.deadlines.insert((request.ends, key));
        }
    }

    /// Takes all out, each with who asked.
    pub(super) fn take(&mut self) -> Vec<(FlowId, ReplyHead)> {
        self.deadlines.clear();
        self.stored_len = 0;
        core::mem::take(&mut self.all).into_values().map(|request| (request.from, request.head)).collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Forgets what ends by `now`; returns the next INVITE of that, with who sent it and over which flow it went.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> Option<(FlowId, FlowId, ReplyHead)> {
        while let Some(&(at, key)) = self.deadlines.first().filter(|&&(at, _)| at <= now) {
            let Some(Request { from, over, head, .. }) = self.remove(key) else {
                self.deadlines.remove(&(at, key));
                continue;
            };
            if key.1 == INVITE {
                return Some((from, over, head));
            }
        }
        None
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
