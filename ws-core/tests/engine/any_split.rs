//! However the input is cut into chunks, the events are the same.

use ws_core::{Chunk, Config, Delivery, Event, Kind, Message, ProtocolError, Role};

use crate::common::{Frame, ROLES, Rng, Subject, config, encode_for};

/// What a session comes to, apart from where chunks and frames cut its messages.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    /// Messages and the other events, in order.
    events: Vec<Event<'static>>,
    /// What came of a message that did not end.
    rest: Option<(Kind, Vec<u8>)>,
    /// What was sent: Pongs and the Close frame.
    sent: Vec<Frame>,
}

/// Runs a session and its end of the stream; each item of `chunks` is the length of a chunk.
fn story(role: Role, config: &Config, bytes: &[u8], chunks: impl IntoIterator<Item = usize>) -> Story {
    let mut subject = Subject::new(role, config.clone());
    let mut story = Story { events: Vec::new(), rest: None, sent: Vec::new() };
    // One buffer for all chunks, overwritten each time: nothing may be left in it.
    let mut buffer = vec![0; bytes.len()];
    let mut at = 0;
    for len in chunks {
        buffer.fill(0xa5);
        buffer[..len].copy_from_slice(&bytes[at..at + len]);
        at += len;
        let mut chunk = Chunk::new(&mut buffer[..len]);
        while let Some(event) = subject.conn.poll_event(subject.now, &mut chunk) {
            story.add(event.into_owned());
            story.sent.extend(subject.sent());
        }
        assert!(chunk.is_empty());
    }
    assert_eq!(at, bytes.len());
    for event in subject.eof() {
        story.add(event);
    }
    story.sent.extend(subject.sent());
    story
}

impl Story {
    fn add(&mut self, event: Event<'static>) {
        let Event::Part(part) = event else {
            self.events.push(event);
            return;
        };
        assert!(part.last || !part.data.as_bytes().is_empty(), "only the last part may be empty");
        assert_eq!(part.first, self.rest.is_none(), "{part:?}");
        let kind = part.data.kind();
        let (started, mut data) = self.rest.take().unwrap_or((kind, Vec::new()));
        assert_eq!(kind, started);
        data.extend_from_slice(part.data.as_bytes());
        if !part.last {
            self.rest = Some((kind, data));
            return;
        }
        self.events.push(Event::Message(match kind {
            Kind::Text => Message::Text(String::from_utf8(data).unwrap().into()),
            Kind::Binary => Message::Binary(data.into()),
        }));
    }

    /// A text that fails is handed out in parts as far as the chunks before the bad byte brought it, which does
    /// depend on them.
    fn settle_failed_text(mut self, whole: &Self) -> Self {
        let failed = |event: &Event<'_>| matches!(event, Event::Failed(ProtocolError::InvalidUtf8));
        if self.events.iter().any(failed) {
            let known = whole.rest.as_ref().map_or(&[][..], |(_, data)| data);
            assert!(self.rest.as_ref().map_or(&[][..], |(_, data)| data).starts_with(known));
            self.rest.clone_from(&whole.rest);
        }
        self
    }
}

