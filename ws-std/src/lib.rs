//! WebSocket over blocking streams.
#![forbid(unsafe_code)]
