//! Requests that went to the upstream over a stream and have no final response yet: should the upstream be gone for good, the
//! browsers need not wait for timers of their own. All else about calls is the upstream's to know.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use crate::flow::FlowId;
use crate::memory::give_back;
use crate::sip::{Message, Method, ReplyHead};

/// After 64 T1 a browser has given up a request other than INVITE (RFC 3261 section 17.1.2.2).
const LIFETIME: Duration = Duration::from_secs(32);
/// An INVITE may ring for longer than three minutes (section 16.6 item 11); one that does is on its own.
const INVITE_LIFETIME: Duration = Duration::from_secs(300);

/// By the number in our branch, and the method, since CANCEL has the branch of what it cancels.
type Key = (u64, u8);

#[derive(Debug)]
struct Request {
    from: FlowId,
    head: ReplyHead,
    ends: Duration,
}

#[derive(Debug)]
pub(super) struct Unanswered {
    max: usize,
    all: HashMap<Key, Request>,
    /// In the order in which they end, those of each lifetime; some are answered already.
    queues: [VecDeque<(Duration, Key)>; 2],
}

const fn key(branch: u64, method: Method) -> Key {
    let kind = match method {
        Method::Invite => 0,
        Method::Cancel => 1,
        _ => 2,
    };
    (branch, kind)
}

impl Unanswered {
    pub(super) fn new(max: usize) -> Self {
        Self { max, all: HashMap::new(), queues: [VecDeque::new(), VecDeque::new()] }
    }

    /// Notes a request that was forwarded. Beyond `max` none is.
    pub(super) fn add(
        &mut self,
        now: Duration,
        branch: u64,
        from: FlowId,
        message: &Message<'_>,
        method: Method,
    ) {
        self.expire(now);
        // A CANCEL is answered with what it cancels.
        if matches!(method, Method::Ack | Method::Cancel) || self.all.len() >= self.max {
            return;
        }
        let Some(head) = ReplyHead::of(message, None) else { return };
        let (queue, lifetime) = match method {
            Method::Invite => (0, INVITE_LIFETIME),
            _ => (1, LIFETIME),
        };
        let (key, ends) = (key(branch, method), now + lifetime);
        self.all.insert(key, Request { from, head, ends });
        self.queues[queue].push_back((ends, key));
    }

    /// Takes in a final response.
    pub(super) fn answered(&mut self, branch: u64, method: Method) {
        if self.all.remove(&key(branch, method)).is_some() {
            give_back(&mut self.all);
        }
        for queue in &mut self.queues {
            while queue.front().is_some_and(|(_, key)| !self.all.contains_key(key)) {
                queue.pop_front();
            }
            if queue.capacity() > 1024 && queue.len() < queue.capacity() / 8 {
                queue.shrink_to(queue.len() * 2);
            }
        }
    }

    /// Takes all out, each with who asked.
    pub(super) fn take(&mut self, now: Duration) -> Vec<(FlowId, ReplyHead)> {
        self.expire(now);
        self.queues = [VecDeque::new(), VecDeque::new()];
        core::mem::take(&mut self.all).into_values().map(|request| (request.from, request.head)).collect()
    }

    fn expire(&mut self, now: Duration) {
        for queue in &mut self.queues {
            while let Some(&(ends, key)) = queue.front()
                && (ends <= now || !self.all.contains_key(&key))
            {
                queue.pop_front();
                if self.all.get(&key).is_some_and(|request| request.ends <= now) {
                    self.all.remove(&key);
                }
            }
        }
        give_back(&mut self.all);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
