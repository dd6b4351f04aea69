//! Nothing is lost when something else takes a connection over, in either role: what was received and not looked
//! at, what is parked, and what was queued and not sent.

use std::sync::Arc;

use ws_core::{
    Accept, Chunk, ClientHandshake, ClientRequest, Config, Connection, Endpoint, Event, Instant, KeySource,
    Outcome, Role, SendBuffer, ServerConfig, ServerHandshake,
};

use crate::common::{Frame, ROLES, Subject, decode, encode_for, text};

const NOW: Instant = Instant::EPOCH;

/// Unsent output comes out as it would have left: the frame that was begun, control frames, then the data.
#[test]
fn unsent_output() {
    for role in ROLES {
        for taken in 0..30 {
            for by_hand in [true, false] {
                let mut subject = Subject::new(role, Config::default());
                subject.conn.send_text("one", &mut subject.out).unwrap();
                subject.conn.send_text("two", &mut subject.out).unwrap();
                let mut bytes = subject.sent_bytes(taken);
                subject.receive(&[Frame::ping("!")]);
                assert!(subject.conn.poll_transmit(subject.now, &mut subject.out));
                subject.conn.send_text("three", &mut subject.out).unwrap();
                let len = subject.out.len();
                let unsent = if by_hand { subject.out.take() } else { subject.out.into_bytes() };
                assert_eq!(unsent.len(), len);
                bytes.extend_from_slice(&unsent);
                let mut payloads: Vec<_> = decode(&bytes).into_iter().map(|frame| frame.payload).collect();
                assert!(payloads.contains(&b"!".to_vec()));
                payloads.retain(|payload| payload != b"!");
                assert_eq!(payloads, [&b"one"[..], b"two", b"three"], "{role:?}, {taken} taken");
            }
        }
    }
}

/// A connection that is taken over with all it was given goes on where it was, at any byte in either direction.
#[test]
fn in_the_middle_of_anything() {
    for role in ROLES {
        let bytes = encode_for(
            role,
            &[Frame::text("a€").more(), Frame::ping("ping"), Frame::continuation("b"), Frame::text("next")],
        );
        for cut in 0..bytes.len() {
            let mut before = Subject::new(role, Config::default());
            before.conn.send_text("queued", &mut before.out).unwrap();
            let mut events = before.receive_bytes(&bytes[..cut]);
            let mut sent = before.sent_bytes(cut % 7);

            // What a driver hands to the next: the state, the output, and the rest of the input.
            let (conn, out, now) = (before.conn, before.out, before.now);
            let mut after = Subject::new(role, Config::default());
            (after.conn, after.out, after.now) = (conn, out, now);
            events.extend(after.receive_bytes(&bytes[cut..]));
            assert_eq!(events, [Event::Ping(b"ping".into()), text("a€b"), text("next")], "cut at {cut}");
            sent.extend(after.sent_bytes(usize::MAX));
            let opcodes: Vec<_> = decode(&sent).into_iter().map(|frame| frame.opcode).collect();
            assert!(opcodes == [1, 10] || opcodes == [10, 1], "{opcodes:?}");
        }
    }
}

/// Both opening handshakes leave what follows the head where it is: for a connection, or for another framing.
#[test]
fn after_the_opening_handshake() {
    let request = ClientRequest::new("ws://server.example/").unwrap();
    let config = Arc::new(Config::default());
    let mut keys = KeySource::counter(1);
    let mut client = ClientHandshake::new(&request, &config, &mut keys, NOW);
    let mut server = ServerHandshake::new(&Arc::new(ServerConfig::default()), NOW);
    let (mut to_server, mut to_client) = (SendBuffer::new(), SendBuffer::new());

    assert!(client.poll_transmit(&mut to_server));
    let frame = encode_for(Role::Server, &[Frame::text("eager")]);
    let mut bytes = [&to_server.take()[..], &frame].concat();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(matches!(server.poll_event(NOW, &mut chunk), Some(Event::Open(_))));
    assert_eq!(chunk.rest(), frame);
    let mut connection = Connection::new(Role::Server, &config, NOW, None);
    assert_eq!(connection.poll_event(NOW, &mut chunk), Some(text("eager")));

    // The 101 is unsent output too, and comes before what the connection queues.
    assert!(server.poll_transmit(&mut to_client));
    assert_eq!(server.into_leftover(), b"");
    connection.send_text("hello", &mut to_client).unwrap();
    connection.ping(b"?", &mut to_client).unwrap();
    let mut bytes = to_client.into_bytes().to_vec();
    let mut chunk = Chunk::new(&mut bytes);
    assert!(matches!(client.poll_event(NOW, &mut chunk), Some(Event::Open(_))));
    let rest: Vec<_> = decode(chunk.rest()).into_iter().map(|frame| frame.payload).collect();
    assert_eq!(rest, [b"?".to_vec(), b"hello".to_vec()]);
    let mut connection = Endpoint::from(Connection::new(Role::Client, &config, NOW, Some(keys)));
    assert_eq!(connection.poll_event(NOW, &mut chunk), Some(Event::Ping(b"?".into())));
    assert_eq!(connection.poll_event(NOW, &mut chunk), Some(text("hello")));
}

/// What came while the application decided about the request precedes what is left in the chunk.
#[test]
fn after_a_late_decision() {
    let mut asking = ServerConfig::default();
    asking.ask = true;
    let request = ClientRequest::new("ws://server.example/").unwrap();
    let config = Arc::new(Config::default());
    let mut client = ClientHandshake::new(&request, &config, &mut KeySource::counter(1), NOW);
    let mut out = SendBuffer::new();
    assert!(client.poll_transmit(&mut out));
    let head = out.take();
    let frames = encode_for(Role::Server, &[Frame::text("one"), Frame::text("two"), Frame::close_empty()]);
    for cut in 0..frames.len() {
        let mut server = Endpoint::server(&Arc::new(asking.clone()), NOW);
        let mut bytes = [&head[..], &frames[..cut]].concat();
        let mut chunk = Chunk::new(&mut bytes);
        assert!(matches!(server.poll_event(NOW, &mut chunk), Some(Event::Request(_))));
        assert_eq!(server.poll_event(NOW, &mut chunk), None);
        assert!(chunk.is_empty() && server.is_request_waiting());
        server.accept(&Accept::default()).unwrap();
        let mut bytes = frames[cut..].to_vec();
        let mut chunk = Chunk::new(&mut bytes);
        let mut events = Vec::new();
        while let Some(event) = server.poll_event(NOW, &mut chunk) {
            events.push(event.into_owned());
        }
        assert!(matches!(events.remove(0), Event::Open(_)), "cut at {cut}");
        assert_eq!(events, [text("one"), text("two"), Event::Close(None)]);
        let mut out = SendBuffer::new();
        assert!(server.poll_transmit(NOW, &mut out));
        let sent = out.take();
        server.handle_transmitted(NOW, 0, &mut out);
        assert!(sent.starts_with(b"HTTP/1.1 101") && sent.ends_with(&[0x88, 0]));
        let end = server.poll_event(NOW, &mut Chunk::empty());
        assert!(matches!(end, Some(Event::Closed(Outcome::Clean { .. }))), "{end:?}");
    }
}
