//! SIGHUP: what can change in a running program is put in force, what cannot is named.

use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};

use ws_sip::auth::Users;
use ws_sip::{CheckedSettings, Handle, Settings, Tracer, Tracing, Transport};

use super::core::Core;
use super::hub::Told;
use super::log::{Level, Log};
use super::options::Options;
use super::serve::{self, Checked};
use super::trace;

/// How long the workers may take to put settings in force.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one worker is to put in force.
pub(crate) struct Reload {
    settings: CheckedSettings,
    users: Option<Users>,
    /// `Some` if tracing changed, then what traces from now on.
    tracer: Option<Option<Tracer>>,
    /// Tells that it is done, and takes what is not needed any more.
    done: mpsc::Sender<Result<Option<Tracer>, String>>,
}

impl Reload {
    /// Puts all of it in force or, where the transport refuses it, nothing.
    pub(crate) fn apply(self, now: Duration, transport: &mut Transport, core: &mut Core) {
        let settings = self.settings.settings();
        let limits = (settings.upstream_send_timeout, settings.max_trunk_message_len());
        let refused = transport.put_in_force(self.settings).map_err(|error| error.to_string());
        let done = refused.map(|()| {
            core.set_upstream_limits(limits.0, limits.1);
            if let Some(users) = self.users {
                core.set_users(now, users);
            }
            self.tracer.and_then(|tracer| transport.replace_tracer(tracer))
        });
        // Who waits for it may have stopped waiting.
        let _ = self.done.send(done);
    }
}

/// Puts settings in force in all workers.
pub(crate) struct Reloader {
    /// What the program was started with, which is in force where only a restart changes it.
    started: Arc<Options>,
    /// What is in force where SIGHUP changes it.
    options: Arc<Options>,
    tracing: Tracing,
    log: Log,
    workers: Vec<(mpsc::Sender<Reload>, Handle)>,
    /// Who knows the users, if it is one for all workers.
    hub: Option<SyncSender<Told>>,
}

impl Reloader {
    pub(crate) fn new(
        started: Arc<Options>,
        tracing: Tracing,
        log: Log,
        workers: Vec<(mpsc::Sender<Reload>, Handle)>,
        hub: Option<SyncSender<Told>>,
    ) -> Self {
        Self { options: Arc::clone(&started), started, tracing, log, workers, hub }
    }

    /// Takes in what was read; an error changes nothing.
    pub(crate) fn reload(&mut self, read: Result<Box<Options>, String>) {
        match read.and_then(|options| self.put_in_force(options)) {
            Ok(()) => self.log.write(Level::Info, "reloaded", &[]),
            Err(error) => self.log.write(Level::Error, "not-reloaded", &[("error", &error)]),
        }
    }

