//! The groups `mask` and `utf8`, and the floor of the server's opening handshake.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::floor::xor;
use crate::sink::Sink;
use crate::suite::{Case, Contestant, Entry, Line};
use crate::wire::Wire;
use crate::workload::{Random, mixed, sip};

/// XORs with a masking key, in place.
pub type Unmask = fn(&mut [u8], [u8; 4]);
/// Tells whether bytes are UTF-8.
pub type Valid = fn(&[u8]) -> bool;
type Content = fn(usize, &mut Random) -> Vec<u8>;

struct Mask {
    data: Vec<u8>,
    from: usize,
    random: Random,
    apply: fn(&mut [u8], [u8; 4]),
}

impl Contestant for Mask {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for _ in 0..messages {
            let key = *self.random.next().to_le_bytes().first_chunk().expect("8 bytes have 4");
            (self.apply)(&mut self.data[self.from..], key);
        }
        sink.messages += messages as u64;
        core::hint::black_box(&self.data);
    }
}

/// The group `mask`: payloads start 6, 8 or 14 bytes after an aligned address, as they do behind their headers.
pub fn mask() -> Vec<Case> {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "the peers come on top"))]
    let mut lines: Vec<Line<Unmask>> = vec![
        ("XOR in place", "64 bytes a turn, as the baseline target compiles it", |data, key| {
            xor(data, key, 0)
        }),
        ("ws-core", "public `frame` function", crate::ours::mask),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::mask());
    let sizes = [
        ("16 B", 16, 6),
        ("125 B", 125, 6),
        ("700 B", 700, 8),
        ("4 KiB", 4 << 10, 8),
        ("64 KiB", 64 << 10, 14),
        ("1 MiB", 1 << 20, 14),
    ];
    let case = |(name, len, from)| {
        let entry = |&(name, does, apply): &Line<Unmask>| Entry {
            name,
            does,
            start: Box::new(move || {
                Box::new(Mask { data: vec![0x5a; from + len], from, random: Random::new(2), apply })
            }),
            check: Box::new(move || {
                let key = [0x12, 0x34, 0x56, 0x78];
                let mut data = vec![0; len];
                apply(&mut data, key);
                data.iter().zip(key.iter().cycle()).all(|(byte, key)| byte == key)
            }),
        };
        let entries = lines.iter().map(entry).collect();
        Case { group: "mask", name, len, base: "XOR in place", contains_base: false, entries }
    };
    sizes.into_iter().map(case).collect()
}

struct Utf8 {
    data: Vec<u8>,
    from: usize,
    valid: fn(&[u8]) -> bool,
}

impl Contestant for Utf8 {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for _ in 0..messages {
            assert!((self.valid)(core::hint::black_box(&self.data[self.from..])), "the text is UTF-8");
        }
        sink.messages += messages as u64;
    }
}

/// The group `utf8`: texts start 6 or 8 bytes after an aligned address, as they do behind their headers.
pub fn utf8() -> Vec<Case> {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "the peers come on top"))]
    let mut lines: Vec<Line<Valid>> = vec![
        ("core::str", "", |text| core::str::from_utf8(text).is_ok()),
        ("simdutf8", "basic: tells validity, not where it ends", |text| {
            simdutf8::basic::from_utf8(text).is_ok()
        }),
        ("ws-core", "incremental, here in one piece", crate::ours::utf8),
        ("ASCII, else simdutf8", "what the floor does with 16 B", |text| crate::floor::text(text).is_some()),
    ];
    #[cfg(feature = "peers")]
    lines.extend(crate::peers::utf8());
    let texts: [(_, _, Content); 6] = [
        ("16 B ASCII", 16, |len, _| vec![b'a'; len]),
        ("700 B SIP", 700, sip),
        ("64 KiB ASCII", 64 << 10, |len, _| vec![b'a'; len]),
        ("700 B mixed-script", 700, mixed),
        ("64 KiB mixed-script", 64 << 10, mixed),
        ("1 MiB mixed-script", 1 << 20, mixed),
    ];
    let case = |(name, len, content): (_, _, Content)| {
        let entry = |&(name, does, valid): &Line<Valid>| Entry {
            name,
            does,
            start: Box::new(move || {
                let from = if len < 126 { 6 } else { 8 };
                let data = [vec![0; from], content(len, &mut Random::new(3))].concat();
                Box::new(Utf8 { data, from, valid })
            }),
            check: Box::new(move || {
                valid("gültig ✓".as_bytes()) && !valid(b"not \xed\xa0\x80 valid, a surrogate")
            }),
        };
        let entries = lines.iter().map(entry).collect();
        Case { group: "utf8", name, len, base: "core::str", contains_base: false, entries }
    };
    texts.into_iter().map(case).collect()
}

/// The least a server can do: the fields must be there, and the accept value must be right.
pub fn accept_floor(mut wire: Wire, buffer: &mut [u8]) {
    let n = wire.fetch(buffer);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut fields);
    assert!(request.parse(&buffer[..n]).is_ok_and(|status| status.is_complete()), "the request is whole");
    let field = |name: &str| {
        let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.expect("the request has the field").value
    };
    for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Version"] {
        core::hint::black_box(field(name));
    }
    let key = field("Sec-WebSocket-Key");
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters");
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept);
    out.extend_from_slice(b"\r\n\r\n");
    wire.write_all(&out).expect("the wire takes everything");
}
