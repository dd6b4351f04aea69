//! Transactions towards an upstream over UDP: the edge turns reliable into unreliable, so it is the one that
//! retransmits (RFC 3261 sections 16.11 and 17).
//!
//! | who | what | timers |
//! |---|---|---|
//! | client, INVITE | retransmit until a response | A: T1, doubling; B: 64 T1, then 408 |
//! | client, other | retransmit until a final response | E: T1, doubling up to T2; F: 64 T1, then 408 |
//! | server, INVITE | retransmit a final response other than 2xx until ACK; take in what still comes | G: T1, doubling up to T2; H: 64 T1; I: T4 |
//! | server, INVITE, 2xx | take in the INVITEs that still come (RFC 6026) | L: 64 T1 |
//! | server, other | answer a retransmission with the last response | J: 64 T1 |
//!
//! A 2xx to INVITE is retransmitted by the user agents themselves (section 13.3.1.4), whatever the transport.

use core::hash::{Hash as _, Hasher as _};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::hash::DefaultHasher;

use crate::flow::FlowId;
use crate::memory::give_back;
use crate::sip::{Essentials, Header, HostPort, Message, Method, Reply, Via};

/// Round-trip time estimate (section 17.1.1.1).
const T1: Duration = Duration::from_millis(500);
/// The longest time between retransmissions.
const T2: Duration = Duration::from_secs(4);
/// The longest time that a message stays in the network.
const T4: Duration = Duration::from_secs(5);
/// After how long a transaction is over.
const LIFETIME: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    /// By the number in our branch, and whether it is an INVITE, a CANCEL or another.
    Client(u64, u8),
    /// By a hash of what section 17.2.3 tells transactions by.
    Server(u64),
}

#[derive(Debug)]
struct Transaction {
    is_invite: bool,
    /// What is retransmitted; empty when nothing is.
    bytes: Vec<u8>,
    /// The next retransmission, and the time after which the one after it comes.
    again: Option<(Duration, Duration)>,
    ends: Duration,
    /// Its place among the deadlines.
    armed: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Client {
        /// Who gets the 408.
        from: FlowId,
        timeout: Vec<u8>,
        /// The ACK to a final response, hop by hop.
        ack: Vec<u8>,
        is_answered: bool,
    },
    Server {
        /// A final response other than 2xx got its ACK.
        is_acked: bool,
    },
}

/// What became of a request from the upstream.
pub(super) enum Arrived {
    New,
    /// A retransmission: this is the answer so far.
    Again(Option<Vec<u8>>),
    TooMany,
}

