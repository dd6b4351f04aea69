//! Hostile peers by the thousand, and promises that no single rule keeps: what `docs/hardness.md` names and no other test has.

use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use allocation_counter::measure;
use ws_core::{
    Chunk, Config, Connection, Delivery, Endpoint, Event, Instant, KeySource, Role, SendBuffer, SendError,
    ServerConfig, StatusCode,
};

/// A way for a connection to end.
type End = fn(&mut Connection);

const MANY: usize = 5000;
const KEY: [u8; 4] = [1, 2, 3, 4];

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

fn servers(config: &Arc<Config>) -> Vec<Connection> {
    (0..MANY).map(|_| Connection::new(Role::Server, config, at(0), None)).collect()
}

/// A masked frame; the payload as it would be under a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut bytes = bytes.to_vec();
    let mut chunk = Chunk::new(&mut bytes);
    let mut events = Vec::new();
    while let Some(event) = connection.poll_event(at(0), &mut chunk) {
        events.push(event.into_owned());
    }
    events
}

/// What `MANY` connections hold of the heap after each took in `bytes`, besides themselves; per connection.
fn held_after(config: &Arc<Config>, bytes: &[u8]) -> i64 {
    let mut connections = servers(config);
    let info = measure(|| {
        for connection in &mut connections {
            drop(receive(connection, bytes));
        }
    });
    info.bytes_current / i64::try_from(MANY).unwrap()
}

/// Thousands declare the longest message there may be, or the longest of all, and send next to nothing of it.
#[test]
fn declared_lengths_by_the_thousand() {
    let config = Arc::new(Config::default());
    let declare = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &KEY].concat();
    assert_eq!(held_after(&config, &declare(16 << 20)), 0, "the header alone");
    assert_eq!(held_after(&config, &declare(u64::MAX >> 1)), 0, "refused");
    let begun = [declare(16 << 20), vec![7]].concat();
    assert!(held_after(&config, &begun) <= 1024, "the first bytes of a payload");
}

/// Slow senders, each stopped where it costs most: the memory follows what they sent.
#[test]
fn stopped_anywhere_by_the_thousand() {
    let config = Arc::new(Config::default());
    assert_eq!(held_after(&config, &[0x81]), 0, "half a header");
    assert_eq!(held_after(&config, &[0x81, 0xfe, 0x10]), 0, "half an extended header");
    let half_ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 100]].concat();
    assert!(held_after(&config, &half_ping) <= 136, "half a Ping");
    let fragment = frame(0x01, &[b'x'; 3000]);
    assert!(held_after(&config, &fragment) <= 2 * 3000, "a fragment");
    let many = [frame(0x01, b"x"), frame(0x00, b"").repeat(4000)].concat();
    assert!(held_after(&config, &many) <= i64::try_from(many.len()).unwrap(), "thousands of empty fragments");
    let one_by_one = Arc::clone(&config);
    let mut connection = Connection::new(Role::Server, &one_by_one, at(0), None);
    let info = measure(|| {
        for fragment in many.chunks(7) {
            assert_eq!(receive(&mut connection, fragment), []);
        }
    });
    assert!(info.bytes_current <= 1024, "the same in chunks of their own: {}", info.bytes_current);
    // Pings without end to one that cannot write: the last ones wait, and no more than so many bytes.
    let flood = frame(0x89, &[b'x'; 125]).repeat(100);
    assert!(held_after(&config, &flood) <= 2 * 1024, "a flood of Pings");
    let parts = Arc::new({
        let mut config = Config::default();
        config.delivery = Delivery::Parts;
        config
    });
    assert_eq!(held_after(&parts, &[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 1, 2, 3]), 0, "parts are handed on");
}

