//! Each rule of RFC 6455 for frames, messages and Close frames: what breaks it, and what follows.

use ws_core::{Config, Delivery, Event, Outcome, ProtocolError, Role, StatusCode};

use crate::common::{Frame, ROLES, Subject, config, encode_for, text};

/// Asserts that a peer which sends `good` messages and then `bad` breaks `error`: whole, byte by byte, and with
/// bytes behind; that the Close frame says so with `code`; and that nothing comes from there on.
#[track_caller]
fn assert_fails(role: Role, setup: &[Frame], bad: &[u8], error: ProtocolError, code: u16) {
    let hello = encode_for(role, &[Frame::text("hello")]);
    let setup = encode_for(role, setup);
    let start = [hello.as_slice(), setup.as_slice(), bad].concat();
    let with_more = [start.as_slice(), hello.as_slice()].concat();
    for chunk_len in [start.len(), 1] {
        for bytes in [&start, &with_more] {
            let mut subject = Subject::new(role, Config::default());
            let events: Vec<_> =
                bytes.chunks(chunk_len).flat_map(|chunk| subject.receive_bytes(chunk)).collect();
            assert_eq!(events, [text("hello"), Event::Failed(error)], "{role:?}, chunks of {chunk_len}");
            assert!(!subject.conn.is_open() && !subject.conn.is_closed());
            assert_failed(&mut subject, error, code);
        }
    }
}

/// Asserts that exactly one Close frame with `code` goes out, and that the connection ends as failed.
#[track_caller]
fn assert_failed(subject: &mut Subject, error: ProtocolError, code: u16) {
    let sent = subject.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].code(), StatusCode::new(code));
    assert_eq!(error.status_code().get(), code);
    assert_eq!(sent[0].payload[2..], *error.reason().as_bytes());
    assert_eq!(subject.receive(&[Frame::ping("late"), Frame::close(1000, "")]), []);
    assert_eq!(subject.sent(), []);
    assert_eq!(subject.eof(), [Event::Closed(Outcome::Failed(error))]);
    subject.assert_closed(&Outcome::Failed(error));
}

/// Asserts that the frames pass as `events`.
#[track_caller]
fn assert_passes(role: Role, config: Config, bytes: &[u8], events: &[Event<'static>]) {
    for chunk_len in [bytes.len(), 1] {
        let mut subject = Subject::new(role, config.clone());
        let got: Vec<_> = bytes.chunks(chunk_len).flat_map(|chunk| subject.receive_bytes(chunk)).collect();
        assert_eq!(got, events, "{role:?}, chunks of {chunk_len}");
    }
}

/// Section 5.2: RSV1, RSV2, RSV3 must be 0 unless an extension says otherwise.
#[test]
fn s5_2_reserved_bits() {
    for role in ROLES {
        for rsv in 1..=7 {
            for frame in [Frame::text("a"), Frame::binary("a"), Frame::ping(""), Frame::close(1000, "")] {
                let bad = encode_for(role, &[frame.rsv(rsv)]);
                assert_fails(role, &[], &bad, ProtocolError::ReservedBits, 1002);
            }
            let bad = encode_for(role, &[Frame::continuation("b").rsv(rsv)]);
            assert_fails(role, &[Frame::text("a").more()], &bad, ProtocolError::ReservedBits, 1002);
        }
    }
}

/// Section 5.2: opcodes 3-7 and 11-15 are reserved.
#[test]
fn s5_2_reserved_opcodes() {
    for role in ROLES {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            for frame in [Frame::new(opcode, ""), Frame::new(opcode, "a"), Frame::new(opcode, "a").more()] {
                let bad = encode_for(role, &[frame]);
                assert_fails(role, &[], &bad, ProtocolError::ReservedOpcode(opcode), 1002);
            }
        }
    }
}

/// Section 5.1: a server closes upon a frame that is not masked; empty ones are no exception.
#[test]
fn s5_1_client_must_mask() {
    let frames = [Frame::text("a"), Frame::text(""), Frame::ping("a"), Frame::ping(""), Frame::close_empty()];
    for frame in frames {
        assert_fails(Role::Server, &[], &frame.encode(), ProtocolError::Unmasked, 1002);
    }
    let bad = Frame::continuation("b").encode();
    assert_fails(Role::Server, &[Frame::text("a").more()], &bad, ProtocolError::Unmasked, 1002);
    // Whatever it could be taken for with what follows: there is enough for any length.
    for (len, byte) in [0, 1, 2, 4, 5, 6, 9, 125]
        .into_iter()
        .flat_map(|len| [0x00, 0x01, 0x40, 0x7e, 0xff].map(|byte| (len, byte)))
    {
        let bad = [&Frame::binary(vec![byte; len]).encode()[..], &[byte; 70_000]].concat();
        assert_fails(Role::Server, &[], &bad, ProtocolError::Unmasked, 1002);
    }
}

