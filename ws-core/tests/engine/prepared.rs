//! A message that is framed once and sent over many connections.

use ws_core::{Kind, Message, PreparedMessage, SendError};

use crate::common::{ROLES, Subject, config};

#[test]
fn the_same_as_if_it_were_sent_as_it_is() {
    for len in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let (words, data) = ("x".repeat(len), vec![7; len]);
        let messages = [Message::Text(words.as_str().into()), Message::Binary(data.as_slice().into())];
        for message in &messages {
            let prepared = PreparedMessage::new(message);
            assert_eq!((prepared.kind(), prepared.len()), (message.kind(), len));
            assert_eq!(prepared.is_empty(), len == 0);
            for role in ROLES {
                let mut one = Subject::new(role, config(|_| {}));
                let mut other = Subject::new(role, config(|_| {}));
                for _ in 0..2 {
                    one.conn.send_prepared(&prepared, &mut one.out).unwrap();
                    match message.kind() {
                        Kind::Text => other.conn.send_text(&words, &mut other.out).unwrap(),
                        Kind::Binary => other.conn.send_binary(&data, &mut other.out).unwrap(),
                    }
                }
                // A client's keys count alike.
                assert_eq!(one.sent_bytes(usize::MAX), other.sent_bytes(usize::MAX));
            }
        }
    }
}

#[test]
fn refused_as_any_other() {
    let prepared = PreparedMessage::new(&Message::Binary(vec![0; 200].into()));
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.max_output_len = 200 - 1));
        assert_eq!(subject.conn.send_prepared(&prepared, &mut subject.out), Err(SendError::OutputFull));
        assert!(subject.out.is_empty());
        subject.conn.send_part(Kind::Text, b"a", false, &mut subject.out).unwrap();
        assert_eq!(
            subject.conn.send_prepared(&prepared, &mut subject.out),
            Err(SendError::MessageInProgress)
        );
        subject.conn.abort();
        assert_eq!(subject.conn.send_prepared(&prepared, &mut subject.out), Err(SendError::Closing));
    }
}

/// To connections with every choice of parameters: each receives it, before and after other messages.
#[cfg(feature = "deflate")]
#[test]
fn compressed_once() {
    use ws_core::{DeflateConfig, DeflateParams, Role};

    use crate::common::{Frame, binary, decode, text};

    let words = "to whom it may concern; ".repeat(400);
    let prepared = PreparedMessage::deflated(&Message::Text(words.as_str().into()), 6);
    assert_eq!(prepared.len(), words.len());
    let mut deflate = DeflateConfig::with_context_takeover();
    deflate.min_len = 0;
    let settings = config(|config| config.deflate = Some(deflate));
    for role in ROLES {
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        for takeover in [false, true] {
            for bits in [8, 9, 12, 13, 14, 15] {
                let mut params = DeflateParams::default();
                (params.server_max_window_bits, params.client_max_window_bits) = (bits, bits);
                (params.server_no_context_takeover, params.client_no_context_takeover) =
                    (!takeover, !takeover);
                let mut sender = Subject::deflating(role, settings.clone(), params);
                let mut receiver = Subject::deflating(peer, settings.clone(), params);
                for round in 0..3 {
                    let before = format!("round {round} of the same words, the same words");
                    sender.conn.send_text(&before, &mut sender.out).unwrap();
                    sender.conn.send_prepared(&prepared, &mut sender.out).unwrap();
                    sender.conn.send_text(&before, &mut sender.out).unwrap();
                    let bytes = sender.sent_bytes(usize::MAX);
                    let frames = decode(&bytes);
                    // 9,600 bytes need a window of 14 bits.
                    let frame = &frames[1];
                    assert_eq!(frame.rsv == 4, bits >= 14, "{bits}");
                    assert_eq!(frame.payload.len() < 200, bits >= 14, "{bits}");
                    let events = receiver.receive_bytes(&bytes);
                    assert_eq!(
                        events,
                        [text(&before), text(&words), text(&before)],
                        "{role:?} {takeover} {bits}"
                    );
                }
            }
        }
        // To one that did not agree it goes as it is.
        let mut plain = Subject::new(role, settings.clone());
        plain.conn.send_prepared(&prepared, &mut plain.out).unwrap();
        assert_eq!(plain.sent(), [Frame::text(words.as_str())]);
    }
    // What becomes no shorter stays as it is.
    let mut rng = crate::common::Rng::new(1);
    let noise = rng.bytes(300);
    let prepared = PreparedMessage::deflated(&Message::Binary(noise.as_slice().into()), 6);
    let mut sender = Subject::deflating(Role::Server, settings.clone(), DeflateParams::default());
    sender.conn.send_prepared(&prepared, &mut sender.out).unwrap();
    let mut receiver = Subject::deflating(Role::Client, settings, DeflateParams::default());
    let bytes = sender.sent_bytes(usize::MAX);
    assert_eq!(bytes[0], 0x82);
    assert_eq!(receiver.receive_bytes(&bytes), [binary(noise)]);
}
