use crate::{Deadline, Outcome, Role, Side, StatusCode};

/// The closing handshake (RFC 6455, section 7) and the end of the connection.
#[derive(Debug, Default)]
pub(super) struct Closing {
    ours: Ours,
    /// The peer's Close frame came, or the connection failed: what is received from here on is discarded.
    stopped: bool,
    /// The peer's stream ended.
    eof: bool,
    /// What the outcome will be, known before the end: clean or failed.
    verdict: Option<Outcome>,
    end: End,
}

/// Our Close frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ours {
    /// Not to be sent yet.
    #[default]
    No,
    /// To be sent with the next `poll_transmit`.
    Due(Option<StatusCode>),
    /// In the output.
    Queued,
    /// Taken by the transport.
    Sent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    NotYet,
    /// `verdict` holds the outcome, to be reported.
    Due,
    Reported,
}

impl Closing {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.ours, Ours::No) && !self.stopped && !self.is_ended()
    }

    /// Whether what is received still counts: also after our own Close, until the peer's.
    #[inline]
    pub(super) const fn is_receiving(&self) -> bool {
        !self.stopped && !self.is_ended()
    }

    pub(super) const fn is_ended(&self) -> bool {
        !matches!(self.end, End::NotYet)
    }

    #[inline]
    pub(super) const fn is_due(&self) -> bool {
        matches!(self.ours, Ours::Due(_))
    }

    /// Whether our Close frame is in the output or beyond: nothing may follow it.
    pub(super) const fn has_queued_close(&self) -> bool {
        matches!(self.ours, Ours::Queued | Ours::Sent)
    }

    /// Whether a Ping is answered (section 5.5.2): until the peer's Close or the end, unless our Close left. It
    /// may still be in the output: Pongs overtake it there.
    pub(super) const fn may_reply(&self) -> bool {
        !self.is_ended()
            && match self.ours {
                Ours::No | Ours::Due(_) => true,
                Ours::Queued => !self.stopped,
                Ours::Sent => false,
            }
    }

    /// Returns the Close frame that is due, its status code and reason, once.
    pub(super) fn take_due(&mut self) -> Option<(Option<StatusCode>, &'static str)> {
        let Ours::Due(code) = self.ours else { return None };
        self.ours = Ours::Queued;
        let reason = match self.verdict {
            Some(Outcome::Failed(error)) => error.reason(),
            Some(Outcome::TimedOut(Deadline::Idle)) => "idle",
            Some(Outcome::TimedOut(_)) => "message took too long",
            _ => "",
        };
        (!self.is_ended()).then_some((code, reason))
    }

    /// The server closes the TCP connection first (section 7.1.1), and a failed one does not wait for the reply.
    pub(super) fn is_write_closed(&self, role: Role) -> bool {
        role == Role::Server && self.stopped && self.has_queued_close()
    }

    /// The application closes: its Close frame is in the output.
    pub(super) const fn start(&mut self) {
        self.ours = Ours::Queued;
    }

    /// The peer's Close frame came.
    pub(super) fn handle_close(&mut self, code: Option<StatusCode>, role: Role) {
        self.stopped = true;
        let initiator = if self.ours == Ours::No { Side::Peer } else { Side::Us };
        self.verdict = Some(Outcome::Clean { initiator, code });
        match self.ours {
            // 5.5.1: the reply typically echoes the status code.
            Ours::No => self.ours = Ours::Due(code),
            Ours::Sent if role == Role::Server => self.end = End::Due,
            _ => {}
        }
    }

    /// We fail the connection, or give it up after a deadline.
    pub(super) fn fail(&mut self, verdict: Outcome, code: StatusCode) {
        self.stopped = true;
        self.verdict = Some(verdict);
        if self.ours == Ours::No {
            self.ours = Ours::Due(Some(code));
        }
        self.end_if_nothing_is_left();
    }

    /// The transport took all output. Returns whether that ends the connection.
    #[inline]
    pub(super) fn handle_flushed(&mut self, role: Role) -> bool {
        if self.ours != Ours::Queued {
            return false;
        }
        self.ours = Ours::Sent;
        let clean = matches!(self.verdict, Some(Outcome::Clean { .. }));
        if role == Role::Server && clean && !self.is_ended() {
            self.end = End::Due;
        }
        self.end_if_nothing_is_left();
        self.is_ended()
    }

    /// The peer's stream ended.
    pub(super) fn handle_eof(&mut self) {
        self.eof = true;
        if self.verdict.is_none() {
            self.end(Outcome::Vanished);
        }
        self.end_if_nothing_is_left();
    }

    /// After the peer's end of the stream there is nothing to wait for but our own Close frame.
    fn end_if_nothing_is_left(&mut self) {
        if self.eof && self.ours == Ours::Sent && self.verdict.is_some() && !self.is_ended() {
            self.end = End::Due;
        }
    }

    /// The connection ends now. A verdict that was reached before stands, but nothing is clean unless the
    /// transport took our Close frame.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if self.is_ended() {
            return;
        }
        match self.verdict {
            Some(Outcome::Failed(_) | Outcome::TimedOut(_)) => {}
            Some(Outcome::Clean { .. }) if self.ours == Ours::Sent => {}
            _ => self.verdict = Some(outcome),
        }
        self.end = End::Due;
    }

    /// Returns the outcome when it is due, once.
    pub(super) fn poll_closed(&mut self) -> Option<Outcome> {
        if self.end != End::Due {
            return None;
        }
        self.end = End::Reported;
        self.verdict.clone()
    }
}
