//! Chunk counting: in how many arrivals a message may come (`max_message_chunks`, `counted_chunk_len`).

use core::num::NonZeroU32;

use ws_core::{Chunk, Config, Delivery, Event, Outcome, ProtocolError, Role};

use crate::common::{Frame, ROLES, Subject, binary, config, encode_for, text};

const FAILED: [Event<'static>; 1] = [Event::Failed(ProtocolError::TooManyChunks)];

fn at_most(chunks: u32) -> Config {
    config(|config| config.max_message_chunks = NonZeroU32::new(chunks))
}

/// Cuts `bytes` into `n` chunks that are as even as they can be.
fn cut(bytes: &[u8], n: usize) -> Vec<&[u8]> {
    let mut rest = bytes;
    (0..n).map(|i| rest.split_off(..rest.len() / (n - i)).unwrap()).collect()
}

/// Receives all chunks but the last, which bring nothing, and returns what the last one brings.
#[track_caller]
fn receive_all(subject: &mut Subject, chunks: &[&[u8]]) -> Vec<Event<'static>> {
    let (last, before) = chunks.split_last().unwrap();
    for chunk in before {
        assert_eq!(subject.receive_bytes(chunk), []);
    }
    subject.receive_bytes(last)
}

#[test]
fn complete_in_the_last_chunk_passes_and_later_fails() {
    for role in ROLES {
        for max in [1, 2, 4, 9] {
            let bytes = encode_for(role, &[Frame::text("a message of some length")]);
            let mut subject = Subject::new(role, at_most(max));
            for _ in 0..3 {
                let events = receive_all(&mut subject, &cut(&bytes, max as usize));
                assert_eq!(events, [text("a message of some length")], "{role:?} {max}");
            }
            let chunks = cut(&bytes, max as usize + 1);
            let events = receive_all(&mut subject, &chunks[..max as usize]);
            assert_eq!(events, FAILED, "it fails when it is incomplete after the last chunk it may have");
            assert_eq!(subject.sent()[0].code().unwrap().get(), 1008);
            assert_eq!(subject.eof(), [Event::Closed(Outcome::Failed(ProtocolError::TooManyChunks))]);
        }
    }
}

#[test]
fn a_cut_header_counts_from_its_first_byte() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::binary([0; 300])]);
        for first in 1..8 {
            let mut subject = Subject::new(role, at_most(3));
            let chunks = [&bytes[..first], &bytes[first..first + 1], &bytes[first + 1..]];
            assert_eq!(receive_all(&mut subject, &chunks), [binary([0; 300])]);
            let chunks = [&bytes[..first], &bytes[first..first + 1], &bytes[first + 1..299]];
            assert_eq!(receive_all(&mut subject, &chunks), FAILED);
        }
    }
}

#[test]
fn fragments_of_one_message_share_its_chunks() {
    for role in ROLES {
        let one = encode_for(role, &[Frame::text("a").more()]);
        let two = encode_for(role, &[Frame::continuation("b").more()]);
        let three = encode_for(role, &[Frame::continuation("c")]);
        let mut subject = Subject::new(role, at_most(3));
        assert_eq!(receive_all(&mut subject, &[&one, &two, &three]), [text("abc")]);
        let mut subject = Subject::new(role, at_most(2));
        assert_eq!(receive_all(&mut subject, &[&one, &two]), FAILED);
    }
}

#[test]
fn a_chunk_that_ends_one_message_is_chunk_1_of_the_next() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::text("first"), Frame::text("second")]);
        let border = bytes.len() / 2;
        let mut subject = Subject::new(role, at_most(2));
        assert_eq!(subject.receive_bytes(&bytes[..4]), []);
        assert_eq!(subject.receive_bytes(&bytes[4..border + 2]), [text("first")]);
        assert_eq!(subject.receive_bytes(&bytes[border + 2..]), [text("second")]);

        let mut subject = Subject::new(role, at_most(2));
        assert_eq!(subject.receive_bytes(&bytes[..4]), []);
        assert_eq!(subject.receive_bytes(&bytes[4..border + 2]), [text("first")]);
        assert_eq!(subject.receive_bytes(&bytes[border + 2..border + 4]), FAILED);
    }
}

#[test]
fn any_number_of_messages_in_any_number_of_chunks() {
    for role in ROLES {
        let mut subject = Subject::new(role, at_most(1));
        let many = vec![Frame::text("x"); 50];
        for _ in 0..50 {
            let events = subject.receive(&many);
            assert_eq!(events.len(), 50);
            assert!(events.iter().all(|event| *event == text("x")));
        }
    }
}

#[test]
fn control_frames_neither_reset_nor_exempt() {
    for role in ROLES {
        let open = encode_for(role, &[Frame::text("a").more()]);
        let ping = encode_for(role, &[Frame::ping("p")]);
        let end = encode_for(role, &[Frame::continuation("b")]);
        let mut subject = Subject::new(role, at_most(3));
        assert_eq!(subject.receive_bytes(&open), []);
        assert_eq!(subject.receive_bytes(&ping), [Event::Ping(b"p".into())]);
        assert_eq!(subject.receive_bytes(&end), [text("ab")]);

        let mut subject = Subject::new(role, at_most(3));
        assert_eq!(subject.receive_bytes(&open), []);
        assert_eq!(subject.receive_bytes(&ping[..2]), []);
        assert_eq!(
            subject.receive_bytes(&ping[2..]),
            [Event::Ping(b"p".into()), Event::Failed(ProtocolError::TooManyChunks)],
            "the Ping is complete, the message around it is not"
        );
    }
}

