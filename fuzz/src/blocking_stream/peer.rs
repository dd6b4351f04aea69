use core::mem;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::vec;

use rustls::{ClientConnection, Connection, ServerConnection};
use ws_core::{
    Chunk, ClientRequest, Endpoint, Event, Instant, KeySource, Kind, SendBuffer, SendError, ServerConfig,
};
use ws_std::Message;

use super::lane::Lane;
use super::{PeerLast, PeerScript, PeerStep};
use crate::stream::{self, Identity, MAX_STEPS, settings};

/// The clock stands still.
const NOW: Instant = Instant::from_nanos(1);

/// The other end, as far as it goes without a transport: an engine, with TLS below it or without.
///
/// It reads whatever it does, but while it idles.
#[derive(Debug)]
pub(super) struct Peer {
    endpoint: Endpoint,
    tls: Option<Connection>,
    output: SendBuffer,
    side: usize,
    pace: usize,
    steps: vec::IntoIter<PeerStep>,
    /// The step that is under way.
    step: Option<PeerStep>,
    pub(super) last: PeerLast,
    idle: u8,
    /// Messages that it still waits for.
    awaited: usize,
    /// It is through with its steps, and did the last thing.
    is_through: bool,
    /// It read the end of the stream.
    is_at_end: bool,
    is_open: bool,
    is_closed: bool,
    /// What of its offence did not leave yet.
    offence: &'static [u8],
    /// TLS told, or is to tell, that no more comes.
    is_notified: bool,
    pub(super) got_close: bool,
    /// TLS said that no more comes.
    pub(super) got_end: bool,
    /// All that was sent, in order.
    pub(super) sent: Vec<Message>,
    pub(super) received: Vec<Message>,
}

