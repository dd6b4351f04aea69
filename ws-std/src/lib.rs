//! WebSocket over blocking streams.
#![forbid(unsafe_code)]

mod client;
mod clock;
mod driver;
mod error;
mod listener;
mod message;
mod parts;
mod server;
mod split;
mod transport;
mod websocket;

pub use client::{ClientBuilder, connect};
pub use clock::now;
pub use error::{AcceptError, ConnectError, Ended, Error};
pub use listener::Listener;
pub use message::Message;
pub use parts::Parts;
pub use server::{Answer, accept, accept_with};
pub use split::{Reader, Writer};
pub use transport::{Blocking, Duplex, Interest, Transport};
pub use websocket::{Replies, WebSocket};
#[doc(no_inline)]
pub use ws_core::Message as MessageRef;
