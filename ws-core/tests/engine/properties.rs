//! The parts that can be used alone, and the output queue, against naive twins.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use ws_core::frame::{Header, Opcode};
use ws_core::utf8::{Incomplete, InvalidUtf8};
use ws_core::{Config, ProtocolError, Role, mask, utf8};

use crate::common::{Frame, Subject, parse};

fn opcodes() -> impl Strategy<Value = Opcode> {
    prop::sample::select(vec![
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ])
}

/// Lengths of all orders of magnitude, and the borders of the forms.
fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 125, 126, 127, 65_535, 65_536, u64::MAX >> 1]),
        (0..63_u32, any::<u64>()).prop_map(|(shift, bits)| (bits >> 1) >> shift),
    ]
}

fn naive_mask(bytes: &mut [u8], key: [u8; 4]) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
}

/// Bytes that are nearly text: whole and broken code points, and noise.
fn nearly_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<char>().prop_map(|char| char.to_string().into_bytes()),
        any::<char>().prop_map(|char| char.to_string().into_bytes()),
        "[a-z]{0,9}".prop_map(String::into_bytes),
        (any::<char>(), 0..3_usize).prop_map(|(char, cut)| {
            let mut bytes = char.to_string().into_bytes();
            bytes.truncate(bytes.len().saturating_sub(cut).max(1));
            bytes
        }),
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            vec![0xed, 0xa0, 0x80],
            vec![0xf4, 0x90, 0x80, 0x80],
            vec![0xe0, 0x80, 0x80]
        ]),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// How many bytes of `bytes` can be text or become it: the next one, if there is one, is the first bad byte.
fn good_len(bytes: &[u8]) -> usize {
    let is_bad =
        |end: &usize| core::str::from_utf8(&bytes[..*end]).is_err_and(|error| error.error_len().is_some());
    (1..=bytes.len()).find(is_bad).map_or(bytes.len(), |end| end - 1)
}

/// Takes a chunk in as the engine does; returns the text that is complete now.
fn feed(incomplete: &mut Incomplete, chunk: &[u8]) -> Result<String, InvalidUtf8> {
    let (point, used) = incomplete.complete(chunk)?;
    let mut text: String = point.into_iter().collect();
    if incomplete.is_empty() {
        text.push_str(incomplete.split(&chunk[used..])?);
    } else {
        assert_eq!(used, chunk.len());
    }
    Ok(text)
}

proptest! {
    /// Every header that can be written is read back, in the shortest form, from neither more nor less bytes.
    #[test]
    fn headers_round_trip(
        fin: bool, rsv in 0..8_u8, opcode in opcodes(), key: Option<[u8; 4]>, len in lengths()
    ) {
        let (fin, len) = if opcode.is_control() { (true, len % 126) } else { (fin, len) };
        let header = Header { fin, rsv, opcode, key, len };
        let (bytes, header_len) = header.write();
        let bytes = &bytes[..header_len];
        let mut twin = Frame::new(opcode as u8, []).rsv(rsv).declared(len);
        (twin.fin, twin.key) = (fin, key);
        prop_assert_eq!(bytes, &twin.encode()[..]);
        for cut in 0..header_len {
            prop_assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
        }
        let more = [bytes, &[0xff; 20]].concat();
        prop_assert_eq!(Header::parse(bytes), Ok(Some((header, header_len))));
        prop_assert_eq!(Header::parse(&more), Ok(Some((header, header_len))));
    }

    /// Of any bytes: what a shorter piece says, a longer one says too, and what is read is what the twin reads.
    #[test]
    fn headers_are_read_as_they_come(mut bytes in vec(any::<u8>(), 0..20), opcode in opcodes(), lenient: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0xf0 | opcode as u8;
        }
        let mut before = Ok(None);
        for end in 0..=bytes.len() {
            let now = Header::parse_with(&bytes[..end], lenient);
            prop_assert!(before == Ok(None) || before == now);
            before = now;
        }
        if let Ok(Some((header, header_len))) = before {
            let twin = Frame {
                fin: header.fin,
                rsv: header.rsv,
                opcode: header.opcode as u8,
                key: header.key,
                payload: Vec::new(),
                length_form: match bytes[1] & 0x7f {
                    126 => Some(2),
                    127 => Some(8),
                    _ => Some(0),
                },
                declared: Some(header.len),
            };
            prop_assert_eq!(&bytes[..header_len], &twin.encode()[..]);
        } else if let Err(error) = before {
            prop_assert!(!lenient || error != ProtocolError::NonMinimalLength);
        }
    }

    #[test]
    fn masking(bytes in vec(any::<u8>(), 0..1600), key: [u8; 4], at in 0..1600_usize, offset in 0..65_usize) {
        let mut expected = bytes.clone();
        naive_mask(&mut expected, key);
        // In two steps, the key rotated in between.
        let mut masked = bytes.clone();
        let at = at.min(bytes.len());
        mask::apply(&mut masked[..at], key);
        mask::apply(&mut masked[at..], mask::rotate(key, at));
        prop_assert_eq!(&masked, &expected);
        mask::apply(&mut masked, key);
        prop_assert_eq!(&masked, &bytes, "masking twice does nothing");
        // At any alignment, and nothing beside it.
        let mut padded = vec![0xee; bytes.len() + 80];
        padded[offset..][..bytes.len()].copy_from_slice(&bytes);
        mask::apply(&mut padded[offset..][..bytes.len()], key);
        prop_assert_eq!(&padded[offset..][..bytes.len()], &expected[..]);
        prop_assert!(padded[..offset].iter().chain(&padded[offset + bytes.len()..]).all(|&byte| byte == 0xee));
    }

    /// However text is cut, its complete code points come out, and the first bad byte is told by the piece that
    /// brings it.
    #[test]
    fn utf8_in_pieces(bytes in nearly_text()) {
        let good = good_len(&bytes);
        prop_assert_eq!(utf8::validate(&bytes), core::str::from_utf8(&bytes).map_err(|_| InvalidUtf8));
        let splits = (0..=bytes.len()).map(|cut| vec![&bytes[..cut], &bytes[cut..]]);
        for pieces in splits.chain([bytes.chunks(1).collect(), bytes.chunks(3).collect()]) {
            let mut incomplete = Incomplete::default();
            let (mut text, mut at) = (String::new(), 0);
            for piece in pieces {
                let result = feed(&mut incomplete, piece);
                at += piece.len();
                prop_assert_eq!(result.is_err(), at > good, "{} of {}", at, good);
                let Ok(more) = result else { break };
                text.push_str(&more);
                let valid = match core::str::from_utf8(&bytes[..at]) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                prop_assert_eq!(text.as_bytes(), &bytes[..valid]);
                prop_assert_eq!(incomplete.is_empty(), valid == at);
            }
        }
    }
}