/// Sessions of a peer, good and bad: bytes to be received in `role`.
fn corpus(role: Role) -> Vec<Vec<u8>> {
    let mut corpus = Vec::new();
    let mut add = |frames: &[Frame]| corpus.push(encode_for(role, frames));
    add(&[Frame::text("hello"), Frame::binary([1, 2, 3]), Frame::text("")]);
    add(&[Frame::text("aß€𝄞\u{10ffff} and more"), Frame::close(1000, "bye ß")]);
    add(&[
        Frame::text("").more(),
        Frame::continuation("").more(),
        Frame::continuation(""),
        Frame::binary(""),
    ]);
    add(&[
        Frame::ping(""),
        Frame::ping("two"),
        Frame::pong(""),
        Frame::pong([b'x'; 125]),
        Frame::close_empty(),
    ]);
    let [one, two, three, four] = ["a\u{df}", "\u{20ac}", "\u{1d11e}", "z"].map(str::as_bytes);
    let whole = [one, two, three, four].concat();
    for cut in 1..whole.len() - 1 {
        add(&[
            Frame::text(&whole[..cut]).more(),
            Frame::ping([b'p'; 60]),
            Frame::continuation(&whole[cut..=cut]).more(),
            Frame::pong("q"),
            Frame::continuation(&whole[cut + 1..]),
            Frame::text("next"),
        ]);
    }
    add(&[Frame::binary([0xff; 126]), Frame::text("y".repeat(127)), Frame::close(4999, &"r".repeat(123))]);
    // After a Close frame nothing counts, not even violations.
    add(&[Frame::close(1001, "away"), Frame::text("late"), Frame::text([0xff])]);
    // A stream that ends in the middle.
    for cut in [Frame::text("cut \u{20ac}").declared(900), Frame::ping("cut").declared(9)] {
        add(&[Frame::text("whole"), cut.clone()]);
        add(&[Frame::text("open").more(), cut]);
    }
    // The rules, each broken in the middle of things, with good frames behind.
    for bad in [
        Frame::text("a").rsv(4),
        Frame::ping("a").rsv(1),
        Frame::new(3, "a"),
        Frame::new(15, ""),
        Frame::binary([0; 3]).length_form(2),
        Frame::binary([0; 126]).length_form(8),
        Frame::binary([]).declared(1 << 63),
        Frame::binary([]).declared((1 << 63) - 1),
        Frame::ping([0; 126]),
        Frame::close(1000, "").more(),
        Frame::continuation("lost"),
        Frame::text("ok \u{20ac} \u{d7ff}").more(),
        Frame::text(b"bad \xe2\x82\x28 byte"),
        Frame::text(b"bad \xed\xa0\x80 surrogate").more(),
        Frame::text(b"\xf4\x90\x80\x80"),
        Frame::text(b"cut at the end \xf0\x9d\x84"),
        Frame::new(8, [3]),
        Frame::close(1005, ""),
        Frame::new(8, b"\x03\xe8\xff"),
        Frame::text("key").masked([7; 4]),
    ] {
        add(&[Frame::text("before"), Frame::ping("p"), bad.clone(), Frame::text("behind")]);
        add(&[Frame::text("open").more(), Frame::ping("p"), bad, Frame::continuation("behind")]);
    }
    corpus.push([encode_for(role, &[Frame::text("b")]), Frame::text("bare").encode()].concat());
    corpus.extend(large(role));
    corpus
}

/// Sessions too large to try each cut.
fn large(role: Role) -> [Vec<u8>; 3] {
    let text = Rng::new(3).text(65_600);
    let data = Rng::new(4).bytes(65_535);
    let (start, end) = text.as_bytes().split_at(40_001);
    [
        encode_for(role, &[Frame::text(text.clone()), Frame::binary(data.clone()), Frame::close_empty()]),
        encode_for(role, &[Frame::text(start).more(), Frame::ping("middle"), Frame::continuation(end)]),
        encode_for(role, &[Frame::binary(data), Frame::text([text.as_bytes(), b"\xff"].concat())]),
    ]
}

fn configs() -> [Config; 2] {
    [
        config(|config| config.max_message_len = 100_000),
        config(|config| {
            config.max_message_len = 100_000;
            config.delivery = Delivery::Parts;
        }),
    ]
}

/// Runs `check` with each session of the corpus, its story when it comes whole, and a way to compare with that.
fn each(check: impl Fn(&[u8], &dyn Fn(&mut dyn Iterator<Item = usize>))) {
    for role in ROLES {
        for config in configs() {
            for bytes in corpus(role) {
                let whole = story(role, &config, &bytes, [bytes.len()]);
                check(&bytes, &|chunks| {
                    let chunks: Vec<_> = chunks.collect();
                    let split = story(role, &config, &bytes, chunks.iter().copied());
                    let shown = &chunks[..chunks.len().min(50)];
                    let (split, whole) = (split.settle_failed_text(&whole), &whole);
                    assert!(
                        split == *whole,
                        "{role:?}, {:?}, chunks {shown:?}\n{split:?}\n{whole:?}",
                        config.delivery
                    );
                });
            }
        }
    }
}

#[test]
fn byte_by_byte() {
    each(|bytes, compare| compare(&mut bytes.iter().map(|_| 1)));
}

#[test]
fn all_cuts_in_two() {
    each(|bytes, compare| {
        let len = bytes.len();
        // The middle of a large payload is sampled.
        let step = |at: usize| if len < 2_000 || at < 40 || at > len - 40 { 1 } else { 4_999 };
        let mut at = 0;
        while at < len {
            compare(&mut [at, len - at].into_iter());
            at += step(at);
        }
    });
}

#[test]
fn all_cuts_in_three_of_small_sessions() {
    each(|bytes, compare| {
        let len = bytes.len();
        if len > 60 {
            return;
        }
        for one in 0..len {
            for two in one..len {
                compare(&mut [one, two - one, len - two].into_iter());
            }
        }
    });
}

