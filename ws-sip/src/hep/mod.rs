//! HEP: telling a capture server what goes on.

mod destination;
mod packet;

pub use destination::{Destination, DestinationError, Transport};
pub use packet::{DecodeError, MAX_DATAGRAM_LEN, MAX_PACKET_LEN, PROTOCOL_WS, Packet, PayloadKind, TooLong};
