//! SIP over WebSocket (RFC 7118).
//!
//! The pure parts, which know neither socket nor clock:
//! - [`sip`] reads SIP messages in place, edits them and makes responses;
//! - [`registrar`] keeps which contacts a user has, and through which flow each is reached;
//! - [`proxy`] is a registrar and proxy in memory for the user agents at the other end of its flows;
//! - [`flow`] names connections.
#![forbid(unsafe_code)]

pub mod flow;
pub mod proxy;
pub mod registrar;
pub mod sip;

pub use flow::FlowId;
