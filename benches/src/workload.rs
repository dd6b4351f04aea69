//! The inputs: what arrives, and what must be delivered or written.

use crate::floor::BATCH;
use crate::sink::Sink;
use crate::wire::Arrivals;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 is validated.
    Text,
    /// Not validated.
    Binary,
}

/// Messages of one kind and length, as a client's masked frames cut into chunks.
#[derive(Clone)]
pub struct Workload {
    /// Kind of every message.
    pub kind: Kind,
    /// Length of every message in bytes.
    pub len: usize,
    /// The payloads of one round.
    pub payloads: Vec<Vec<u8>>,
    /// Their frames, masked with keys that differ from frame to frame.
    pub arrivals: Arrivals,
}

/// How the frames of one round are cut into chunks.
#[derive(Clone, Copy)]
enum Cut {
    /// Every so many bytes, wherever that falls.
    Every(usize),
    /// Each frame into so many parts.
    Parts(usize),
}

const KIB: usize = 1024;

/// A workload that is not built yet.
#[derive(Clone, Copy)]
pub struct Spec {
    /// What the tables call it.
    pub name: &'static str,
    kind: Kind,
    content: fn(usize, &mut Random) -> Vec<u8>,
    messages: usize,
    /// Length of every message in bytes.
    pub len: usize,
    fragment: usize,
    cut: Cut,
}

/// The workloads of the group `decode`.
pub fn decode() -> Vec<Spec> {
    use Kind::{Binary, Text};
    vec![
        whole("16 B text", Text, sixteen, 1024, 16, Cut::Every(16 * KIB)),
        whole("700 B SIP text", Text, sip, 256, 700, Cut::Every(16 * KIB)),
        whole("700 B SIP text, one a chunk", Text, sip, 64, 700, Cut::Parts(1)),
        whole("700 B SIP text in 4 chunks", Text, sip, 64, 700, Cut::Parts(4)),
        whole("4 KiB binary", Binary, noise, 64, 4 * KIB, Cut::Every(64 * KIB)),
        whole("64 KiB binary", Binary, noise, 8, 64 * KIB, Cut::Every(64 * KIB)),
        whole("1 MiB binary", Binary, noise, 2, 1024 * KIB, Cut::Every(64 * KIB)),
        whole("16 MiB binary", Binary, noise, 1, 16 * 1024 * KIB, Cut::Every(64 * KIB)),
        whole("1 MiB mixed-script text", Text, mixed, 2, 1024 * KIB, Cut::Every(64 * KIB)),
        Spec {
            fragment: KIB,
            ..whole("64 KiB in 1 KiB fragments, binary", Binary, noise, 8, 64 * KIB, Cut::Every(64 * KIB))
        },
        Spec {
            fragment: KIB,
            ..whole(
                "64 KiB in 1 KiB fragments, mixed-script text",
                Text,
                mixed,
                8,
                64 * KIB,
                Cut::Every(64 * KIB),
            )
        },
    ]
}

/// The workloads of the group `encode`: one batch each.
pub fn encode() -> Vec<Spec> {
    vec![
        whole("16 B text", Kind::Text, sixteen, BATCH, 16, Cut::Every(64 * KIB)),
        whole("700 B SIP text", Kind::Text, sip, BATCH, 700, Cut::Every(64 * KIB)),
    ]
}

/// The workloads of the group `echo`: one message in flight, and a batch of them.
pub fn echo() -> Vec<Spec> {
    /// What is in front of a masked payload of 16 and of 700 bytes.
    const HEADERS: [usize; 2] = [6, 8];
    vec![
        whole("16 B text, 1 in flight", Kind::Text, sixteen, BATCH, 16, Cut::Parts(1)),
        whole(
            "16 B text, 16 in flight",
            Kind::Text,
            sixteen,
            BATCH,
            16,
            Cut::Every(BATCH * (HEADERS[0] + 16)),
        ),
        whole("700 B SIP text, 1 in flight", Kind::Text, sip, BATCH, 700, Cut::Parts(1)),
        whole(
            "700 B SIP text, 16 in flight",
            Kind::Text,
            sip,
            BATCH,
            700,
            Cut::Every(BATCH * (HEADERS[1] + 700)),
        ),
    ]
}

