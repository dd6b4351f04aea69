//! permessage-deflate: any payload, and any message; another library is the judge.

use std::sync::Arc;

use arbitrary::Arbitrary;
use miniz_oxide::inflate::TINFLStatus;
use ws_core::frame::{Header, Opcode};
use ws_core::{
    Chunk, Config, Connection, DeflateConfig, DeflateParams, Delivery, Event, Instant, KeySource, Kind,
    ProtocolError, Role, SendBuffer, mask,
};

const NOW: Instant = Instant::EPOCH;
const KEY: [u8; 4] = [0x11, 0xa2, 0, 0x7c];

/// What goes on.
#[derive(Arbitrary, Debug)]
pub struct Script {
    in_parts: bool,
    server_takeover: bool,
    client_takeover: bool,
    server_bits: u8,
    client_bits: u8,
    level: u8,
    max_message_len: u16,
    chunk_len: u8,
    /// Payloads of compressed messages, of any bytes, each in frames of so many.
    received: Vec<(Vec<u8>, u8)>,
    /// Messages to send, in parts that are cut there.
    sent: Vec<(Vec<u8>, Option<u8>)>,
}

fn settings(script: &Script, max_message_len: usize) -> Arc<Config> {
    let mut deflate = DeflateConfig::default();
    deflate.level = script.level;
    deflate.min_len = 0;
    let mut config = Config::default();
    config.max_message_len = max_message_len;
    config.deflate = Some(deflate);
    if script.in_parts {
        config.delivery = Delivery::Parts;
    }
    Arc::new(config)
}

fn params(script: &Script) -> DeflateParams {
    let mut params = DeflateParams::default();
    params.server_no_context_takeover = !script.server_takeover;
    params.client_no_context_takeover = !script.client_takeover;
    params.server_max_window_bits = 8 + script.server_bits % 8;
    params.client_max_window_bits = 8 + script.client_bits % 8;
    params
}

/// Receives what it says, then sends what it says.
///
/// # Panics
/// If a message comes out that another library does not read so, or one is not received as it was sent.
pub fn run(script: &Script) {
    receive(script);
    send(script);
}

fn receive(script: &Script) {
    let config = settings(script, script.max_message_len.into());
    let mut server = Connection::new(Role::Server, &config, NOW, None).with_deflate(params(script));
    // What a stream of all messages so far would be, with context takeover, or of one.
    let mut stream = Vec::new();
    let mut before = 0;
    for (payload, frame_len) in &script.received {
        let mut bytes = Vec::new();
        let pieces: Vec<&[u8]> = match payload.is_empty() {
            true => vec![&[]],
            false => payload.chunks(usize::from(*frame_len).max(1)).collect(),
        };
        for (i, piece) in pieces.iter().enumerate() {
            let opcode = if i == 0 { Opcode::Binary } else { Opcode::Continuation };
            let header = Header {
                fin: i + 1 == pieces.len(),
                rsv: if i == 0 { 4 } else { 0 },
                opcode,
                key: Some(KEY),
                len: piece.len() as u64,
            };
            let (header, len) = header.write();
            bytes.extend_from_slice(&header[..len]);
            let at = bytes.len();
            bytes.extend_from_slice(piece);
            mask::apply(&mut bytes[at..], KEY);
        }
        let mut message = Vec::new();
        let mut is_whole = false;
        for chunk in bytes.chunks_mut(usize::from(script.chunk_len).max(1)) {
            let mut chunk = Chunk::new(chunk);
            while let Some(event) = server.poll_event(NOW, &mut chunk) {
                match event {
                    Event::Message(whole) => {
                        message = whole.as_bytes().to_vec();
                        is_whole = true;
                    }
                    Event::Part(part) => {
                        message.extend_from_slice(part.data.as_bytes());
                        is_whole = part.last;
                    }
                    Event::Failed(
                        ProtocolError::InvalidDeflate
                        | ProtocolError::MessageTooLong
                        | ProtocolError::TooManyFragments,
                    ) => return,
                    other => panic!("{other:?}"),
                }
            }
            assert!(chunk.is_empty());
        }
        assert!(is_whole, "received or failed");
        assert!(message.len() <= usize::from(script.max_message_len));
        if !script.client_takeover {
            stream.clear();
            before = 0;
        }
        stream.extend_from_slice(payload);
        stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
        let whole = [&stream[..], &[3, 0]].concat();
        match miniz_oxide::inflate::decompress_to_vec_with_limit(&whole, 1 << 20) {
            // A block that is marked as the final one ends it before.
            Ok(read) => assert!(read.len() <= before || message.starts_with(&read[before..])),
            Err(error) => assert_ne!(error.status, TINFLStatus::Done, "{error:?}"),
        }
        before += message.len();
    }
}

fn send(script: &Script) {
    let config = settings(script, 1 << 20);
    let params = params(script);
    for role in [Role::Server, Role::Client] {
        let keys = || Some(KeySource::counter(1));
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let mut sender = Connection::new(role, &config, NOW, keys()).with_deflate(params);
        let mut receiver = Connection::new(peer, &config, NOW, keys()).with_deflate(params);
        let mut out = SendBuffer::new();
        for (message, cut) in &script.sent {
            match cut {
                None => sender.send_binary(message, &mut out).expect("room"),
                Some(cut) => {
                    let (one, two) = message.split_at(usize::from(*cut).min(message.len()));
                    sender.send_part(Kind::Binary, one, false, &mut out).expect("room");
                    sender.send_part(Kind::Binary, two, true, &mut out).expect("room");
                }
            }
            let mut bytes = out.take().to_vec();
            let mut received = Vec::new();
            let mut is_whole = false;
            for chunk in bytes.chunks_mut(usize::from(script.chunk_len).max(1)) {
                let mut chunk = Chunk::new(chunk);
                while let Some(event) = receiver.poll_event(NOW, &mut chunk) {
                    match event {
                        Event::Message(whole) => {
                            received = whole.as_bytes().to_vec();
                            is_whole = true;
                        }
                        Event::Part(part) => {
                            received.extend_from_slice(part.data.as_bytes());
                            is_whole = part.last;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert!(is_whole && received == *message, "received as it was sent");
        }
    }
}