/// Section 5.1: a client closes upon a frame that is masked, whatever the key.
#[test]
fn s5_1_server_must_not_mask() {
    let frames = [Frame::text("a"), Frame::text(""), Frame::ping("a"), Frame::ping(""), Frame::close_empty()];
    for key in [[0; 4], [1, 2, 3, 4]] {
        for frame in &frames {
            let bad = frame.clone().masked(key).encode();
            assert_fails(Role::Client, &[], &bad, ProtocolError::Masked, 1002);
        }
    }
}

#[test]
fn s5_1_unmasked_frames_pass_if_accepted_and_masked_ones_still_do() {
    let mut bytes = Frame::text("bare").encode();
    bytes.extend(Frame::text("mas").more().masked([9, 8, 7, 6]).encode());
    bytes.extend(Frame::continuation("ked").encode());
    let lenient = config(|config| config.accept_unmasked = true);
    assert_passes(Role::Server, lenient.clone(), &bytes, &[text("bare"), text("masked")]);

    // The switch is the server's: a client still refuses masks.
    let mut client = Subject::new(Role::Client, lenient);
    let events = client.receive_bytes(&Frame::text("a").masked([1; 4]).encode());
    assert_eq!(events, [Event::Failed(ProtocolError::Masked)]);
}

/// Section 5.2: the minimal number of bytes must be used to encode the length.
#[test]
fn s5_2_non_minimal_lengths() {
    for role in ROLES {
        for (form, len) in [(2, 0), (2, 1), (2, 125), (8, 0), (8, 125), (8, 126), (8, 65_535)] {
            let bad = encode_for(role, &[Frame::binary(vec![0; len]).length_form(form)]);
            assert_fails(role, &[], &bad, ProtocolError::NonMinimalLength, 1002);
        }
    }
}

#[test]
fn s5_2_non_minimal_lengths_pass_if_accepted() {
    for role in ROLES {
        let mut bytes = Vec::new();
        for (form, len) in [(2, 3), (8, 3), (8, 126)] {
            bytes.extend(encode_for(role, &[Frame::text("x".repeat(len)).length_form(form)]));
        }
        let lenient = config(|config| config.accept_non_minimal_lengths = true);
        let events = [text("xxx"), text("xxx"), text(&"x".repeat(126))];
        assert_passes(role, lenient.clone(), &bytes, &events);

        // A control frame must be short in any form (section 5.5).
        let mut subject = Subject::new(role, lenient);
        let events = subject.receive(&[Frame::ping("abc").length_form(2)]);
        assert_eq!(events, [Event::Failed(ProtocolError::ControlTooLong)]);
    }
}

/// Section 5.2: the most significant bit of a 64-bit length must be 0.
#[test]
fn s5_2_length_top_bit() {
    for role in ROLES {
        for len in [1 << 63, u64::MAX] {
            let bad = encode_for(role, &[Frame::binary([]).declared(len)]);
            assert_fails(role, &[], &bad, ProtocolError::LengthTopBit, 1002);
        }
    }
}

/// Section 5.5: control frames carry at most 125 bytes.
#[test]
fn s5_5_control_frames_are_short() {
    for role in ROLES {
        for opcode in [8, 9, 10] {
            for len in [126, 65_536] {
                let bad = encode_for(role, &[Frame::new(opcode, vec![b'x'; len])]);
                assert_fails(role, &[], &bad, ProtocolError::ControlTooLong, 1002);
            }
        }
        let longest = [b'x'; 125];
        let bytes = encode_for(role, &[Frame::ping(longest), Frame::pong(longest)]);
        let events = [Event::Ping(longest.to_vec().into()), Event::Pong(longest.to_vec().into())];
        assert_passes(role, Config::default(), &bytes, &events);
    }
}

/// Section 5.5: control frames are not fragmented.
#[test]
fn s5_5_control_frames_are_final() {
    for role in ROLES {
        for opcode in [8, 9, 10] {
            let bad = encode_for(role, &[Frame::new(opcode, [3, 232]).more()]);
            assert_fails(role, &[], &bad, ProtocolError::ControlFragmented, 1002);
            assert_fails(role, &[Frame::text("a").more()], &bad, ProtocolError::ControlFragmented, 1002);
        }
    }
}