#[test]
fn random_cuts() {
    each(|bytes, compare| {
        let mut rng = Rng::new(bytes.len() as u64);
        for most in [3, 20, 70, 1_500, 70_000] {
            for _ in 0..if bytes.len() > 2_000 { 2 } else { 20 } {
                let mut left = bytes.len();
                let mut chunks = Vec::new();
                while left > 0 {
                    // Zero: an empty read is not a chunk.
                    let len = rng.between(0, most.min(left));
                    chunks.push(len);
                    left -= len;
                }
                compare(&mut chunks.into_iter());
            }
        }
    });
}

/// Whole messages and parts tell the same story.
#[test]
fn both_deliveries_agree() {
    for role in ROLES {
        let [messages, parts] = configs();
        for bytes in corpus(role) {
            let one = story(role, &messages, &bytes, [bytes.len()]);
            let two = story(role, &parts, &bytes, [bytes.len()]);
            assert_eq!((one.events, one.sent), (two.events, two.sent));
        }
    }
}

/// Random frames with random damage, in random chunks.
#[test]
fn random_sessions() {
    for seed in 0..4_000 {
        let mut rng = Rng::new(seed);
        let role = *rng.pick(&ROLES);
        let mut bytes = Vec::new();
        for _ in 0..rng.between(1, 8) {
            let len = *rng.pick(&[0, 1, 2, 5, 30, 125, 126, 400]);
            let payload = if rng.one_in(2) { rng.text(len).into_bytes() } else { rng.bytes(len) };
            let opcode = *rng.pick(&[0, 1, 1, 2, 2, 8, 9, 10]);
            let mut frame = Frame::new(opcode, payload);
            frame.fin = !rng.one_in(3);
            bytes.extend(encode_for(role, &[frame]));
        }
        for _ in 0..rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        for config in configs() {
            let whole = story(role, &config, &bytes, [bytes.len()]);
            for most in [1, 4, 50] {
                let mut left = bytes.len();
                let chunks: Vec<_> = core::iter::from_fn(|| {
                    let len = rng.between(1, most).min(left);
                    left -= len;
                    (len > 0).then_some(len)
                })
                .collect();
                let split = story(role, &config, &bytes, chunks).settle_failed_text(&whole);
                assert_eq!(split, whole, "seed {seed}");
            }
        }
    }
}

/// Any number of connections share one receive buffer: what waits between chunks is in the connection.
#[test]
fn one_buffer_serves_all_connections() {
    for config in configs() {
        let mut rng = Rng::new(11);
        let mut sessions: Vec<_> = ROLES
            .into_iter()
            .flat_map(|role| corpus(role).into_iter().map(move |bytes| (role, bytes)))
            .map(|(role, bytes)| {
                let whole = story(role, &config, &bytes, [bytes.len()]);
                let story = Story { events: Vec::new(), rest: None, sent: Vec::new() };
                (Subject::new(role, config.clone()), bytes, 0, story, whole)
            })
            .collect();
        let mut buffer = [0; 600];
        let mut running = sessions.len();
        while running > 0 {
            for (subject, bytes, at, story, _) in &mut sessions {
                if *at > bytes.len() {
                    continue;
                }
                let len = rng.between(1, buffer.len()).min(bytes.len() - *at);
                if len == 0 {
                    subject.eof().into_iter().for_each(|event| story.add(event));
                    story.sent.extend(subject.sent());
                    *at += 1;
                    running -= 1;
                    continue;
                }
                buffer[..len].copy_from_slice(&bytes[*at..*at + len]);
                *at += len;
                let mut chunk = Chunk::within(&mut buffer, len);
                while let Some(event) = subject.conn.poll_event(subject.now, &mut chunk) {
                    story.add(event.into_owned());
                    story.sent.extend(subject.sent());
                }
            }
        }
        for (_, _, _, story, whole) in sessions {
            assert_eq!(story.settle_failed_text(&whole), whole);
        }
    }
}

/// A chunk can be kept aside half used, and resumed: the same events.
#[test]
fn a_chunk_is_resumed() {
    for role in ROLES {
        let [config, _] = configs();
        for bytes in corpus(role) {
            let whole = story(role, &config, &bytes, [bytes.len()]);
            let mut subject = Subject::new(role, config.clone());
            let mut story = Story { events: Vec::new(), rest: None, sent: Vec::new() };
            let mut buffer = bytes.clone();
            let end = buffer.len();
            let mut chunk = Chunk::new(&mut buffer);
            loop {
                let event = subject.conn.poll_event(subject.now, &mut chunk).map(Event::into_owned);
                let start = end - chunk.len();
                chunk = Chunk::resumed(&mut buffer, start, end);
                let Some(event) = event else { break };
                story.add(event);
                story.sent.extend(subject.sent());
            }
            subject.eof().into_iter().for_each(|event| story.add(event));
            story.sent.extend(subject.sent());
            assert_eq!(story, whole);
        }
    }
}
