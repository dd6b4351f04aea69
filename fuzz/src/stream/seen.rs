use ws_core::frame::{Header, Opcode};

/// What a connection read of its stream and wrote to it, above TLS.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) read: Vec<u8>,
    pub(crate) written: Vec<u8>,
    /// The stream ended.
    pub(crate) eof: bool,
    /// The stream broke.
    pub(crate) broken: bool,
    /// What we write was ended.
    pub(crate) closed: bool,
}

impl Seen {
    /// Whether a Close frame came whole.
    pub(crate) fn read_close(&self) -> bool {
        has_close(&self.read)
    }

    /// Whether a Close frame left whole.
    pub(crate) fn written_close(&self) -> bool {
        has_close(&self.written)
    }
}

/// Whether there is a whole Close frame behind a head.
fn has_close(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let mut rest = &bytes[head + 4..];
    while let Ok(Some((header, len))) = Header::parse(rest) {
        let end = len.saturating_add(usize::try_from(header.len).unwrap());
        if end > rest.len() {
            return false;
        }
        if header.opcode == Opcode::Close {
            return true;
        }
        rest = &rest[end..];
    }
    false
}
