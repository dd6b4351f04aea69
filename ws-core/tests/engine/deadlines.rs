//! Every deadline, and that nothing but what it waits for puts it off.

use core::time::Duration;

use ws_core::{Chunk, Config, Deadline, Event, Outcome, ProtocolError, Role, StatusCode};

use crate::common::{Frame, ROLES, Subject, binary, config, encode_for, ms, text};

fn message_within(timeout: Duration) -> Config {
    config(|config| config.message_timeout = Some(timeout))
}

#[track_caller]
fn assert_times_out(subject: &mut Subject, deadline: Deadline, code: u16) {
    assert!(!subject.conn.is_open(), "it gave up");
    let sent = subject.sent();
    let last = sent.last().expect("a Close frame");
    assert_eq!(last.code(), StatusCode::new(code));
    let reason = if deadline == Deadline::Idle { "idle" } else { "message took too long" };
    assert_eq!(last.payload[2..], *reason.as_bytes(), "it says why");
    assert_eq!(subject.receive(&[Frame::text("too late"), Frame::close_empty()]), []);
    assert_eq!(subject.eof(), [Event::Closed(Outcome::TimedOut(deadline))]);
    subject.assert_closed(&Outcome::TimedOut(deadline));
}

/// A connection with nothing configured and nothing under way waits for ever.
#[test]
fn none_by_default_while_nothing_is_under_way() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        assert_eq!(subject.conn.poll_timeout(), None);
        subject.receive(&[Frame::text("a"), Frame::ping("b")]);
        subject.sent();
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}

/// From the first byte to the last, whatever came in between: 1008.
#[test]
fn message() {
    for role in ROLES {
        let bytes =
            encode_for(role, &[Frame::text("first ").more(), Frame::ping(""), Frame::continuation("rest")]);
        for first in 1..bytes.len() {
            let mut subject = Subject::new(role, message_within(ms(1000)));
            subject.wait(ms(5000));
            subject.receive_bytes(&bytes[..first]);
            subject.wait(ms(999));
            assert!(subject.conn.is_open(), "cut at {first}");
            let events = subject.receive_bytes(&bytes[first..]);
            assert_eq!(events.last(), Some(&text("first rest")));
            assert_eq!(subject.conn.poll_timeout(), None);

            let mut subject = Subject::new(role, message_within(ms(1000)));
            subject.receive_bytes(&bytes[..first]);
            assert_eq!(subject.wait(ms(1000)), []);
            assert_times_out(&mut subject, Deadline::Message, 1008);
        }
    }
}

/// One byte now and then, of payload, of fragments or of Pings, puts off nothing.
#[test]
fn message_deadline_is_absolute() {
    for role in ROLES {
        let whole = encode_for(role, &[Frame::binary([5; 100])]);
        let fragments = vec![Frame::continuation("").more(); 30];
        let fragments = encode_for(role, &[&[Frame::text("").more()], &fragments[..]].concat());
        let pings = vec![Frame::ping("p"); 10];
        let pings = encode_for(role, &[&[Frame::text("").more()], &pings[..]].concat());
        for bytes in [whole, fragments, pings] {
            let mut subject = Subject::new(role, message_within(ms(1000)));
            for byte in &bytes[..20] {
                subject.receive_bytes(&[*byte]);
                assert!(subject.conn.is_open());
                subject.wait(ms(50));
            }
            assert_times_out(&mut subject, Deadline::Message, 1008);
        }
    }
}

/// Each message has the whole time, from its own first byte, also if that came with the end of another.
#[test]
fn message_deadline_starts_anew() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::text("one"), Frame::text("two"), Frame::text("six")]);
        let len = bytes.len() / 3;
        let mut subject = Subject::new(role, message_within(ms(1000)));
        subject.receive_bytes(&bytes[..3]);
        subject.wait(ms(900));
        assert_eq!(subject.receive_bytes(&bytes[3..len + 2]), [text("one")]);
        subject.wait(ms(900));
        assert_eq!(subject.receive_bytes(&bytes[len + 2..2 * len + 1]), [text("two")]);
        subject.wait(ms(999));
        assert!(subject.conn.is_open());
        subject.wait(ms(1));
        assert_times_out(&mut subject, Deadline::Message, 1008);
    }
}

/// A control frame that does not end holds the connection up like a message.
#[test]
fn message_deadline_covers_control_frames() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::ping("data"), Frame::ping("more")]);
        for cut in [1, 3, 7, bytes.len() / 2 + 1] {
            let mut subject = Subject::new(role, message_within(ms(1000)));
            subject.receive_bytes(&bytes[..cut]);
            subject.wait(ms(999));
            assert!(subject.conn.is_open());
            subject.wait(ms(1));
            assert_times_out(&mut subject, Deadline::Message, 1008);
        }
    }
}

