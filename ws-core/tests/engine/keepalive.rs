//! Pings, Pongs, and the keepalive built on them (RFC 6455, sections 5.5.2 and 5.5.3).

use core::time::Duration;

use ws_core::{Config, Deadline, Event, Outcome, ProtocolError, StatusCode};

use crate::common::{Frame, ROLES, Subject, config, decode, ms, text};

/// A Ping each second, its Pong due within 300 ms.
fn keepalive() -> Config {
    config(|config| {
        config.ping_interval = Some(ms(1000));
        config.pong_timeout = ms(300);
    })
}

fn ping(data: impl Into<Vec<u8>>) -> Event<'static> {
    Event::Ping(data.into().into())
}

fn pong(data: impl Into<Vec<u8>>) -> Event<'static> {
    Event::Pong(data.into().into())
}

/// Section 5.5.3: the Pong has the Ping's Application data, all of it.
#[test]
fn a_ping_is_answered_with_its_data() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        for len in [0, 1, 21, 22, 23, 124, 125] {
            let data = vec![b'x'; len];
            assert_eq!(subject.receive(&[Frame::ping(data.clone())]), [ping(data.clone())]);
            assert_eq!(subject.sent(), [Frame::pong(data)]);
            assert_eq!(subject.sent(), []);
        }
    }
}

/// Section 5.5.2: each Ping of one chunk is answered.
#[test]
fn pings_of_one_chunk_are_answered_in_order() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        let long = [b'l'; 100];
        for latest in [&b"three"[..], &long, b""] {
            let frames = [Frame::ping("one"), Frame::text("x"), Frame::ping(long), Frame::ping(latest)];
            let events = subject.receive(&frames);
            assert_eq!(events, [ping("one"), text("x"), ping(long), ping(latest)]);
            subject.conn.send_text("reaction", &mut subject.out).unwrap();
            let pongs = [Frame::pong("one"), Frame::pong(long), Frame::pong(latest)];
            let mut expected = pongs.to_vec();
            expected.push(Frame::text("reaction"));
            assert_eq!(subject.sent(), expected);
        }
    }
}

/// Section 5.5.3: of the Pings that come while a Pong waits for the transport, the latest alone is answered.
#[test]
fn only_the_latest_ping_is_answered_while_a_pong_waits() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        subject.receive(&[Frame::ping("first")]);
        assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
        for name in ["second", "third", "fourth"] {
            subject.receive(&[Frame::ping(name)]);
            assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
        }
        assert_eq!(subject.sent(), [Frame::pong("first"), Frame::pong("fourth")]);
    }
}

/// Pings are answered and Pongs are matched even if nobody wants to hear of them.
#[test]
fn control_events_can_be_off() {
    for role in ROLES {
        let mut silent = keepalive();
        silent.control_events = false;
        let mut subject = Subject::new(role, silent);
        assert_eq!(subject.receive(&[Frame::ping("a"), Frame::text("b"), Frame::pong("c")]), [text("b")]);
        assert_eq!(subject.sent(), [Frame::pong("a")]);
        assert_eq!(subject.wait(ms(1000)), []);
        let [sent] = subject.sent().try_into().unwrap();
        assert_eq!(subject.receive(&[Frame::pong(sent.payload)]), []);
        assert_eq!(subject.wait(ms(999)), []);
        subject.assert_not_closed();
    }
}

/// Section 5.5.3: an unsolicited Pong is not answered and harms nothing.
#[test]
fn an_unsolicited_pong_is_taken_in_silence() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        assert_eq!(subject.receive(&[Frame::pong("what?")]), [pong("what?")]);
        assert_eq!(subject.sent(), []);
        assert!(subject.conn.is_open());
    }
}

/// The application's Pings and their Pongs are its own; keepalive does not mistake them.
#[test]
fn pings_of_the_application() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        subject.conn.ping(b"mine", &mut subject.out).unwrap();
        subject.conn.ping(&[7; 125], &mut subject.out).unwrap();
        assert_eq!(subject.sent(), [Frame::ping("mine"), Frame::ping([7; 125])]);
        assert_eq!(subject.receive(&[Frame::pong("mine")]), [pong("mine")]);
    }
}

