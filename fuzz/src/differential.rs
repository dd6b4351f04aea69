//! The same bytes into this engine and into tungstenite: both accept with equal messages, or both refuse. Where they differ,
//! and who is right, is listed in [`is_known`].

use std::io;
use std::sync::Arc;

use arbitrary::Arbitrary;
use tungstenite::error::ProtocolError as Theirs;
use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};
use ws_core::frame::{Header, Opcode};
use ws_core::{Chunk, Config, Connection, Event, Instant, KeySource, ProtocolError, Role, mask};

const NOW: Instant = Instant::EPOCH;
const MAX_MESSAGE_LEN: usize = 1000;
const MAX_FRAME_LEN: usize = 600;

/// What a peer sends.
#[derive(Arbitrary, Debug)]
pub struct Script {
    to_client: bool,
    pieces: Vec<Piece>,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    /// A frame that keeps to the form.
    Frame { fin: bool, opcode: u8, payload: Vec<u8> },
    /// A text, in a frame for each part.
    Text(Vec<String>),
    /// A frame that may break any rule.
    Odd { fin: bool, rsv: u8, opcode: u8, masked: bool, payload: Vec<u8> },
    /// A Close frame.
    Close(u16, String),
    /// Anything.
    Bytes(Vec<u8>),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// More bytes are wanted.
    Open,
    /// The peer's Close frame.
    Close(Option<u16>),
    Refused,
}

#[derive(Debug, PartialEq, Eq)]
struct Story {
    messages: Vec<(bool, Vec<u8>)>,
    end: End,
}

/// Has both read it.
///
/// # Panics
/// If they differ otherwise than is known.
pub fn run(script: &Script) {
    let bytes = bytes(script);
    let role = if script.to_client { Role::Client } else { Role::Server };
    let (own, fault) = own(role, &bytes);
    let (theirs, their_fault) = theirs(role, &bytes);
    if own != theirs {
        assert!(
            is_known(&own, fault, &theirs, their_fault.as_ref()),
            "ours: {own:?} {fault:?}\ntheirs: {theirs:?} {their_fault:?}\nbytes: {bytes:02x?}"
        );
    }
}

/// Why they may differ.
fn is_known(own: &Story, fault: Option<ProtocolError>, theirs: &Story, their_fault: Option<&Error>) -> bool {
    let n = own.messages.len().min(theirs.messages.len());
    if own.messages[..n] != theirs.messages[..n] {
        return false;
    }
    match fault {
        // Section 5.2: the minimal number of bytes must be used. They take any form.
        Some(ProtocolError::NonMinimalLength) => true,
        // Section 5.2: the most significant bit must be 0; they take it for a length and refuse that. 5.4 and 5.5 and 8.1, and
        // our limits: refused with the header, or with the first bad byte, which they look at when the frame is whole.
        Some(
            ProtocolError::LengthTopBit
            | ProtocolError::InvalidUtf8
            | ProtocolError::InvalidCloseReason
            | ProtocolError::ControlTooLong
            | ProtocolError::ControlFragmented
            | ProtocolError::ReservedBits
            | ProtocolError::ReservedOpcode(_)
            | ProtocolError::Unmasked
            | ProtocolError::Masked
            | ProtocolError::UnexpectedContinuation
            | ProtocolError::ExpectedContinuation
            | ProtocolError::FrameTooLong
            | ProtocolError::MessageTooLong,
        ) => own.messages == theirs.messages && theirs.end != End::Close(None),
        // 5.5.1 and 7.4: they answer with 1002 and go on as if that had been the peer's code.
        Some(ProtocolError::CloseTooShort | ProtocolError::InvalidCloseCode(_)) => true,
        Some(_) => false,
        // 7.4.2 and the IANA registry: 1012 to 1014 were registered later. They do not know the last, and answer 1002.
        None if own.end == End::Close(Some(1014)) => own.messages == theirs.messages,
        None => match their_fault {
            // They limit the length of all frames, and say so at the header of a control frame too.
            Some(Error::Capacity(_)) => true,
            // 5.1: they refuse a masked frame of a server only when it is whole; no difference but in time.
            Some(Error::Protocol(Theirs::MaskedFrameFromServer)) => own.end == End::Open,
            _ => false,
        },
    }
}