/// Control frames are no messages: cut as one likes, they are the message deadline's affair.
#[test]
fn control_frames_by_themselves_are_not_counted() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::ping("some data"), Frame::text("a")]);
        let mut subject = Subject::new(role, at_most(2));
        let (last, before) = bytes.split_last().unwrap();
        let ping_len = encode_for(role, &[Frame::ping("some data")]).len();
        for byte in &before[..ping_len - 1] {
            assert_eq!(subject.receive_bytes(&[*byte]), []);
        }
        // The Ping's last byte and the message's first: chunk 1 of the message.
        let events = subject.receive_bytes(&before[ping_len - 1..=ping_len]);
        assert_eq!(events, [Event::Ping(b"some data".into())]);
        assert_eq!(subject.receive_bytes(&[&before[ping_len + 1..], &[*last]].concat()), [text("a")]);
    }
}

#[test]
fn chunks_that_our_own_buffer_cut_do_not_count() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::binary([9; 1000])]);
        let mut subject = Subject::new(role, at_most(1));
        for chunk in bytes[..900].chunks(100) {
            let mut chunk = chunk.to_vec();
            assert_eq!(subject.receive_chunk(Chunk::cut(&mut chunk)), []);
        }
        assert_eq!(subject.receive_bytes(&bytes[900..]), [binary([9; 1000])], "this one is chunk 1");

        let mut chunk = bytes[..100].to_vec();
        assert_eq!(subject.receive_chunk(Chunk::cut(&mut chunk)), []);
        assert_eq!(subject.receive_bytes(&bytes[100..999]), FAILED);
    }
}

#[test]
fn long_chunks_do_not_count_if_so_configured() {
    for role in ROLES {
        let spare = config(|config| {
            config.max_message_chunks = NonZeroU32::new(2);
            config.counted_chunk_len = Some(100);
        });
        let bytes = encode_for(role, &[Frame::binary([9; 1000])]);
        let mut subject = Subject::new(role, spare.clone());
        assert_eq!(receive_all(&mut subject, &bytes.chunks(100).collect::<Vec<_>>()), [binary([9; 1000])]);

        // Shorter by one byte, each counts.
        let mut subject = Subject::new(role, spare.clone());
        assert_eq!(receive_all(&mut subject, &bytes.chunks(99).take(2).collect::<Vec<_>>()), FAILED);

        // Two short ones among the long: the second is one too many unless it ends the message.
        let mut subject = Subject::new(role, spare);
        let chunks = [&bytes[..500], &bytes[500..510], &bytes[510..900], &bytes[900..]];
        assert_eq!(receive_all(&mut subject, &chunks), [binary([9; 1000])]);
        let chunks = [&bytes[..500], &bytes[500..510], &bytes[510..900], &bytes[900..950]];
        assert_eq!(receive_all(&mut subject, &chunks), FAILED);
    }
}

#[test]
fn empty_reads_and_resumed_chunks_are_not_arrivals() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::text("some text")]);
        let mut subject = Subject::new(role, at_most(2));
        assert_eq!(subject.receive_bytes(&bytes[..5]), []);
        for _ in 0..10 {
            assert_eq!(subject.receive_bytes(&[]), []);
            assert_eq!(subject.receive_chunk(Chunk::empty()), []);
        }
        let mut two = [&bytes[5..], &bytes[..5]].concat();
        let end = two.len();
        let mut chunk = Chunk::new(&mut two);
        let event = subject.conn.poll_event(subject.now, &mut chunk).map(Event::into_owned);
        assert_eq!(event, Some(text("some text")));
        let start = end - chunk.len();
        assert_eq!(subject.receive_chunk(Chunk::resumed(&mut two, start, end)), []);
        assert_eq!(subject.receive_bytes(&bytes[5..]), [text("some text")], "chunk 2, not 3");
    }
}

#[test]
fn parts_are_counted_by_message_too() {
    for role in ROLES {
        let bytes = encode_for(role, &[Frame::binary([9; 30])]);
        let mut parts = at_most(3);
        parts.delivery = Delivery::Parts;
        let mut subject = Subject::new(role, parts);
        let mut chunks = cut(&bytes, 4).into_iter();
        for _ in 0..2 {
            let events = subject.receive_bytes(chunks.next().unwrap());
            assert!(matches!(events[..], [Event::Part(_)]), "{events:?}");
        }
        let events = subject.receive_bytes(chunks.next().unwrap());
        assert!(
            matches!(events[..], [Event::Part(_), Event::Failed(ProtocolError::TooManyChunks)]),
            "{events:?}"
        );
    }
}

#[test]
fn without_the_limit_a_message_may_come_byte_by_byte() {
    let mut subject = Subject::new(Role::Server, Config::default());
    let bytes = encode_for(Role::Server, &[Frame::binary([1; 5000])]);
    assert_eq!(receive_all(&mut subject, &cut(&bytes, bytes.len())), [binary([1; 5000])]);
}