#[test]
fn a_ping_each_interval_while_pongs_come() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        let mut before = Vec::new();
        for _ in 0..5 {
            assert_eq!(subject.wait(ms(999)), []);
            assert_eq!(subject.sent(), []);
            assert_eq!(subject.wait(ms(1)), []);
            let [sent] = subject.sent().try_into().unwrap();
            assert_eq!(sent.opcode, 9);
            assert_ne!(sent.payload, before, "each Ping can be told from the one before");
            before.clone_from(&sent.payload);
            assert_eq!(subject.receive(&[Frame::pong(sent.payload.clone())]), [pong(sent.payload)]);
        }
        subject.assert_not_closed();
    }
}

#[test]
fn without_a_pong_the_connection_is_lost() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        assert_eq!(subject.wait(ms(1000)), []);
        assert_eq!(subject.sent().len(), 1);
        assert_eq!(subject.wait(ms(299)), []);
        assert!(subject.conn.is_open());
        let outcome = Outcome::TimedOut(Deadline::Pong);
        assert_eq!(subject.wait(ms(1)), [Event::Closed(outcome.clone())]);
        assert_eq!(subject.sent(), [], "nobody would read a Close frame");
        subject.assert_closed(&outcome);
    }
}

/// Nothing but the Pong with the Ping's data will do: no data, no other Pong, no older one, no Ping.
#[test]
fn only_the_matching_pong_satisfies_keepalive() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        subject.wait(ms(1000));
        let [first] = subject.sent().try_into().unwrap();
        subject.receive(&[Frame::pong(first.payload.clone())]);
        subject.wait(ms(1000));
        let [second] = subject.sent().try_into().unwrap();
        let mut longer = second.payload.clone();
        longer.push(0);
        subject.receive(&[
            Frame::text("data"),
            Frame::ping(second.payload.clone()),
            Frame::pong(first.payload),
            Frame::pong(&second.payload[1..]),
            Frame::pong(longer),
            Frame::pong(""),
        ]);
        assert_eq!(subject.wait(ms(300)), [Event::Closed(Outcome::TimedOut(Deadline::Pong))]);
    }
}

#[test]
fn a_second_pong_does_not_satisfy_the_next_ping() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        subject.wait(ms(1000));
        let [first] = subject.sent().try_into().unwrap();
        subject.receive(&[Frame::pong(first.payload.clone())]);
        subject.receive(&[Frame::pong(first.payload.clone())]);
        subject.wait(ms(1000));
        subject.receive(&[Frame::pong(first.payload)]);
        assert_eq!(subject.wait(ms(300)), [Event::Closed(Outcome::TimedOut(Deadline::Pong))]);
    }
}

/// A Pong deadline that never comes still leaves a keepalive: Pings go on.
#[test]
fn pings_go_on_without_a_pong_deadline() {
    for role in ROLES {
        let mut patient = keepalive();
        patient.pong_timeout = Duration::MAX;
        let mut subject = Subject::new(role, patient);
        for _ in 0..3 {
            assert_eq!(subject.wait(ms(1000)), []);
            let [sent] = subject.sent().try_into().unwrap();
            subject.receive(&[Frame::pong(sent.payload)]);
        }
    }
}

#[test]
fn keepalive_ends_with_the_closing_handshake() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        subject.wait(ms(990));
        subject.conn.close(subject.now, Some(StatusCode::NORMAL), "", &mut subject.out).unwrap();
        assert_eq!(subject.wait(ms(2000)), []);
        assert_eq!(subject.sent(), [Frame::close(1000, "")]);
        subject.assert_not_closed();

        let mut subject = Subject::new(role, keepalive());
        subject.wait(ms(1000));
        subject.receive(&[Frame::ping("a"), Frame::text([0xff])]);
        let opcodes: Vec<_> = subject.sent().iter().map(|frame| frame.opcode).collect();
        assert!(!opcodes.contains(&9), "a failed connection asks nothing more: {opcodes:?}");
        let events = subject.wait(ms(60_000));
        assert_eq!(events, [Event::Closed(Outcome::Failed(ProtocolError::InvalidUtf8))]);
    }
}

