//! HEP version 3 packets (also called EEP), written and read.
//!
//! ```text
//! "HEP3" | total length u16 | chunk *        chunk = vendor u16 | type u16 | length u16 | data
//! ```
//!
//! All numbers are big-endian; lengths count their own header. Chunks are written in the order that OpenSIPS uses,
//! and read in any.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

const MAGIC: &[u8; 4] = b"HEP3";
const HEAD_LEN: usize = 6;
const CHUNK_HEAD_LEN: usize = 6;
/// The longest packet: its length is 16 bits.
pub const MAX_PACKET_LEN: usize = 65_535;
/// The longest packet in a UDP datagram over IPv4.
pub const MAX_DATAGRAM_LEN: usize = 65_507;

mod chunk {
    pub(super) const FAMILY: u16 = 0x01;
    pub(super) const PROTOCOL: u16 = 0x02;
    pub(super) const SOURCE_V4: u16 = 0x03;
    pub(super) const DESTINATION_V4: u16 = 0x04;
    pub(super) const SOURCE_V6: u16 = 0x05;
    pub(super) const DESTINATION_V6: u16 = 0x06;
    pub(super) const SOURCE_PORT: u16 = 0x07;
    pub(super) const DESTINATION_PORT: u16 = 0x08;
    pub(super) const SECONDS: u16 = 0x09;
    pub(super) const MICROSECONDS: u16 = 0x0a;
    pub(super) const KIND: u16 = 0x0b;
    pub(super) const CAPTURE_ID: u16 = 0x0c;
    pub(super) const PAYLOAD: u16 = 0x0f;
    pub(super) const CORRELATION: u16 = 0x11;
}

/// What a packet's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PayloadKind {
    /// A SIP message as it was.
    Sip = 0x01,
    /// An event of a transport, which OpenSIPS calls `net`.
    Net = 0x59,
}

/// The IP protocol number that OpenSIPS gives WebSocket, plain and over TLS.
pub const PROTOCOL_WS: u8 = 50;
/// The IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// The IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// One HEP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Where what is told of came from.
    pub source: SocketAddr,
    /// Where it went; of the same family as `source`.
    pub destination: SocketAddr,
    /// The IP protocol number, [`PROTOCOL_WS`] for WebSocket.
    pub protocol: u8,
    /// When, since the Unix epoch; microseconds count.
    pub time: Duration,
    /// What the payload is, a [`PayloadKind`] or another number.
    pub kind: u8,
    /// Who captured it.
    pub capture_id: u32,
    /// What was captured.
    pub payload: &'a [u8],
    /// What ties packets of one connection together; empty for none.
    pub correlation: &'a [u8],
}

impl Packet<'_> {
    /// Returns how long the packet is, without its payload.
    #[must_use]
    pub const fn overhead(&self) -> usize {
        let addresses = if self.is_v6() { 2 * 22 } else { 2 * 10 };
        let correlation =
            if self.correlation.is_empty() { 0 } else { CHUNK_HEAD_LEN + self.correlation.len() };
        HEAD_LEN + 2 * 7 + 2 * 8 + 2 * 10 + 7 + 10 + addresses + CHUNK_HEAD_LEN + correlation
    }

    const fn is_v6(&self) -> bool {
        self.source.is_ipv6() || self.destination.is_ipv6()
    }

    /// Writes the packet.
    ///
    /// # Errors
    /// [`TooLong`] if it would exceed [`MAX_PACKET_LEN`].
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        self.encode_into(&mut out)?;
        Ok(out)
    }

    /// Appends the packet to `out`, as a stream carries one after the other.
    ///
    /// # Errors
    /// [`TooLong`] if it would exceed [`MAX_PACKET_LEN`]; nothing is appended then.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let total = self.overhead().saturating_add(self.payload.len());
        let total_16 = u16::try_from(total).map_err(|_| TooLong)?;
        out.reserve(total);
        let start = out.len();
        let mut out = Writer(out);
        out.0.extend_from_slice(MAGIC);
        out.0.extend_from_slice(&total_16.to_be_bytes());
        out.chunk(chunk::FAMILY, &[if self.is_v6() { 10 } else { 2 }]);
        out.chunk(chunk::PROTOCOL, &[self.protocol]);
        out.chunk(chunk::SOURCE_PORT, &self.source.port().to_be_bytes());
        out.chunk(chunk::DESTINATION_PORT, &self.destination.port().to_be_bytes());
        let seconds = u32::try_from(self.time.as_secs()).unwrap_or(u32::MAX);
        out.chunk(chunk::SECONDS, &seconds.to_be_bytes());
        out.chunk(chunk::MICROSECONDS, &self.time.subsec_micros().to_be_bytes());
        out.chunk(chunk::KIND, &[self.kind]);
        out.chunk(chunk::CAPTURE_ID, &self.capture_id.to_be_bytes());
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                out.chunk(chunk::SOURCE_V4, &source.octets());
                out.chunk(chunk::DESTINATION_V4, &destination.octets());
            }
            (source, destination) => {
                out.chunk(chunk::SOURCE_V6, &v6(source));
                out.chunk(chunk::DESTINATION_V6, &v6(destination));
            }
        }
        out.chunk(chunk::PAYLOAD, self.payload);
        if !self.correlation.is_empty() {
            out.chunk(chunk::CORRELATION, self.correlation);
        }
        debug_assert_eq!(out.0.len() - start, total);
        Ok(())
    }
}

