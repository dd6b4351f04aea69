use alloc::sync::Arc;

use super::lend::LendEnds;
use super::{Connection, Timer};
use crate::{Config, Instant};

impl Connection {
    /// Puts other limits and deadlines in force: stricter ones until a peer has logged in, say, and wider ones then.
    ///
    /// - Limits and leniencies hold from the next frame on; a frame that has begun is received as it was let in. What comes out
    ///   of a compressed frame is measured by the limit in force.
    /// - `idle_timeout` and `ping_interval` run anew from `now` if they changed; a Ping that waits for its Pong keeps its
    ///   deadline.
    /// - The other deadlines that run are kept, or ended if they are `None` now.
    /// - [`delivery`](Config::delivery) stays as it was.
    pub fn set_config(&mut self, now: Instant, config: &Arc<Config>) {
        let old = core::mem::replace(&mut self.config, Arc::clone(config));
        if config.delivery != old.delivery {
            self.config = Arc::new(Config { delivery: old.delivery, ..Config::clone(config) });
        }
        self.lend_ends = LendEnds::new(self.role(), &self.config);
        if config.message_timeout.is_none() {
            self.timers.clear(Timer::Message);
        }
        if config.send_timeout.is_none() {
            self.timers.clear(Timer::Send);
        }
        if !self.closing.is_open() {
            return;
        }
        if config.idle_timeout != old.idle_timeout {
            self.timers.set_or_clear(Timer::Idle, config.idle_timeout.map(|timeout| now + timeout));
        }
        if config.ping_interval != old.ping_interval && !self.keepalive.awaited {
            self.timers.set_or_clear(Timer::Ping, config.ping_interval.map(|interval| now + interval));
        }
    }
}
