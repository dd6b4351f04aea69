use std::sync::Arc;

use ws_core::{Config, DeflateConfig, DeflateParams, Kind, Message, Role, SendError};

use super::{decompressed, eager, no_takeover};
use crate::common::{Frame, ROLES, Rng, Subject, config, decode};

/// Sent frames without their masks, RSV bits as they are.
fn sent(subject: &mut Subject) -> Vec<Frame> {
    let bytes = subject.sent_bytes(usize::MAX);
    let frames = decode(&bytes);
    for frame in &frames {
        assert_eq!(frame.key.is_some(), subject.conn.role() == Role::Client, "MASK of {frame:?}");
    }
    frames
}

#[test]
fn shorter_with_what_came_before() {
    let text = "Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\n";
    for role in ROLES {
        let mut subject = Subject::deflating(role, eager(), DeflateParams::default());
        subject.conn.send_text(text, &mut subject.out).unwrap();
        subject.conn.send_text(text, &mut subject.out).unwrap();
        let frames = sent(&mut subject);
        assert_eq!(
            frames.iter().map(|frame| (frame.fin, frame.rsv, frame.opcode)).collect::<Vec<_>>(),
            [(true, 4, 1); 2]
        );
        let payloads: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame.payload).collect();
        assert!(payloads[1].len() < 12 && payloads[0].len() > 40, "{payloads:?}");
        assert_eq!(decompressed(&payloads), text.repeat(2).as_bytes());

        let mut subject = Subject::deflating(role, eager(), no_takeover());
        subject.conn.send_text(text, &mut subject.out).unwrap();
        subject.conn.send_text(text, &mut subject.out).unwrap();
        let frames = sent(&mut subject);
        assert_eq!(frames[0].payload, frames[1].payload);
        assert_eq!(decompressed(&[frames[0].payload.clone()]), text.as_bytes());
    }
}

/// Section 7.2.3.6: an empty message, and an empty last fragment, are one byte.
#[test]
fn empty() {
    for params in [DeflateParams::default(), no_takeover()] {
        let mut subject = Subject::deflating(Role::Server, eager(), params);
        for _ in 0..2 {
            subject.conn.send_text("", &mut subject.out).unwrap();
            subject.conn.send_part(Kind::Text, b"Hello", false, &mut subject.out).unwrap();
            subject.conn.send_part(Kind::Text, b"", false, &mut subject.out).unwrap();
            subject.conn.send_part(Kind::Text, b"", true, &mut subject.out).unwrap();
        }
        let frames = sent(&mut subject);
        let seen: Vec<_> = frames.iter().map(|frame| (frame.fin, frame.rsv, frame.opcode)).collect();
        let expected = [(true, 4, 1), (false, 4, 1), (false, 0, 0), (true, 0, 0)];
        assert_eq!(seen, [expected, expected].concat());
        for round in frames.chunks(4) {
            assert_eq!(round[0].payload, [0]);
            assert!(round[2].payload.is_empty());
            assert_eq!(round[3].payload, [0]);
            if params == no_takeover() {
                let message: Vec<u8> = round[1..].iter().flat_map(|frame| frame.payload.clone()).collect();
                assert_eq!(decompressed(&[message]), b"Hello");
            }
        }
    }
}

#[test]
fn the_short_the_unwilling_and_the_secret_go_as_they_are() {
    let mut settings = DeflateConfig::default();
    settings.min_len = 20;
    let settings = config(|config| config.deflate = Some(settings));
    for role in ROLES {
        let mut subject = Subject::deflating(role, settings.clone(), no_takeover());
        let plain = |subject: &mut Subject, expected: bool, data: &str| {
            let frames = sent(subject);
            assert_eq!(frames.len(), 1);
            assert_eq!(
                (frames[0].rsv == 0, frames[0].payload == data.as_bytes()),
                (expected, expected),
                "{data}"
            );
        };
        let (short, long) = ("19 bytes, no more!!", "20 bytes, and over!!");
        subject.conn.send_text(short, &mut subject.out).unwrap();
        plain(&mut subject, true, short);
        subject.conn.send_text(long, &mut subject.out).unwrap();
        plain(&mut subject, false, long);
        subject.conn.send_uncompressed(&Message::Text(long.into()), &mut subject.out).unwrap();
        plain(&mut subject, true, long);
        // Settings changed on the way.
        let now = subject.now;
        subject.conn.set_config(now, &Arc::new(Config::default()));
        subject.conn.send_text(long, &mut subject.out).unwrap();
        plain(&mut subject, true, long);
        subject.conn.send_part(Kind::Text, long.as_bytes(), true, &mut subject.out).unwrap();
        plain(&mut subject, true, long);
        subject.conn.set_config(now, &Arc::new(settings.clone()));
        subject.conn.send_text(long, &mut subject.out).unwrap();
        plain(&mut subject, false, long);
    }
}

