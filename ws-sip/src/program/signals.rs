//! What the system tells the program: SIGTERM and SIGINT to stop, SIGHUP to read its settings anew.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use ws_sip::Transport;

/// How long the flows have to close when the program ends.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) struct Signals {
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Shuts the transport down gracefully on SIGTERM and SIGINT, and wakes it on SIGHUP. The error is one line.
    pub(crate) fn listen(transport: &Transport) -> Result<Self, String> {
        let reload = Arc::new(AtomicBool::new(false));
        let (handle, asked) = (transport.handle(), Arc::clone(&reload));
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|error| format!("cannot catch signals: {error}"))?;
        let run = move || {
            for signal in signals.forever() {
                let told = if signal == SIGHUP {
                    asked.store(true, Ordering::Release);
                    handle.call(|_| ()).map(drop)
                } else {
                    handle.shut_down(DRAIN)
                };
                if told.is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("ws-sip-signals".into()).spawn(run);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { reload })
    }

    /// Returns whether SIGHUP came since the last call.
    pub(crate) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Acquire)
    }
}