    fn put_in_force(&mut self, options: Box<Options>) -> Result<(), String> {
        // Whatever a worker could refuse is refused here, before anything is changed: all have the same listeners.
        let Checked { settings, users } = serve::checked(&options)?;
        for socket in &self.started.sockets {
            settings
                .check_listener(socket)
                .map_err(|error| format!("{error}: it is listened on until a restart"))?;
        }
        let (old, new) = (&self.options.settings, &options.settings);
        // A filter cannot be compared with another: a file that names one is taken to have changed it.
        let tracing_changed = !same_tracing(old, new) || options.trace_filter.is_some();
        let tracer = match tracing_changed {
            true => Some(trace::tracer(&options, &self.tracing, self.log)?),
            false => None,
        };
        if old.trace_on != new.trace_on {
            self.tracing.set(new.trace_on);
        }
        let (done, dones) = mpsc::channel();
        for (inbox, handle) in &self.workers {
            let reload = Reload {
                settings: settings.clone(),
                users: users.clone(),
                tracer: tracer.as_ref().map(|tracer| tracer.as_ref().map(Tracer::share)),
                done: done.clone(),
            };
            // The worker looks for it each time that it was woken; one that is gone ends the program.
            if inbox.send(reload).is_ok() {
                let _ = handle.call(|_| ());
            }
        }
        drop(done);
        for _ in &self.workers {
            match dones.recv_timeout(PATIENCE) {
                // What traced until now sends what waits and ends here, where it holds nobody up.
                Ok(done) => drop(done?),
                Err(RecvTimeoutError::Timeout) => {
                    self.log.write(Level::Warn, "reload-delayed", &[("why", &"a worker is busy")]);
                }
                // A worker that is gone ends the program.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let (Some(hub), Some(users)) = (&self.hub, users) {
            // It lives as long as there are workers.
            let _ = hub.send(Told::Users(users));
        }
        self.log.set_level(options.log);
        for name in needing_a_restart(&self.started, &options) {
            self.log.write(Level::Warn, "needs-a-restart", &[("setting", &name)]);
        }
        self.options = options.into();
        Ok(())
    }
}

/// Whether two settings ask for the same tracing.
fn same_tracing(a: &Settings, b: &Settings) -> bool {
    let tracing = |settings: &Settings| {
        (
            settings.hep_destination().ok().flatten().cloned(),
            settings.trace_sip,
            settings.trace_secrets,
            settings.hep_capture_id,
            settings.hep_tls_ca.clone(),
            settings.homer5_on,
            settings.trace_filter_route.clone(),
        )
    };
    tracing(a) == tracing(b)
}

/// Names what differs from what runs, and stays so.
fn needing_a_restart(old: &Options, new: &Options) -> Vec<&'static str> {
    let (a, b) = (&old.settings, &new.settings);
    [
        ("socket", old.sockets != new.sockets || (a.ws_port, a.wss_port) != (b.ws_port, b.wss_port)),
        ("host", old.host != new.host),
        ("domain", old.domains != new.domains),
        ("upstream", old.upstream != new.upstream),
        ("upstream-max-message-len", a.upstream_max_message_len != b.upstream_max_message_len),
        ("upstream-origin", a.upstream_origin != b.upstream_origin),
        ("upstream-socket", old.upstream_socket != new.upstream_socket),
        ("users", old.users.is_some() != new.users.is_some()),
        ("realm", old.realm != new.realm),
        ("workers", a.workers != b.workers),
        ("ws-received", a.ws_received != b.ws_received),
        (
            "mi-fifo",
            (&a.mi_fifo, a.mi_fifo_mode, &a.mi_fifo_reply_dir)
                != (&b.mi_fifo, b.mi_fifo_mode, &b.mi_fifo_reply_dir),
        ),
        ("mi-datagram", a.mi_datagram != b.mi_datagram),
        ("mi-http", (a.mi_http, &a.mi_http_root) != (b.mi_http, &b.mi_http_root)),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::options::{self, Command};
    use super::*;

    fn options() -> Box<Options> {
        let arguments = "ws-sip --socket ws:127.0.0.1:0 --users /dev/null --realm example.com --workers 2";
        let parsed = options::parse(arguments.split(' ').map(String::from), |_| Err("no file".into()));
        let Command::Run(options) = parsed.unwrap() else { unreachable!() };
        options
    }

    #[test]
    fn the_hub_is_told_the_users_once() {
        let (hub, told) = mpsc::sync_channel(8);
        let mut transport = Transport::new(options().settings).unwrap();
        let (inboxes, reloads): (Vec<_>, Vec<_>) = [(); 2].map(|()| mpsc::channel()).into_iter().unzip();
        let workers = inboxes.into_iter().map(|inbox| (inbox, transport.handle())).collect();
        let mut reloader = Reloader::new(
            options().into(),
            Tracing::default(),
            Log::new(Level::Error),
            workers,
            Some(hub.clone()),
        );
        std::thread::scope(|scope| {
            scope.spawn(|| reloader.put_in_force(options()).unwrap());
            let mut core = Core::Hub(hub);
            for reload in reloads {
                reload.recv().unwrap().apply(Duration::ZERO, &mut transport, &mut core);
            }
        });
        let told: Vec<_> = told.try_iter().collect();
        assert!(matches!(told.as_slice(), [Told::Users(_)]), "told {} times", told.len());
    }
}
