//! HEP: telling a capture server what goes on.
//!
//! [`Packet`] is one HEP version 3 packet, written and read; [`Sender`] delivers packets to a [`Destination`].

mod destination;
mod link;
mod packet;
mod queue;
mod sender;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod worker;

pub use destination::{Destination, DestinationError, Transport};
pub use packet::{
    DecodeError, MAX_DATAGRAM_LEN, MAX_PACKET_LEN, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_WS, Packet,
    PayloadKind, TooLong,
};
pub use queue::SenderCounters;
pub use sender::{Change, Sender, SenderError, SenderOptions};