#[test]
fn message_deadline_can_be_off() {
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.message_timeout = None));
        subject.receive(&[Frame::text("").more()]);
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}

/// The message deadline also holds while we wait for the peer's Close.
#[test]
fn message_deadline_while_closing() {
    for role in ROLES {
        let mut patient = message_within(ms(1000));
        patient.close_timeout = ms(9000);
        let mut subject = Subject::new(role, patient);
        subject.receive(&[Frame::text("").more()]);
        subject.conn.close(subject.now, None, "", &mut subject.out).unwrap();
        assert_eq!(subject.sent(), [Frame::close_empty()]);
        assert_eq!(subject.wait(ms(1000)), []);
        assert_eq!(subject.sent(), [], "one Close frame is all");
        assert_eq!(subject.receive(&[Frame::continuation("late")]), []);
        assert_eq!(subject.wait(ms(8000)), [Event::Closed(Outcome::TimedOut(Deadline::Message))]);
    }
}

/// 1001 after so long without a byte; here each byte counts, by the nature of the deadline.
#[test]
fn idle() {
    for role in ROLES {
        let idle = config(|config| config.idle_timeout = Some(ms(1000)));
        let mut subject = Subject::new(role, idle);
        let bytes = encode_for(role, &[Frame::ping("p"), Frame::binary([1; 20])]);
        for byte in bytes {
            subject.wait(ms(999));
            subject.receive_bytes(&[byte]);
            subject.sent();
        }
        // What we send, and empty reads, are no sign of life.
        subject.wait(ms(500));
        subject.conn.send_text("anyone?", &mut subject.out).unwrap();
        subject.sent();
        subject.receive_bytes(&[]);
        subject.receive_chunk(Chunk::cut(&mut []));
        subject.receive_chunk(Chunk::within(&mut [0; 8], 0));
        subject.receive_chunk(Chunk::empty());
        subject.wait(ms(499));
        assert!(subject.conn.is_open());
        subject.wait(ms(1));
        assert_times_out(&mut subject, Deadline::Idle, 1001);
    }
}

#[test]
fn idle_ends_with_our_close() {
    for role in ROLES {
        let mut idle = config(|config| config.idle_timeout = Some(ms(100)));
        idle.close_timeout = ms(1000);
        let mut subject = Subject::new(role, idle);
        subject.conn.close(subject.now, None, "", &mut subject.out).unwrap();
        subject.receive(&[Frame::text("still here")]);
        assert_eq!(subject.wait(ms(999)), []);
        assert_eq!(subject.wait(ms(1)), [Event::Closed(Outcome::TimedOut(Deadline::ClosingHandshake))]);
    }
}

/// After our Close frame the peer has so long to send its own, and to end the stream; data put it off not.
#[test]
fn closing_handshake() {
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.close_timeout = ms(1000)));
        subject.conn.close(subject.now, Some(StatusCode::NORMAL), "", &mut subject.out).unwrap();
        subject.sent();
        for _ in 0..9 {
            subject.wait(ms(100));
            assert_eq!(subject.receive(&[Frame::binary([1])]), [binary([1])]);
        }
        assert_eq!(subject.wait(ms(99)), []);
        assert_eq!(subject.wait(ms(1)), [Event::Closed(Outcome::TimedOut(Deadline::ClosingHandshake))]);
    }
}

/// The client waits for the server to close the TCP connection, but not for ever; it was clean all the same.
#[test]
fn a_client_does_not_wait_for_the_servers_end_for_ever() {
    let mut client = Subject::new(Role::Client, config(|config| config.close_timeout = ms(1000)));
    client.receive(&[Frame::close(1000, "")]);
    assert_eq!(client.sent(), [Frame::close(1000, "")]);
    assert_eq!(client.wait(ms(999)), []);
    let [Event::Closed(outcome)] = &client.wait(ms(1))[..] else { panic!("no end") };
    assert!(outcome.is_clean());
}

/// A peer that we failed has as long to go away.
#[test]
fn a_failed_connection_does_not_linger() {
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.close_timeout = ms(1000)));
        subject.receive(&[Frame::text([0xff])]);
        subject.sent();
        for _ in 0..9 {
            subject.wait(ms(100));
            subject.receive(&[Frame::text("blah"), Frame::close_empty()]);
        }
        assert_eq!(subject.wait(ms(99)), []);
        assert_eq!(subject.wait(ms(1)), [Event::Closed(Outcome::Failed(ProtocolError::InvalidUtf8))]);
    }
}

