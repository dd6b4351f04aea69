//! The closing handshake and every other end (RFC 6455, section 7).

use ws_core::{CloseFrame, Config, Event, Kind, Outcome, ProtocolError, Role, SendError, Side, StatusCode};

use crate::common::{Frame, ROLES, Subject, config, decode, ms, text};

const NORMAL: Option<StatusCode> = Some(StatusCode::NORMAL);
const AWAY: Option<StatusCode> = Some(StatusCode::GOING_AWAY);

fn open(role: Role) -> Subject {
    Subject::new(role, Config::default())
}

fn close(subject: &mut Subject, code: Option<StatusCode>) {
    subject.conn.close(subject.now, code, "", &mut subject.out).unwrap();
}

fn closed(code: u16, reason: &str) -> Event<'static> {
    Event::Close(Some(CloseFrame { code: StatusCode::new(code).unwrap(), reason: reason.to_owned() }))
}

const fn clean(initiator: Side, code: Option<StatusCode>) -> Outcome {
    Outcome::Clean { initiator, code }
}

/// Asserts the end of a clean connection: the server closes TCP at once, the client when the server did (7.1.1).
#[track_caller]
fn assert_ends_clean(subject: &mut Subject, role: Role, initiator: Side, code: Option<StatusCode>) {
    let outcome = clean(initiator, code);
    if role == Role::Client {
        subject.assert_not_closed();
        assert!(!subject.conn.is_write_closed(), "the server closes first");
        assert_eq!(subject.eof(), [Event::Closed(outcome.clone())]);
    }
    subject.assert_closed(&outcome);
    assert_eq!(subject.receive(&[Frame::text("ghost")]), []);
    assert_eq!(subject.eof(), []);
    assert_eq!(subject.lose(), []);
    assert_eq!(subject.abort(), []);
    assert_eq!(subject.wait(ms(100_000)), []);
    assert_eq!(subject.sent(), []);
}

/// Section 7.1.2: we start, the peer answers.
#[test]
fn started_by_us() {
    for role in ROLES {
        let mut subject = open(role);
        subject.conn.close(subject.now, NORMAL, "done ß", &mut subject.out).unwrap();
        assert!(!subject.conn.is_open() && !subject.conn.is_closed());
        assert_eq!(subject.sent(), [Frame::close(1000, "done ß")]);
        assert_eq!(subject.receive(&[Frame::text("on its way")]), [text("on its way")]);
        let events = subject.receive(&[Frame::close(1000, "")]);
        assert_eq!(events[0], closed(1000, ""));
        assert_eq!(events.len(), if role == Role::Server { 2 } else { 1 }, "{events:?}");
        assert_eq!(subject.sent(), [], "one Close frame each");
        assert_ends_clean(&mut subject, role, Side::Us, NORMAL);
    }
}

/// The outcome has the peer's code (7.1.5), not ours.
#[test]
fn the_peers_code_is_the_connections() {
    for role in ROLES {
        for (frame, code, number) in
            [(Frame::close(3000, "x"), StatusCode::new(3000), 3000), (Frame::close_empty(), None, 1005)]
        {
            let mut subject = open(role);
            close(&mut subject, NORMAL);
            subject.sent();
            subject.receive(&[frame]);
            assert_ends_clean(&mut subject, role, Side::Us, code);
            assert_eq!(clean(Side::Us, code).close_code(), number);
        }
    }
}

/// Section 5.5.1: the peer starts; the answer echoes its code.
#[test]
fn started_by_the_peer() {
    for role in ROLES {
        for (frame, event, code) in [
            (Frame::close(1001, "bye"), closed(1001, "bye"), AWAY),
            (Frame::close(4999, ""), closed(4999, ""), StatusCode::new(4999)),
            (Frame::close_empty(), Event::Close(None), None),
        ] {
            let mut subject = open(role);
            assert_eq!(subject.receive(&[Frame::text("last"), frame]), [text("last"), event]);
            assert!(!subject.conn.is_open());
            subject.assert_not_closed();
            let sent = subject.sent();
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0], code.map_or_else(Frame::close_empty, |code| Frame::close(code.get(), "")));
            assert_ends_clean(&mut subject, role, Side::Peer, code);
        }
    }
}