/// Whatever the transport does, Pings by the thousand make one Pong wait, and the latest is answered at last.
#[test]
fn a_ping_flood_makes_one_pong_wait() {
    for role in ROLES {
        for (queued, taken) in [(0, 0), (0, 3), (1000, 0), (1000, 10)] {
            let mut subject = Subject::new(role, Config::default());
            if queued > 0 {
                subject.conn.send_binary(&vec![1; queued], &mut subject.out).unwrap();
            }
            let mut bytes = Vec::new();
            subject.receive(&[Frame::ping("first")]);
            bytes.extend(subject.sent_bytes(taken));
            let most = subject.out.len() + 2 * (6 + 125);
            for i in 0..2000_u32 {
                subject.receive(&[Frame::ping([vec![b'f'; 100], i.to_be_bytes().into()].concat())]);
                // A transport that does not even say that it would block.
                assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
                if i % 2 == 0 {
                    bytes.extend(subject.sent_bytes(0));
                }
                assert!(subject.out.len() <= most, "{} bytes after {i} Pings", subject.out.len());
            }
            subject.receive(&[Frame::ping("last")]);
            bytes.extend(subject.sent_bytes(usize::MAX));
            let frames = decode(&bytes);
            let pongs: Vec<_> = frames.iter().filter(|frame| frame.opcode == 10).collect();
            assert!(pongs.len() <= 3, "{} Pongs", pongs.len());
            assert_eq!(pongs.last().unwrap().payload, b"last");
        }
    }
}

/// A peer that guesses the Pongs of Pings it never reads does not make our Pings pile up.
#[test]
fn keepalive_pings_do_not_pile_up() {
    for role in ROLES {
        let mut subject = Subject::new(role, keepalive());
        assert_eq!(subject.wait(ms(1000)), []);
        subject.sent_bytes(0);
        let len = subject.out.len();
        for n in 1..50_u32 {
            subject.receive(&[Frame::pong(n.to_be_bytes())]);
            subject.wait(ms(1000));
            subject.sent_bytes(0);
        }
        subject.assert_not_closed();
        assert_eq!(subject.out.len(), len);
    }
}

/// A Pong leaves at the next frame boundary, before the data that wait.
#[test]
fn a_pong_overtakes_data_at_a_frame_boundary() {
    for role in ROLES {
        for taken in 0..40 {
            let mut subject = Subject::new(role, Config::default());
            for data in ["first message", "second", "third"] {
                subject.conn.send_text(data, &mut subject.out).unwrap();
            }
            let first = 2 + 13 + if role == ws_core::Role::Client { 4 } else { 0 };
            let second = first + 2 + 6 + if role == ws_core::Role::Client { 4 } else { 0 };
            let mut bytes = subject.sent_bytes(taken);
            assert_eq!(bytes.len(), taken.min(subject.out.len() + bytes.len()));
            let blocked = !subject.out.is_empty();
            subject.receive(&[Frame::ping("!")]);
            bytes.extend(subject.sent_bytes(usize::MAX));
            let mut expected =
                vec![Frame::text("first message"), Frame::text("second"), Frame::text("third")];
            let place = match taken {
                0 => 0,
                _ if taken <= first => 1,
                _ if taken <= second => 2,
                _ => 3,
            };
            expected.insert(if blocked { place } else { 3 }, Frame::pong("!"));
            let frames: Vec<_> =
                decode(&bytes).into_iter().map(|frame| Frame { key: None, ..frame }).collect();
            assert_eq!(frames, expected, "{role:?}, {taken} bytes taken");
        }
    }
}

/// Data that a Pong went before have not been offered to the transport, which is no sign that it is behind: they leave before
/// the Close.
#[test]
fn data_behind_a_pong_are_sent_before_the_close() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        subject.conn.send_text("data", &mut subject.out).unwrap();
        subject.receive(&[Frame::ping("!")]);
        assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
        let mut bytes = subject.out.pending().to_vec();
        subject.conn.handle_transmitted(subject.now, bytes.len(), &mut subject.out);
        subject.receive(&[Frame::close(1000, "")]);
        bytes.extend(subject.sent_bytes(usize::MAX));
        let frames: Vec<_> = decode(&bytes).into_iter().map(|frame| Frame { key: None, ..frame }).collect();
        assert_eq!(frames, [Frame::pong("!"), Frame::text("data"), Frame::close(1000, "")], "{role:?}");
    }
}

