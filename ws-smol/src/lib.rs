//! WebSocket over futures-io streams.
#![forbid(unsafe_code)]
