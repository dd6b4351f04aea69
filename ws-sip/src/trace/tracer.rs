use core::fmt;
use core::hash::BuildHasher as _;
use core::net::SocketAddr;
use core::time::Duration;
use std::borrow::Cow;
use std::hash::RandomState;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use ws_core::{Outcome, RequestError};

use super::message;
use super::record::{CUT_MARK, Happened, Record};
use crate::filter::TraceFilter;
use crate::flow::FlowId;
use crate::hep::{Change, PROTOCOL_WS, Packet, PayloadKind, Sender, SenderError, SenderOptions};
use crate::settings::{SettingError, Settings};
use crate::tracing::Tracing;
use crate::transport::{Counters, Ends, FirstClose, FlowEvent, NotOpened};

/// Tells a collector what becomes of a transport's connections. See the [module](crate::trace).
///
/// ```
/// use ws_sip::hep::{Sender, SenderOptions};
/// use ws_sip::trace::{Tracer, TracerOptions};
/// use ws_sip::{Settings, TraceFilter, Tracing, Transport};
///
/// let destination = "[hep] 127.0.0.1:9060;transport=udp".parse()?;
/// let sender = Sender::start(&destination, &SenderOptions::default(), |change| eprintln!("{change}"))?;
/// let mut options = TracerOptions::default();
/// options.filter = Some(TraceFilter::new(|ends| !ends.peer.ip().is_loopback()));
/// let tracing = Tracing::new(true);
/// let mut transport = Transport::new(Settings::default())?;
/// transport.set_tracer(Tracer::new(sender, tracing.clone(), options));
/// // Later, from any thread:
/// tracing.set(false);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tracer {
    sender: Sender,
    tracing: Tracing,
    options: TracerOptions,
    /// Makes a connection's number of its flow's, one that no other transport makes.
    numbers: RandomState,
}

/// What is traced, and how it is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TracerOptions {
    /// Which connections are traced. It is asked once a connection, before its first record. Default none: all are.
    pub filter: Option<TraceFilter>,
    /// The number that tells the collector who sent a record. Default 1.
    pub capture_id: u32,
    /// Whether a record of an event is plain text, its values joined by colons, instead of JSON. Default no.
    pub plain_text: bool,
    /// Whether each SIP message is traced too, as it is. Default no.
    pub sip: bool,
    /// Whether the values of `Cookie`, `Set-Cookie`, `Authorization` and `Proxy-Authorization` are told. Default no:
    /// they are masked in opening handshakes. SIP messages are always told as they are.
    pub secrets: bool,
}

impl Default for TracerOptions {
    fn default() -> Self {
        Self { filter: None, capture_id: 1, plain_text: false, sip: false, secrets: false }
    }
}

