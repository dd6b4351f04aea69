use std::sync::Arc;

use ws_core::{
    ClientRequest, Config, Connection, Deadline, Delivery, Endpoint, Instant, KeySource, Outcome,
    ProtocolError, RequestError, Role, SendError, ServerConfig, Side, StatusCode,
};

use super::app::App;
use super::peer::Peer;
use crate::common::{End, Frame, Rng, Wire, config, encode_for, ms};

/// No session takes more steps; one that does is going in circles.
const MAX_STEPS: usize = 20_000;
/// The largest message that either side accepts.
const MAX_MESSAGE: usize = 1500;

/// How a session is to end. Sides and wires are numbers: 0 is the client and what it writes, 1 the server.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The application of one side closes, perhaps both do.
    Close { by: usize, both: bool },
    /// A wire ends, or both break.
    Cut { wire: usize, end: End },
    /// The same, before it is known that the connection opened.
    CutEarly { wire: usize, end: End },
    /// The application of one side gives up.
    Abort { by: usize, leaves: End },
    /// One side hears nothing any more, and minds.
    Idle { on: usize },
    /// A wire stalls, and one side misses the Pong.
    Pong { on: usize, wire: usize },
    /// A message for one side does not end.
    Message { on: usize },
    /// The wire of one side stalls, and it has much to send.
    Send { on: usize },
    /// A wire stalls, and one side closes.
    ClosingHandshake { on: usize, wire: usize },
    /// One side receives what breaks a rule.
    Violation { on: usize, error: ProtocolError },
    /// One side receives a message that is too long.
    TooLong { on: usize },
    /// The server does not serve what the client asks for.
    NotFound,
    /// The client's request never arrives.
    NoRequest,
    /// The server's answer never arrives.
    NoAnswer,
}

pub(super) struct Session {
    rng: Rng,
    now: Instant,
    ending: Ending,
    /// When the ending is due, or the rest of it: once both sides are open.
    due: Option<Instant>,
    is_begun: bool,
    /// Which sides' `close` was accepted, and their codes.
    closed_with: [Option<Option<StatusCode>>; 2],
    peers: [Peer; 2],
    wires: [Wire; 2],
    /// A wire that stalls for a while, and when.
    hiccup: Option<(Instant, usize)>,
}

