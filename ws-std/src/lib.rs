//! WebSocket (RFC 6455) over streams that block: a thread per connection, or one that reads and one that writes.
//!
//! [`connect`] opens a connection to a URL, [`accept`] answers one on a stream that a [`Listener`] or anything else
//! accepted; both give a [`WebSocket`]. Every protocol rule, limit and deadline is that of [`ws_core`]; this crate
//! is the loop around its [`Endpoint`](ws_core::Endpoint), a clock and a socket.
//!
//! ```
//! use std::error::Error;
//! use std::sync::Arc;
//! use std::thread;
//!
//! # fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
//! let listener = ws_std::Listener::bind("127.0.0.1:0")?;
//! let url = format!("ws://{}/", listener.local_addr()?);
//! let server = thread::spawn(move || {
//!     let (stream, _) = listener.accept()?;
//!     let mut ws = ws_std::accept(stream, &Arc::default())?;
//!     while let Some(message) = ws.read()? {
//!         ws.send(message)?;
//!     }
//!     Ok::<_, Box<dyn Error + Send + Sync>>(())
//! });
//!
//! let mut ws = ws_std::connect(&url)?;
//! ws.send_text("hello")?;
//! assert_eq!(ws.read()?, Some("hello".into()));
//! let outcome = ws.close(ws_core::StatusCode::NORMAL, "bye")?;
//! assert!(outcome.is_clean());
//! server.join().expect("no panic")
//! # }
//! ```
//!
//! # Streams and deadlines
//! TCP and, on Unix, Unix stream sockets keep all deadlines of [`Config`](ws_core::Config): no wait is longer than
//! the time to the next one. On other systems than Unix a write waits for as long as the system lets it. Anything
//! else that reads and writes goes into [`Blocking`], and keeps deadlines between its calls only; what can do
//! better implements [`Transport`].
#![forbid(unsafe_code)]

mod client;
mod client_stream;
mod clock;
mod driver;
mod error;
mod listener;
mod message;
mod parts;
mod server;
mod split;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod websocket;

pub use client::{ClientBuilder, connect};
pub use client_stream::ClientStream;
pub use clock::now;
pub use error::{AcceptError, ConnectError, Ended, Error};
pub use listener::Listener;
pub use message::Message;
pub use parts::Parts;
#[cfg(feature = "tls")]
pub use server::accept_tls;
pub use server::{Acceptor, Answer, accept, accept_with};
pub use split::{Reader, Writer};
#[cfg(feature = "tls")]
#[doc(inline)]
pub use tls::TlsStream;
pub use transport::{Blocking, Duplex, Interest, Transport};
pub use websocket::{Replies, WebSocket};
#[doc(no_inline)]
pub use ws_core::Message as MessageRef;
