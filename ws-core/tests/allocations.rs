//! What the engine allocates: nothing per small frame, nothing for what is only declared, and never more than the
//! formula in the docs of `Connection`.

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use ws_core::{
    Chunk, Config, Connection, Delivery, Endpoint, Event, Instant, KeySource, Kind, Role, SendBuffer,
    StatusCode,
};

const NOW: Instant = Instant::EPOCH;
const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn connection(role: Role, config: Config) -> Connection {
    let keys = (role == Role::Client).then(|| KeySource::from_seed([5; 32]));
    Connection::new(role, &Arc::new(config), NOW, keys)
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// The header of a frame as the peer of `role` sends it, its masking key all zero.
fn header(role: Role, first: u8, len: u64) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match u8::try_from(len) {
        Ok(len @ 0..=125) => bytes.push(mask | len),
        _ if len <= 0xffff => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&len.to_be_bytes()[6..]);
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
    }
    bytes.extend_from_slice(if role == Role::Server { &[0; 4] } else { &[] });
    bytes
}

fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(role, first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// Receives `bytes` in one chunk, and drops what comes of it.
fn receive(conn: &mut Connection, bytes: &mut [u8]) -> usize {
    let mut chunk = Chunk::new(bytes);
    let mut events = 0;
    while let Some(event) = conn.poll_event(NOW, &mut chunk) {
        assert!(!matches!(event, Event::Failed(_)), "{event:?}");
        events += 1;
    }
    events
}

/// Lets the transport take all that is due.
fn write_all(conn: &mut Connection, out: &mut SendBuffer) -> usize {
    let mut written = 0;
    while conn.poll_transmit(NOW, out) {
        let n = out.pending().len();
        written += n;
        conn.handle_transmitted(NOW, n, out);
    }
    written
}

fn assert_nothing(info: AllocationInfo) {
    assert_eq!(info, AllocationInfo::default());
}

/// Text, binary, Ping and Pong, in and out: once the output has its memory, none of them asks for any.
#[test]
fn nothing_per_small_frame() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let mut conn = connection(role, config(|config| config.delivery = delivery));
            let mut out = SendBuffer::new();
            let frames = [
                frame(role, 0x81, "some text, and some more €".as_bytes()),
                frame(role, 0x82, &[7; 700]),
                frame(role, 0x89, &[b'p'; 22]),
                frame(role, 0x8a, &[b'q'; 22]),
                frame(role, 0x81, b""),
            ]
            .concat();
            let mut bytes = frames.clone();
            let mut round = || {
                bytes.copy_from_slice(&frames);
                let mut chunk = Chunk::new(&mut bytes);
                let mut echoed = 0;
                while let Some(event) = conn.poll_event(NOW, &mut chunk) {
                    let data = match &event {
                        Event::Message(message) => message.as_bytes(),
                        Event::Part(part) => part.data.as_bytes(),
                        _ => continue,
                    };
                    conn.send_binary(data, &mut out).unwrap();
                    conn.send_text("and text", &mut out).unwrap();
                    conn.send_part(Kind::Text, b"in ", false, &mut out).unwrap();
                    conn.send_part(Kind::Text, b"parts", true, &mut out).unwrap();
                    echoed += 1;
                }
                assert_eq!(echoed, 3);
                conn.ping(&[b'r'; 22], &mut out).unwrap();
                assert!(write_all(&mut conn, &mut out) > 800);
            };
            round();
            assert_nothing(measure(|| (0..100).for_each(|_| round())));
        }
    }
}

/// Frames that the chunks cut in their headers need no memory either.
#[test]
fn nothing_for_cut_headers() {
    for role in ROLES {
        let mut conn = connection(role, Config::default());
        let mut out = SendBuffer::new();
        let mut bytes = [frame(role, 0x82, b""), frame(role, 0x89, b""), frame(role, 0x81, b"")].concat();
        let mut round = || {
            let mut events = 0;
            for byte in &mut bytes {
                events += receive(&mut conn, core::slice::from_mut(byte));
                write_all(&mut conn, &mut out);
            }
            assert_eq!(events, 3);
        };
        round();
        assert_nothing(measure(|| (0..100).for_each(|_| round())));
    }
}

