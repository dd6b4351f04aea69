//! HEP: telling a capture server what goes on.

mod packet;

pub use packet::{DecodeError, MAX_DATAGRAM_LEN, MAX_PACKET_LEN, PROTOCOL_WS, Packet, PayloadKind, TooLong};
