//! What is logged of the transport's events.

use core::fmt::Display;

use ws_core::Outcome;
use ws_sip::proxy::Refused;
use ws_sip::{FlowEvent, FlowId, NotOpened};

use super::log::{Level, Log};

type Fields<'a, const N: usize> = [(&'a str, &'a dyn Display); N];

/// Logs an event, if it is worth a line.
pub(crate) fn report(event: &FlowEvent<'_>, log: Log) {
    match event {
        FlowEvent::Opened { flow, ends, opened } => {
            let resource = opened.request().map_or("", |request| request.target());
            let fields: Fields<'_, 5> = [
                ("flow", flow),
                ("peer", &ends.peer),
                ("local", &ends.local),
                ("resource", &resource),
                ("extension", &"permessage-deflate"),
            ];
            #[cfg(feature = "deflate")]
            let compressed = opened.deflate().is_some();
            #[cfg(not(feature = "deflate"))]
            let compressed = false;
            log.write(Level::Info, "flow-opened", &fields[..if compressed { 5 } else { 4 }]);
        }
        FlowEvent::TrunkOpened { flow, ends } => {
            let fields: Fields<'_, 3> = [("flow", flow), ("peer", &ends.peer), ("local", &ends.local)];
            log.write(Level::Info, "trunk-opened", &fields);
        }
        FlowEvent::Refused { flow, error, start } => {
            let start = String::from_utf8_lossy(start);
            let fields: Fields<'_, 3> = [("flow", flow), ("error", error), ("start", &start)];
            log.write(Level::Warn, "message-refused", &fields);
        }
        FlowEvent::TooLong { flow, len } => {
            log.write(Level::Warn, "datagram-too-long", &[("flow", flow), ("bytes", len)]);
        }
        FlowEvent::Closed { flow, ends, outcome, error, counters, age, .. } => {
            let age = format!("{:.3}", age.as_secs_f64());
            let fields: Fields<'_, 9> = [
                ("flow", flow),
                ("peer", &ends.peer),
                ("outcome", outcome),
                ("age", &age),
                ("messages-in", &counters.messages_in),
                ("messages-out", &counters.messages_out),
                ("bytes-in", &counters.bytes_in),
                ("bytes-out", &counters.bytes_out),
                ("error", &error.map_or_else(String::new, ToString::to_string)),
            ];
            log.write(level_of(outcome), "flow-closed", &fields[..if error.is_some() { 9 } else { 8 }]);
        }
        FlowEvent::NotOpened { flow, ends, why, error, .. } => {
            let (level, why) = match (why, error) {
                (NotOpened::Connect(error), _) => (Level::Warn, error.to_string()),
                // What cannot be reached by TLS cannot be reached.
                (NotOpened::Handshake(outcome), Some(error)) if !ends.is_incoming => {
                    (Level::Warn, format!("{outcome}: {error}"))
                }
                (NotOpened::Handshake(outcome), Some(error)) => {
                    (level_of(outcome), format!("{outcome}: {error}"))
                }
                (NotOpened::Handshake(outcome), None) => (level_of(outcome), outcome.to_string()),
                _ => (Level::Warn, "unknown".into()),
            };
            log.write(level, "not-opened", &[("flow", flow), ("peer", &ends.peer), ("why", &why)]);
        }
        FlowEvent::AcceptFailed { local, error } => {
            log.write(Level::Error, "accept-failed", &[("local", local), ("error", error)]);
        }
        _ => {}
    }
}

/// Logs that the proxy, or the edge, dropped or refused a message.
pub(crate) fn report_refused(flow: FlowId, refused: Refused, log: Log) {
    // A client goes on after its user was taken from the file, and a stranger may send any number.
    let level = if refused == Refused::UnprovenAck { Level::Debug } else { Level::Warn };
    log.write(level, "message-refused", &[("flow", &flow), ("error", &refused)]);
}

/// What ends by the peer's fault deserves a look, an ordinary end does not.
const fn level_of(outcome: &Outcome) -> Level {
    match outcome {
        Outcome::Failed(_) | Outcome::TimedOut(_) | Outcome::Refused(_) => Level::Warn,
        Outcome::Responded(_) => Level::Debug,
        _ => Level::Info,
    }
}