/// The workloads of the group `deflate`.
#[cfg(feature = "deflate")]
pub fn deflate() -> Vec<Spec> {
    vec![
        whole("700 B SIP text", Kind::Text, sip, 64, 700, Cut::Every(64 * KIB)),
        whole("4 KiB JSON", Kind::Text, json, 32, 4 * KIB, Cut::Every(64 * KIB)),
        whole("64 KiB JSON", Kind::Text, json, 4, 64 * KIB, Cut::Every(64 * KIB)),
    ]
}

/// Messages of one frame each.
fn whole(
    name: &'static str,
    kind: Kind,
    content: fn(usize, &mut Random) -> Vec<u8>,
    messages: usize,
    len: usize,
    cut: Cut,
) -> Spec {
    Spec { name, kind, content, messages, len, fragment: usize::MAX, cut }
}

/// Makes what goes over the wire of a payload.
type Compress<'a> = dyn FnMut(&[u8]) -> Vec<u8> + 'a;

impl Workload {
    /// Makes the messages of one round; the same in every run.
    pub fn new(spec: &Spec) -> Self {
        Self::compressed(spec, None)
    }

    /// The same with the payloads on the wire made by `compress`.
    pub fn compressed(spec: &Spec, mut compress: Option<&mut Compress<'_>>) -> Self {
        /// RSV1 in the first byte of a frame.
        const COMPRESSED: u8 = 0x40;
        let mut random = Random::new(spec.len as u64);
        let payloads: Vec<_> = (0..spec.messages).map(|_| (spec.content)(spec.len, &mut random)).collect();
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for payload in &payloads {
            let start = bytes.len();
            match &mut compress {
                None => frames(payload, spec.kind, spec.fragment, &mut random, &mut bytes),
                Some(compress) => {
                    frames(&compress(payload), spec.kind, usize::MAX, &mut random, &mut bytes);
                    bytes[start] |= COMPRESSED;
                }
            }
            if let Cut::Parts(parts) = spec.cut {
                let length = bytes.len() - start;
                ends.extend((1..=parts).map(|part| start + length * part / parts));
            }
        }
        let arrivals = match spec.cut {
            Cut::Every(chunk) => Arrivals::cut(bytes, chunk),
            Cut::Parts(_) => Arrivals::at(bytes, ends),
        };
        Self { kind: spec.kind, len: spec.len, payloads, arrivals }
    }

    /// What a contestant that does all its work has put into its sink after one round.
    pub fn expected(&self) -> Sink {
        let mut sink = Sink::checking();
        for payload in &self.payloads {
            match self.kind {
                Kind::Text => sink.text(core::str::from_utf8(payload).expect("the texts are UTF-8")),
                Kind::Binary => sink.binary(payload),
            }
        }
        sink
    }
}

