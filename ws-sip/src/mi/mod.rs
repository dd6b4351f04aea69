//! Management, as OpenSIPS's clients know it: JSON-RPC 2.0 over a FIFO, datagrams or HTTP.
//!
//! - [`answer`] takes a request and gives the response. What the commands act on is behind a trait, [`Control`].
//! - [`fifo`] and [`http`] find the requests in what comes; a datagram is a request as it is.
//! - [`Server`] serves it all in a thread of its own; [`TransportControl`] is what it acts on, a running transport.
//! - [`statistic`] has the counters by their names, [`metrics`] writes them for Prometheus.
//!
//! | command | parameters | result |
//! | --- | --- | --- |
//! | `which` | `[command]` | the commands' names, or the sets of parameters that one takes |
//! | `help` | `[mi_cmd]` | what a command does |
//! | `version` | | who serves |
//! | `ws_trace`, `ws:trace` | `[trace_mode]` | whether connections are traced; `on` and `off` change it |
//! | `ws_list` | `[limit [after]]` | the open flows, up to `limit` of them that follow the flow `after` |
//! | `ws_close` | `flow` | starts the closing handshake of a flow |
//! | `ws_ping` | `flow` | sends a WebSocket Ping over a flow |
//! | `get_statistics` | `[statistics]` | the counters: all, those of a group (`transport:`), or single ones |
//!
//! Nobody is asked for a password: management is for addresses of this machine, and for files whose mode says who may.

mod address;
mod commands;
mod control;
pub mod fifo;
pub mod http;
mod json;
mod rpc;
#[cfg(unix)]
mod server;
pub mod statistic;

pub use address::{DatagramAddress, DatagramAddressError};
pub use control::{Control, ControlError};
pub use rpc::{MAX_BATCH, MAX_REQUEST_LEN, MAX_RESPONSE_LEN, answer, refuse_too_long};
#[cfg(unix)]
pub use server::{Address, Server, ServerError, TransportControl};
pub use statistic::{Statistic, metrics};