/// Pings and Pongs leave before the data, in their own order, whenever it turns out that the transport is behind.
#[test]
fn control_frames_keep_their_order() {
    for role in ROLES {
        for taken in [0, 1, 60] {
            let mut subject = Subject::new(role, keepalive());
            subject.conn.send_binary(&[0; 80], &mut subject.out).unwrap();
            subject.conn.ping(b"a", &mut subject.out).unwrap();
            subject.conn.send_binary(&[0; 80], &mut subject.out).unwrap();
            subject.receive(&[Frame::ping("first")]);
            subject.wait(ms(1000));
            assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
            subject.conn.send_text("behind", &mut subject.out).unwrap();
            let mut bytes = subject.sent_bytes(taken);
            subject.conn.ping(b"b", &mut subject.out).unwrap();
            subject.receive(&[Frame::ping("next")]);
            bytes.extend(subject.sent_bytes(usize::MAX));
            let frames = decode(&bytes);
            let opcodes: Vec<_> = frames.iter().map(|frame| frame.opcode).collect();
            let of = |opcode| frames.iter().filter(move |frame| frame.opcode == opcode);
            assert_eq!(of(10).map(|frame| &*frame.payload).collect::<Vec<_>>(), [&b"first"[..], b"next"]);
            let pings: Vec<_> = of(9).map(|frame| &*frame.payload).collect();
            assert_eq!(pings, [&b"a"[..], &[0, 0, 0, 1], b"b"]);
            assert_eq!(opcodes[..3], [9, 10, 9]);
            let last = if taken < 60 { &[9, 10, 2, 2, 1][..] } else { &[2, 9, 10, 2, 1] };
            assert_eq!(opcodes[3..], *last, "{role:?} {taken}");
        }
    }
}

/// A control frame that is partly written is finished before another is begun.
#[test]
fn control_frames_are_not_torn() {
    for role in ROLES {
        for step in 1..12 {
            let mut subject = Subject::new(role, keepalive());
            subject.conn.send_binary(&[0; 50], &mut subject.out).unwrap();
            let mut bytes = subject.sent_bytes(1);
            for i in 0..30 {
                subject.receive(&[Frame::ping(format!("ping {i}"))]);
                if i % 4 == 0 {
                    subject.conn.ping(b"mine", &mut subject.out).unwrap();
                    subject.conn.send_text("more", &mut subject.out).unwrap();
                }
                bytes.extend(subject.sent_bytes(step));
            }
            bytes.extend(subject.sent_bytes(usize::MAX));
            let frames = decode(&bytes);
            let of = |opcode| frames.iter().filter(move |frame| frame.opcode == opcode);
            assert_eq!(of(1).count(), 8);
            assert_eq!(of(9).count(), 8);
            assert_eq!(of(10).next_back().unwrap().payload, b"ping 29");
        }
    }
}

/// Section 5.5.2: Pings are answered until the peer's Close comes, also while our own Close waits behind data.
#[test]
fn a_ping_is_answered_until_our_close_left() {
    for role in ROLES {
        for taken in [None, Some(0), Some(5)] {
            let mut subject = Subject::new(role, Config::default());
            subject.conn.send_text("some data", &mut subject.out).unwrap();
            let mut bytes = taken.map(|taken| subject.sent_bytes(taken)).unwrap_or_default();
            subject.receive(&[Frame::ping("before")]);
            subject.conn.close(subject.now, None, "", &mut subject.out).unwrap();
            assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
            subject.receive(&[Frame::ping("behind")]);
            bytes.extend(subject.sent_bytes(usize::MAX));
            let frames = decode(&bytes);
            let opcodes: Vec<_> = frames.iter().map(|frame| frame.opcode).collect();
            assert_eq!(opcodes.last(), Some(&8), "{opcodes:?}");
            let answered: Vec<_> =
                frames.iter().filter(|frame| frame.opcode == 10).map(|frame| &*frame.payload).collect();
            assert_eq!(answered, [&b"before"[..], b"behind"], "{role:?}, {taken:?} taken");

            // Afterwards the Close is the last word.
            subject.receive(&[Frame::ping("late")]);
            assert_eq!(subject.sent(), []);
        }
    }
}