/// Returns the length of the encoded packet at the start of `bytes`, which holds at least its head.
pub(super) fn encoded_len(bytes: &[u8]) -> usize {
    bytes.first_chunk::<HEAD_LEN>().map_or(0, |head| u16::from_be_bytes([head[4], head[5]]).into())
}

impl<'a> Packet<'a> {
    /// Reads the packet at the start of `bytes`; returns it and its length. `Ok(None)`: more bytes are needed.
    ///
    /// Chunks of other types, and those of vendors, are passed over.
    ///
    /// # Errors
    /// [`DecodeError`]; over a stream there is no way to go on then.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let magic = &bytes[..bytes.len().min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(DecodeError::Magic);
        }
        let Some(head) = bytes.first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let total = usize::from(u16::from_be_bytes([head[4], head[5]]));
        if total < HEAD_LEN {
            return Err(DecodeError::Length);
        }
        let Some(packet) = bytes.get(..total) else { return Ok(None) };
        let mut fields = Fields::default();
        let mut rest = &packet[HEAD_LEN..];
        while !rest.is_empty() {
            let head = rest.first_chunk::<CHUNK_HEAD_LEN>().ok_or(DecodeError::Length)?;
            let [vendor, kind, len] = [0, 2, 4].map(|at| u16::from_be_bytes([head[at], head[at + 1]]));
            let data = rest.get(CHUNK_HEAD_LEN..usize::from(len)).ok_or(DecodeError::Length)?;
            if vendor == 0 {
                fields.take(kind, data)?;
            }
            rest = &rest[usize::from(len)..];
        }
        Ok(Some((fields.packet()?, total)))
    }
}

/// The packet would be longer than its length can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a HEP packet has at most {MAX_PACKET_LEN} bytes")
    }
}

impl core::error::Error for TooLong {}

/// Why bytes are no HEP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// They do not start with `HEP3`.
    Magic,
    /// A length does not fit its place, or the type of its chunk.
    Length,
    /// A chunk that every packet has is missing.
    Missing,
    /// The addresses are of different families.
    Family,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "not a HEP3 packet",
            Self::Length => "a length is wrong",
            Self::Missing => "a chunk is missing",
            Self::Family => "the addresses are of different families",
        })
    }
}

impl core::error::Error for DecodeError {}

struct Writer<'o>(&'o mut Vec<u8>);

impl Writer<'_> {
    /// Appends a chunk; the packet's length was checked, so the chunk's fits.
    fn chunk(&mut self, kind: u16, data: &[u8]) {
        let len = u16::try_from(CHUNK_HEAD_LEN + data.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&[0, 0]);
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(data);
    }
}

