//! Messages there and back, in every form.

use core::panic::AssertUnwindSafe;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::panic::{catch_unwind, resume_unwind};
use std::thread;

use ws_core::frame::Opcode;
use ws_core::{Config, Delivery, Kind, Outcome, SendError, StatusCode};
use ws_std::{Blocking, ClientBuilder, Error, Message, WebSocket};

use crate::common::{
    client_and_raw, config, default_pair, ms, pair, server_and_raw, server_config, streams, within,
};

/// Sends every message back until the end.
fn echo<S: ws_std::Transport>(mut ws: WebSocket<S>) -> Option<Outcome> {
    while let Some(message) = ws.read().unwrap() {
        ws.send(message).unwrap();
    }
    ws.outcome()
}

fn exchange<S: ws_std::Transport>(client: &mut WebSocket<S>) {
    for len in [0, 1, 125, 126, 4000, 4096, 4097, 65_535, 65_536, 1 << 20] {
        let text = Message::from("\u{e9}".repeat(len / 2));
        client.send(text.clone()).unwrap();
        assert!(client.read().unwrap() == Some(text), "{len}");
        let data = Message::from(vec![7; len]);
        client.send(data.clone()).unwrap();
        assert!(client.read().unwrap() == Some(data), "{len}");
    }
    assert!(client.close(StatusCode::NORMAL, "done").unwrap().is_clean());
}

#[test]
fn all_lengths_over_tcp() {
    within(|| {
        let (server, mut client) = default_pair();
        let server = thread::spawn(|| echo(server));
        exchange(&mut client);
        assert_eq!(server.join().unwrap().unwrap().close_code(), 1000);
    });
}

#[test]
fn all_lengths_over_a_unix_socket() {
    within(|| {
        let (accepted, connected) = UnixStream::pair().unwrap();
        let server =
            thread::spawn(|| echo(ws_std::accept(accepted, &server_config(Config::default())).unwrap()));
        exchange(&mut ClientBuilder::new("ws://localhost/").connect_over(connected).unwrap());
        assert!(server.join().unwrap().unwrap().is_clean());
    });
}

/// Any `Read + Write` does.
#[test]
fn all_lengths_over_a_stream_without_timeouts() {
    within(|| {
        let (accepted, connected) = UnixStream::pair().unwrap();
        let server = thread::spawn(|| {
            echo(ws_std::accept(Blocking::new(accepted), &server_config(Config::default())).unwrap())
        });
        let mut client =
            ClientBuilder::new("ws://localhost/").connect_over(Blocking::new(connected)).unwrap();
        exchange(&mut client);
        assert!(server.join().unwrap().unwrap().is_clean());
    });
}

/// Whatever the application had set on the stream before.
#[test]
fn a_stream_with_other_settings() {
    within(|| {
        let (accepted, connected) = streams();
        accepted.set_read_timeout(Some(ms(1))).unwrap();
        connected.set_nonblocking(true).unwrap();
        let server =
            thread::spawn(|| echo(ws_std::accept(accepted, &server_config(Config::default())).unwrap()));
        let mut client = ClientBuilder::new("ws://localhost/").connect_over(connected).unwrap();
        exchange(&mut client);
        assert!(server.join().unwrap().unwrap().is_clean());
        assert_eq!(client.into_parts().stream.read_timeout().unwrap(), None);
    });
}

#[test]
fn lent_messages_and_their_replies() {
    within(|| {
        let (mut server, mut client) = default_pair();
        for i in 0..100 {
            client.feed(&Message::from(format!("message {i}"))).unwrap();
        }
        client.flush().unwrap();
        assert_eq!(client.output_len(), 0);
        for i in 0..100 {
            let replied = server.read_ref(|message, replies| {
                assert_eq!(message.as_bytes(), format!("message {i}").as_bytes());
                replies.send(&message)
            });
            replied.unwrap().unwrap().unwrap();
        }
        server.flush().unwrap();
        for i in 0..100 {
            assert_eq!(client.read().unwrap(), Some(Message::from(format!("message {i}"))));
        }
    });
}