/// Heads that never end.
#[test]
fn heads_by_the_thousand() {
    let config = Arc::new(ServerConfig::default());
    for head in
        [&b"GET / HTTP/1.1\r\n"[..], b"GET /", b"GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]
    {
        let mut endpoints: Vec<_> = (0..MANY).map(|_| Endpoint::server(&config, at(0))).collect();
        let info = measure(|| {
            for endpoint in &mut endpoints {
                let mut bytes = head.to_vec();
                assert!(endpoint.poll_event(at(0), &mut Chunk::new(&mut bytes)).is_none());
            }
        });
        let each = info.bytes_current / i64::try_from(MANY).unwrap();
        assert!(each <= 1024, "{each} bytes for {} of a head", head.len());
    }
}

/// Nothing comes of whatever follows a failure, an end, or a Close, and nothing of it is kept; every call is refused.
#[test]
fn nothing_after_the_end() {
    let more =
        [frame(0x81, b"text"), frame(0x89, b"ping"), frame(0x88, &1000_u16.to_be_bytes()), vec![0xff; 100]]
            .concat();
    let ends: [(&str, End); 5] = [
        ("failed", |connection| drop(receive(connection, &[0x83, 0x80]))),
        ("closed by the peer", |connection| drop(receive(connection, &frame(0x88, &1000_u16.to_be_bytes())))),
        ("vanished", |connection| connection.handle_eof(at(0))),
        ("lost", |connection| connection.handle_transport_lost(at(0))),
        ("aborted", |connection| connection.abort()),
    ];
    for (name, end) in ends {
        let mut connection = Connection::new(Role::Server, &Arc::default(), at(0), None);
        end(&mut connection);
        // The end itself may be due.
        let events = receive(&mut connection, &[]);
        assert!(matches!(events[..], [] | [Event::Closed(_)]), "{name}: {events:?}");
        let info = measure(|| {
            for _ in 0..100 {
                assert_eq!(receive(&mut connection, &more), [], "{name}");
            }
        });
        assert_eq!(info.bytes_current, 0, "{name}");
        let mut out = SendBuffer::new();
        assert_eq!(connection.send_text("x", &mut out), Err(SendError::Closing), "{name}");
        assert_eq!(connection.send_binary(b"x", &mut out), Err(SendError::Closing), "{name}");
        assert_eq!(connection.ping(b"x", &mut out), Err(SendError::Closing), "{name}");
        let closed = connection.close(at(0), Some(StatusCode::NORMAL), "", &mut out);
        assert_eq!(closed, Err(SendError::Closing), "{name}");
        assert!(out.is_empty(), "{name}");
        // Whatever is told afterwards, the last event came once.
        connection.handle_eof(at(1));
        connection.handle_transport_lost(at(1));
        connection.abort();
        let mut last = receive(&mut connection, &more);
        last.extend(receive(&mut connection, &more));
        assert!(last.len() <= 1, "{name}: {last:?}");
    }
}

/// Section 5.3: no key tells the next, no two clients have the same ones, and equal messages look different on the wire.
#[test]
fn masking_keys() {
    let sent = |seed: u8| -> Vec<[u8; 4]> {
        let keys = KeySource::from_seed([seed; 32]);
        let mut client = Connection::new(Role::Client, &Arc::default(), at(0), Some(keys));
        (0..2000)
            .map(|_| {
                let mut out = SendBuffer::new();
                client.send_text("the same", &mut out).unwrap();
                let bytes = out.take();
                assert_eq!(bytes[..2], [0x81, 0x88]);
                [bytes[2], bytes[3], bytes[4], bytes[5]]
            })
            .collect()
    };
    let (one, other) = (sent(1), sent(2));
    let distinct: HashSet<_> = one.iter().chain(&other).collect();
    // Of 4,000 out of 2^32, two are equal in one case of five hundred, which these seeds are not.
    assert_eq!(distinct.len(), 4000);
    for keys in [&one, &other] {
        // Each bit is set in about half of them, and changes about every other time.
        for bit in 0..32 {
            let bits: Vec<bool> = keys.iter().map(|key| u32::from_be_bytes(*key) >> bit & 1 == 1).collect();
            let set = bits.iter().filter(|&&bit| bit).count();
            let changes = bits.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(
                (850..1150).contains(&set) && (850..1150).contains(&changes),
                "bit {bit}: {set} {changes}"
            );
        }
    }
    // Empty frames are masked too.
    let mut client =
        Connection::new(Role::Client, &Arc::default(), at(0), Some(KeySource::from_seed([3; 32])));
    let mut out = SendBuffer::new();
    client.send_text("", &mut out).unwrap();
    client.ping(b"", &mut out).unwrap();
    client.close(at(0), None, "", &mut out).unwrap();
    let bytes = out.take();
    assert_eq!(bytes.len(), 3 * 6);
    assert!(bytes.chunks(6).all(|frame| frame[1] == 0x80));
}

/// A peer that takes nothing: what waits for it is bounded, the refusal is typed, and the engine's own frames still fit.
#[test]
fn output_by_the_thousand() {
    let mut config = Config::default();
    config.max_output_len = 2000;
    let config = Arc::new(config);
    let mut connections = servers(&config);
    let mut outputs: Vec<_> = (0..MANY).map(|_| SendBuffer::new()).collect();
    let flood = frame(0x89, &[b'x'; 125]);
    let info = measure(|| {
        for (connection, out) in connections.iter_mut().zip(&mut outputs) {
            while connection.send_binary(&[0; 100], out).is_ok() {}
            assert_eq!(connection.send_binary(&[0; 100], out), Err(SendError::OutputFull));
            for _ in 0..50 {
                drop(receive(connection, &flood));
                connection.poll_transmit(at(0), out);
                connection.handle_transmitted(at(0), 0, out);
            }
        }
    });
    let each = info.bytes_current / i64::try_from(MANY).unwrap();
    assert!(each <= 2 * (2000 + 3358), "{each} bytes each");
}
