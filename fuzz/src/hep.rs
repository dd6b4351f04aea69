//! HEP packets.

use ws_sip::hep::Packet;

/// Reads any bytes as packets in a stream; what was read is written so that it is read as the same.
///
/// # Panics
/// If it is not.
pub fn decode(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((packet, len))) = Packet::decode(rest) {
        assert!(len > 0 && len <= rest.len());
        for cut in [len / 2, len - 1] {
            assert_eq!(Packet::decode(&rest[..cut]), Ok(None), "more bytes are needed");
        }
        let written = packet.encode().expect("it was no shorter when it was read");
        assert!(written.len() <= len);
        let (again, written_len) =
            Packet::decode(&written).expect("what is written is right").expect("and whole");
        assert_eq!(written_len, written.len());
        // The seconds of a time whose microseconds make some more may not fit any more.
        if packet.time.as_secs() <= u64::from(u32::MAX) {
            assert_eq!(again, packet);
        }
        rest = &rest[len..];
    }
}
