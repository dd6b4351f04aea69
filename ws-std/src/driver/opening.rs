use ws_core::{AnswerError, Event, Outcome};

use super::Driver;
use crate::{Answer, Ended, Transport};

impl<S: Transport> Driver<S> {
    /// Waits for the next event of the opening handshake.
    pub(crate) fn next_opening(&self) -> Result<Event<'static>, Ended> {
        let mut next = None;
        while next.is_none() {
            if !self.next(false, &mut |event| next = Some(event.into_owned())) {
                let state = self.lock();
                // There is an outcome whenever there is an end.
                let outcome = state.end.clone().unwrap_or(Outcome::Aborted);
                return Err(Ended { outcome, io: state.cause.clone() });
            }
        }
        next.ok_or(Ended { outcome: Outcome::Aborted, io: None })
    }

    /// Answers the request that waits, unless its deadline passed.
    pub(crate) fn answer(&self, answer: Answer) -> Result<(), AnswerError> {
        let mut state = self.lock_now();
        state = self.expire(state);
        let now = state.now;
        match answer {
            Answer::Accept(accept) => state.endpoint.accept(&accept),
            Answer::Respond(response) => state.endpoint.respond(now, &response),
        }
    }
}
