//! OpenSIPS's words for why a connection ended, so that those who search for them find ours.

use ws_core::{Deadline, Outcome, Side};

use crate::transport::FirstClose;

/// Returns the text of the member `Message`.
pub(super) const fn of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Clean { initiator: Side::Peer, .. } | Outcome::Vanished => "EOF received",
        Outcome::TransportLost | Outcome::Failed(_) | Outcome::TimedOut(Deadline::Message) => "Read error",
        Outcome::TimedOut(Deadline::Send) => "Write error",
        Outcome::TimedOut(Deadline::Idle | Deadline::Pong | Deadline::OpeningHandshake) => {
            "Timeout on no traffic"
        }
        _ => "Closed by Proto layer",
    }
}

/// Returns who ended the connection.
pub(super) const fn closed_by(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Clean { initiator: Side::Peer, .. } | Outcome::Vanished => "peer",
        Outcome::TransportLost => "network",
        _ => "us",
    }
}

/// Returns the code and the reason of the Close frame with which it began; without one, the number that RFC 6455 has
/// for that.
pub(super) fn close_code(outcome: &Outcome, first: Option<&FirstClose>) -> (u16, String) {
    match first {
        Some(FirstClose { frame: Some(frame), .. }) => (frame.code.get(), frame.reason.clone()),
        Some(FirstClose { frame: None, .. }) => (1005, String::new()),
        None => (outcome.close_code(), String::new()),
    }
}
