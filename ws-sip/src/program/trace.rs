//! Tracing, as the settings ask for it.

use ws_sip::hep::Change;
use ws_sip::{Tracer, Tracing};

use super::log::{Level, Log};
use super::options::Options;

/// Returns what traces while `tracing` is on, if the settings name a collector.
pub(crate) fn tracer(options: &Options, tracing: &Tracing, log: Log) -> Result<Option<Tracer>, String> {
    let name = options.settings.trace_destination.clone().unwrap_or_default();
    let tell = move |change: Change| {
        let level = match change {
            Change::Down(_) | Change::Dropping => Level::Warn,
            _ => Level::Info,
        };
        log.write(level, "trace-destination", &[("name", &name), ("state", &change)]);
    };
    Tracer::from_settings(&options.settings, tracing.clone(), options.trace_filter.clone(), tell)
        .map_err(|error| error.to_string())
}