/// A declared length reserves nothing, however large; what arrives does.
#[test]
fn nothing_for_declared_lengths() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            for first in [0x81, 0x01, 0x82, 0x02] {
                let boundless = config(|config| {
                    config.max_message_len = usize::MAX;
                    config.delivery = delivery;
                });
                let mut conn = connection(role, boundless);
                let mut bytes = header(role, first, usize::MAX as u64 >> 1);
                assert_nothing(measure(|| assert_eq!(receive(&mut conn, &mut bytes), 0)));
                let mut bytes = [b'x'; 1500];
                let info = measure(|| assert!(receive(&mut conn, &mut bytes[..1]) <= 1));
                assert!(info.bytes_max <= LEAST, "{info:?}");
                let info = measure(|| assert!(receive(&mut conn, &mut bytes[1..]) <= 1));
                assert!(info.bytes_max <= 1504, "{info:?}");
                assert!(delivery == Delivery::Messages || info.bytes_max == 0, "{info:?}");
            }
        }
    }
}

/// A message that comes in pieces takes memory as it comes: at most twice what came, or what came and the chunk at
/// hand, or [`LEAST`]; and the longest message has exactly its own length, or 4 bytes more.
#[test]
fn assembly_follows_what_arrived() {
    const LEN: usize = 100_000;
    for role in ROLES {
        for (first, slack) in [(0x81, 4), (0x82, 0)] {
            for chunk_len in [1, 10, 1000, 64 * 1024] {
                for fragments in [false, true] {
                    let limited = config(|config| {
                        config.max_message_len = LEN;
                        config.max_fragments = u32::MAX;
                        config.message_timeout = None;
                    });
                    let mut conn = connection(role, limited);
                    let payload = [b'a'; LEN];
                    let mut bytes = if fragments {
                        let mut bytes = frame(role, first & 0x7f, b"");
                        for part in payload.chunks(997) {
                            bytes.extend(frame(role, 0x00, part));
                        }
                        bytes
                    } else {
                        frame(role, first, &payload)
                    };
                    let (last, len) = (bytes.pop().unwrap(), bytes.len());
                    let mut received = 0;
                    let mut held = 0;
                    for chunk in bytes.chunks_mut(chunk_len) {
                        received += chunk.len();
                        let info = measure(|| assert_eq!(receive(&mut conn, chunk), 0));
                        held += info.bytes_current;
                        let bound = (2 * received).max(received + chunk_len).clamp(1024, LEN) + slack;
                        assert!(held <= i64::try_from(bound).unwrap(), "{held} of {received}, {chunk_len}");
                    }
                    // The peer keeps the last byte back, and that is what it costs.
                    let least = i64::try_from(LEN.min(len) / 2).unwrap();
                    assert!(held >= least, "{held}");
                    if !fragments {
                        let info = measure(|| assert_eq!(receive(&mut conn, &mut [last]), 1));
                        assert_eq!(held + info.bytes_current, 0, "the message was handed out");
                    }
                }
            }
        }
    }
}

/// What the first byte of a message may take, if it announced as much.
const LEAST: u64 = 1024;
/// A client's generator of masking keys, allocated when it opens.
const KEYS: usize = 400;
/// What of control frames can be held: one that is cut, and the data of Pings that are not answered.
const CONTROL: usize = 136 + 1024;
/// Beyond the cap: the last header, a Close frame in the data, and 512 Pongs, a keepalive Ping and a Close frame before them.
const ENGINE_FRAMES: usize = 14 + 131 + (512 * 6 + 10 + 131);