/// Both start at once: each takes the other's Close as the answer to its own.
#[test]
fn crossing_closes() {
    for role in ROLES {
        for written in [true, false] {
            let mut subject = open(role);
            close(&mut subject, NORMAL);
            let mut sent = if written { subject.sent() } else { Vec::new() };
            subject.receive(&[Frame::close(1001, "")]);
            sent.extend(subject.sent());
            assert_eq!(sent, [Frame::close(1000, "")]);
            assert_ends_clean(&mut subject, role, Side::Us, AWAY);
        }
    }
}

/// Section 7.1.4 wants both Close frames: nothing is clean before ours left.
#[test]
fn a_server_ends_when_its_answer_left() {
    let mut server = open(Role::Server);
    server.receive(&[Frame::close(1000, "")]);
    for _ in 0..3 {
        assert_eq!(server.sent_bytes(1).len(), 1);
        server.assert_not_closed();
    }
    assert_eq!(server.sent_bytes(1).len(), 1);
    server.assert_closed(&clean(Side::Peer, NORMAL));
}

/// Data that the peer sends after its Close count for nothing, in the same chunk or later.
#[test]
fn data_after_close_is_discarded() {
    for role in ROLES {
        let mut subject = open(role);
        let events = subject.receive(&[Frame::close(1000, ""), Frame::text("x"), Frame::text([0xff])]);
        assert_eq!(events, [closed(1000, "")]);
        assert_eq!(subject.receive(&[Frame::ping("x"), Frame::close(1001, "")]), []);
        assert_eq!(subject.sent(), [Frame::close(1000, "")]);
        assert_ends_clean(&mut subject, role, Side::Peer, NORMAL);
    }
}

/// The application's Close goes behind the data it queued before; its own later calls are refused.
#[test]
fn our_close_waits_for_our_data() {
    for role in ROLES {
        for taken in [None, Some(0), Some(3), Some(12)] {
            let mut subject = open(role);
            subject.conn.send_text("one", &mut subject.out).unwrap();
            subject.conn.send_text("two", &mut subject.out).unwrap();
            let mut bytes = taken.map(|taken| subject.sent_bytes(taken)).unwrap_or_default();
            close(&mut subject, NORMAL);
            // The peer's own Close, crossing, drops nothing either: these data may still be read.
            subject.receive(&[Frame::close(1001, "")]);
            bytes.extend(subject.sent_bytes(usize::MAX));
            let payloads: Vec<_> = decode(&bytes).into_iter().map(|frame| frame.payload).collect();
            assert_eq!(payloads, [b"one".to_vec(), b"two".to_vec(), vec![3, 232]], "{taken:?}");
            assert_ends_clean(&mut subject, role, Side::Us, AWAY);
        }
    }
}

/// The answer to the peer's Close, or the Close that fails the connection, overtakes data that the transport
/// does not take, and drops them; a frame that was begun is finished.
#[test]
fn a_due_close_drops_data_that_wait() {
    for role in ROLES {
        for frame in [Frame::close(1000, ""), Frame::text([0xff])] {
            for (taken, kept) in [(None, 3), (Some(0), 0), (Some(1), 1), (Some(12), 2)] {
                let mut subject = open(role);
                for data in ["data 1", "data 2", "data 3"] {
                    subject.conn.send_text(data, &mut subject.out).unwrap();
                }
                let taken = taken.map(|taken| if role == Role::Client { taken * 3 / 2 } else { taken });
                let mut bytes = taken.map(|taken| subject.sent_bytes(taken)).unwrap_or_default();
                subject.receive(&[Frame::ping("p"), frame.clone()]);
                bytes.extend(subject.sent_bytes(usize::MAX));
                let opcodes: Vec<_> = decode(&bytes).iter().map(|frame| frame.opcode).collect();
                assert_eq!(opcodes.iter().filter(|&&opcode| opcode == 1).count(), kept, "{opcodes:?}");
                assert_eq!(opcodes.last(), Some(&8));
            }
        }
    }
}

#[test]
fn end_of_stream_while_open() {
    for role in ROLES {
        for bytes in [&b""[..], b"\x81", b"\x01\x80abcd", b"\x89"] {
            let mut subject = open(role);
            let bytes = if role == Role::Client && bytes.len() > 2 { b"\x01\x01a" } else { bytes };
            assert_eq!(subject.receive_bytes(bytes), []);
            assert_eq!(subject.eof(), [Event::Closed(Outcome::Vanished)]);
            subject.assert_closed(&Outcome::Vanished);
            assert_eq!(Outcome::Vanished.close_code(), 1006);
        }
    }
}

