/// What a transport counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// TCP connections accepted.
    pub accepted: u64,
    /// Flows opened, in both directions.
    pub opened: u64,
    /// Flows closed.
    pub closed: u64,
    /// Opening handshakes that failed, in both directions.
    pub not_opened: u64,
    /// Plain HTTP requests.
    pub http_requests: u64,
    /// SIP messages received.
    pub messages_in: u64,
    /// Keepalives received and answered (RFC 5626, section 4.4.1).
    pub keepalives_in: u64,
    /// Answers to our keepalives.
    pub keepalive_answers_in: u64,
    /// WebSocket messages that were not one SIP message, and dropped.
    pub refused_messages: u64,
    /// Datagrams that were longer than the way to the server takes, and dropped.
    pub too_long_datagrams: u64,
    /// Connections of balancers that did not begin with a PROXY header.
    pub bad_proxy_headers: u64,
    /// Connections that a listener could not accept.
    pub accept_failures: u64,
}