fn bytes(script: &Script) -> Vec<u8> {
    let mut bytes = Vec::new();
    let key = (!script.to_client).then_some([0x11, 0xa2, 0, 0x7c]);
    let mut frame = |fin: bool, rsv: u8, opcode: u8, key: Option<[u8; 4]>, payload: &[u8]| {
        let header = Header { fin, rsv: 0, opcode: Opcode::Text, key, len: payload.len() as u64 };
        let (mut header, len) = header.write();
        header[0] = (header[0] & 0x80) | ((rsv % 8) << 4) | (opcode % 16);
        bytes.extend_from_slice(&header[..len]);
        let at = bytes.len();
        bytes.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut bytes[at..], key);
        }
    };
    let mut tail = Vec::new();
    for piece in &script.pieces {
        match piece {
            Piece::Frame { fin, opcode, payload } => {
                let opcode = [0, 1, 2, 8, 9, 10][usize::from(opcode % 6)];
                frame(*fin, 0, opcode, key, payload);
            }
            Piece::Text(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    frame(i + 1 == parts.len(), 0, u8::from(i == 0), key, part.as_bytes());
                }
            }
            Piece::Odd { fin, rsv, opcode, masked, payload } => {
                let key = masked.then_some([1, 2, 3, 4]);
                frame(*fin, *rsv, *opcode, key, payload);
            }
            Piece::Close(code, reason) => {
                let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
                frame(true, 0, 8, key, &payload);
            }
            Piece::Bytes(any) => tail.extend_from_slice(any),
        }
    }
    bytes.extend(tail);
    bytes
}

fn own(role: Role, bytes: &[u8]) -> (Story, Option<ProtocolError>) {
    let mut config = Config::default();
    config.max_message_len = MAX_MESSAGE_LEN;
    config.max_frame_len = Some(MAX_FRAME_LEN);
    config.max_fragments = u32::MAX;
    let mut connection = Connection::new(role, &Arc::new(config), NOW, Some(KeySource::counter(0)));
    let mut bytes = bytes.to_vec();
    let mut chunk = Chunk::new(&mut bytes);
    let mut story = Story { messages: Vec::new(), end: End::Open };
    let mut fault = None;
    while let Some(event) = connection.poll_event(NOW, &mut chunk) {
        match event {
            Event::Message(message) => {
                let is_text = message.kind() == ws_core::Kind::Text;
                story.messages.push((is_text, message.as_bytes().to_vec()));
            }
            Event::Close(frame) => story.end = End::Close(frame.map(|frame| frame.code.get())),
            Event::Failed(error) => {
                story.end = End::Refused;
                fault = Some(error);
            }
            _ => {}
        }
    }
    (story, fault)
}

/// Gives the bytes, then nothing more; takes all that is written.
struct Stream<'a>(&'a [u8]);

impl io::Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl io::Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: Role, bytes: &[u8]) -> (Story, Option<Error>) {
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE_LEN);
    config.max_frame_size = Some(MAX_FRAME_LEN);
    let mut socket = WebSocket::from_raw_socket(Stream(bytes), role, Some(config));
    let mut story = Story { messages: Vec::new(), end: End::Open };
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => story.messages.push((true, text.as_bytes().to_vec())),
            Ok(Message::Binary(data)) => story.messages.push((false, data.to_vec())),
            Ok(Message::Close(frame)) => {
                story.end = End::Close(frame.map(|frame| frame.code.into()));
                return (story, None);
            }
            Ok(_) => {}
            Err(Error::Io(_)) => return (story, None),
            Err(error) => {
                story.end = End::Refused;
                return (story, Some(error));
            }
        }
    }
}