/// Whether a connection is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The filter was not asked yet.
    #[default]
    Unknown,
    Traced,
    Dropped,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Tracer {
    /// Returns a tracer that sends through `sender` while `tracing` is on.
    #[must_use]
    pub fn new(sender: Sender, tracing: Tracing, options: TracerOptions) -> Self {
        Self { sender, tracing, options, numbers: RandomState::new() }
    }

    /// Returns the tracer that the settings ask for, its sender started; `None` without a `trace_destination`. What
    /// `trace_on` says is for whoever makes `tracing`; `trace_filter_route` was looked up before.
    ///
    /// `tell` hears what becomes of the destination, in the sender's thread.
    ///
    /// # Errors
    /// [`TracerError`].
    pub fn from_settings(
        settings: &Settings,
        tracing: Tracing,
        filter: Option<TraceFilter>,
        tell: impl FnMut(Change) + Send + 'static,
    ) -> Result<Option<Self>, TracerError> {
        let Some(destination) = settings.hep_destination().map_err(TracerError::Setting)? else {
            return Ok(None);
        };
        let mut sender = SenderOptions::default();
        sender.tls_ca.clone_from(&settings.hep_tls_ca);
        let sender = Sender::start(destination, &sender, tell).map_err(TracerError::Sender)?;
        let options = TracerOptions {
            filter,
            capture_id: settings.hep_capture_id,
            plain_text: settings.homer5_on,
            sip: settings.trace_sip,
            secrets: settings.trace_secrets,
        };
        Ok(Some(Self::new(sender, tracing, options)))
    }

    /// Returns a tracer for another transport that sends through the same sender, under the same switch.
    #[must_use]
    pub fn share(&self) -> Self {
        Self::new(self.sender.clone(), self.tracing.clone(), self.options.clone())
    }

    /// Makes the numbers of connections with what is given, so that they stay what they were with another tracer.
    pub(crate) fn set_numbers(&mut self, numbers: RandomState) {
        self.numbers = numbers;
    }

    /// Returns what the records are sent with.
    #[must_use]
    pub const fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Returns the switch.
    #[must_use]
    pub const fn tracing(&self) -> &Tracing {
        &self.tracing
    }

    /// Returns whether messages are to be traced now.
    pub(crate) fn traces_messages(&self) -> bool {
        self.options.sip && self.tracing.is_on()
    }

    /// Traces an event of a WebSocket connection, on which the peer said nothing if it `is_silent`.
    pub(crate) fn observe(&self, verdict: &mut Verdict, event: &FlowEvent<'_>, is_silent: bool) {
        if !self.tracing.is_on() {
            return;
        }
        let (flow, ends, record) = match event {
            FlowEvent::Opened { flow, ends, opened } => {
                let heads = (opened.raw_request(), opened.raw_response());
                (flow, ends, self.opening(ends, heads, None))
            }
            FlowEvent::NotOpened { flow, ends, why, error, request, response, destination } => match why {
                NotOpened::Handshake(
                    Outcome::Responded(_) | Outcome::Refused(RequestError::NotWebSocket),
                ) => return,
                NotOpened::Handshake(outcome)
                    // That it said nothing for too long is its handshake's failure.
                    if is_silent && response.is_empty() && !matches!(outcome, Outcome::TimedOut(_)) =>
                {
                    (flow, ends, silent(ends, outcome, *error))
                }
                _ => {
                    let mut record = self.opening(ends, (request, response), Some((why, *error)));
                    if let Some((host, port)) = destination {
                        record.push("Destination", format!("{host}:{port}"));
                    }
                    (flow, ends, record)
                }
            },
            FlowEvent::Closed { flow, ends, outcome, first_close, error, counters, age } => {
                let mut record = closed(ends, outcome, *first_close, counters, *age);
                push_error(&mut record, *error);
                (flow, ends, record)
            }
            _ => return,
        };
        if self.is_traced(verdict, ends) {
            self.tell(*flow, ends, &record);
        }
    }

    /// Traces a SIP message; [`traces_messages`](Self::traces_messages) said so.
    pub(crate) fn message(
        &self,
        verdict: &mut Verdict,
        flow: FlowId,
        ends: &Ends,
        protocol: u8,
        direction: Direction,
        message: &[u8],
    ) {
        if !self.is_traced(verdict, ends) {
            return;
        }
        let (peer, local) = canonical(ends);
        let (source, destination) = match direction {
            Direction::In => (peer, local),
            Direction::Out => (local, peer),
        };
        let number = Decimal::new(self.number(flow));
        let packet = Packet {
            source,
            destination,
            protocol,
            time: now(),
            kind: PayloadKind::Sip as u8,
            capture_id: self.options.capture_id,
            payload: b"",
            correlation: number.as_bytes(),
        };
        let max = self.sender.max_packet_len().saturating_sub(packet.overhead());
        let payload = fitted(message, max);
        // What is dropped is counted there.
        self.sender.send(&Packet { payload: &payload, ..packet });
    }

    fn is_traced(&self, verdict: &mut Verdict, ends: &Ends) -> bool {
        if *verdict == Verdict::Unknown {
            let traced = self.options.filter.as_ref().is_none_or(|filter| filter.traces(ends));
            *verdict = if traced { Verdict::Traced } else { Verdict::Dropped };
        }
        *verdict == Verdict::Traced
    }

    /// Returns the record of an opening handshake; `why` if it failed.
    fn opening(
        &self,
        ends: &Ends,
        heads: (&[u8], &[u8]),
        why: Option<(&NotOpened<'_>, Option<&io::Error>)>,
    ) -> Record {
        let happened = if ends.is_incoming { Happened::Accepted } else { Happened::Connected };
        let mut record = Record::new(happened, ends.is_secure);
        record.push_head("Ws-Request", heads.0, self.options.secrets);
        record.push_status(why.is_none());
        record.push_head("Ws-Reply", heads.1, self.options.secrets);
        record.push(
            "Message",
            match (happened, why) {
                (Happened::Accepted, None) => "Connection accepted...",
                (Happened::Accepted, Some(_)) => "Failed to accept connection...",
                (_, None) => "Successfully connected...",
                (_, Some(_)) => "Failed to connect...",
            },
        );
        match why {
            None => {}
            Some((NotOpened::Connect(error), _)) => record.push("Reason", error.to_string()),
            Some((NotOpened::Handshake(outcome), None)) => record.push("Reason", outcome.to_string()),
            Some((NotOpened::Handshake(outcome), Some(error))) => {
                record.push("Reason", format!("{outcome}: {error}"));
            }
        }
        record
    }

    fn tell(&self, flow: FlowId, ends: &Ends, record: &Record) {
        let (source, destination) = canonical(ends);
        let number = Decimal::new(self.number(flow));
        let packet = Packet {
            source,
            destination,
            protocol: PROTOCOL_WS,
            time: now(),
            kind: PayloadKind::Net as u8,
            capture_id: self.options.capture_id,
            payload: b"",
            correlation: number.as_bytes(),
        };
        let max = self.sender.max_packet_len().saturating_sub(packet.overhead());
        let payload = if self.options.plain_text { record.to_plain(max) } else { record.to_json(max) };
        self.sender.send(&Packet { payload: payload.as_bytes(), ..packet });
    }

    /// Returns the number that ties the records of a connection together.
    fn number(&self, flow: FlowId) -> u64 {
        self.numbers.hash_one(flow)
    }
}

/// The record of a flow that ended.
fn closed(
    ends: &Ends,
    outcome: &Outcome,
    first_close: Option<&FirstClose>,
    counters: &Counters,
    age: Duration,
) -> Record {
    let mut record = Record::new(Happened::Closed, ends.is_secure);
    record.push_status(outcome.is_clean());
    record.push("Message", message::of(outcome));
    let (code, reason) = message::close_code(outcome, first_close);
    record.push("Close-Code", code.to_string());
    if !reason.is_empty() {
        record.push("Close-Reason", reason);
    }
    record.push("Closed-By", message::closed_by(outcome));
    record.push("Outcome", outcome.to_string());
    record.push("Duration", format!("{:.3}", age.as_secs_f64()));
    record.push("Messages-In", counters.messages_in.to_string());
    record.push("Messages-Out", counters.messages_out.to_string());
    record.push("Bytes-In", counters.bytes_in.to_string());
    record.push("Bytes-Out", counters.bytes_out.to_string());
    record
}

/// The record of a connection on which nothing was said.
fn silent(ends: &Ends, outcome: &Outcome, error: Option<&io::Error>) -> Record {
    let mut record = Record::new(Happened::Closed, ends.is_secure);
    record.push_status(*outcome == Outcome::Vanished);
    record.push("Message", message::of(outcome));
    record.push("Closed-By", message::closed_by(outcome));
    record.push("Outcome", outcome.to_string());
    push_error(&mut record, error);
    record
}

/// Adds what the system or TLS said.
fn push_error(record: &mut Record, error: Option<&io::Error>) {
    if let Some(error) = error {
        record.push("Reason", error.to_string());
    }
}

/// Returns peer and local address, both as IPv4 if a listener for both families has them as IPv6.
fn canonical(ends: &Ends) -> (SocketAddr, SocketAddr) {
    let (peer, local) = (ends.peer.ip().to_canonical(), ends.local.ip().to_canonical());
    if peer.is_ipv4() == local.is_ipv4() {
        return (SocketAddr::new(peer, ends.peer.port()), SocketAddr::new(local, ends.local.port()));
    }
    (ends.peer, ends.local)
}

/// Cuts what is longer than `max`, and marks it.
fn fitted(message: &[u8], max: usize) -> Cow<'_, [u8]> {
    if message.len() <= max {
        return message.into();
    }
    let mut cut = message[..max.saturating_sub(CUT_MARK.len())].to_vec();
    cut.extend_from_slice(CUT_MARK.as_bytes());
    cut.into()
}

