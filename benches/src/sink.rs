//! The application of every contestant: what a delivered message must go through.

/// Takes messages in. While measuring it touches both ends of each payload; while checking it
/// digests all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Messages taken in.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    touched: u8,
    digest: Option<u64>,
    /// Bytes of the message that is taken in by parts.
    part: u64,
}

impl Sink {
    /// A sink for measuring.
    pub fn touching() -> Self {
        Self { messages: 0, bytes: 0, touched: 0, digest: None, part: 0 }
    }

    /// A sink whose value tells whether everything was delivered, in order and intact.
    pub fn checking() -> Self {
        Self { digest: Some(0xcbf2_9ce4_8422_2325), ..Self::touching() }
    }

    /// Takes in a text message that the contestant has validated.
    #[inline]
    pub fn text(&mut self, text: &str) {
        self.binary(text.as_bytes());
    }

    /// Takes in a message.
    #[inline]
    pub fn binary(&mut self, data: &[u8]) {
        self.part(data, true);
    }

    /// Takes in a part of a message, the `last` one perhaps.
    #[inline]
    pub fn part(&mut self, data: &[u8], last: bool) {
        self.messages += u64::from(last);
        self.bytes += data.len() as u64;
        if let (Some(first), Some(last)) = (data.first(), data.last()) {
            self.touched ^= first ^ last;
        }
        if let Some(digest) = self.digest {
            self.digest_part(digest, data, last);
        }
    }

    #[cold]
    fn digest_part(&mut self, digest: u64, data: &[u8], last: bool) {
        self.part += data.len() as u64;
        let mut digest = fnv(digest, data);
        if last {
            digest = fnv(digest, &core::mem::take(&mut self.part).to_le_bytes());
        }
        self.digest = Some(digest);
        // Where a message is cut is no part of it.
        self.touched = 0;
    }
}

fn fnv(seed: u64, data: &[u8]) -> u64 {
    data.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
