//! The limits: the least that any library can do for a message, and what the machine does with the
//! same bytes.

use std::io::Write as _;

use crate::sink::Sink;
use crate::suite::Contestant;
use crate::wire::Wire;
use crate::workload::{Kind, Random, Workload};

/// Longest header of a masked frame.
const MAX_HEADER: usize = 14;

/// Reads frames, unmasks in place, validates and lends: no state of a connection, no rule checked
/// but opcode and FIN, no limit, no control frame.
pub struct Floor {
    wire: Wire,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the current frame's payload that are unmasked already.
    unmasked: usize,
    message: Vec<u8>,
    text: bool,
}

/// A masked frame's header, as far as the floor looks.
pub struct Header {
    /// Its length, masking key included.
    pub len: usize,
    /// Length of the payload.
    pub payload: usize,
    /// The masking key.
    pub key: [u8; 4],
}

impl Floor {
    /// Reads with a buffer of 64 KiB, which grows to what a message needs.
    pub fn new(wire: Wire) -> Self {
        let buffer = vec![0; 64 * 1024 + MAX_HEADER];
        Self { wire, buffer, start: 0, end: 0, unmasked: 0, message: Vec::new(), text: false }
    }

    fn fill(&mut self, missing: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < missing {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let needed = self.end + missing;
            if needed > self.buffer.len() {
                self.buffer.resize(needed.next_multiple_of(64 * 1024), 0);
            }
        }
        self.end += self.wire.fetch(&mut self.buffer[self.end..]);
    }
}

/// Reads a masked frame's header, if it is whole.
#[inline]
pub fn header(bytes: &[u8]) -> Option<Header> {
    let (len, payload) = match bytes.get(1)? & 127 {
        126 => (8, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (14, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        short => (6, usize::from(short)),
    };
    Some(Header { len, payload, key: *bytes.get(len - 4..)?.first_chunk()? })
}

impl Contestant for Floor {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        let mut left = messages;
        while left > 0 {
            let Some(Header { len, payload, key }) = header(&self.buffer[self.start..self.end]) else {
                self.fill(MAX_HEADER);
                continue;
            };
            let from = self.start + len;
            let here = payload.min(self.end - from);
            xor(&mut self.buffer[from + self.unmasked..from + here], key, self.unmasked);
            if here < payload {
                self.unmasked = here;
                self.fill(payload - here);
                continue;
            }
            self.unmasked = 0;
            let first = self.buffer[self.start];
            self.start = from + payload;
            let data = &self.buffer[from..from + payload];
            if first & 0x0f != 0 {
                self.text = first & 0x0f == 1;
                if first & 0x80 != 0 {
                    deliver(data, self.text, sink);
                    left -= 1;
                    continue;
                }
            }
            self.message.extend_from_slice(data);
            if first & 0x80 != 0 {
                deliver(&self.message, self.text, sink);
                self.message.clear();
                left -= 1;
            }
        }
    }
}

#[inline]
fn deliver(data: &[u8], text: bool, sink: &mut Sink) {
    if text {
        sink.text(self::text(data).expect("the workload's texts are UTF-8"));
    } else {
        sink.binary(data);
    }
}

/// Validates: a short text is ASCII more often than not, and no validator is as quick to see it.
#[inline]
pub fn text(data: &[u8]) -> Option<&str> {
    if data.len() < 64
        && let Ok(text) = ascii::AsciiStr::from_ascii(data)
    {
        return Some(text.as_str());
    }
    simdutf8::basic::from_utf8(data).ok()
}

/// Unmasks in place, a word at a time: what the compiler makes of it for the target.
#[inline(always)]
pub fn xor(data: &mut [u8], key: [u8; 4], offset: usize) {
    let key = u32::from_le_bytes(key).rotate_right(u32::try_from(offset % 4).expect("below 4") * 8);
    let wide = u64::from(key) << 32 | u64::from(key);
    let (blocks, rest) = data.as_chunks_mut::<64>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_le_bytes(*word) ^ wide).to_le_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_le_bytes(*word) ^ wide).to_le_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_le_bytes()) {
        *byte ^= key;
    }
}

/// Copies the bytes of one round out of the wire, and nothing else.
pub struct Copy {
    wire: Wire,
    buffer: Vec<u8>,
    unmask: bool,
    owed: usize,
    per_message: usize,
}

impl Copy {
    /// `unmask` also XORs every byte, headers included.
    pub fn new(workload: &Workload, wire: Wire, unmask: bool) -> Self {
        let per_message = workload.arrivals.bytes().len() / workload.payloads.len();
        Self { wire, buffer: vec![0; 64 * 1024], unmask, owed: 0, per_message }
    }
}

impl Contestant for Copy {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        self.owed += messages * self.per_message;
        while self.owed > 0 {
            let n = self.wire.fetch(&mut self.buffer);
            if self.unmask {
                xor(&mut self.buffer[..n], [0x12, 0x34, 0x56, 0x78], 0);
            }
            core::hint::black_box(&self.buffer[..n]);
            self.owed = self.owed.saturating_sub(n);
        }
        sink.messages += messages as u64;
    }
}

/// Writes frames into one buffer and hands it to the wire every `BATCH` messages.
pub struct FloorEncode {
    wire: Wire,
    payloads: Vec<Vec<u8>>,
    next: usize,
    text: bool,
    random: Option<Random>,
    out: Vec<u8>,
}

impl FloorEncode {
    /// With keys of a weak generator if `masked`.
    pub fn new(workload: &Workload, wire: Wire, masked: bool) -> Self {
        let payloads = workload.payloads.clone();
        let random = masked.then(|| Random::new(1));
        Self { wire, payloads, next: 0, text: workload.kind == Kind::Text, random, out: Vec::new() }
    }

    fn frame(&mut self) {
        let payload = &self.payloads[self.next];
        self.next = (self.next + 1) % self.payloads.len();
        let out = &mut self.out;
        let mask = if self.random.is_some() { 0x80 } else { 0 };
        let first = if self.text { 0x81 } else { 0x82 };
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(n @ 0..126), _) => out.extend_from_slice(&[first, mask | n]),
            (_, Ok(n)) => {
                let [high, low] = n.to_be_bytes();
                out.extend_from_slice(&[first, mask | 126, high, low]);
            }
            _ => unreachable!("the workloads of `encode` are short"),
        }
        if let Some(random) = &mut self.random {
            let key = *random.next().to_le_bytes().first_chunk().expect("8 bytes have 4");
            out.extend_from_slice(&key);
            let from = out.len();
            out.extend_from_slice(payload);
            xor(&mut out[from..], key, 0);
        } else {
            out.extend_from_slice(payload);
        }
    }
}

/// Messages that are written at once by those who can batch: what one wake-up may bring.
pub const BATCH: usize = 16;

impl Contestant for FloorEncode {
    fn run(&mut self, messages: usize, sink: &mut Sink) {
        for i in 1..=messages {
            self.frame();
            if i % BATCH == 0 || i == messages {
                self.wire.write_all(&self.out).expect("the wire takes everything");
                self.out.clear();
            }
        }
        sink.messages += messages as u64;
    }
}
