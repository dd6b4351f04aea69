//! SIP over WebSocket (RFC 7118).
//!
//! The pure parts, which know neither socket nor clock:
//! - [`sip`] reads SIP messages in place, edits them and makes responses;
//! - [`registrar`] keeps which contacts a user has, and through which flow each is reached;
//! - [`proxy`] is a registrar and proxy in memory for the user agents at the other end of its flows;
//! - [`flow`] names connections;
//! - [`config_file`] reads the configuration file, [`settings`] has what it sets;
//! - [`filter`] decides which connections are traced, [`trace`] and [`hep`] make the records of them.
#![forbid(unsafe_code)]

pub mod address;
pub mod auth;
pub mod config_file;
pub mod edge;
pub mod filter;
pub mod flow;
pub mod hep;
mod memory;
pub mod mi;
pub mod proxy;
pub mod registrar;
pub mod settings;
pub mod sip;
mod syntax;
#[cfg(feature = "tls")]
mod tls;
pub mod trace;
mod tracing;
pub mod transport;

pub use address::{AddressError, Destination, ListenAddress, Prefix};
pub use config_file::ConfigFile;
pub use filter::TraceFilter;
pub use flow::FlowId;
pub use settings::{SettingError, Settings};
pub use syntax::{Position, SyntaxError};
pub use trace::Tracer;
pub use tracing::Tracing;
pub use transport::{
    CheckedSettings, Counters, Ends, FirstClose, FlowEvent, Flows, Handle, NotOpened, OpenOptions, SendError,
    Stats, Transport, TransportError, TrunkAddress, TrunkTransport,
};