/// Section 5.4: a continuation frame continues something.
#[test]
fn s5_4_continuation_without_a_message() {
    for role in ROLES {
        for frame in [Frame::continuation("a"), Frame::continuation(""), Frame::continuation("a").more()] {
            let bad = encode_for(role, &[frame]);
            assert_fails(role, &[], &bad, ProtocolError::UnexpectedContinuation, 1002);
        }
        let mut subject = Subject::new(role, Config::default());
        let events =
            subject.receive(&[Frame::text("a").more(), Frame::continuation("b"), Frame::continuation("c")]);
        let error = ProtocolError::UnexpectedContinuation;
        assert_eq!(events, [text("ab"), Event::Failed(error)]);
        assert_failed(&mut subject, error, 1002);
    }
}

/// Section 5.4: fragments of one message are not interleaved with another.
#[test]
fn s5_4_data_frame_inside_a_message() {
    for role in ROLES {
        for frame in [Frame::text("b"), Frame::binary("b"), Frame::text("").more(), Frame::binary("")] {
            let bad = encode_for(role, &[frame]);
            for first in [Frame::text("a").more(), Frame::binary("").more()] {
                assert_fails(role, &[first], &bad, ProtocolError::ExpectedContinuation, 1002);
            }
        }
    }
}

/// Section 5.4: control frames go between the fragments of a message, empty fragments are fragments.
#[test]
fn s5_4_fragments_and_control_frames_in_between() {
    for role in ROLES {
        let bytes = encode_for(
            role,
            &[
                Frame::text("").more(),
                Frame::ping("1"),
                Frame::continuation("a€").more(),
                Frame::pong("2"),
                Frame::continuation("").more(),
                Frame::continuation(""),
                Frame::binary([7]).more(),
                Frame::continuation([8]),
            ],
        );
        let (ping, pong) = (Event::Ping(b"1".into()), Event::Pong(b"2".into()));
        let events = [ping, pong, text("a€"), crate::common::binary([7, 8])];
        assert_passes(role, Config::default(), &bytes, &events);
    }
}

/// What is not UTF-8 by RFC 3629: the good start of each, up to the first bad byte, and that byte.
const NOT_UTF8: [(&[u8], u8); 19] = [
    (b"", 0x80),
    (b"ok", 0xbf),
    (b"", 0xc0),
    (b"", 0xc1),
    (b"\xc3", 0x28),
    (b"\xc3", 0xc3),
    (b"\xe0", 0x80),
    (b"\xe0", 0x9f),
    (b"\xe2\x82", 0x28),
    (b"\xe2", 0xff),
    (b"\xed", 0xa0),
    (b"\xed", 0xbf),
    (b"\xf0", 0x8f),
    (b"\xf0\x9d", 0x20),
    (b"\xf0\x9d\x84", 0xc0),
    (b"\xf4", 0x90),
    (b"", 0xf5),
    (b"fine \xe2\x82\xac so far ", 0xfe),
    (b"", 0xff),
];

/// Section 8.1: text that is not UTF-8, in one frame.
#[test]
fn s8_1_text_is_utf8() {
    for role in ROLES {
        for (good, bad) in NOT_UTF8 {
            let data = [good, &[bad], b" trailing"].concat();
            let bad = encode_for(role, &[Frame::text(data)]);
            assert_fails(role, &[], &bad, ProtocolError::InvalidUtf8, 1007);
        }
    }
}

/// Section 8.1: the message fails at the first bad byte, long before the frame is complete; in all deliveries.
#[test]
fn s8_1_fails_at_the_first_bad_byte() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            for (good, bad) in NOT_UTF8 {
                for chunk_len in [good.len() + 1, 1] {
                    let mut subject = Subject::new(role, config(|config| config.delivery = delivery));
                    let mut bytes =
                        encode_for(role, &[Frame::text([good, &[bad]].concat()).declared(1_000_000)]);
                    let last = bytes.pop().unwrap();
                    for chunk in bytes.chunks(chunk_len) {
                        let events = subject.receive_bytes(chunk);
                        assert!(
                            events.iter().all(|event| matches!(event, Event::Part(_))),
                            "{good:x?}: {events:?}"
                        );
                    }
                    let error = ProtocolError::InvalidUtf8;
                    assert_eq!(subject.receive_bytes(&[last]), [Event::Failed(error)], "{good:x?} {bad:x}");
                    assert_failed(&mut subject, error, 1007);
                }
            }
        }
    }
}