impl Peer {
    pub(super) fn new(script: PeerScript, is_client: bool, is_secure: bool) -> Self {
        let endpoint = if is_client {
            let request = ClientRequest::new("ws://localhost/").unwrap();
            Endpoint::client(&request, &Arc::new(settings()), KeySource::counter(0), NOW)
        } else {
            let mut config = ServerConfig::default();
            config.connection = Arc::new(settings());
            Endpoint::server(&Arc::new(config), NOW)
        };
        let identity = Identity::get();
        let tls = match (is_secure, is_client) {
            (false, _) => None,
            (true, true) => {
                let name = "localhost".try_into().unwrap();
                Some(ClientConnection::new(Arc::clone(&identity.client), name).unwrap().into())
            }
            (true, false) => Some(ServerConnection::new(Arc::clone(&identity.server)).unwrap().into()),
        };
        let PeerScript { pace, mut steps, last } = script;
        steps.truncate(MAX_STEPS);
        Self {
            endpoint,
            tls,
            output: SendBuffer::new(),
            side: usize::from(!is_client),
            pace: if pace == 0 { usize::MAX } else { pace.into() },
            steps: steps.into_iter(),
            step: None,
            last,
            idle: 0,
            awaited: 0,
            is_through: false,
            is_at_end: false,
            is_open: false,
            is_closed: false,
            offence: b"",
            is_notified: false,
            got_close: false,
            got_end: false,
            sent: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Returns how many turns it may take that move no byte.
    pub(super) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// It went, and left the connection to itself.
    pub(super) fn is_gone(&self) -> bool {
        self.is_through && self.last == PeerLast::Drop
    }

    /// TLS said that no more comes, and that left.
    pub(super) fn is_ended_by_tls(&self) -> bool {
        self.is_notified && self.tls.as_ref().is_some_and(|tls| !tls.wants_write())
    }

    /// Does a little of what there is to do; false if that is nothing.
    pub(super) fn turn(&mut self, from: &mut Lane, to: &mut Lane) -> bool {
        if self.is_gone() {
            return false;
        }
        if self.idle > 0 {
            self.idle -= 1;
            return true;
        }
        let mut did = self.take_in(from);
        did |= self.step();
        if self.is_gone() {
            to.ended = true;
            from.deserted = true;
            return true;
        }
        did |= self.put_out(to);
        did
    }

    fn take_in(&mut self, from: &mut Lane) -> bool {
        let mut bytes = vec![0; from.len().min(self.pace)];
        if from.take(&mut bytes) == 0 {
            let is_new = from.ended && !mem::replace(&mut self.is_at_end, from.ended);
            if is_new && self.tls.is_some() {
                // What only stops is no end.
                self.endpoint.handle_transport_lost(NOW);
            } else if is_new {
                self.endpoint.handle_eof(NOW);
            }
            self.poll(Chunk::empty());
            return is_new;
        }
        let Some(tls) = &mut self.tls else {
            self.poll(Chunk::new(&mut bytes));
            return true;
        };
        let (mut rest, mut plain, mut is_ended) = (&bytes[..], Vec::new(), false);
        while !rest.is_empty() {
            tls.read_tls(&mut rest).unwrap();
            let state = tls.process_new_packets().expect("what arrives is TLS");
            is_ended = state.peer_has_closed();
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut plain[start..]).unwrap();
            if is_ended {
                break;
            }
        }
        self.poll(Chunk::new(&mut plain));
        self.got_end |= is_ended;
        if is_ended && !mem::replace(&mut self.is_at_end, true) {
            self.endpoint.handle_eof(NOW);
            self.poll(Chunk::empty());
        }
        true
    }

    fn poll(&mut self, mut chunk: Chunk<'_>) {
        while let Some(event) = self.endpoint.poll_event(NOW, &mut chunk) {
            match event {
                Event::Open(_) => self.is_open = true,
                Event::Message(message) => {
                    self.received.push(message.into());
                    self.awaited = self.awaited.saturating_sub(1);
                }
                Event::Close(_) => self.got_close = true,
                Event::Failed(error) => panic!("what arrives is no WebSocket: {error}"),
                Event::Closed(_) => self.is_closed = true,
                _ => {}
            }
        }
    }

    /// Does what the application has to do next; false if it waits or is through.
    fn step(&mut self) -> bool {
        if self.is_through || !self.is_open {
            return false;
        }
        if !self.endpoint.is_open() {
            self.steps = Vec::new().into_iter();
        } else if self.awaited > 0 {
            return false;
        }
        let Some(step) = self.step.take().or_else(|| self.steps.next()) else {
            self.is_through = true;
            match self.last {
                // Refused if it is under way.
                PeerLast::Close => drop(self.endpoint.close(NOW, None, "", &mut self.output)),
                // 5.2: reserved bits.
                PeerLast::Offend => self.offence = b"\xf1\x80\0\0\0\0",
                _ => {}
            }
            return true;
        };
        let sent = match step {
            PeerStep::Text(len) => self.send(len, Kind::Text, 1),
            PeerStep::Binary(len) => self.send(len, Kind::Binary, 1),
            PeerStep::Parts(len, parts) => self.send(len, Kind::Text, usize::from(parts) % 8 + 1),
            PeerStep::Ping(len) => self.endpoint.ping(&[7; 125][..usize::from(len % 126)], &mut self.output),
            PeerStep::Await => {
                self.awaited = 1;
                Ok(())
            }
            PeerStep::Idle(turns) => {
                self.idle = turns % 32;
                Ok(())
            }
        };
        match sent {
            Ok(()) => true,
            Err(SendError::OutputFull) => {
                self.step = Some(step);
                false
            }
            Err(SendError::Closing) => true,
            Err(error) => panic!("{error}"),
        }
    }

    fn send(&mut self, len: u16, kind: Kind, parts: usize) -> Result<(), SendError> {
        let text = stream::text(self.side, self.sent.len(), len, kind);
        // All of its parts, or none.
        if self.output.len() > 3000 {
            return Err(SendError::OutputFull);
        }
        let bytes = text.as_bytes();
        let mut pieces = bytes.chunks((bytes.len() / parts + 1).max(1)).peekable();
        if parts == 1 || pieces.peek().is_none() {
            match kind {
                Kind::Text => self.endpoint.send_text(&text, &mut self.output)?,
                Kind::Binary => self.endpoint.send_binary(bytes, &mut self.output)?,
            }
        } else {
            while let Some(piece) = pieces.next() {
                self.endpoint.send_part(kind, piece, pieces.peek().is_none(), &mut self.output)?;
            }
        }
        self.sent.push(match kind {
            Kind::Text => Message::from(text),
            Kind::Binary => Message::from(text.into_bytes()),
        });
        Ok(())
    }

    /// Writes what is due, as far as there is room, and the end behind it.
    fn put_out(&mut self, to: &mut Lane) -> bool {
        let mut did = false;
        let mut most = self.pace;
        while self.endpoint.poll_transmit(NOW, &mut self.output) && most > 0 {
            let pending = self.output.pending();
            let n = write(&mut self.tls, to, &pending[..pending.len().min(most)]);
            most -= n;
            did |= n > 0;
            self.endpoint.handle_transmitted(NOW, n, &mut self.output);
            self.poll(Chunk::empty());
            if n == 0 {
                break;
            }
        }
        if self.output.is_empty() {
            let n = write(&mut self.tls, to, self.offence);
            self.offence = &self.offence[n..];
            did |= n > 0;
        }
        let is_leaving = self.is_through && self.last == PeerLast::End;
        let is_over = (self.is_closed || self.endpoint.is_write_closed() || is_leaving) && !to.ended;
        let is_over = is_over && (self.output.is_empty() || self.is_closed);
        if let Some(tls) = &mut self.tls {
            if is_over && !mem::replace(&mut self.is_notified, true) {
                tls.send_close_notify();
            }
            while tls.wants_write() {
                match tls.write_tls(to).unwrap() {
                    0 => return did,
                    _ => did = true,
                }
            }
        }
        if is_over {
            to.ended = true;
            did = true;
        }
        did
    }
}

/// Writes what can be taken.
fn write(tls: &mut Option<Connection>, to: &mut Lane, bytes: &[u8]) -> usize {
    match tls {
        None => to.put(bytes),
        // What waits in TLS goes first.
        Some(tls) if tls.is_handshaking() || tls.wants_write() => 0,
        Some(tls) => tls.writer().write(bytes).unwrap(),
    }
}
