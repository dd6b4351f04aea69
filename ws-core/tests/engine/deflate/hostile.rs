use ws_core::{Config, DeflateParams, Delivery, Event, Outcome, ProtocolError, Role, StatusCode};

use super::{by_another, compressed, no_takeover};
use crate::common::{Frame, ROLES, Subject, config, ms};

/// All that is received fails the connection with this error, and with its status code.
#[track_caller]
fn assert_fails(settings: &Config, frames: &[Frame], error: ProtocolError, code: StatusCode) {
    for role in ROLES {
        for params in [DeflateParams::default(), no_takeover()] {
            for delivery in [Delivery::Messages, Delivery::Parts] {
                let settings = Config::clone(settings);
                let mut with_delivery = settings.clone();
                with_delivery.delivery = delivery;
                for bytewise in [false, true] {
                    let mut subject = Subject::deflating(role, with_delivery.clone(), params);
                    let bytes = subject.encode(frames);
                    let mut events = Vec::new();
                    for piece in bytes.chunks(if bytewise { 1 } else { bytes.len() }) {
                        events.extend(subject.receive_bytes(piece));
                    }
                    events.retain(|event| !matches!(event, Event::Part(part) if !part.last));
                    assert_eq!(events, [Event::Failed(error)], "{role:?} {params:?} {delivery:?}");
                    let sent = subject.sent();
                    assert_eq!(sent.len(), 1, "{sent:?}");
                    assert_eq!(sent[0].code(), Some(code));
                    // Nothing comes of what follows.
                    assert_eq!(subject.receive(&[Frame::text("more")]), []);
                    subject.eof();
                    subject.assert_closed(&Outcome::Failed(error));
                }
            }
        }
    }
}

#[track_caller]
fn assert_corrupt(payload: impl Into<Vec<u8>>) {
    let frame = compressed(Frame::binary(payload));
    assert_fails(&Config::default(), &[frame], ProtocolError::InvalidDeflate, StatusCode::INVALID_PAYLOAD);
}

