use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::fields::Headers;
use super::origin::OriginPolicy;
use crate::Config;

/// What a server accepts in opening handshakes, and the settings of the connections that follow.
///
/// Share one value among all connections through an `Arc`. The default accepts every WebSocket request,
/// agrees to no subprotocol and refuses plain requests.
///
/// ```
/// let mut config = ws_core::ServerConfig::default();
/// config.subprotocols = vec!["sip".into()];
/// config.require_subprotocol = true;
/// config.origins = ws_core::OriginPolicy::AllowList(vec!["https://example.com".parse().unwrap()]);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Limits and deadlines, those of the head included.
    pub connection: Arc<Config>,
    /// The one path that is served, compared as it is written and without the query; `None` (the default) for
    /// any. Others: 404. Plain requests are not held to it.
    pub resource: Option<String>,
    /// The subprotocols that are spoken, in order of preference. The first that the client offers is agreed
    /// on; names are compared exactly, case included. Default: none.
    pub subprotocols: Vec<String>,
    /// Refuse clients that offer none of `subprotocols`, with 400. Default false: they are accepted without
    /// a subprotocol.
    pub require_subprotocol: bool,
    /// Which values of `Origin` are accepted. Default: any. Others: 403. Plain requests are not held to it.
    pub origins: OriginPolicy,
    /// Further fields of the 101. Default: none.
    pub headers: Headers,
    /// Hand plain GET and HEAD requests to the application as [`Event::Request`](crate::Event::Request), which
    /// it must answer. Default false: 426.
    pub plain_requests: bool,
    /// Hand WebSocket requests that kept all rules to the application as
    /// [`Event::Request`](crate::Event::Request), which accepts or answers each, at once or later. Default
    /// false: they are accepted without asking.
    pub ask: bool,
    /// Refuse each request with 503 and this `Retry-After`, in whole seconds: for a server that shuts down or
    /// is full. Default `None`.
    pub unavailable: Option<Duration>,
}

/// How the application accepts a WebSocket request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// The subprotocol to agree on.
    pub subprotocol: Subprotocol,
    /// Further fields of the 101, after those of [`ServerConfig::headers`].
    pub headers: Headers,
}

/// Which subprotocol the application agrees on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subprotocol {
    /// The first of [`ServerConfig::subprotocols`] that the client offers.
    #[default]
    Preferred,
    /// None.
    None,
    /// This one, which the client must have offered.
    Named(String),
}

/// Why [`accept`](crate::Endpoint::accept) or [`respond`](crate::Endpoint::respond) did nothing. The request
/// still waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerError {
    /// No request waits: none came yet, it was answered already, or its deadline passed.
    NoRequest,
    /// A plain request cannot be accepted, only answered.
    PlainRequest,
    /// The client did not offer this subprotocol.
    SubprotocolNotOffered,
    /// The status is not one of 200 to 599, the reason holds something else than visible ASCII and spaces, or
    /// there is a body where none may be.
    InvalidResponse,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRequest => "no request waits for an answer",
            Self::PlainRequest => "a plain request cannot be accepted",
            Self::SubprotocolNotOffered => "the client did not offer this subprotocol",
            Self::InvalidResponse => "the response cannot be sent",
        })
    }
}

impl core::error::Error for AnswerError {}