/// A message under way stays what it began as, and what is refused leaves the compressor alone.
#[test]
fn in_the_middle() {
    let mut subject = Subject::deflating(Role::Server, eager(), DeflateParams::default());
    subject.conn.send_part(Kind::Text, b"one ", false, &mut subject.out).unwrap();
    let refused = subject.conn.send_part(Kind::Binary, b"x", false, &mut subject.out);
    assert_eq!(refused, Err(SendError::KindMismatch));
    let refused = subject.conn.send_text("x", &mut subject.out);
    assert_eq!(refused, Err(SendError::MessageInProgress));
    let refused = subject.conn.send_uncompressed(&Message::Text("x".into()), &mut subject.out);
    assert_eq!(refused, Err(SendError::MessageInProgress));
    let now = subject.now;
    let small = config(|config| config.max_output_len = 100);
    subject.conn.set_config(now, &Arc::new(small));
    let refused = subject.conn.send_part(Kind::Text, &[b'x'; 101], true, &mut subject.out);
    assert_eq!(refused, Err(SendError::OutputFull));
    subject.conn.set_config(now, &Arc::new(Config::default()));
    subject.conn.send_part(Kind::Text, b"one two", true, &mut subject.out).unwrap();
    let frames = sent(&mut subject);
    let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert_eq!(decompressed(&[payload]), b"one one two");
}

/// The longest message that is let in can be sent back, also where compressing it makes it longer; more cannot.
#[test]
fn an_echo_always_fits() {
    const LEN: usize = 70_000;
    let mut settings = eager();
    (settings.max_message_len, settings.max_output_len) = (LEN, LEN);
    let noise = Rng::new(5).bytes(LEN);
    for data in [vec![b'a'; LEN], noise] {
        let mut subject = Subject::deflating(Role::Server, settings.clone(), DeflateParams::default());
        subject.conn.send_binary(&data, &mut subject.out).unwrap();
        assert!(subject.out.len() <= LEN + LEN / 8 + 64 + 14);
        assert_eq!(decompressed(&[sent(&mut subject).remove(0).payload]), data);
        let longer = [&data[..], b"a"].concat();
        assert_eq!(subject.conn.send_binary(&longer, &mut subject.out), Err(SendError::OutputFull));
    }
}

/// With 8 window bits nothing is referred to, as the library has no window that small; it is still compressed.
#[test]
fn the_smallest_window() {
    let mut params = DeflateParams::default();
    params.server_max_window_bits = 8;
    let mut subject = Subject::deflating(Role::Server, eager(), params);
    let text = "eeee aaaa eeee aaaa ".repeat(100);
    for _ in 0..2 {
        subject.conn.send_text(&text, &mut subject.out).unwrap();
    }
    let frames = sent(&mut subject);
    let payloads: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame.payload).collect();
    for payload in &payloads {
        // At least a bit for each byte.
        assert!(payload.len() >= text.len() / 8 && payload.len() < text.len() / 2, "{}", payload.len());
    }
    assert_eq!(decompressed(&payloads), text.repeat(2).as_bytes());
}

/// Whatever is agreed on, however it is sent: the other endpoint receives it, and another library reads it.
#[test]
fn to_each_other() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut params = DeflateParams::default();
        params.server_no_context_takeover = rng.one_in(2);
        params.client_no_context_takeover = rng.one_in(2);
        params.server_max_window_bits = u8::try_from(rng.between(8, 15)).unwrap();
        params.client_max_window_bits = u8::try_from(rng.between(8, 15)).unwrap();
        let mut deflate = DeflateConfig::default();
        deflate.level = u8::try_from(rng.between(0, 10)).unwrap();
        deflate.min_len = *rng.pick(&[0, 0, 50, 1000]);
        let settings = config(|config| config.deflate = Some(deflate));
        let role = *rng.pick(&ROLES);
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let mut sender = Subject::deflating(role, settings.clone(), params);
        let mut receiver = Subject::deflating(peer, settings, params);
        let takeover = match role {
            Role::Server => !params.server_no_context_takeover,
            Role::Client => !params.client_no_context_takeover,
        };
        let (mut stream, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..rng.between(1, 12) {
            let len = *rng.pick(&[0, 3, 60, 700, 9000, 40_000]);
            let text = match rng.below(3) {
                0 => rng.text(len),
                1 => rng.text(20).repeat(len / 20),
                _ => "the same words again; ".repeat(len / 22),
            };
            if rng.one_in(3) {
                let mut rest = text.as_bytes();
                while !rest.is_empty() {
                    let n = rng.between(1, rest.len());
                    sender.conn.send_part(Kind::Text, &rest[..n], false, &mut sender.out).unwrap();
                    rest = &rest[n..];
                }
                sender.conn.send_part(Kind::Text, b"", true, &mut sender.out).unwrap();
            } else if rng.one_in(5) {
                sender.conn.send_uncompressed(&Message::Text(text[..].into()), &mut sender.out).unwrap();
            } else {
                sender.conn.send_text(&text, &mut sender.out).unwrap();
            }
            let bytes = sender.sent_bytes(usize::MAX);
            let mut message = Vec::new();
            let frames = decode(&bytes);
            for frame in &frames {
                message.extend_from_slice(&frame.payload);
            }
            if frames[0].rsv == 0 {
                assert_eq!(message, text.as_bytes());
            } else {
                if !takeover {
                    stream.clear();
                    plain.clear();
                }
                stream.push(message);
                plain.extend_from_slice(text.as_bytes());
                assert_eq!(decompressed(&stream), plain, "seed {seed}");
            }
            let mut events = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let n = rng.between(1, rest.len());
                events.extend(receiver.receive_bytes(&rest[..n]));
                rest = &rest[n..];
            }
            assert_eq!(events, [crate::common::text(&text)], "seed {seed}");
        }
    }
}