/// Without the peer's Close it vanished, whatever became of ours.
#[test]
fn end_of_stream_after_our_close() {
    for role in ROLES {
        for written in [false, true] {
            let mut subject = open(role);
            close(&mut subject, NORMAL);
            if written {
                subject.sent();
            }
            assert_eq!(subject.eof(), [Event::Closed(Outcome::Vanished)]);
        }
    }
}

/// A peer that closes its half right after its Close still gets our answer.
#[test]
fn end_of_stream_before_our_answer() {
    for role in ROLES {
        let mut subject = open(role);
        subject.receive(&[Frame::close(1000, "")]);
        assert_eq!(subject.eof(), []);
        assert_eq!(subject.sent(), [Frame::close(1000, "")]);
        subject.assert_closed(&clean(Side::Peer, NORMAL));

        let mut subject = open(role);
        subject.receive(&[Frame::new(3, "")]);
        assert_eq!(subject.eof(), []);
        assert_eq!(subject.sent()[0].code(), Some(StatusCode::PROTOCOL_ERROR));
        subject.assert_closed(&Outcome::Failed(ProtocolError::ReservedOpcode(3)));
    }
}

/// What a broken transport and an abort make of each state.
#[test]
fn transport_lost_or_aborted_in_each_state() {
    type Step = fn(&mut Subject) -> Vec<Event<'static>>;
    let failed = Outcome::Failed(ProtocolError::Unmasked);
    for role in ROLES {
        for (end, ended) in
            [(Subject::lose as Step, Outcome::TransportLost), (Subject::abort, Outcome::Aborted)]
        {
            let mut subject = open(role);
            assert_eq!(end(&mut subject), [Event::Closed(ended.clone())]);
            subject.assert_closed(&ended);
            assert!(!subject.conn.poll_transmit(subject.now, &mut subject.out));

            let mut subject = open(role);
            subject.conn.send_text("never read", &mut subject.out).unwrap();
            close(&mut subject, NORMAL);
            subject.sent();
            assert_eq!(end(&mut subject), [Event::Closed(ended.clone())], "our Close alone is not enough");

            let mut subject = open(role);
            subject.receive(&[Frame::close(1000, "")]);
            assert_eq!(end(&mut subject), [Event::Closed(ended.clone())], "the peer's alone neither");
            assert_eq!(subject.sent(), [], "nothing is sent into the void");
        }
        let mut subject = open(role);
        let error =
            if role == Role::Server { failed.clone() } else { Outcome::Failed(ProtocolError::Masked) };
        subject.receive_bytes(&if role == Role::Server {
            Frame::text("").encode()
        } else {
            Frame::text("").masked([1; 4]).encode()
        });
        assert_eq!(subject.lose(), [Event::Closed(error.clone())], "we know better why it ended");
        subject.assert_closed(&error);
    }
    let mut client = open(Role::Client);
    client.receive(&[Frame::close(1000, "")]);
    client.sent();
    assert_eq!(
        client.lose(),
        [Event::Closed(clean(Side::Peer, NORMAL))],
        "both Close frames went over the wire"
    );
}

/// When the adapter is to shut down its write half: a server that sent its last frame and waits for the end.
#[test]
fn write_half() {
    for role in ROLES {
        let mut subject = open(role);
        assert!(!subject.conn.is_write_closed());
        close(&mut subject, NORMAL);
        subject.sent();
        assert!(!subject.conn.is_write_closed(), "Pongs may still be due, and the peer's Close is not here");

        let mut subject = open(role);
        subject.receive(&[Frame::new(3, "")]);
        assert!(!subject.conn.is_write_closed(), "our Close is not in the output yet");
        subject.sent();
        assert_eq!(subject.conn.is_write_closed(), role == Role::Server);

        let mut subject = open(role);
        subject.abort();
        assert!(!subject.conn.is_write_closed());
    }
}