/// All lengths there are around the widths that masking works in, at all alignments.
#[test]
fn masking_at_all_offsets() {
    let key = [0x80, 0x41, 0x22, 0x13];
    let bytes: Vec<u8> = (0..800).map(|i| u8::try_from(i % 256).unwrap()).collect();
    for len in (0..200).chain(500..720) {
        for offset in 0..64 {
            let mut expected = bytes.clone();
            naive_mask(&mut expected[offset..offset + len], key);
            let mut masked = bytes.clone();
            mask::apply(&mut masked[offset..offset + len], key);
            assert_eq!(masked, expected, "{len} bytes at {offset}");
        }
    }
    for n in 0..9 {
        let mut twin = key;
        twin.rotate_left(n % 4);
        assert_eq!(mask::rotate(key, n), twin);
    }
}

/// What is done with an output.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Ping(usize),
    /// The peer's Ping, and what is due is queued.
    Pinged(u8),
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        prop::sample::select(vec![0, 3, 60, 125, 126, 200]).prop_map(Step::Send),
        (0..20_usize).prop_map(Step::Ping),
        any::<u8>().prop_map(Step::Pinged),
        (0..90_usize).prop_map(Step::Write),
        (0..90_usize).prop_map(Step::Write),
    ];
    vec(step, 0..60)
}

/// Output as a queue of single bytes: a frame that was begun is finished, then control frames go first.
#[derive(Default)]
struct Queue {
    begun: VecDeque<u8>,
    control: VecDeque<Frame>,
    data: VecDeque<Frame>,
    /// The latest Ping that waits for its Pong's turn.
    pinged: Option<Vec<u8>>,
    is_pong_begun: bool,
}

impl Queue {
    fn take(&mut self) -> Option<u8> {
        if self.begun.is_empty() {
            let frame = self.control.pop_front().or_else(|| self.data.pop_front())?;
            self.is_pong_begun = frame.opcode == 10;
            self.begun.extend(frame.encode());
        }
        self.begun.pop_front()
    }

    /// Queues the Pong that is due, unless one waits.
    fn settle(&mut self) {
        let waits = (self.is_pong_begun && !self.begun.is_empty())
            || self.control.iter().any(|frame| frame.opcode == 10);
        if !waits && let Some(data) = self.pinged.take() {
            self.control.push_back(Frame::pong(data));
        }
    }
}

proptest! {
    #[test]
    fn output_against_a_naive_queue(steps in steps()) {
        let mut server = Subject::new(Role::Server, Config::default());
        let mut queue = Queue::default();
        let (mut written, mut expected) = (Vec::new(), Vec::new());
        for (i, step) in steps.into_iter().chain([Step::Write(usize::MAX)]).enumerate() {
            let fill = u8::try_from(i).unwrap();
            match step {
                Step::Send(len) => {
                    server.conn.send_binary(&vec![fill; len], &mut server.out).unwrap();
                    queue.data.push_back(Frame::binary(vec![fill; len]));
                }
                Step::Ping(len) => {
                    server.conn.ping(&vec![fill; len], &mut server.out).unwrap();
                    queue.control.push_back(Frame::ping(vec![fill; len]));
                }
                Step::Pinged(byte) => {
                    server.receive(&[Frame::ping([byte])]);
                    queue.pinged = Some(vec![byte]);
                }
                Step::Write(mut most) => {
                    while server.conn.poll_transmit(server.now, &mut server.out) {
                        let n = server.out.pending().len().min(most);
                        written.extend_from_slice(&server.out.pending()[..n]);
                        server.conn.handle_transmitted(server.now, n, &mut server.out);
                        queue.settle();
                        expected.extend((0..n).map_while(|_| queue.take()));
                        most -= n;
                        if n == 0 {
                            break;
                        }
                    }
                }
            }
            let is_due = server.conn.poll_transmit(server.now, &mut server.out);
            queue.settle();
            prop_assert_eq!(is_due, !server.out.is_empty());
            prop_assert_eq!(&written, &expected);
        }
        prop_assert!(queue.take().is_none(), "all was written");
        let mut rest = &written[..];
        while let Some((_, len)) = parse(rest) {
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty(), "whole frames");
    }
}
