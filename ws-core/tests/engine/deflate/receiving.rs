use ws_core::{Chunk, DeflateParams, Delivery, Event, Kind, Message, Role};

use super::{by_another, compressed, eager, no_takeover};
use crate::common::{Frame, ROLES, Rng, Subject, config, encode_for, text};

/// Receives frames in chunks of such lengths, the last one again and again; parts are joined.
fn messages(role: Role, delivery: Delivery, bytes: &[u8], lens: &[usize]) -> Vec<(Kind, Vec<u8>)> {
    let config = config(|config| config.delivery = delivery);
    let mut subject = Subject::deflating(role, config, DeflateParams::default());
    let mut found = Vec::new();
    let mut part: Option<(Kind, Vec<u8>)> = None;
    let mut rest = bytes.to_vec();
    let mut rest = &mut rest[..];
    let mut lens = lens.iter().copied();
    let mut len = bytes.len().max(1);
    while !rest.is_empty() {
        len = lens.next().unwrap_or(len);
        let (now, after) = rest.split_at_mut(len.min(rest.len()));
        rest = after;
        let mut chunk = Chunk::new(now);
        while let Some(event) = subject.conn.poll_event(subject.now, &mut chunk) {
            match event {
                Event::Message(message) => found.push((message.kind(), message.as_bytes().to_vec())),
                Event::Part(piece) => {
                    assert!(
                        piece.last || !piece.data.as_bytes().is_empty(),
                        "only the last part may be empty"
                    );
                    assert_eq!(piece.first, part.is_none());
                    let (_, data) = part.get_or_insert_with(|| (piece.data.kind(), Vec::new()));
                    data.extend_from_slice(piece.data.as_bytes());
                    if piece.last {
                        found.extend(part.take());
                    }
                }
                Event::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(chunk.is_empty());
    }
    assert_eq!(part, None);
    found
}

/// Whole, byte by byte, and cut at random; whole messages and parts; both roles.
#[track_caller]
fn assert_received(frames: &[Frame], expected: &[(Kind, Vec<u8>)]) {
    let mut rng = Rng::new(1);
    for role in ROLES {
        let bytes = encode_for(role, frames);
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let cuts: Vec<usize> = (0..bytes.len()).map(|_| rng.between(1, 40)).collect();
            for lens in [&[][..], &[1], &cuts] {
                let found = messages(role, delivery, &bytes, lens);
                assert!(found == expected, "{role:?} {delivery:?} {lens:?}: {} messages", found.len());
            }
        }
    }
}

fn hello() -> (Kind, Vec<u8>) {
    (Kind::Text, b"Hello".to_vec())
}

/// Section 7.2.3.1 and 7.2.3.2, their bytes.
#[test]
fn one_message_and_the_next_that_refers_to_it() {
    assert_received(
        &[
            compressed(Frame::text([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])),
            compressed(Frame::text([0xf2, 0x00, 0x11, 0x00, 0x00])),
            Frame::text("Hello"),
        ],
        &[hello(), hello(), hello()],
    );
}

/// Section 7.2.3.1, in two frames; control frames may come between them.
#[test]
fn fragments() {
    assert_received(
        &[
            compressed(Frame::text([0xf2, 0x48, 0xcd])).more(),
            Frame::ping("x"),
            Frame::continuation([0xc9, 0xc9, 0x07, 0x00]),
            compressed(Frame::text([])).more(),
            Frame::continuation([0xf2, 0x00, 0x11, 0x00]).more(),
            Frame::continuation([0x00]).more(),
            Frame::continuation([]),
        ],
        &[hello(), hello()],
    );
}

/// Section 7.2.3.3 to 7.2.3.6: a block that is not compressed, one marked as final, two blocks, an empty message.
#[test]
fn blocks_of_each_kind() {
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    assert_received(
        &[
            compressed(Frame::text(stored)),
            compressed(Frame::text(last)),
            compressed(Frame::text(last)),
            compressed(Frame::text(two)),
            compressed(Frame::text([0])),
            compressed(Frame::binary([0])),
        ],
        &[hello(), hello(), hello(), hello(), (Kind::Text, vec![]), (Kind::Binary, vec![])],
    );
}

/// Messages of many sizes and kinds from another compressor, in fragments that cut code points and blocks.
#[test]
fn from_another_compressor() {
    let mut rng = Rng::new(2);
    let mut frames = Vec::new();
    let mut expected = Vec::new();
    for round in 0..40 {
        let len = *rng.pick(&[0, 1, 100, 3000, 8192, 8193, 20_000]);
        let (kind, data) = match round % 3 {
            0 => (Kind::Binary, rng.bytes(len)),
            1 => (Kind::Binary, rng.bytes(7).repeat(len / 7)),
            _ => (Kind::Text, rng.text(len).into_bytes()),
        };
        let payload = by_another(&data);
        expected.push((kind, data));
        let mut opcode = if kind == Kind::Text { 1 } else { 2 };
        let mut rest = &payload[..];
        while !rest.is_empty() {
            let n = rng.between(1, rest.len().min(9000));
            let mut frame = Frame::new(opcode, &rest[..n]).rsv(if opcode == 0 { 0 } else { 4 });
            rest = &rest[n..];
            frame.fin = rest.is_empty();
            frames.push(frame);
            opcode = 0;
        }
    }
    assert_received(&frames, &expected);
}

/// 100,000 bytes come out of about a hundred: more than any buffer on the way holds at once.
#[test]
fn much_out_of_little() {
    let data = vec![b'x'; 100_000];
    assert_received(
        &[compressed(Frame::binary(by_another(&data))), compressed(Frame::text(by_another(&data)))],
        &[(Kind::Binary, data.clone()), (Kind::Text, data)],
    );
}

/// Without context takeover the state is another connection's in between.
#[test]
fn states_are_lent_clean() {
    let mut one = Subject::deflating(Role::Server, eager(), no_takeover());
    let mut other = Subject::deflating(Role::Client, eager(), no_takeover());
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for _ in 0..3 {
        assert_eq!(one.receive(&[compressed(Frame::text(hello))]), [text("Hello")]);
        assert_eq!(other.receive(&[compressed(Frame::text(hello))]), [text("Hello")]);
    }
    // Half a message in each at once.
    assert_eq!(one.receive(&[compressed(Frame::text(&hello[..3])).more()]), []);
    assert_eq!(other.receive(&[compressed(Frame::text(&hello[..4])).more()]), []);
    assert_eq!(one.receive(&[Frame::continuation(&hello[3..])]), [text("Hello")]);
    assert_eq!(other.receive(&[Frame::continuation(&hello[4..])]), [text("Hello")]);
    // And one that refers to what came before it is at fault.
    let events = one.receive(&[compressed(Frame::text([0xf2, 0x00, 0x11, 0x00, 0x00]))]);
    assert!(matches!(events[..], [Event::Failed(_)]), "{events:?}");
    assert_eq!(other.receive(&[compressed(Frame::text(hello))]), [text("Hello")]);
    assert_eq!(other.receive(&[Frame::text("plain")]), [Event::Message(Message::Text("plain".into()))]);
}
