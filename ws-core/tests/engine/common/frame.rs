use ws_core::StatusCode;

/// A frame as the RFC draws it, with every field free to be wrong. Codec and engine share no code.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) payload: Vec<u8>,
    /// Bytes of the extended payload length, if not the shortest form.
    pub(crate) length_form: Option<usize>,
    /// The length that the header declares, if not the payload's.
    pub(crate) declared: Option<u64>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            fin: true,
            rsv: 0,
            opcode,
            key: None,
            payload: payload.into(),
            length_form: None,
            declared: None,
        }
    }

    pub(crate) fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(0, payload)
    }

    pub(crate) fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(1, payload)
    }

    pub(crate) fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(2, payload)
    }

    pub(crate) fn ping(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(9, payload)
    }

    pub(crate) fn pong(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(10, payload)
    }

    pub(crate) fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::new(8, payload)
    }

    pub(crate) fn close_empty() -> Self {
        Self::new(8, [])
    }

    /// Clears FIN: more fragments follow.
    pub(crate) const fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    pub(crate) const fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    pub(crate) const fn length_form(mut self, bytes: usize) -> Self {
        self.length_form = Some(bytes);
        self
    }

    pub(crate) const fn declared(mut self, len: u64) -> Self {
        self.declared = Some(len);
        self
    }

    pub(crate) const fn masked(mut self, key: [u8; 4]) -> Self {
        self.key = Some(key);
        self
    }

    /// The status code of a Close frame.
    #[track_caller]
    pub(crate) fn code(&self) -> Option<StatusCode> {
        assert_eq!(self.opcode, 8, "{self:?} is no Close frame");
        let code = self.payload.first_chunk().copied().map(u16::from_be_bytes)?;
        Some(StatusCode::new(code).unwrap_or_else(|| panic!("code {code} must not be sent")))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let len = self.declared.unwrap_or(self.payload.len() as u64);
        let mask = if self.key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![if self.fin { 0x80 } else { 0 } | self.rsv << 4 | self.opcode];
        let form = self.length_form.unwrap_or(match len {
            0..=125 => 0,
            126..=65_535 => 2,
            _ => 8,
        });
        bytes.push(match form {
            0 => mask | u8::try_from(len).unwrap(),
            2 => mask | 126,
            _ => mask | 127,
        });
        bytes.extend_from_slice(&len.to_be_bytes()[8 - form..]);
        match self.key {
            Some(key) => {
                bytes.extend_from_slice(&key);
                bytes.extend(self.payload.iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key));
            }
            None => bytes.extend_from_slice(&self.payload),
        }
        bytes
    }
}

impl core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "frame {:#x}{}", self.opcode, if self.fin { "" } else { " more" })?;
        if self.rsv != 0 {
            write!(f, " rsv {}", self.rsv)?;
        }
        let shown = &self.payload[..self.payload.len().min(40)];
        write!(f, " [{}] {:?}", self.payload.len(), String::from_utf8_lossy(shown))
    }
}

/// Reads the frame at the start of `bytes`: it, unmasked, and its length. `None` if it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let form = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let extended = bytes.get(2..2 + form)?;
    let len = match form {
        0 => u64::from(second & 0x7f),
        _ => extended.iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
    };
    let shortest = match len {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    let mut at = 2 + form;
    let key = if second & 0x80 == 0 {
        None
    } else {
        at += 4;
        Some(*bytes.get(at - 4..at)?.first_chunk().unwrap())
    };
    let end = at + usize::try_from(len).unwrap();
    let mut payload = bytes.get(at..end)?.to_vec();
    if let Some(key) = key {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }
    let frame = Frame {
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode: first & 0xf,
        key,
        payload,
        length_form: (form != shortest).then_some(form),
        declared: None,
    };
    Some((frame, end))
}

/// Reads `bytes`, which are whole frames and nothing else.
#[track_caller]
pub(crate) fn decode(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, len) = parse(bytes).expect("the last frame is incomplete");
        frames.push(frame);
        bytes = &bytes[len..];
    }
    frames
}