/// Writes one message as a client's frames with at most `fragment` bytes of payload each.
fn frames(payload: &[u8], kind: Kind, fragment: usize, random: &mut Random, out: &mut Vec<u8>) {
    let mut rest = payload;
    let mut opcode = if kind == Kind::Text { 1 } else { 2 };
    loop {
        let (part, after) = rest.split_at(rest.len().min(fragment));
        rest = after;
        out.push(if rest.is_empty() { 0x80 | opcode } else { opcode });
        match part.len() {
            n @ 0..126 => out.push(0x80 | u8::try_from(n).expect("below 126")),
            n => match u16::try_from(n) {
                Ok(n) => {
                    out.push(0x80 | 126);
                    out.extend_from_slice(&n.to_be_bytes());
                }
                Err(_) => {
                    out.push(0x80 | 127);
                    out.extend_from_slice(&(n as u64).to_be_bytes());
                }
            },
        }
        let key: [u8; 4] = *random.next().to_le_bytes().first_chunk().expect("8 bytes have 4");
        out.extend_from_slice(&key);
        out.extend(part.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        opcode = 0;
        if rest.is_empty() {
            return;
        }
    }
}

/// A generator of inputs (splitmix64): the same in every run.
pub struct Random(u64);

impl Random {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence needs no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn noise(len: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        core::iter::repeat_with(|| random.next().to_le_bytes()).take(len / 8 + 1).flatten().collect();
    bytes.truncate(len);
    bytes
}

fn sixteen(len: usize, random: &mut Random) -> Vec<u8> {
    let mut text = format!("tick {:011}", random.next() % 100_000_000_000).into_bytes();
    text.truncate(len);
    text
}

/// A REGISTER as a browser sends it, filled up to `len` by its `User-Agent`.
pub fn sip(len: usize, random: &mut Random) -> Vec<u8> {
    let (branch, tag, call) = (random.next(), random.next(), random.next());
    let head = format!(
        "REGISTER sip:example.org SIP/2.0\r\n\
         Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK{branch:016x}\r\n\
         Max-Forwards: 70\r\n\
         To: \"Alice\" <sip:alice@example.org>\r\n\
         From: \"Alice\" <sip:alice@example.org>;tag={tag:016x}\r\n\
         Call-ID: {call:016x}\r\n\
         CSeq: 1 REGISTER\r\n\
         Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>;reg-id=1;\
         +sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";expires=600\r\n\
         Expires: 600\r\n\
         Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\n\
         Supported: path, gruu, outbound\r\n\
         User-Agent: "
    );
    let tail = "\r\nContent-Length: 0\r\n\r\n";
    let agent = "Example/1.0 (browser; a user agent that tells a good deal about itself) ".repeat(3);
    format!("{head}{}{tail}", &agent[..len - head.len() - tail.len()]).into_bytes()
}

/// A list of records as an API returns it.
#[cfg(feature = "deflate")]
fn json(len: usize, random: &mut Random) -> Vec<u8> {
    const NAMES: [&str; 8] = ["Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi"];
    const STATES: [&str; 4] = ["ringing", "connected", "held", "ended"];
    let mut text = String::from("[");
    loop {
        let number = random.next();
        let pick = |from: u32, n: u64| usize::try_from((number >> from) % n).expect("below n");
        let record = format!(
            "{{\"id\":{},\"caller\":\"{}\",\"callee\":\"{}\",\"state\":\"{}\",\"seconds\":{},\"codec\":\"opus\"}},",
            number % 1_000_000,
            NAMES[pick(20, 8)],
            NAMES[pick(24, 8)],
            STATES[pick(28, 4)],
            pick(32, 3600),
        );
        if text.len() + record.len() > len {
            break;
        }
        text.push_str(&record);
    }
    text.extend(core::iter::repeat_n(' ', len - 1 - text.len()));
    text.push(']');
    text.into_bytes()
}

/// Text in several scripts, so that code points of one to four bytes follow each other irregularly.
pub fn mixed(len: usize, random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "plain words of a line ",
        "größer, naïve, œuvre ",
        "быстрая проверка ",
        "ταχύς έλεγχος ",
        "速い検証です。",
        "快速的验证，",
        "빠른 검증 ",
        "تحقق سريع ",
        "तेज़ जाँच ",
        "🚀🛰️ ",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ",
        "0123456789 ",
    ];
    let mut text = String::with_capacity(len);
    loop {
        let word = WORDS[usize::try_from(random.next() % 12).expect("below 12")];
        if text.len() + word.len() > len {
            break;
        }
        text.push_str(word);
    }
    text.extend(core::iter::repeat_n(' ', len - text.len()));
    text.into_bytes()
}
