//! SIP over WebSocket (RFC 7118).
#![forbid(unsafe_code)]