/// What a deadline asks for.
pub(super) enum Due {
    /// Send again to the upstream.
    Retransmit(Vec<u8>),
    /// Tell the flow that no answer came.
    Answer(FlowId, Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Transactions {
    max: usize,
    all: HashMap<Key, Transaction>,
    deadlines: BTreeSet<(Duration, Key)>,
}

impl Transactions {
    pub(super) fn new(max: usize) -> Self {
        Self { max, all: HashMap::new(), deadlines: BTreeSet::new() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    pub(super) fn handle_timeout(&mut self, now: Duration) -> Option<Due> {
        while let Some(&(at, key)) = self.deadlines.first().filter(|&&(at, _)| at <= now) {
            self.deadlines.remove(&(at, key));
            let Some(transaction) = self.all.get_mut(&key) else { continue };
            if transaction.ends <= now {
                let transaction = self.all.remove(&key)?;
                match transaction.kind {
                    Kind::Client { from, timeout, is_answered: false, .. } => {
                        return Some(Due::Answer(from, timeout));
                    }
                    _ => continue,
                }
            }
            let Some((due, pause)) = transaction.again.filter(|&(due, _)| due <= now) else {
                self.arm(key);
                continue;
            };
            let pause = if transaction.is_invite && matches!(key, Key::Client(..)) {
                pause * 2
            } else {
                (pause * 2).min(T2)
            };
            transaction.again = Some((due + pause, pause));
            let bytes = transaction.bytes.clone();
            self.arm(key);
            return Some(Due::Retransmit(bytes));
        }
        None
    }

    /// Takes in that a request goes out to the upstream. False: there are too many.
    pub(super) fn send_request(
        &mut self,
        now: Duration,
        branch: u64,
        from: FlowId,
        message: &Message<'_>,
        method: Method,
        bytes: &[u8],
    ) -> bool {
        if self.all.len() >= self.max {
            return false;
        }
        let timeout = Reply::to(message, None, 408, "Request Timeout", "408").map(Reply::finish);
        let transaction = Transaction {
            is_invite: method == Method::Invite,
            bytes: bytes.to_vec(),
            again: Some((now + T1, T1)),
            ends: now + LIFETIME,
            armed: now,
            kind: Kind::Client {
                from,
                timeout: timeout.unwrap_or_default(),
                ack: Vec::new(),
                is_answered: method == Method::Cancel,
            },
        };
        self.insert(client_key(branch, method), transaction);
        true
    }

    /// Takes in a response from the upstream. Returns an ACK if it is a retransmission that only needs that again.
    pub(super) fn handle_response(
        &mut self,
        now: Duration,
        branch: u64,
        method: Method,
        status: u16,
    ) -> Option<Vec<u8>> {
        let key = client_key(branch, method);
        let transaction = self.all.get_mut(&key)?;
        let Kind::Client { ack, is_answered, .. } = &mut transaction.kind else { return None };
        if status < 200 {
            if transaction.is_invite {
                // 17.1.1.2: a provisional response ends the retransmissions, and Timer B with them.
                transaction.again = None;
                *is_answered = true;
                transaction.ends = now + Duration::from_secs(200);
            } else if let Some((due, pause)) = &mut transaction.again {
                (*due, *pause) = (now + T2, T2);
            }
            self.arm(key);
            return None;
        }
        if transaction.is_invite && (300..).contains(&status) && !ack.is_empty() {
            return Some(ack.clone());
        }
        let stays = transaction.is_invite && status >= 300;
        *is_answered = true;
        transaction.again = None;
        transaction.bytes = Vec::new();
        transaction.ends = now + LIFETIME;
        if stays {
            self.arm(key);
        } else {
            self.remove(key);
        }
        None
    }

    /// Takes in an ACK on its way to the upstream: it answers retransmissions of the final response.
    pub(super) fn send_ack(&mut self, branch: u64, bytes: &[u8]) {
        if let Some(transaction) = self.all.get_mut(&client_key(branch, Method::Invite))
            && let Kind::Client { ack, .. } = &mut transaction.kind
        {
            *ack = bytes.to_vec();
        }
    }

    /// Takes in a request from the upstream.
    pub(super) fn handle_request(
        &mut self,
        now: Duration,
        message: &Message<'_>,
        found: &Essentials<'_>,
        method: Method,
    ) -> Arrived {
        let key = server_key(&found.via.sent_by, found.via.branch, method, message);
        if let Some(transaction) = self.all.get(&key) {
            if method == Method::Ack {
                return self.handle_ack(now, key);
            }
            let bytes = &transaction.bytes;
            return Arrived::Again((!bytes.is_empty()).then(|| bytes.clone()));
        }
        if method == Method::Ack {
            return Arrived::New;
        }
        if self.all.len() >= self.max {
            return Arrived::TooMany;
        }
        let is_invite = method == Method::Invite;
        // An INVITE may ring for as long as Timer C allows upstream.
        let ends = now + if is_invite { Duration::from_secs(200) } else { LIFETIME };
        let transaction = Transaction {
            is_invite,
            bytes: Vec::new(),
            again: None,
            ends,
            armed: now,
            kind: Kind::Server { is_acked: false },
        };
        self.insert(key, transaction);
        Arrived::New
    }

    /// Takes in a response on its way to the upstream; `via` is the one it goes by.
    pub(super) fn send_response(
        &mut self,
        now: Duration,
        via: &Via<'_>,
        method: Method,
        status: u16,
        bytes: &[u8],
    ) {
        // A response carries no more of the request than its Via, so a branch of RFC 3261 is needed.
        let Some(key) = server_key_of(&via.sent_by, via.branch, method) else { return };
        self.respond(now, key, status, bytes);
    }

    /// Takes in an answer of the edge's own.
    pub(super) fn send_own_answer(
        &mut self,
        now: Duration,
        message: &Message<'_>,
        method: Method,
        status: u16,
        bytes: &[u8],
    ) {
        if let Ok(found) = message.check() {
            let key = server_key(&found.via.sent_by, found.via.branch, method, message);
            self.respond(now, key, status, bytes);
        }
    }

    fn respond(&mut self, now: Duration, key: Key, status: u16, bytes: &[u8]) {
        let Some(transaction) = self.all.get_mut(&key) else { return };
        transaction.bytes = bytes.to_vec();
        if status < 200 {
            return;
        }
        transaction.ends = now + LIFETIME;
        if transaction.is_invite {
            if status < 300 {
                // RFC 6026, section 7.1: an INVITE that still comes is no further call. The 2xx is its user agent's.
                transaction.bytes = Vec::new();
            } else {
                transaction.again = Some((now + T1, T1));
            }
        }
        self.arm(key);
    }

    /// Takes in an ACK with the branch of an INVITE.
    fn handle_ack(&mut self, now: Duration, key: Key) -> Arrived {
        let Some(transaction) = self.all.get_mut(&key) else { return Arrived::New };
        match &mut transaction.kind {
            Kind::Server { is_acked: true } => Arrived::Again(None),
            Kind::Server { is_acked } if transaction.again.take().is_some() => {
                // 17.2.1: the final response arrived. The ACK itself goes on to the browser.
                *is_acked = true;
                transaction.bytes = Vec::new();
                transaction.ends = now + T4;
                self.arm(key);
                Arrived::New
            }
            _ => Arrived::New,
        }
    }

    /// Nobody waits any more for what a closed flow asked.
    pub(super) fn handle_flow_closed(&mut self, flow: FlowId) {
        let gone: Vec<Key> = self
            .all
            .iter()
            .filter(|(_, transaction)| matches!(transaction.kind, Kind::Client { from, .. } if from == flow))
            .map(|(&key, _)| key)
            .collect();
        for key in gone {
            self.remove(key);
        }
    }

    fn insert(&mut self, key: Key, transaction: Transaction) {
        self.remove(key);
        self.all.insert(key, transaction);
        self.arm(key);
    }

    fn remove(&mut self, key: Key) {
        if let Some(transaction) = self.all.remove(&key) {
            give_back(&mut self.all);
            self.deadlines.remove(&(transaction.armed, key));
        }
    }

    fn arm(&mut self, key: Key) {
        if let Some(transaction) = self.all.get_mut(&key) {
            let at = transaction.again.map_or(transaction.ends, |(due, _)| due.min(transaction.ends));
            self.deadlines.remove(&(transaction.armed, key));
            transaction.armed = at;
            self.deadlines.insert((at, key));
        }
    }
}

fn client_key(branch: u64, method: Method) -> Key {
    let kind = match method {
        Method::Invite | Method::Ack => 0,
        Method::Cancel => 1,
        _ => 2,
    };
    Key::Client(branch, kind)
}

/// Section 17.2.3; an ACK belongs to its INVITE.
fn server_key_of(sent_by: &HostPort<'_>, branch: Option<&[u8]>, method: Method) -> Option<Key> {
    let branch = branch.filter(|branch| branch.starts_with(b"z9hG4bK"))?;
    let mut hasher = DefaultHasher::new();
    branch.hash(&mut hasher);
    sent_by.host.to_ascii_lowercase().hash(&mut hasher);
    sent_by.port.hash(&mut hasher);
    matches!(method, Method::Cancel).hash(&mut hasher);
    Some(Key::Server(hasher.finish()))
}

fn server_key(sent_by: &HostPort<'_>, branch: Option<&[u8]>, method: Method, message: &Message<'_>) -> Key {
    server_key_of(sent_by, branch, method).unwrap_or_else(|| {
        let mut hasher = DefaultHasher::new();
        for header in [Header::CallId, Header::From, Header::CSeq, Header::Via] {
            message.first(header).map(|field| message.value_of(field)).hash(&mut hasher);
        }
        Key::Server(hasher.finish())
    })
}