/// An application that panics over one message can go on with the next.
#[test]
fn a_panic_loses_no_more_than_its_message() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(Config::default());
        let frames = ["one", "two", "three"].map(|text| raw.frame(Opcode::Text, true, text.as_bytes()));
        raw.stream.write_all(&frames.concat()).unwrap();
        for _ in 0..2 {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                server.read_ref(|_, _| resume_unwind(Box::new("cannot stand it")))
            }));
            let _: Box<_> = unwound.map(|result: Result<Option<()>, _>| result.unwrap()).unwrap_err();
        }
        assert_eq!(server.read().unwrap(), Some("three".into()));
    });
}

/// What was only queued leaves before a read waits.
#[test]
fn a_read_sends_what_was_fed() {
    within(|| {
        let (mut server, mut client) = default_pair();
        let server = thread::spawn(move || {
            assert_eq!(server.read().unwrap(), Some("fed".into()));
            server.send_text("answer").unwrap();
        });
        client.feed(&"fed".into()).unwrap();
        assert!(client.output_len() > 0);
        assert_eq!(client.read().unwrap(), Some("answer".into()));
        server.join().unwrap();
    });
}

#[test]
fn what_does_not_fit_is_not_fed() {
    within(|| {
        let (_server, mut client) = pair(Config::default(), config(|config| config.max_output_len = 1000));
        client.feed(&vec![0; 600].into()).unwrap();
        let refused = client.feed(&vec![0; 600].into());
        assert!(matches!(refused, Err(Error::Refused(SendError::OutputFull))), "{refused:?}");
        // A send makes room, but not more than there is.
        client.send_binary(&[0; 600]).unwrap();
        let refused = client.send_binary(&[0; 1001]);
        assert!(matches!(refused, Err(Error::Refused(SendError::OutputFull))), "{refused:?}");
        assert!(client.outcome().is_none());
    });
}

#[test]
fn a_message_sent_in_parts_and_read_in_parts() {
    within(|| {
        let parts = config(|config| config.delivery = Delivery::Parts);
        let (mut server, mut client) = pair(parts, Config::default());
        let sender = thread::spawn(move || {
            for last in [false, false, true] {
                client.send_part(Kind::Text, "\u{e9}".repeat(10_000).as_bytes(), last).unwrap();
                client.ping(b"between").unwrap();
            }
            assert!(client.close(None, "").unwrap().is_clean());
        });
        assert!(matches!(server.read(), Err(Error::DeliveredInParts)));
        let (mut text, mut first) = (Vec::new(), true);
        loop {
            let last = server.read_part(|part| {
                assert_eq!(part.first, first);
                text.extend_from_slice(part.data.as_bytes());
                part.last
            });
            first = false;
            if last.unwrap().unwrap() {
                break;
            }
        }
        assert!(text == "\u{e9}".repeat(30_000).as_bytes());
        assert_eq!(server.read_part(|_| ()).unwrap(), None);
        assert_eq!(server.outcome().unwrap().close_code(), 1005);
        sender.join().unwrap();
    });
}

/// Also where messages come whole.
#[test]
fn a_whole_message_is_its_only_part() {
    within(|| {
        let (mut server, mut client) = default_pair();
        client.send_text("whole").unwrap();
        let part = server.read_part(|part| part.into_owned()).unwrap().unwrap();
        assert!(part.first && part.last && part.data.as_bytes() == b"whole");
    });
}

/// Each of a row of Pings is answered, and before the application gets the message behind them.
#[test]
fn pings_are_answered_by_reading() {
    within(|| {
        let (mut server, mut raw) = server_and_raw(Config::default());
        let mut bytes = Vec::new();
        for i in 0..10 {
            bytes.extend(raw.frame(Opcode::Ping, true, &[i]));
        }
        bytes.extend(raw.frame(Opcode::Text, true, b"behind"));
        raw.stream.write_all(&bytes).unwrap();
        assert_eq!(server.read().unwrap(), Some("behind".into()));
        for i in 0..10 {
            assert_eq!(raw.receive(), Some((Opcode::Pong, vec![i])));
        }
    });
}