/// The formula of the docs, whatever the peer and the transport do: every buffer is driven to its bound at once.
#[test]
fn memory_formula() {
    const MESSAGE: usize = 5000;
    const OUTPUT: usize = 7000;
    for role in ROLES {
        for chunk_len in [1, 13, 700] {
            let limited = config(|config| {
                config.max_message_len = MESSAGE;
                config.max_output_len = OUTPUT;
                config.max_fragments = u32::MAX;
                config.ping_interval = Some(core::time::Duration::from_secs(1));
            });
            let mut conn = None;
            let keys = measure(|| conn = Some(connection(role, Config::default())));
            assert!(
                keys.bytes_current <= i64::try_from(KEYS + size_of::<Config>() + 16).unwrap(),
                "{keys:?}"
            );
            drop(conn);

            let mut conn = connection(role, limited);
            let mut out = SendBuffer::new();
            let mut held = 0;
            let mut most = 0;
            let bound = (MESSAGE + 4) + CONTROL + 2 * (OUTPUT + ENGINE_FRAMES);
            let mut step = |act: &mut dyn FnMut(&mut Connection, &mut SendBuffer)| {
                held += measure(|| act(&mut conn, &mut out)).bytes_current;
                most = most.max(held);
                assert!(held <= i64::try_from(bound).unwrap(), "{held} of {bound}");
            };

            // The output: filled, half taken, filled again, over and over, and never empty.
            for round in 0..200_usize {
                step(&mut |conn, out| {
                    for size in [1, 900, 40] {
                        while conn.send_binary(&[3; 1000][..size], out).is_ok() {}
                    }
                });
                step(&mut |conn, out| {
                    let mut rest = [1, 60, OUTPUT / 2, OUTPUT - 100][round % 4];
                    while rest > 0 {
                        assert!(conn.poll_transmit(NOW, out));
                        let n = rest.min(out.pending().len());
                        conn.handle_transmitted(NOW, n, out);
                        rest -= n;
                    }
                });
            }
            step(&mut |conn, out| while conn.send_binary(b"", out).is_ok() {});

            // The longest message, but for its last byte, in fragments.
            let mut bytes = frame(role, 0x01, &"ß".repeat(MESSAGE / 4).into_bytes());
            bytes.extend(frame(role, 0x00, &[b'a'; MESSAGE / 2 - 1]));
            for chunk in bytes.chunks_mut(chunk_len) {
                step(&mut |conn, _| assert_eq!(receive(conn, chunk), 0));
            }
            // As many Pings as are answered, then a flood behind those Pongs; a keepalive Ping; a Ping that is cut.
            for (pings, payload) in [(510, 0), (4, 124), (1000, 1), (1, 125)] {
                let mut pings = frame(role, 0x89, &vec![b'p'; payload]).repeat(pings);
                step(&mut |conn, _| assert!(receive(conn, &mut pings) > 0));
                step(&mut |conn, out| assert!(conn.poll_transmit(NOW, out)));
                step(&mut |conn, out| conn.handle_transmitted(NOW, 0, out));
            }
            let pong_len = if role == Role::Client { 6 } else { 2 };
            step(&mut |_, out| assert!(out.len() > OUTPUT - 20 + 510 * pong_len));
            step(&mut |conn, out| {
                conn.handle_timeout(Instant::from_nanos(1_000_000_000));
                assert!(conn.poll_transmit(NOW, out));
            });
            let mut ping = frame(role, 0x89, &[b'p'; 125]);
            let cut = ping.len() - 1;
            step(&mut |conn, _| assert_eq!(receive(conn, &mut ping[..cut]), 0));
            step(&mut |conn, out| {
                conn.close(NOW, Some(StatusCode::NORMAL), &"r".repeat(123), out).unwrap();
            });
            // Most of it is in use: the bound is one that is reached.
            let in_use = out.len() + MESSAGE + CONTROL;
            assert!(usize::try_from(most).unwrap() >= in_use - 2, "{most} of {in_use}");

            // And all of it is given back at the end.
            held += measure(|| {
                conn.abort();
                drop(out);
            })
            .bytes_current;
            assert_eq!(held, 0);
        }
    }
}

