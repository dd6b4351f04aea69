//! What the clients do, and what each kind may make a server hold.

use ws_core::frame::{Header, Opcode};

use crate::server::MAX_OUTPUT_LEN;

pub(crate) const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ";

/// A kind of client.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// What it sends once it is connected.
    pub(crate) bytes: Vec<u8>,
    /// What it sends after that, so many times, each time once the server has read all that came before.
    pub(crate) more: (Vec<u8>, usize),
    /// What the formula of `ws_core::Connection` allows for that, beyond an idle connection.
    pub(crate) allowed: usize,
    /// Whether the server is to end the connection then: nothing of it may be left.
    pub(crate) ends: bool,
}

pub(crate) fn frame(first: u8, payload: &[u8], declared: usize) -> Vec<u8> {
    let opcode = Opcode::new(first & 0xf).unwrap();
    let header = Header { fin: first & 0x80 != 0, rsv: 0, opcode, key: Some([0; 4]), len: declared as u64 };
    let (bytes, len) = header.write();
    [&bytes[..len], payload].concat()
}

pub(crate) fn classes() -> Vec<Class> {
    let opened = |frames: &[u8]| [REQUEST, frames].concat();
    let class = |name, bytes, allowed| Class { name, bytes, more: (Vec::new(), 0), allowed, ends: false };
    // Before the head is complete there is the handshake instead of the connection, and the head in at most twice its length.
    let head = [HEAD, &[b'x'; 1000]].concat();
    let whole = |first, payload: &[u8]| frame(first, payload, payload.len());
    let fragments: Vec<u8> = [whole(0x01, b"fragment"), whole(0x00, b"fragment").repeat(999)].concat();
    let chunk = fragments.len();
    vec![
        class("idle", opened(&[]), 0),
        class("a head that does not end", head.clone(), 2 * head.len()),
        class("1 MiB declared, 1 byte sent", opened(&frame(0x82, b"x", 1 << 20)), 1024 + 4),
        class("1 MiB declared, 20,000 bytes sent", opened(&frame(0x82, &[b'x'; 20_000], 1 << 20)), 40_000),
        class("1,000 fragments of 8 bytes, and no end", opened(&fragments), 8000 + chunk),
        class("a header that is cut", opened(&frame(0x82, &[], 70_000)[..9]), 0),
        class("a Ping that is cut", opened(&frame(0x89, &[b'p'; 60], 125)), 136),
        class(
            "3,000 Pings, and nothing is read",
            opened(&whole(0x89, b"12345678").repeat(3000)),
            1024 + 2 * 3358,
        ),
        Class {
            more: (whole(0x89, &[b'p'; 125]).repeat(30), 20),
            ..class(
                "30 Pings of 125 bytes, twenty times over, and nothing is read",
                opened(&[]),
                1024 + 2 * 3358,
            )
        },
        class(
            "200 messages of 1,000 bytes to be echoed, and nothing is read",
            opened(&whole(0x82, &[b'x'; 1000]).repeat(200)),
            // Received ahead, and what is queued.
            (64 << 10) + 1000 + 2 * (MAX_OUTPUT_LEN + 3358),
        ),
        Class {
            ends: true,
            ..class(
                "40 of them, then a Close",
                opened(&[whole(0x82, &[b'x'; 1000]).repeat(40), whole(0x88, &[])].concat()),
                // Received ahead, one being sent, and its frame.
                (64 << 10) + 2 * 1014 + 2 * 3358,
            )
        },
    ]
}