/// Errors of the caller are typed and change nothing: what was right before is right after.
#[test]
fn misuse_is_refused() {
    for role in ROLES {
        let mut subject = open(role);
        let now = subject.now;
        let (conn, out) = (&mut subject.conn, &mut subject.out);
        assert_eq!(conn.ping(&[0; 126], out), Err(SendError::ControlTooLong));
        assert_eq!(conn.close(now, NORMAL, &"x".repeat(124), out), Err(SendError::ReasonTooLong));
        assert_eq!(conn.close(now, None, "why", out), Err(SendError::ReasonWithoutCode));
        assert!(conn.is_open() && out.is_empty());
        assert_eq!(conn.poll_timeout(), None);

        conn.send_part(Kind::Text, b"a", false, out).unwrap();
        assert_eq!(conn.send_text("b", out), Err(SendError::MessageInProgress));
        assert_eq!(conn.send_binary(b"b", out), Err(SendError::MessageInProgress));
        assert_eq!(conn.send_part(Kind::Binary, b"b", true, out), Err(SendError::KindMismatch));
        conn.ping(b"between", out).unwrap();
        conn.send_part(Kind::Text, b"", false, out).unwrap();
        conn.send_part(Kind::Text, b"c", true, out).unwrap();
        conn.send_part(Kind::Binary, b"d", true, out).unwrap();
        assert_eq!(
            subject.sent(),
            [
                Frame::ping("between"),
                Frame::text("a").more(),
                Frame::continuation("").more(),
                Frame::continuation("c"),
                Frame::binary("d")
            ]
        );
        let longest = "x".repeat(123);
        subject.conn.close(now, NORMAL, &longest, &mut subject.out).unwrap();
        assert_eq!(subject.sent(), [Frame::close(1000, &longest)]);
    }
}

/// From the first Close frame on, ours or the peer's, nothing can be sent any more (5.5.1).
#[test]
fn nothing_is_sent_after_close() {
    type Enter = fn(&mut Subject);
    let states: [(&str, Enter); 6] = [
        ("our Close", |subject| close(subject, NORMAL)),
        ("the peer's Close", |subject| drop(subject.receive(&[Frame::close_empty()]))),
        ("failed", |subject| drop(subject.receive(&[Frame::new(3, "")]))),
        ("vanished", |subject| drop(subject.eof())),
        ("lost", |subject| drop(subject.lose())),
        ("aborted", |subject| drop(subject.abort())),
    ];
    for role in ROLES {
        for (state, enter) in states {
            let mut subject = open(role);
            // Half a message does not matter either.
            subject.conn.send_part(Kind::Text, b"a", false, &mut subject.out).unwrap();
            enter(&mut subject);
            subject.sent();
            let now = subject.now;
            let (conn, out) = (&mut subject.conn, &mut subject.out);
            assert_eq!(conn.send_text("x", out), Err(SendError::Closing), "{state}");
            assert_eq!(conn.send_binary(b"x", out), Err(SendError::Closing), "{state}");
            assert_eq!(conn.send_part(Kind::Text, b"x", true, out), Err(SendError::Closing), "{state}");
            assert_eq!(conn.ping(b"x", out), Err(SendError::Closing), "{state}");
            assert_eq!(conn.close(now, NORMAL, "", out), Err(SendError::Closing), "{state}");
            assert_eq!(subject.sent(), [], "{state}");
        }
    }
}

/// `Outcome` and its errors can be shown to people.
#[test]
fn outcomes_are_readable() {
    for (outcome, shown) in [
        (clean(Side::Us, NORMAL), "closed by us, code 1000"),
        (clean(Side::Peer, None), "closed by the peer, no code"),
        (Outcome::Vanished, "the peer vanished"),
        (Outcome::Failed(ProtocolError::ReservedOpcode(11)), "failed: reserved opcode 11"),
        (Outcome::TimedOut(ws_core::Deadline::Idle), "idle timeout"),
    ] {
        assert_eq!(outcome.to_string(), shown);
        assert_eq!(outcome.is_clean(), shown.starts_with("closed by"));
    }
}

/// Every reason of ours fits a Close frame and is not empty.
#[test]
fn reasons_of_failures() {
    let idle = config(|config| config.idle_timeout = Some(ms(1)));
    let mut server = Subject::new(Role::Server, idle);
    server.wait(ms(1));
    let [sent] = server.sent().try_into().unwrap();
    assert_eq!(sent, Frame::close(1001, "idle"));
}