/// Section 8.1 and 5.6: the message as a whole is UTF-8, wherever fragments cut it.
#[test]
fn s8_1_code_points_cut_by_fragments() {
    for role in ROLES {
        let whole = "aß€𝄞\u{10ffff}";
        for cut in 0..=whole.len() {
            let (one, two) = whole.as_bytes().split_at(cut);
            let frames = [Frame::text(one).more(), Frame::ping(""), Frame::continuation(two)];
            let events = [Event::Ping(b"".into()), text(whole)];
            assert_passes(role, Config::default(), &encode_for(role, &frames), &events);
        }
        for (good, bad) in NOT_UTF8 {
            let bad = encode_for(role, &[Frame::continuation([bad]).more()]);
            assert_fails(role, &[Frame::text(good).more()], &bad, ProtocolError::InvalidUtf8, 1007);
        }
    }
}

/// Section 8.1: text that ends inside a code point is not UTF-8; in one frame or at the last fragment.
#[test]
fn s8_1_text_ends_inside_a_code_point() {
    for role in ROLES {
        for cut in [&b"\xc3"[..], b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9d", b"\xf0\x9d\x84"] {
            let error = ProtocolError::InvalidUtf8;
            let bad = encode_for(role, &[Frame::text(cut)]);
            assert_fails(role, &[], &bad, error, 1007);
            let bad = encode_for(role, &[Frame::continuation("")]);
            assert_fails(role, &[Frame::text(cut).more()], &bad, error, 1007);
            let bad = encode_for(role, &[Frame::continuation(&cut[1..])]);
            assert_fails(role, &[Frame::text(&cut[..1]).more()], &bad, error, 1007);
        }
        // Binary data may be anything.
        let bytes = encode_for(role, &[Frame::binary([0xff]).more(), Frame::continuation([0xc3])]);
        assert_passes(role, Config::default(), &bytes, &[crate::common::binary([0xff, 0xc3])]);
    }
}

/// Section 5.5.1: a Close frame with a body carries at least a status code.
#[test]
fn s5_5_1_close_of_one_byte() {
    for role in ROLES {
        for byte in [0, 3, 255] {
            let bad = encode_for(role, &[Frame::new(8, [byte])]);
            assert_fails(role, &[], &bad, ProtocolError::CloseTooShort, 1002);
        }
    }
}

/// Section 7.4: status codes that must not stand in a Close frame, and those that may: all there are.
#[test]
fn s7_4_close_codes() {
    for role in ROLES {
        for code in 0..=u16::MAX {
            let mut subject = Subject::new(role, Config::default());
            let events = subject.receive(&[Frame::close(code, "")]);
            let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            let sent = subject.sent();
            assert_eq!(sent.len(), 1);
            if valid {
                assert!(
                    matches!(&events[..1], [Event::Close(Some(frame))] if frame.code.get() == code),
                    "{code}"
                );
                assert_eq!(sent[0], Frame::close(code, ""), "5.5.1: the code is echoed");
            } else {
                assert_eq!(events, [Event::Failed(ProtocolError::InvalidCloseCode(code))]);
                assert_eq!(sent[0].code(), Some(StatusCode::PROTOCOL_ERROR), "{code}");
            }
        }
        let bad = encode_for(role, &[Frame::close(1005, "")]);
        assert_fails(role, &[], &bad, ProtocolError::InvalidCloseCode(1005), 1002);
    }
}

/// Section 5.5.1: the reason is UTF-8.
#[test]
fn s5_5_1_close_reason_is_utf8() {
    for role in ROLES {
        for (good, bad) in NOT_UTF8 {
            let payload = [&[3, 232], good, &[bad], b" more"].concat();
            let bad = encode_for(role, &[Frame::new(8, payload)]);
            assert_fails(role, &[], &bad, ProtocolError::InvalidCloseReason, 1007);
        }
        let bad = encode_for(role, &[Frame::new(8, b"\x03\xe8cut \xe2\x82")]);
        assert_fails(role, &[], &bad, ProtocolError::InvalidCloseReason, 1007);
    }
}

/// Section 5.2: every form of the length, at its borders, in both directions of masking.
#[test]
fn s5_2_lengths_at_the_borders() {
    for role in ROLES {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut subject = Subject::new(role, Config::default());
            let data: Vec<u8> = (0..len).map(|i| u8::try_from(i % 253).unwrap()).collect();
            let received = subject.receive(&[Frame::binary(data.clone())]);
            assert_eq!(received, [crate::common::binary(data.clone())]);
            subject.conn.send_binary(&data, &mut subject.out).unwrap();
            assert_eq!(subject.sent(), [Frame::binary(data)]);
        }
    }
}