/// The application's Pings that wait are output too; their memory does not stay.
#[test]
fn pings_of_the_application() {
    for role in ROLES {
        let mut conn = connection(role, config(|config| config.max_output_len = 10_000));
        let mut out = SendBuffer::new();
        let info = measure(|| while conn.ping(&[1; 125], &mut out).is_ok() {});
        assert!(out.len() > 9_700 && info.bytes_current <= 20_000, "{info:?}");
        let info = measure(|| assert!(write_all(&mut conn, &mut out) > 9_700));
        assert!(info.bytes_current < -9_500, "{info:?}");
        assert!(out.capacity() <= 512);
    }
}

/// What left takes no room when more is queued: there is twice what waits at most.
#[test]
fn output_grows_with_what_waits() {
    for role in ROLES {
        let mut conn = connection(role, Config::default());
        let mut out = SendBuffer::new();
        for (len, left, more) in [(70_000, 40_000, 100), (30_000, 100, 30_000), (90_000, 46_000, 1000)] {
            conn.send_binary(&vec![0; len], &mut out).unwrap();
            while out.len() > left {
                assert!(conn.poll_transmit(NOW, &mut out));
                let n = out.pending().len().min(out.len() - left);
                conn.handle_transmitted(NOW, n, &mut out);
            }
            conn.send_binary(&vec![0; more], &mut out).unwrap();
            assert!(out.capacity() <= 2 * out.len(), "{} for {}", out.capacity(), out.len());
            write_all(&mut conn, &mut out);
            out.release();
        }
    }
}

/// An idle connection holds nothing, whatever came before: its cost is its size.
#[test]
fn nothing_while_idle() {
    for role in ROLES {
        let mut conn = Endpoint::from(connection(role, Config::default()));
        let info = measure(|| {
            let mut out = SendBuffer::new();
            for _ in 0..3 {
                let mut bytes = [
                    frame(role, 0x01, "cut here: €".as_bytes()),
                    frame(role, 0x89, &[b'p'; 125]),
                    frame(role, 0x80, &[b'x'; 10_000]),
                    frame(role, 0x82, &[b'y'; 50_000]),
                ]
                .concat();
                for bytes in bytes.chunks_mut(300) {
                    let mut chunk = Chunk::new(bytes);
                    while conn.poll_event(NOW, &mut chunk).is_some() {
                        conn.send_binary(&[1; 5000], &mut out).unwrap();
                    }
                }
            }
            while conn.poll_transmit(NOW, &mut out) {
                let n = out.pending().len().min(1000);
                conn.handle_transmitted(NOW, n, &mut out);
            }
            out.release();
            assert_eq!(out.capacity(), 0);
            core::mem::forget(out);
        });
        assert_eq!((info.bytes_current, info.count_current), (0, 0), "{info:?}");
        assert!(info.bytes_max > 50_000);
    }
    assert!(size_of::<Connection>() <= 256 && size_of::<Endpoint>() <= 256 + 8);
}

/// Once a thread has done so before, to compress and to decompress a message takes memory for the message alone, whether
/// what is between two of them is kept with the connection or with the thread.
#[cfg(feature = "deflate")]
#[test]
fn no_buffers_per_compressed_message() {
    use ws_core::{DeflateConfig, DeflateParams};

    /// What a message gets at least, and what this test itself takes.
    const MESSAGE: u64 = 1024 + 600;
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for role in ROLES {
        for no_context_takeover in [false, true] {
            let mut params = DeflateParams::default();
            params.server_no_context_takeover = no_context_takeover;
            params.client_no_context_takeover = no_context_takeover;
            let agreed = config(|config| config.deflate = Some(DeflateConfig::default()));
            let mut conn = connection(role, agreed).with_deflate(params);
            let mut out = SendBuffer::new();
            let hello = frame(role, 0xc1, &hello);
            let mut round = || {
                assert_eq!(receive(&mut conn, &mut hello.clone()), 1);
                conn.send_text(&"hello ".repeat(50), &mut out).unwrap();
                let written = write_all(&mut conn, &mut out);
                assert!(written < 100, "{written} bytes are not compressed");
            };
            round();
            let info = measure(round);
            assert!(info.bytes_total < MESSAGE, "{info:?}");
        }
    }
}
