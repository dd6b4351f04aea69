//! WebSocket (RFC 6455) over [futures-io] streams, for smol.
//!
//! [`connect`] opens a connection to a URL, [`accept`] answers one on a stream that a [`Listener`] or anything else
//! accepted; both give a [`WebSocket`]. Every protocol rule, limit and deadline is that of [`ws_core`]; this crate
//! is the loop around its [`Endpoint`](ws_core::Endpoint), a clock and a socket.
//!
//! ```
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! smol::block_on(async {
//!     let listener = ws_smol::Listener::bind("127.0.0.1:0")?;
//!     let url = format!("ws://{}/", listener.local_addr()?);
//!     let server = smol::spawn(async move {
//!         let (stream, _) = listener.accept().await?;
//!         let mut ws = ws_smol::accept(stream, &Arc::default()).await?;
//!         while let Some(message) = ws.read().await? {
//!             ws.send(message).await?;
//!         }
//!         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//!     });
//!
//!     let mut ws = ws_smol::connect(&url).await?;
//!     ws.send_text("hello").await?;
//!     assert_eq!(ws.read().await?, Some("hello".into()));
//!     let outcome = ws.close(ws_core::StatusCode::NORMAL, "bye").await?;
//!     assert!(outcome.is_clean());
//!     server.await
//! })
//! # }
//! ```
//!
//! [futures-io]: futures_io
#![forbid(unsafe_code)]

mod client;
mod client_stream;
mod clock;
mod dial;
mod driver;
mod error;
mod listener;
mod memory;
mod message;
mod parts;
mod server;
mod split;
mod stream_sink;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
mod wakers;
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
pub use tcp::TcpStream;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use tls::TlsStream;
pub use websocket::{Replies, WebSocket};
#[doc(no_inline)]
pub use ws_core::Message as MessageRef;