#[test]
fn what_is_no_deflate_data() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    // Nothing at all: an empty message is a byte of zeros.
    assert_corrupt([]);
    // Cut inside of a block, and a block that is not compressed and longer than the message.
    for len in 1..hello.len() - 1 {
        assert_corrupt(&hello[..len]);
    }
    assert_corrupt([0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65]);
    // The tail, which is to be left out.
    assert_corrupt([&hello[..], &[0, 0, 0xff, 0xff]].concat());
    // A final block without the start of another one.
    assert_corrupt([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    // A kind of block that does not exist, lengths that do not match their complement.
    assert_corrupt([0x06]);
    assert_corrupt([0x00, 0x05, 0x00, 0xfb, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]);
    // Refers to what never was.
    assert_corrupt([0xf2, 0x00, 0x11, 0x00, 0x00]);
    // Codes that are over-subscribed: a dynamic block of all ones.
    assert_corrupt([0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

/// No prefix and no corruption of a good stream panics or is taken for a longer message than it may be.
#[test]
fn damaged_streams() {
    let good = by_another("a text with repetitions, repetitions, and repetitions".repeat(20).as_bytes());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut damaged = good.clone();
            damaged[at] ^= 1 << bit;
            let mut subject = Subject::deflating(
                Role::Server,
                config(|config| config.max_message_len = 5000),
                no_takeover(),
            );
            for event in subject.receive(&[compressed(Frame::binary(damaged))]) {
                match event {
                    Event::Message(message) => assert!(message.as_bytes().len() <= 5000),
                    Event::Failed(ProtocolError::InvalidDeflate | ProtocolError::MessageTooLong) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn text_that_is_not_utf8_when_it_comes_out() {
    for text in [&b"ab\xff"[..], b"\xe2\x82", b"\xed\xa0\x80", b"long \xc3\xa4 ".repeat(3000).as_slice()] {
        let bad = [text, b"\xc3"].concat();
        assert_fails(
            &Config::default(),
            &[compressed(Frame::text(by_another(&bad)))],
            ProtocolError::InvalidUtf8,
            StatusCode::INVALID_PAYLOAD,
        );
    }
}

/// A bomb meets the limit before it meets memory: 50 MB out of 50 KB.
#[test]
fn bombs() {
    let bomb = by_another(&vec![0; 50 << 20]);
    assert!(bomb.len() < 60_000, "{}", bomb.len());
    let info = allocation_counter::measure(|| {
        let mut subject = Subject::deflating(
            Role::Server,
            config(|config| config.max_message_len = 1 << 20),
            no_takeover(),
        );
        let bytes = subject.encode(&[compressed(Frame::binary(&bomb[..]))]);
        assert_eq!(subject.receive_bytes(&bytes), [Event::Failed(ProtocolError::MessageTooLong)]);
    });
    assert!(info.bytes_max < 3 << 20, "{} bytes", info.bytes_max);
    for limit in [0, 1, 1000, 8191, 8192, 8193] {
        let frame = compressed(Frame::binary(by_another(&vec![b'x'; limit + 1])));
        let settings = config(|config| config.max_message_len = limit);
        assert_fails(&settings, &[frame], ProtocolError::MessageTooLong, StatusCode::MESSAGE_TOO_BIG);
    }
}

/// The longest message may come, even one that grew by being compressed.
#[test]
fn at_the_limit() {
    for limit in [0, 1, 1000, 8191, 8192, 8193, 70_000] {
        let mut rng = crate::common::Rng::new(3);
        for data in [vec![b'x'; limit], rng.bytes(limit)] {
            for role in ROLES {
                let settings = config(|config| config.max_message_len = limit);
                let mut subject = Subject::deflating(role, settings, no_takeover());
                let payload = by_another(&data);
                let events = subject.receive(&[compressed(Frame::binary(payload))]);
                assert_eq!(events, [crate::common::binary(&data[..])], "{limit}");
            }
        }
    }
}

/// A payload that no message of allowed length has is refused by its header, and endless empty blocks by their sum.
#[test]
fn wire_length() {
    let settings = config(|config| config.max_message_len = 1000);
    let declared = compressed(Frame::binary([]).declared(1000 + 1000 / 8 + 64 + 1));
    assert_fails(&settings, &[declared], ProtocolError::MessageTooLong, StatusCode::MESSAGE_TOO_BIG);
    let mut frames = vec![compressed(Frame::binary([0, 0, 0, 0xff, 0xff].repeat(100))).more()];
    for _ in 0..3 {
        frames.push(Frame::continuation([0, 0, 0, 0xff, 0xff].repeat(100)).more());
    }
    assert_fails(&settings, &frames, ProtocolError::MessageTooLong, StatusCode::MESSAGE_TOO_BIG);
    let mut settings = settings;
    settings.max_frame_len = Some(10);
    let frame = compressed(Frame::binary([0; 11]));
    assert_fails(&settings, &[frame], ProtocolError::FrameTooLong, StatusCode::MESSAGE_TOO_BIG);
}

/// Section 6: RSV1 marks the first frame of a compressed data message, and nothing else.
#[test]
fn reserved_bits() {
    for frame in [
        Frame::ping("x").rsv(4),
        Frame::pong("x").rsv(4),
        Frame::close(1000, "").rsv(4),
        Frame::continuation("x").rsv(4),
        Frame::text([0]).rsv(6),
        Frame::text([0]).rsv(5),
        Frame::text([0]).rsv(2),
        Frame::text([0]).rsv(1),
    ] {
        assert_fails(&Config::default(), &[frame], ProtocolError::ReservedBits, StatusCode::PROTOCOL_ERROR);
    }
    let continued = [compressed(Frame::text([0xf2])).more(), Frame::continuation([0]).rsv(4)];
    assert_fails(&Config::default(), &continued, ProtocolError::ReservedBits, StatusCode::PROTOCOL_ERROR);
}

#[test]
fn other_limits_hold_as_ever() {
    let mut settings = config(|config| config.max_fragments = 3);
    let mut frames = vec![compressed(Frame::text([])).more()];
    frames.resize(4, Frame::continuation([]).more());
    assert_fails(&settings, &frames, ProtocolError::TooManyFragments, StatusCode::POLICY_VIOLATION);
    settings.max_message_chunks = core::num::NonZeroU32::new(2);
    let mut subject = Subject::deflating(Role::Server, settings, no_takeover());
    let bytes = subject.encode(&[compressed(Frame::text([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]))]);
    assert_eq!(subject.receive_bytes(&bytes[..8]), []);
    assert_eq!(subject.receive_bytes(&bytes[8..10]), [Event::Failed(ProtocolError::TooManyChunks)]);

    let settings = config(|config| config.message_timeout = Some(ms(500)));
    let mut subject = Subject::deflating(Role::Server, settings, no_takeover());
    assert_eq!(subject.receive_bytes(&bytes[..10]), []);
    assert_eq!(subject.wait(ms(499)), []);
    subject.wait(ms(1));
    assert_eq!(subject.sent()[0].code(), Some(StatusCode::POLICY_VIOLATION));
}