fn now() -> Duration {
    // A clock before 1970 is none.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A number in decimal digits.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

/// Why there is no tracer.
#[derive(Debug)]
#[non_exhaustive]
pub enum TracerError {
    /// `trace_destination` is the name of no `hep_id`.
    Setting(SettingError),
    /// The sender cannot start.
    Sender(SenderError),
}

impl fmt::Display for TracerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => error.fmt(f),
            Self::Sender(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TracerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Setting(error) => Some(error),
            Self::Sender(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ws_core::{CloseFrame, Deadline, ProtocolError, Side, StatusCode};

    fn first(by: Side, code: u16, reason: &str) -> FirstClose {
        let code = StatusCode::new(code).unwrap();
        FirstClose { by, frame: Some(CloseFrame { code, reason: reason.into() }) }
    }

    /// Each way to end, in the order that tools for OpenSIPS know.
    #[test]
    fn the_record_of_each_end() {
        let too_big = ProtocolError::MessageTooLong;
        let ends = Ends::unknown();
        let clean = |initiator, code| Outcome::Clean { initiator, code: StatusCode::new(code) };
        for (outcome, first, told) in [
            (clean(Side::Peer, 1000), Some(first(Side::Peer, 1000, "")), "SUCCESS:EOF received:1000:peer:"),
            (
                clean(Side::Us, 1000),
                Some(first(Side::Us, 4000, "x")),
                "SUCCESS:Closed by Proto layer:4000:x:us:",
            ),
            (Outcome::Vanished, None, "FAILURE:EOF received:1006:peer:"),
            (Outcome::TransportLost, None, "FAILURE:Read error:1006:network:"),
            (
                Outcome::Failed(too_big),
                Some(first(Side::Us, 1009, too_big.reason())),
                "FAILURE:Read error:1009:message too long:us:",
            ),
            (Outcome::TimedOut(Deadline::Send), None, "FAILURE:Write error:1006:us:"),
            (Outcome::TimedOut(Deadline::Pong), None, "FAILURE:Timeout on no traffic:1006:us:"),
            (Outcome::TimedOut(Deadline::Message), None, "FAILURE:Read error:1006:us:"),
            (
                Outcome::TimedOut(Deadline::ClosingHandshake),
                Some(first(Side::Us, 1001, "")),
                "FAILURE:Closed by Proto layer:1001:us:",
            ),
            (Outcome::Aborted, None, "FAILURE:Closed by Proto layer:1006:us:"),
        ] {
            let counters = Counters { messages_in: 1, messages_out: 2, bytes_in: 3, bytes_out: 4 };
            let record = closed(&ends, &outcome, first.as_ref(), &counters, Duration::from_millis(1_500));
            assert_eq!(record.to_plain(1_000), format!("WS:CLOSED:{told}{outcome}:1.500:1:2:3:4"));
        }
        assert!(
            silent(&ends, &Outcome::Vanished, None)
                .to_plain(1_000)
                .starts_with("WS:CLOSED:SUCCESS:EOF received:peer:")
        );
        assert!(
            silent(&ends, &Outcome::Aborted, None)
                .to_plain(1_000)
                .starts_with("WS:CLOSED:FAILURE:Closed by Proto layer:us:")
        );
    }

    #[test]
    fn numbers_in_digits() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_marked() {
        assert_eq!(fitted(b"INVITE", 6), &b"INVITE"[..]);
        assert_eq!(fitted(&[b'x'; 20], 12), &b"xxxx...[cut]"[..]);
    }
}
