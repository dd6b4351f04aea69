//! The whole of RFC 6455 as sans-IO state machines.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod chunk;
mod close_payload;
mod config;
mod connection;
mod endpoint;
mod error;
mod event;
pub mod frame;
mod handshake;
mod keys;
pub mod mask;
mod output;
mod parked;
mod status;
mod time;
pub mod utf8;

pub use chunk::Chunk;
pub use config::{Config, Delivery, Role};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::{Deadline, ProtocolError, SendError};
pub use event::{CloseFrame, Event, Kind, Message, Outcome, Part, Side};
pub use handshake::{
    Accept, AnswerError, ClientHandshake, ClientRequest, ClientRequestError, Extension, HeadError,
    HeaderError, Headers, Opened, Origin, OriginError, OriginPolicy, Request, RequestError, Response,
    ResponseError, ResponseFault, ResponseHead, ServerConfig, ServerHandshake, Subprotocol,
};
pub use keys::KeySource;
pub use output::SendBuffer;
pub use status::StatusCode;
pub use time::Instant;