/// An application that only sends answers Pings too, and learns that the peer closes.
#[test]
fn pings_and_closes_are_answered_by_sending() {
    within(|| {
        let (mut client, mut raw) = client_and_raw(Config::default());
        raw.send(Opcode::Ping, b"there?");
        let sender = thread::spawn(move || {
            loop {
                match client.send_text("tick") {
                    Ok(()) => thread::yield_now(),
                    Err(error) => break (error, client.close(None, "").unwrap()),
                }
            }
        });
        while raw.receive().unwrap() != (Opcode::Pong, b"there?".to_vec()) {}
        raw.send(Opcode::Close, &1001_u16.to_be_bytes());
        let (opcode, payload) = loop {
            match raw.receive() {
                Some((Opcode::Text, _)) => {}
                other => break other.unwrap(),
            }
        };
        assert_eq!((opcode, &payload[..]), (Opcode::Close, &1001_u16.to_be_bytes()[..]));
        assert_eq!(raw.stream.shutdown(std::net::Shutdown::Both).ok(), Some(()));
        let (error, outcome) = sender.join().unwrap();
        assert!(matches!(error, Error::Refused(SendError::Closing)), "{error:?}");
        assert_eq!(outcome.close_code(), 1001);
    });
}

#[test]
fn refusals_change_nothing() {
    within(|| {
        let (mut server, mut client) = default_pair();
        assert!(matches!(client.ping(&[0; 126]), Err(Error::Refused(SendError::ControlTooLong))));
        let long = "x".repeat(124);
        assert!(matches!(
            client.close(StatusCode::NORMAL, &long),
            Err(Error::Refused(SendError::ReasonTooLong))
        ));
        let unexplained = client.start_close(None, "why");
        assert!(matches!(unexplained, Err(Error::Refused(SendError::ReasonWithoutCode))));
        client.send_part(Kind::Text, b"a", false).unwrap();
        assert!(matches!(client.send_text("b"), Err(Error::Refused(SendError::MessageInProgress))));
        client.send_part(Kind::Text, b"c", true).unwrap();
        assert_eq!(server.read().unwrap(), Some("ac".into()));
    });
}

/// One that is prepared goes to many: as it is, and compressed to those that agreed on it.
#[test]
fn prepared_messages() {
    within(|| {
        let text = "to all of you, to all of you, to all of you ".repeat(20);
        let lent = ws_core::Message::Text(text.as_str().into());
        let plain = ws_core::PreparedMessage::new(&lent);
        #[cfg(feature = "deflate")]
        let prepared = [plain, ws_core::PreparedMessage::deflated(&lent, 6)];
        #[cfg(not(feature = "deflate"))]
        let prepared = [plain];
        #[cfg(feature = "deflate")]
        let configs = [
            Config::default(),
            config(|config| config.deflate = Some(ws_core::DeflateConfig::default())),
            config(|config| config.deflate = Some(ws_core::DeflateConfig::with_context_takeover())),
        ];
        #[cfg(not(feature = "deflate"))]
        let configs = [Config::default()];
        for config in configs {
            let (mut server, mut client) = pair(config.clone(), config);
            let reader = thread::spawn(move || {
                let mut got = Vec::new();
                while let Some(message) = client.read().unwrap() {
                    got.push(message);
                }
                got
            });
            for message in prepared.iter().chain(&prepared) {
                server.send_prepared(message).unwrap();
                // Those that are not prepared still follow them.
                server.send_text(&text).unwrap();
            }
            server.close(StatusCode::NORMAL, "").unwrap();
            assert_eq!(reader.join().unwrap(), vec![Message::from(text.clone()); 4 * prepared.len()]);
        }
    });
}
