//! What a peer may send at most, and what the application may queue at most.

use core::time::Duration;

use ws_core::{Config, Delivery, Event, Kind, Outcome, ProtocolError, SendError, StatusCode};

use crate::common::{Frame, ROLES, Subject, binary, config, decode, encode_for, text};

#[track_caller]
fn assert_fails(subject: &mut Subject, events: &[Event<'static>], error: ProtocolError, code: u16) {
    assert_eq!(events, [Event::Failed(error)]);
    assert_eq!(subject.sent().pop().unwrap().code(), StatusCode::new(code));
    assert_eq!(subject.eof(), [Event::Closed(Outcome::Failed(error))]);
}

#[test]
fn message_in_one_frame() {
    for role in ROLES {
        for max in [0, 1, 125, 126, 65_536] {
            let limited = config(|config| config.max_message_len = max);
            let mut subject = Subject::new(role, limited.clone());
            assert_eq!(subject.receive(&[Frame::binary(vec![1; max])]), [binary(vec![1; max])]);
            let events = subject.receive(&[Frame::binary(vec![1; max + 1])]);
            assert_fails(&mut subject, &events, ProtocolError::MessageTooLong, 1009);

            // From the header alone.
            let mut subject = Subject::new(role, limited);
            let events = subject.receive(&[Frame::text("").declared(max as u64 + 1)]);
            assert_fails(&mut subject, &events, ProtocolError::MessageTooLong, 1009);
        }
    }
}

#[test]
fn message_in_fragments() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let limited = config(|config| {
                config.max_message_len = 10;
                config.delivery = delivery;
                config.control_events = false;
            });
            let mut subject = Subject::new(role, limited.clone());
            let frames = [
                Frame::text("12345").more(),
                Frame::ping([0; 125]),
                Frame::continuation("678").more(),
                Frame::continuation("9A"),
            ];
            let events = subject.receive(&frames);
            match &events[..] {
                [Event::Message(message)] => assert_eq!(message.as_bytes(), b"123456789A"),
                [Event::Part(_), Event::Part(_), Event::Part(part)] => assert!(part.last),
                other => panic!("{other:?}"),
            }

            let mut subject = Subject::new(role, limited);
            subject.receive(&frames[..3]);
            let events = subject.receive(&[Frame::continuation("").declared(3)]);
            assert_eq!(events, [Event::Failed(ProtocolError::MessageTooLong)]);
        }
    }
}

#[test]
fn frame() {
    for role in ROLES {
        let limited = config(|config| config.max_frame_len = Some(4));
        let mut subject = Subject::new(role, limited.clone());
        let frames =
            [Frame::text("1234").more(), Frame::ping("longer than a frame"), Frame::continuation("5678")];
        let events = subject.receive(&frames);
        assert_eq!(events, [Event::Ping(b"longer than a frame".into()), text("12345678")]);
        let events = subject.receive(&[Frame::text("").declared(5)]);
        assert_fails(&mut subject, &events, ProtocolError::FrameTooLong, 1009);

        let mut subject = Subject::new(role, limited);
        let events = subject.receive(&[Frame::text("").more(), Frame::continuation("12345")]);
        assert_fails(&mut subject, &events, ProtocolError::FrameTooLong, 1009);
    }
}

/// Empty fragments count; a message of one frame is one fragment.
#[test]
fn fragments() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let limited = config(|config| {
                config.max_fragments = 3;
                config.delivery = delivery;
            });
            let (open, middle, end) =
                (Frame::text("").more(), Frame::continuation("").more(), Frame::continuation("z"));
            let mut subject = Subject::new(role, limited);
            for _ in 0..3 {
                let events = subject.receive(&[open.clone(), middle.clone(), end.clone()]);
                assert_eq!(events.len(), 1, "{events:?}");
            }
            let events = subject.receive(&[open, middle.clone(), middle, end]);
            assert_fails(&mut subject, &events, ProtocolError::TooManyFragments, 1008);
        }
    }
}

#[test]
fn one_fragment_is_the_least_limit() {
    for role in ROLES {
        for max in [0, 1] {
            let limited = config(|config| config.max_fragments = max);
            let bytes = encode_for(role, &[Frame::text("whole")]);
            for chunk_len in [bytes.len(), 1] {
                let mut subject = Subject::new(role, limited.clone());
                let events: Vec<_> =
                    bytes.chunks(chunk_len).flat_map(|chunk| subject.receive_bytes(chunk)).collect();
                assert_eq!(events, [text("whole")], "max {max}, chunks of {chunk_len}");
                let events = subject.receive(&[Frame::text("a").more(), Frame::continuation("b")]);
                assert_fails(&mut subject, &events, ProtocolError::TooManyFragments, 1008);
            }
        }
    }
}

