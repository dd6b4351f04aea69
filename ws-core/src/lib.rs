//! The whole of RFC 6455 as sans-IO state machines: bytes in, events out; bytes out; time in.
//!
//! No sockets, no clock, no threads, no `unsafe`, no `std`. [`Endpoint`] is a whole connection, the opening
//! handshake included, for both roles; [`ServerHandshake`], [`ClientHandshake`] and [`Connection`] are its parts,
//! each usable alone, as are the functions of [`frame`], [`mask`], [`utf8`] and [`proxy_protocol`].
//!
//! # The loop
//!
//! Every runtime drives an endpoint the same way. This one blocks; a reactor replaces `read` and `write_all`:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::sync::Arc;
//! use ws_core::{Chunk, Endpoint, Event, Instant, Message, Outcome, SendBuffer, ServerConfig};
//!
//! fn echo(stream: &mut (impl Read + Write), config: &Arc<ServerConfig>) -> std::io::Result<Outcome> {
//!     let start = std::time::Instant::now();
//!     let now = || Instant::from_epoch(start.elapsed());
//!     let mut endpoint = Endpoint::server(config, now());
//!     let (mut out, mut buffer) = (SendBuffer::new(), [0; 4096]);
//!     loop {
//!         // A socket would wait here until it is readable, or `endpoint.poll_timeout()`.
//!         let n = stream.read(&mut buffer)?;
//!         if n == 0 {
//!             endpoint.handle_eof(now());
//!         }
//!         endpoint.handle_timeout(now());
//!         let mut chunk = Chunk::within(&mut buffer, n);
//!         loop {
//!             while let Some(event) = endpoint.poll_event(now(), &mut chunk) {
//!                 match event {
//!                     // Refused only when the connection closes, or nobody takes what is sent.
//!                     Event::Message(Message::Text(text)) => drop(endpoint.send_text(&text, &mut out)),
//!                     Event::Message(Message::Binary(data)) => drop(endpoint.send_binary(&data, &mut out)),
//!                     Event::Closed(outcome) => return Ok(outcome),
//!                     _ => {}
//!                 }
//!             }
//!             if !endpoint.poll_transmit(now(), &mut out) {
//!                 break;
//!             }
//!             stream.write_all(out.pending())?;
//!             let written = out.pending().len();
//!             endpoint.handle_transmitted(now(), written, &mut out);
//!         }
//!     }
//! }
//! # struct Script(std::io::Cursor<Vec<u8>>, Vec<u8>);
//! # impl Read for Script {
//! #     fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> { self.0.read(buffer) }
//! # }
//! # impl Write for Script {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.1.write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let mut input = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
//! #     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_vec();
//! # input.extend(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8");
//! # let mut script = Script(std::io::Cursor::new(input), Vec::new());
//! # let outcome = echo(&mut script, &Arc::default()).unwrap();
//! # assert!(outcome.is_clean());
//! # assert!(script.1.ends_with(b"\x81\x02hi\x88\x02\x03\xe8"));
//! ```
//!
//! # What a caller may rely on
//!
//! - However the input is cut into chunks, the events are the same, but for
//!   [`max_message_chunks`](Config::max_message_chunks). With [`Delivery::Parts`] the parts are what has arrived; together
//!   they are the same message, of which a fault leaves what came in the chunks before it.
//! - When [`poll_event`](Endpoint::poll_event) returns `None`, every byte of the chunk was taken in: its memory is
//!   free for the next read, of whichever connection.
//! - [`Event::Closed`] comes exactly once, is the last event, and tells how the connection ended.
//! - Nothing that a peer sends makes a call panic, loop without end, or reserve memory for bytes that did not come.
//! - Spurious and repeated calls do nothing.
//!
//! # Features
//!
//! - `std`: long payloads are masked, and long texts checked, with wider vectors if the processor has them, which takes the
//!   standard library to find out. Without it the crate needs `alloc`, and nothing of the operating system; it behaves the same.
//! - `deflate`: permessage-deflate (RFC 7692), where [`Config::deflate`] asks for it. Takes the standard library.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "deflate")]
extern crate std;

mod chunk;
mod close_payload;
mod config;
mod connection;
#[cfg(feature = "deflate")]
mod deflate;
mod endpoint;
mod error;
mod event;
pub mod frame;
mod handshake;
mod keys;
pub mod mask;
mod output;
mod parked;
mod prepared;
pub mod proxy_protocol;
mod status;
mod time;
pub mod utf8;

pub use chunk::Chunk;
pub use config::{Config, Delivery, Role};
pub use connection::Connection;
#[cfg(feature = "deflate")]
pub use deflate::{DeflateConfig, DeflateParams};
pub use endpoint::Endpoint;
pub use error::{Deadline, ProtocolError, SendError};
pub use event::{CloseFrame, Event, Kind, Message, Outcome, Part, Side};
pub use handshake::{
    Accept, AnswerError, ClientHandshake, ClientRequest, ClientRequestError, Extension, HeadError,
    HeaderError, Headers, Opened, Origin, OriginError, OriginPolicy, Proxy, ProxyError, ProxyHandshake,
    Request, RequestError, Response, ResponseError, ResponseFault, ResponseHead, ServerConfig,
    ServerHandshake, Subprotocol,
};
pub use keys::KeySource;
pub use output::SendBuffer;
pub use prepared::PreparedMessage;
pub use status::StatusCode;
pub use time::Instant;
