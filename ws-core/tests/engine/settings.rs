//! Limits and deadlines that change while the connection is open.

use std::sync::Arc;

use ws_core::{Config, Deadline, Delivery, Event, Outcome, ProtocolError};

use crate::common::{Frame, ROLES, Subject, binary, config, ms};

fn set(subject: &mut Subject, change: impl FnOnce(&mut Config)) {
    let mut config = Config::clone(subject.conn.config());
    change(&mut config);
    subject.conn.set_config(subject.now, &Arc::new(config));
}

/// On every way that a message can come: short, with 16 bits of length, with 64, in fragments.
#[test]
fn limits_hold_from_the_next_frame() {
    for role in ROLES {
        for len in [0_usize, 1, 125, 126, 65_535, 65_536] {
            let message = vec![1; len];
            for limit_frames in [false, true] {
                let mut subject = Subject::new(role, Config::default());
                let limit = |config: &mut Config, len| {
                    if limit_frames {
                        config.max_frame_len = Some(len);
                    } else {
                        config.max_message_len = len;
                    }
                };
                set(&mut subject, |config| limit(config, len));
                let again = || Frame::binary(message.clone());
                let both = [binary(message.clone()), binary(message.clone())];
                assert_eq!(subject.receive(&[again(), again()]), both);

                let (longer, error) = if limit_frames {
                    (vec![Frame::binary([&message[..], &[1]].concat())], ProtocolError::FrameTooLong)
                } else {
                    (vec![again().more(), Frame::continuation([1])], ProtocolError::MessageTooLong)
                };
                assert_eq!(subject.receive(&longer), [Event::Failed(error)]);

                let mut subject = Subject::new(role, config(|config| limit(config, len)));
                set(&mut subject, |config| limit(config, len + 1));
                let longer = [&message[..], &[1]].concat();
                assert_eq!(subject.receive(&[Frame::binary(longer.clone())]), [binary(longer)]);
            }
        }
    }
}

/// What was let in comes in: a limit below what has come already ends the message at its next frame.
#[test]
fn a_frame_that_has_begun_is_received() {
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Parts] {
            let mut subject = Subject::new(role, config(|config| config.delivery = delivery));
            let first = subject.encode(&[Frame::binary([7; 1000]).more()]);
            let mut received = subject.receive_bytes(&first[..500]);
            set(&mut subject, |config| config.max_message_len = 10);
            received.extend(subject.receive_bytes(&first[500..]));
            assert!(subject.conn.is_open());
            if delivery == Delivery::Messages {
                assert_eq!(received, []);
            }
            let events = subject.receive(&[Frame::continuation([7])]);
            assert_eq!(events, [Event::Failed(ProtocolError::MessageTooLong)]);
        }
    }
}

#[test]
fn delivery_stays() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        let bytes = subject.encode(&[Frame::binary([7; 1000])]);
        assert_eq!(subject.receive_bytes(&bytes[..500]), []);
        set(&mut subject, |config| {
            config.delivery = Delivery::Parts;
            config.max_message_len = 2000;
        });
        assert_eq!(subject.receive_bytes(&bytes[500..]), [binary([7; 1000])]);
        assert_eq!(subject.conn.config().delivery, Delivery::Messages);
        assert_eq!(subject.conn.config().max_message_len, 2000);
    }
}

#[test]
fn the_idle_deadline_runs_anew_if_it_changed() {
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.idle_timeout = Some(ms(1000))));
        subject.wait(ms(900));
        set(&mut subject, |config| config.max_message_len = 5);
        assert_eq!(subject.conn.poll_timeout(), Some(subject.now + ms(100)), "it did not change");
        set(&mut subject, |config| config.idle_timeout = Some(ms(300)));
        assert_eq!(subject.conn.poll_timeout(), Some(subject.now + ms(300)));
        set(&mut subject, |config| config.idle_timeout = None);
        assert_eq!(subject.conn.poll_timeout(), None);
        set(&mut subject, |config| config.idle_timeout = Some(ms(200)));
        subject.wait(ms(200));
        subject.sent();
        subject.eof();
        subject.assert_closed(&Outcome::TimedOut(Deadline::Idle));
    }
}

#[test]
fn keepalive_goes_on_and_off() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        set(&mut subject, |config| config.ping_interval = Some(ms(50)));
        subject.wait(ms(50));
        let ping = subject.sent().pop().unwrap();
        assert_eq!(ping.opcode, 9);
        set(&mut subject, |config| {
            config.ping_interval = None;
            config.pong_timeout = ms(1);
        });
        let pong = subject.conn.poll_timeout();
        assert_eq!(pong, Some(subject.now + Config::default().pong_timeout), "its Pong is waited for");
        subject.receive(&[Frame::pong(ping.payload)]);
        assert_eq!(subject.conn.poll_timeout(), None);

        set(&mut subject, |config| config.ping_interval = Some(ms(70)));
        assert_eq!(subject.conn.poll_timeout(), Some(subject.now + ms(70)));
        set(&mut subject, |config| config.ping_interval = None);
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}

#[test]
fn deadlines_that_run_are_kept_or_ended() {
    for role in ROLES {
        let mut subject = Subject::new(role, config(|config| config.send_timeout = Some(ms(2000))));
        let bytes = subject.encode(&[Frame::binary([7; 1000])]);
        subject.receive_bytes(&bytes[..500]);
        subject.conn.send_text("waits", &mut subject.out).unwrap();
        subject.sent_bytes(0);
        let send = subject.now + ms(2000);
        set(&mut subject, |config| {
            config.message_timeout = Some(ms(1));
            config.send_timeout = Some(ms(1));
        });
        assert_eq!(subject.conn.poll_timeout(), Some(send), "the earlier of the two");
        set(&mut subject, |config| config.send_timeout = None);
        assert_eq!(
            subject.conn.poll_timeout(),
            Some(subject.now + Config::default().message_timeout.unwrap())
        );
        set(&mut subject, |config| config.message_timeout = None);
        assert_eq!(subject.conn.poll_timeout(), None);
    }
}

#[test]
fn a_closing_connection_waits_for_nothing_new() {
    for role in ROLES {
        let mut subject = Subject::new(role, Config::default());
        subject.conn.close(subject.now, None, "", &mut subject.out).unwrap();
        let close = subject.conn.poll_timeout();
        set(&mut subject, |config| {
            config.idle_timeout = Some(ms(1));
            config.ping_interval = Some(ms(1));
            config.close_timeout = ms(1);
        });
        assert_eq!(subject.conn.poll_timeout(), close);
    }
}