/// The longest length that can be declared: taken at the limit's word, and then what arrives is what counts.
#[test]
fn largest_declared_lengths() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let boundless = config(|config| {
                config.max_message_len = usize::MAX;
                config.delivery = delivery;
            });
            for len in [1 << 32, 1 << 62, (1 << 63) - 1] {
                for fin in [true, false] {
                    let mut subject = Subject::new(role, boundless.clone());
                    let mut frame = Frame::binary(vec![7; 300]).declared(len);
                    frame.fin = fin;
                    let events = subject.receive(&[frame]);
                    if len > usize::MAX as u64 {
                        // More than this machine can address is more than any limit.
                        assert_fails(&mut subject, &events, ProtocolError::MessageTooLong, 1009);
                        continue;
                    }
                    for event in events {
                        assert!(matches!(event, Event::Part(_)), "{event:?}");
                    }
                    assert!(subject.conn.is_open());
                    assert_eq!(subject.eof(), [Event::Closed(Outcome::Vanished)]);
                }
                let mut subject = Subject::new(role, Config::default());
                let events = subject.receive(&[Frame::binary([]).declared(len)]);
                assert_fails(&mut subject, &events, ProtocolError::MessageTooLong, 1009);
            }
        }
    }
}

/// A send call that would exceed the cap is refused and changes nothing; what fits fits to the byte.
#[test]
fn output_cap() {
    const HEADER: usize = 14;
    for role in ROLES {
        let limited = config(|config| config.max_output_len = 1000);
        let mut subject = Subject::new(role, limited);
        let (conn, out) = (&mut subject.conn, &mut subject.out);
        assert_eq!(conn.send_binary(&[0; 1001], out), Err(SendError::OutputFull));
        assert_eq!(conn.send_part(Kind::Text, &[b'a'; 1001], false, out), Err(SendError::OutputFull));
        assert!(out.is_empty());
        conn.send_binary(&[0; 1000], out).unwrap();
        assert!(out.len() <= 1000 + HEADER);
        assert_eq!(conn.send_text("x", out), Err(SendError::OutputFull));

        // The refused part started no message.
        subject.sent();
        subject.conn.send_text("fits again", &mut subject.out).unwrap();
        assert_eq!(subject.sent(), [Frame::text("fits again")]);
        let (conn, out) = (&mut subject.conn, &mut subject.out);
        conn.send_part(Kind::Text, b"1", false, out).unwrap();
        assert_eq!(conn.send_part(Kind::Text, &[b'a'; 1000], true, out), Err(SendError::OutputFull));
        conn.send_part(Kind::Text, b"2", true, out).unwrap();
        assert_eq!(subject.sent(), [Frame::text("1").more(), Frame::continuation("2")]);
    }
}

/// Pong, keepalive Ping and Close leave whatever the application queued.
#[test]
fn control_frames_fit_a_full_output() {
    for role in ROLES {
        let limited = config(|config| {
            config.max_output_len = 500;
            config.ping_interval = Some(Duration::from_secs(1));
        });
        let mut subject = Subject::new(role, limited);
        subject.conn.send_binary(&[0; 500], &mut subject.out).unwrap();
        let mut bytes = subject.sent_bytes(1);
        subject.receive(&[Frame::ping([b'p'; 125])]);
        subject.wait(Duration::from_secs(1));
        bytes.extend(subject.sent_bytes(0));
        let reason = "r".repeat(123);
        subject.conn.close(subject.now, Some(StatusCode::NORMAL), &reason, &mut subject.out).unwrap();
        // What the docs of Connection promise: the cap, a header, and three control frames of the engine.
        assert!(subject.out.len() <= 500 + 14 + 2 * (6 + 125) + 6 + 4);
        bytes.extend(subject.sent_bytes(usize::MAX));
        let opcodes: Vec<_> = decode(&bytes).into_iter().map(|frame| frame.opcode).collect();
        assert_eq!(opcodes, [2, 10, 9, 8]);
    }
}

/// The application's own Pings are its own output: refused once the cap is reached.
#[test]
fn pings_of_the_application_stop_at_the_cap() {
    for role in ROLES {
        let limited = config(|config| config.max_output_len = 1000);
        let mut subject = Subject::new(role, limited);
        let mut sent = 0;
        let error = loop {
            match subject.conn.ping(&[0; 125], &mut subject.out) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 100);
        };
        assert_eq!(error, SendError::OutputFull);
        assert!(subject.out.len() <= 1014);
        assert_eq!(subject.sent().len(), sent);
        subject.conn.ping(b"", &mut subject.out).unwrap();
    }
}