/// No byte accepted while output is pending: the connection is lost. Each accepted byte starts the time anew.
#[test]
fn send_stall() {
    for role in ROLES {
        let impatient = config(|config| config.send_timeout = Some(ms(100)));
        let mut subject = Subject::new(role, impatient);
        subject.wait(ms(10_000));
        subject.conn.send_binary(&[0; 50], &mut subject.out).unwrap();
        for _ in 0..30 {
            assert_eq!(subject.sent_bytes(1).len(), 1);
            assert_eq!(subject.wait(ms(99)), []);
        }
        assert_eq!(subject.sent_bytes(usize::MAX).len(), if role == Role::Client { 26 } else { 22 });
        assert_eq!(subject.wait(ms(10_000)), [], "nothing is pending");

        subject.conn.send_text("x", &mut subject.out).unwrap();
        for _ in 0..9 {
            subject.sent_bytes(0);
            subject.receive(&[Frame::text("what the peer sends does not count"), Frame::ping("")]);
            assert_eq!(subject.wait(ms(11)), []);
        }
        assert_eq!(subject.wait(ms(1)), [Event::Closed(Outcome::TimedOut(Deadline::Send))]);
        subject.assert_closed(&Outcome::TimedOut(Deadline::Send));
    }
}

/// The time runs from when the output is first offered to the transport, and not beyond the end.
#[test]
fn a_send_stall_counts_from_the_offer() {
    for role in ROLES {
        let impatient = config(|config| config.send_timeout = Some(ms(100)));
        let mut subject = Subject::new(role, impatient);
        subject.conn.send_text("x", &mut subject.out).unwrap();
        subject.wait(ms(10_000));
        assert_eq!(subject.conn.poll_timeout(), None, "nothing was offered");
        assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
        assert_eq!(subject.conn.poll_timeout(), Some(subject.now + ms(100)));
        subject.conn.abort();
        assert!(subject.conn.poll_transmit(subject.now, &mut subject.out), "it is there to be seen");
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}

#[test]
fn send_stall_of_a_close_frame() {
    for role in ROLES {
        let impatient = config(|config| config.send_timeout = Some(ms(100)));
        let mut subject = Subject::new(role, impatient);
        subject.receive(&[Frame::close(1000, "")]);
        subject.sent_bytes(0);
        assert_eq!(
            subject.wait(ms(100)),
            [Event::Closed(Outcome::TimedOut(Deadline::Send))],
            "our half is missing"
        );
    }
}

/// Several deadlines that passed before anybody looked: the earliest is the reason.
#[test]
fn the_earliest_deadline_is_the_reason() {
    for role in ROLES {
        let several = |idle, message| {
            config(|config| {
                config.idle_timeout = Some(ms(idle));
                config.message_timeout = Some(ms(message));
                config.ping_interval = Some(ms(5));
                config.pong_timeout = ms(10_000);
            })
        };
        for (idle, message, reason) in [(20, 30, Deadline::Idle), (30, 20, Deadline::Message)] {
            let mut subject = Subject::new(role, several(idle, message));
            subject.receive(&[Frame::text("a").more()]);
            subject.now = subject.now + ms(1000);
            subject.conn.handle_timeout(subject.now);
            let code = if reason == Deadline::Idle { 1001 } else { 1008 };
            assert_times_out(&mut subject, reason, code);
        }
    }
}

/// `handle_timeout` before its time, and more than once, does nothing.
#[test]
fn early_and_repeated_calls_do_nothing() {
    for role in ROLES {
        let mut subject = Subject::new(role, message_within(ms(1000)));
        subject.receive(&[Frame::text("a").more()]);
        for _ in 0..10 {
            subject.now = subject.now + ms(99);
            subject.conn.handle_timeout(subject.now);
            subject.assert_not_closed();
        }
        assert!(subject.conn.is_open());
        subject.now = subject.now + ms(10);
        for _ in 0..3 {
            subject.conn.handle_timeout(subject.now);
        }
        assert_times_out(&mut subject, Deadline::Message, 1008);
        subject.now = subject.now + ms(1_000_000);
        subject.conn.handle_timeout(subject.now);
        subject.assert_closed(&Outcome::TimedOut(Deadline::Message));
    }
}

/// Deadlines in the far future are none; none of them overflows.
#[test]
fn endless_deadlines() {
    for role in ROLES {
        let mut subject = Subject::new(
            role,
            config(|config| {
                config.message_timeout = Some(Duration::MAX);
                config.idle_timeout = Some(Duration::MAX);
                config.ping_interval = Some(Duration::MAX);
                config.send_timeout = Some(Duration::MAX);
                config.close_timeout = Duration::MAX;
            }),
        );
        subject.receive(&[Frame::text("a").more()]);
        subject.conn.close(subject.now, None, "", &mut subject.out).unwrap();
        subject.sent_bytes(1);
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}
