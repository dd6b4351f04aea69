//! What the system tells the program: SIGTERM and SIGINT to stop, SIGHUP to read its settings anew.

use core::time::Duration;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use ws_sip::Handle;

/// How long the flows have to close when the program ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Starts a thread that shuts the workers down gracefully on SIGTERM and SIGINT, and calls `hang_up` on SIGHUP. The error is
/// one line.
pub(crate) fn listen(workers: Vec<Handle>, mut hang_up: impl FnMut() + Send + 'static) -> Result<(), String> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| format!("cannot catch signals: {error}"))?;
    let run = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                hang_up();
                continue;
            }
            for worker in &workers {
                // One that is gone has nothing to close.
                let _ = worker.shut_down(DRAIN);
            }
        }
    };
    let thread = thread::Builder::new().name("ws-sip-signals".into()).spawn(run);
    thread.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
}
