//! Counters.

/// What a [`Proxy`](super::Proxy) has seen and done since it was made. All counters only go up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Well-formed requests received.
    pub requests: u64,
    /// Well-formed responses received.
    pub responses: u64,
    /// REGISTER requests that succeeded.
    pub registered: u64,
    /// Keepalives answered with a CRLF.
    pub keepalive_pings: u64,
    /// Answers to keepalives.
    pub keepalive_pongs: u64,
    /// Messages refused because they were no SIP message.
    pub not_sip: u64,
    /// Messages refused because they break a rule of SIP; requests among them were answered 400 or 505.
    pub malformed: u64,
    /// Messages among `malformed` that had octets after their body, such as a second SIP message.
    pub octets_after_body: u64,
    /// Messages on a flow that is not open.
    pub unknown_flow: u64,
    /// Requests forwarded, each branch counted.
    pub forwarded_requests: u64,
    /// Responses forwarded.
    pub forwarded_responses: u64,
    /// Responses made here with a status below 300.
    pub local_successes: u64,
    /// Responses made here with a status of 300 and above.
    pub local_failures: u64,
    /// Responses that belong to no transaction on their flow, and were dropped.
    pub stray_responses: u64,
    /// Requests that were received again while their transaction lasts, and were dropped.
    pub repeated_requests: u64,
    /// ACKs that lead nowhere, and were dropped.
    pub stray_acks: u64,
    /// ACKs of somebody who has proven nothing, which were dropped.
    pub unproven_acks: u64,
    /// Loops found.
    pub loops: u64,
    /// Requests refused because of a limit on transactions.
    pub overloads: u64,
    /// Branches that ended because their flow was closed.
    pub failed_flows: u64,
    /// Transactions or branches that ended by a deadline.
    pub timeouts: u64,
}