impl Session {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let now = Instant::from_nanos(1_000_000_000 + rng.next() % 1_000_000);
        let (side, wire) = (rng.below(2), rng.below(2));
        let end = *rng.pick(&[End::Eof, End::Reset]);
        let ending = match rng.below(18) {
            0..=4 => Ending::Close { by: side, both: rng.one_in(3) },
            5 => Ending::Cut { wire, end },
            6 => Ending::CutEarly { wire, end },
            7 => Ending::Abort { by: side, leaves: end },
            8 => Ending::Idle { on: side },
            9 => Ending::Pong { on: side, wire },
            10 => Ending::Message { on: side },
            11 => Ending::Send { on: side },
            12 => Ending::ClosingHandshake { on: side, wire },
            13 | 14 => Ending::Violation { on: side, error: violation(&mut rng, side) },
            15 => Ending::TooLong { on: side },
            16 => *rng.pick(&[Ending::NotFound, Ending::NoRequest, Ending::NoAnswer]),
            _ => Ending::Close { by: 0, both: true },
        };
        let [client, server] = [0, 1].map(|side| Arc::new(side_config(&mut rng, ending, side)));
        let keys = KeySource::counter(u32::try_from(seed & 0xffff_ffff).unwrap());
        let is_opening = matches!(
            ending,
            Ending::NotFound | Ending::NoRequest | Ending::NoAnswer | Ending::CutEarly { .. }
        );
        let endpoints = if is_opening || rng.one_in(3) {
            let mut accepting = ServerConfig::default();
            accepting.connection = server;
            accepting.ask = rng.one_in(2);
            accepting.resource = matches!(ending, Ending::NotFound).then(|| "/elsewhere".to_owned());
            let request = ClientRequest::new("ws://server.example/here").unwrap();
            [Endpoint::client(&request, &client, keys, now), Endpoint::server(&Arc::new(accepting), now)]
        } else {
            [
                Connection::new(Role::Client, &client, now, Some(keys)).into(),
                Connection::new(Role::Server, &server, now, None).into(),
            ]
        };
        let peers = endpoints.map(|endpoint| {
            let app = App::new(&mut rng, MAX_MESSAGE);
            let mut peer = Peer::new(&mut rng, endpoint, app);
            if peer.endpoint.is_open() {
                peer.open(now);
            }
            peer
        });
        let mut wires = [0, 1].map(|_| Wire::new(&mut rng, now));
        match ending {
            Ending::NoRequest => wires[0].stall(None),
            Ending::NoAnswer => wires[1].stall(None),
            Ending::Send { on } => wires[on].narrow(300),
            _ => {}
        }
        let hiccup = rng.one_in(3).then(|| (now + ms(rng.below(300) as u64), wire));
        let is_begun = matches!(ending, Ending::CutEarly { .. });
        let due = is_begun.then(|| now + ms(rng.below(80) as u64));
        Self { rng, now, ending, due, is_begun, closed_with: [None; 2], peers, wires, hiccup }
    }

    /// Runs the session to its end and judges it.
    pub(super) fn run(mut self) {
        for step in 0.. {
            assert!(step < MAX_STEPS, "{:?} goes in circles", self.ending);
            self.turn();
            if self.peers.iter().all(|peer| peer.closed.is_some()) {
                break;
            }
            let next = self.next().unwrap_or_else(|| panic!("{:?} hangs", self.ending));
            self.now = self.now.max(next);
        }
        self.judge();
    }

    fn turn(&mut self) {
        if let Some((at, wire)) = self.hiccup.take_if(|&mut (at, _)| at <= self.now) {
            self.wires[wire].stall(Some(at + ms(self.rng.below(300) as u64)));
        }
        if self.due.take_if(|at| *at <= self.now).is_some() {
            self.due = self.end().map(|wait| self.now + ms(wait));
        }
        let first = self.rng.below(2);
        for side in [first, 1 - first] {
            let [client, server] = &mut self.peers;
            let [from_client, from_server] = &mut self.wires;
            match side {
                0 => client.turn(self.now, &server.app, from_server, from_client),
                _ => server.turn(self.now, &client.app, from_client, from_server),
            }
        }
        // Who waits for a deadline leaves a transport that is of no use to the other side either.
        if let Ending::Pong { on, .. } | Ending::Send { on } | Ending::ClosingHandshake { on, .. } =
            self.ending
            && self.peers[on].closed.is_some()
        {
            self.wires.iter_mut().for_each(Wire::release);
        }
        if !self.is_begun && self.peers.iter().all(|peer| peer.is_open) {
            self.is_begun = true;
            self.due = Some(self.now + ms(*self.rng.pick(&[0, 3, 50, 300])));
        }
    }

    fn next(&self) -> Option<Instant> {
        let [from_client, from_server] = &self.wires;
        let hiccup = self.hiccup.map(|(at, _)| at);
        [
            self.peers[0].next(from_server, from_client),
            self.peers[1].next(from_client, from_server),
            self.due,
            hiccup,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what ends the session; returns how many ms later there is more to do, if there is.
    fn end(&mut self) -> Option<u64> {
        let now = self.now;
        match self.ending {
            Ending::Close { by, both } => {
                if self.closed_with[by].is_none() {
                    self.close(by);
                    return both.then(|| *self.rng.pick(&[0, 1, 40]));
                }
                self.close(1 - by);
            }
            Ending::Cut { wire, end } | Ending::CutEarly { wire, end } => {
                self.wires[wire].end(now, end);
                if end == End::Reset {
                    self.wires[1 - wire].end(now, end);
                }
            }
            Ending::Abort { by, leaves } => {
                self.peers[by].leaves = leaves;
                self.peers[by].endpoint.abort();
            }
            Ending::Pong { wire, .. } => self.wires[wire].stall(None),
            Ending::ClosingHandshake { on, wire } => {
                self.wires[wire].stall(None);
                self.close(on);
            }
            Ending::Message { on } => {
                let peer = &mut self.peers[1 - on];
                if !peer.app.is_midway() && peer.app.begin(&mut peer.endpoint, &mut peer.out).is_err() {
                    return Some(10);
                }
                peer.app.next = None;
            }
            Ending::Send { on } => {
                self.wires[on].stall(None);
                // More than the wire takes: what is refused is no less.
                self.send_long(on, 400);
            }
            Ending::TooLong { on } => {
                if !self.send_long(1 - on, MAX_MESSAGE + 1) {
                    return Some(10);
                }
            }
            Ending::Violation { on, error } => {
                // Only where a frame may begin.
                if !self.peers[1 - on].out.is_empty() {
                    return Some(10);
                }
                self.wires[1 - on].push(now, &violate(on, error));
            }
            Ending::Idle { .. } | Ending::NotFound | Ending::NoRequest | Ending::NoAnswer => {}
        }
        None
    }

    fn close(&mut self, side: usize) {
        let code = *self.rng.pick(&[None, Some(StatusCode::NORMAL), StatusCode::new(4000)]);
        let peer = &mut self.peers[side];
        match peer.endpoint.close(self.now, code, if code.is_some() { "over" } else { "" }, &mut peer.out) {
            Ok(()) => self.closed_with[side] = Some(code),
            Err(error) => assert_eq!(error, SendError::Closing),
        }
    }

    /// Sends a message of `len` bytes; returns whether there was room for it.
    fn send_long(&mut self, side: usize, len: usize) -> bool {
        let peer = &mut self.peers[side];
        let result = peer.app.send_long(len, &mut peer.endpoint, &mut peer.out);
        assert!(matches!(result, Ok(()) | Err(SendError::OutputFull)), "{result:?}");
        result.is_ok()
    }

    /// Asserts that both sides ended as the script has it, and what of the data came.
    fn judge(&self) {
        let [client, server] = &self.peers;
        client.assert_rest(&server.app);
        server.assert_rest(&client.app);
        let outcomes = [0, 1].map(|side| self.peers[side].closed.as_ref().unwrap());
        let context = || format!("{:?}, {outcomes:?}", self.ending);
        let is_lost = |outcome: &Outcome| matches!(outcome, Outcome::Vanished | Outcome::TransportLost);
        let mut expected = [None, None];
        let peer_closed = |code| Some(Outcome::Clean { initiator: Side::Peer, code });
        match self.ending {
            Ending::Close { .. } => {
                for side in [0, 1] {
                    let (ours, theirs) = (self.closed_with[side], self.closed_with[1 - side]);
                    let initiator = if ours.is_some() { Side::Us } else { Side::Peer };
                    let code = theirs.or(ours).unwrap();
                    expected[side] = Some(Outcome::Clean { initiator, code });
                    // All that was sent before a Close came before it.
                    if theirs.is_some() {
                        let sent = &self.peers[1 - side].app.sent;
                        let finished = sent.iter().filter(|sent| sent.is_finished).count();
                        assert_eq!(self.peers[side].received, finished, "{}", context());
                    }
                }
            }
            Ending::Cut { end, .. } => {
                let outcome = if end == End::Eof { Outcome::Vanished } else { Outcome::TransportLost };
                expected = [Some(outcome.clone()), Some(outcome)];
            }
            Ending::CutEarly { .. } => assert!(outcomes.into_iter().all(is_lost), "{}", context()),
            Ending::Abort { by, leaves } => {
                expected[by] = Some(Outcome::Aborted);
                let lost = if leaves == End::Eof { Outcome::Vanished } else { Outcome::TransportLost };
                expected[1 - by] = Some(lost);
            }
            Ending::Idle { on } => {
                expected[on] = Some(Outcome::TimedOut(Deadline::Idle));
                expected[1 - on] = peer_closed(Some(StatusCode::GOING_AWAY));
            }
            Ending::Pong { on, .. } => {
                expected[on] = Some(Outcome::TimedOut(Deadline::Pong));
                expected[1 - on] = Some(Outcome::Vanished);
            }
            Ending::Message { on } => {
                expected[on] = Some(Outcome::TimedOut(Deadline::Message));
                expected[1 - on] = peer_closed(Some(StatusCode::POLICY_VIOLATION));
            }
            Ending::Send { on } => {
                expected[on] = Some(Outcome::TimedOut(Deadline::Send));
                expected[1 - on] = Some(Outcome::Vanished);
            }
            Ending::ClosingHandshake { on, wire } => {
                expected[on] = Some(Outcome::TimedOut(Deadline::ClosingHandshake));
                let code = self.closed_with[on].unwrap();
                expected[1 - on] = if wire == on { Some(Outcome::Vanished) } else { peer_closed(code) };
            }
            Ending::Violation { on, error } => {
                expected[on] = Some(Outcome::Failed(error));
                expected[1 - on] = peer_closed(Some(error.status_code()));
            }
            Ending::TooLong { on } => {
                expected[on] = Some(Outcome::Failed(ProtocolError::MessageTooLong));
                expected[1 - on] = peer_closed(Some(StatusCode::MESSAGE_TOO_BIG));
            }
            Ending::NotFound => {
                let rejected = matches!(outcomes[0], Outcome::Rejected(error) if error.status() == 404);
                assert!(rejected, "{}", context());
                expected[1] = Some(Outcome::Refused(RequestError::Resource));
            }
            Ending::NoRequest => {
                let rejected = matches!(outcomes[0], Outcome::Rejected(error) if error.status() == 408);
                assert!(rejected, "{}", context());
                expected[1] = Some(Outcome::TimedOut(Deadline::OpeningHandshake));
            }
            Ending::NoAnswer => {
                expected[0] = Some(Outcome::TimedOut(Deadline::OpeningHandshake));
                expected[1] = Some(Outcome::Vanished);
            }
        }
        for side in [0, 1] {
            if let Some(expected) = &expected[side] {
                assert_eq!(outcomes[side], expected, "side {side}: {}", context());
            }
        }
    }
}

/// A random configuration in which nothing but the ending's own deadline can pass.
fn side_config(rng: &mut Rng, ending: Ending, side: usize) -> Config {
    config(|config| {
        config.max_message_len = MAX_MESSAGE;
        config.max_output_len = *rng.pick(&[2000, 5000, 20_000]);
        config.delivery = *rng.pick(&[Delivery::Messages, Delivery::Parts]);
        config.control_events = !rng.one_in(4);
        config.message_timeout = Some(ms(600_000));
        config.ping_interval = *rng.pick(&[None, None, Some(ms(20)), Some(ms(150))]);
        config.pong_timeout = ms(300_000);
        config.close_timeout = ms(300_000);
        config.send_timeout = *rng.pick(&[None, Some(ms(400_000))]);
        match ending {
            Ending::Idle { on } => {
                config.ping_interval = None;
                config.idle_timeout = (on == side).then_some(ms(2000));
            }
            Ending::Pong { on, .. } if on == side => {
                config.ping_interval = Some(ms(30));
                config.pong_timeout = ms(5000);
                config.send_timeout = None;
            }
            Ending::Message { on } if on == side => config.message_timeout = Some(ms(5000)),
            Ending::Send { on } if on == side => config.send_timeout = Some(ms(1000)),
            Ending::ClosingHandshake { on, .. } if on == side => config.close_timeout = ms(30_000),
            Ending::NoRequest => {
                config.opening_handshake_timeout = Some(ms(if side == 1 { 1000 } else { 60_000 }));
            }
            Ending::NoAnswer => {
                config.opening_handshake_timeout = Some(ms(if side == 0 { 1000 } else { 60_000 }));
            }
            _ => {}
        }
    })
}

/// A rule to be broken towards `on`, whatever message is under way.
fn violation(rng: &mut Rng, on: usize) -> ProtocolError {
    *rng.pick(&[
        ProtocolError::ReservedBits,
        ProtocolError::ReservedOpcode(5),
        if on == 1 { ProtocolError::Unmasked } else { ProtocolError::Masked },
        ProtocolError::NonMinimalLength,
        ProtocolError::LengthTopBit,
        ProtocolError::ControlTooLong,
        ProtocolError::ControlFragmented,
        ProtocolError::CloseTooShort,
        ProtocolError::InvalidCloseCode(1006),
        ProtocolError::InvalidCloseReason,
    ])
}

fn violate(on: usize, error: ProtocolError) -> Vec<u8> {
    let frame = match error {
        ProtocolError::ReservedBits => Frame::ping("x").rsv(2),
        ProtocolError::ReservedOpcode(opcode) => Frame::new(opcode, "x"),
        ProtocolError::Unmasked => return Frame::ping("x").encode(),
        ProtocolError::Masked => Frame::ping("x").masked([1, 2, 3, 4]),
        ProtocolError::NonMinimalLength => Frame::binary("x").length_form(8),
        ProtocolError::LengthTopBit => Frame::binary("").declared(1 << 63),
        ProtocolError::ControlTooLong => Frame::pong([0; 126]),
        ProtocolError::ControlFragmented => Frame::ping("x").more(),
        ProtocolError::CloseTooShort => Frame::new(8, [3]),
        ProtocolError::InvalidCloseCode(code) => Frame::close(code, ""),
        ProtocolError::InvalidCloseReason => Frame::new(8, b"\x03\xe8\xff"),
        other => unreachable!("{other:?} depends on the message under way"),
    };
    encode_for(if on == 1 { Role::Server } else { Role::Client }, &[frame])
}