/// What was read of a packet.
#[derive(Default)]
struct Fields<'a> {
    family: Option<u8>,
    protocol: Option<u8>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    seconds: Option<u32>,
    microseconds: Option<u32>,
    kind: Option<u8>,
    capture_id: Option<u32>,
    payload: Option<&'a [u8]>,
    correlation: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, kind: u16, data: &'a [u8]) -> Result<(), DecodeError> {
        match kind {
            chunk::FAMILY => self.family = Some(u8::from_be_bytes(exactly(data)?)),
            chunk::PROTOCOL => self.protocol = Some(u8::from_be_bytes(exactly(data)?)),
            chunk::SOURCE_V4 => self.source = Some(IpAddr::from(exactly::<4>(data)?)),
            chunk::DESTINATION_V4 => self.destination = Some(IpAddr::from(exactly::<4>(data)?)),
            chunk::SOURCE_V6 => self.source = Some(IpAddr::from(exactly::<16>(data)?)),
            chunk::DESTINATION_V6 => self.destination = Some(IpAddr::from(exactly::<16>(data)?)),
            chunk::SOURCE_PORT => self.source_port = Some(u16::from_be_bytes(exactly(data)?)),
            chunk::DESTINATION_PORT => self.destination_port = Some(u16::from_be_bytes(exactly(data)?)),
            chunk::SECONDS => self.seconds = Some(u32::from_be_bytes(exactly(data)?)),
            chunk::MICROSECONDS => self.microseconds = Some(u32::from_be_bytes(exactly(data)?)),
            chunk::KIND => self.kind = Some(u8::from_be_bytes(exactly(data)?)),
            chunk::CAPTURE_ID => self.capture_id = Some(u32::from_be_bytes(exactly(data)?)),
            chunk::PAYLOAD => self.payload = Some(data),
            chunk::CORRELATION => self.correlation = data,
            _ => {}
        }
        Ok(())
    }

    fn packet(self) -> Result<Packet<'a>, DecodeError> {
        let need = DecodeError::Missing;
        let (source, destination) = (self.source.ok_or(need)?, self.destination.ok_or(need)?);
        let family = if source.is_ipv6() { 10 } else { 2 };
        if source.is_ipv6() != destination.is_ipv6() || self.family.ok_or(need)? != family {
            return Err(DecodeError::Family);
        }
        let micros = Duration::from_micros(self.microseconds.ok_or(need)?.into());
        Ok(Packet {
            source: SocketAddr::new(source, self.source_port.ok_or(need)?),
            destination: SocketAddr::new(destination, self.destination_port.ok_or(need)?),
            protocol: self.protocol.ok_or(need)?,
            time: Duration::from_secs(self.seconds.ok_or(need)?.into()) + micros,
            kind: self.kind.ok_or(need)?,
            capture_id: self.capture_id.ok_or(need)?,
            payload: self.payload.ok_or(need)?,
            correlation: self.correlation,
        })
    }
}

fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], DecodeError> {
    data.try_into().map_err(|_| DecodeError::Length)
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|two| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    /// A record that OpenSIPS 3.6 sent when a connection closed, with `homer5_on` set.
    #[test]
    fn plain_text_record_byte_for_byte() {
        let captured = bytes(
            "48455033009a 000000010007 02 000000020007 32 000000070008 0000 000000080008 0000
             00000009000a 6b034e18 0000000a000a 000248df 0000000b0007 59 0000000c000a 000007d1
             00000003000a 7f000002 00000004000a 7f000002
             0000000f0024 57533a434c4f5345443a535543434553533a454f46207265636569766564
             000000110019 33333135353739363033383937373530353739",
        );
        assert_eq!(captured.len(), 154);
        let packet = Packet {
            source: "127.0.0.2:0".parse().unwrap(),
            destination: "127.0.0.2:0".parse().unwrap(),
            protocol: PROTOCOL_WS,
            time: Duration::new(0x6b03_4e18, 0x0002_48df * 1000),
            kind: PayloadKind::Net as u8,
            capture_id: 2001,
            payload: b"WS:CLOSED:SUCCESS:EOF received",
            correlation: b"3315579603897750579",
        };
        assert_eq!(packet.encode().unwrap(), captured);
        assert_eq!(Packet::decode(&captured), Ok(Some((packet, 154))));
    }

    /// The same with `homer5_on` unset.
    #[test]
    fn json_record_byte_for_byte() {
        let captured = bytes(
            "4845503300d8 000000010007 02 000000020007 32 000000070008 0000 000000080008 0000
             00000009000a 6b034913 0000000a000a 0003ce6a 0000000b0007 59 0000000c000a 000007d1
             00000003000a 7f000002 00000004000a 7f000002
             0000000f0061 7b0a092250726f746f636f6c223a09225753222c0a09224576656e74223a0922434c4f534544222c
             0a0922537461747573223a092253554343455353222c0a09224d657373616765223a0922454f4620726563656976
             6564220a7d
             00000011001a 3137333636383034393237303033343239303233",
        );
        assert_eq!(captured.len(), 216);
        let (packet, len) = Packet::decode(&captured).unwrap().unwrap();
        assert_eq!(len, 216);
        let payload = "{\n\t\"Protocol\":\t\"WS\",\n\t\"Event\":\t\"CLOSED\",\n\t\"Status\":\t\"SUCCESS\",\n\t\
            \"Message\":\t\"EOF received\"\n}";
        assert_eq!(packet.payload, payload.as_bytes());
        assert_eq!(packet.encode().unwrap(), captured);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let packet = Packet {
            source: "[::1]:1".parse().unwrap(),
            destination: "[::1]:2".parse().unwrap(),
            protocol: PROTOCOL_WS,
            time: Duration::ZERO,
            kind: 1,
            capture_id: 1,
            payload: &[0; MAX_PACKET_LEN],
            correlation: b"",
        };
        assert_eq!(packet.encode(), Err(TooLong));
        let longest = Packet { payload: &packet.payload[packet.overhead()..], ..packet };
        assert_eq!(longest.encode().map(|bytes| bytes.len()), Ok(MAX_PACKET_LEN));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(Packet::decode(b"HEP2"), Err(DecodeError::Magic));
        assert_eq!(Packet::decode(b"HE"), Ok(None));
        assert_eq!(Packet::decode(b"HEP3\0\x05"), Err(DecodeError::Length));
        assert_eq!(Packet::decode(b"HEP3\0\x06"), Err(DecodeError::Missing));
        assert_eq!(Packet::decode(b"HEP3\0\x0c\0\0\0\x0b\0\x09"), Err(DecodeError::Length));
        assert_eq!(Packet::decode(b"HEP3\0\x0c\0\0\0\x0b\0\x05"), Err(DecodeError::Length));
        assert_eq!(Packet::decode(b"HEP3\0\x0d\0\0\0\x09\0\x07\0"), Err(DecodeError::Length));
    }

    fn address() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        prop_oneof![
            any::<([u8; 4], u16, [u8; 4], u16)>().prop_map(|(a, ap, b, bp)| ((a, ap).into(), (b, bp).into())),
            any::<([u8; 16], u16, [u8; 16], u16)>()
                .prop_map(|(a, ap, b, bp)| ((a, ap).into(), (b, bp).into())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            (source, destination) in address(),
            (protocol, kind, capture_id) in any::<(u8, u8, u32)>(),
            (seconds, micros) in (any::<u32>(), 0..1_000_000u32),
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            correlation in proptest::collection::vec(any::<u8>(), 0..30),
            cut in any::<prop::sample::Index>(),
        ) {
            let time = Duration::new(seconds.into(), micros * 1000);
            let packet = Packet {
                source, destination, protocol, time, kind, capture_id,
                payload: &payload, correlation: &correlation,
            };
            let encoded = packet.encode().unwrap();
            prop_assert_eq!(Packet::decode(&encoded), Ok(Some((packet, encoded.len()))));
            prop_assert_eq!(Packet::decode(&encoded[..cut.index(encoded.len())]), Ok(None));
        }

        #[test]
        fn nothing_makes_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Packet::decode(&bytes);
            let len = u16::try_from(bytes.len()).unwrap();
            if let Some(head) = bytes.first_chunk_mut::<6>() {
                head[..4].copy_from_slice(MAGIC);
                head[4..].copy_from_slice(&len.to_be_bytes());
            }
            let _ = Packet::decode(&bytes);
        }
    }
}
