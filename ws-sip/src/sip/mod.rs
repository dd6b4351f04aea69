//! SIP messages, read in place: what a transport, a registrar and a proxy must know of them, and no more.
//!
//! [`Received::parse`] tells what a WebSocket message carries, [`Message::check`] whether it keeps the rules.
//! Header fields are found by [`Message::fields`] and its siblings with the offsets at which they lie;
//! [`Editor`] splices changes into the original bytes, and [`Reply`] makes a response.
//!
//! ```
//! use ws_sip::sip::{Header, Message, Reply};
//!
//! let request = b"OPTIONS sip:example.com SIP/2.0\r\n\
//!     v: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1\r\n\
//!     Max-Forwards: 70\r\nf: <sip:a@example.com>;tag=1\r\nt: <sip:example.com>\r\n\
//!     i: x\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let message = Message::parse(request)?;
//! let found = message.check()?;
//! assert_eq!(found.via.branch, Some(&b"z9hG4bK1"[..]));
//! assert_eq!(message.first(Header::CallId).map(|field| message.value_of(field)), Some(&b"x"[..]));
//! let reply = Reply::to(&message, None, 200, "OK", b"2").map(Reply::finish);
//! assert!(reply.is_some_and(|reply| reply.starts_with(b"SIP/2.0 200 OK\r\nv: SIP/2.0/WS")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addr;
mod check;
mod edit;
mod error;
mod head;
mod lex;
mod name;
mod reply;
#[cfg(test)]
mod tests;
mod uri;
mod via;

pub use addr::{Contact, NameAddr};
pub use check::{CSeq, Essentials, PING, PONG, Received};
pub use edit::Editor;
pub(crate) use edit::{append, append_number};
pub use error::{Fault, HeadError, ValueError};
pub use head::{Field, MAX_FIELDS, Message, StartLine, Value};
pub use lex::{Param, Params};
pub(crate) use lex::{is_uri_param, seconds};
pub use name::{Header, Method};
pub(crate) use reply::write_received;
pub use reply::{Reply, ReplyHead};
pub(crate) use uri::Unescaped;
pub use uri::{HostPort, SipUri};
pub use via::Via;
