//! The configuration file, in the syntax that OpenSIPS users know.
//!
//! ```text
//! # comments like this one, or between /* and */
//! log_level=3                         # as OpenSIPS counts: 4 for all, 3 for information, 1 for warnings
//! socket=ws:127.0.0.1:8080
//! loadmodule "proto_ws.so"            # accepted: all that there is is built in
//! modparam("proto_ws", "ws_max_msg_chunks", 8)
//! modparam("proto_ws", "require_origin", no)
//! modparam("proto_hep", "hep_id", "[hep_dest] 10.0.0.2;transport=tcp;version=3")
//! modparam("proto_ws", "trace_destination", "hep_dest")
//! modparam("proto_ws", "trace_filter_route", "ws_filter")
//! route[ws_filter] {
//!     if ($si == "192.0.2.1") exit;
//!     else drop;
//! }
//! ```
//!
//! A line of nothing but `...` is passed over: it stands for what an example leaves out.

mod modules;
mod parse;

use crate::address::ListenAddress;
use crate::filter::{Route, TraceFilter};
use crate::settings::{SettingError, Settings};
use crate::syntax::{Position, SyntaxError};

/// What a configuration file says. See the [module](self).
///
/// ```
/// use ws_sip::{ConfigFile, Settings};
///
/// let file = ConfigFile::parse("socket=ws:127.0.0.1\nmodparam(\"proto_ws\", \"ws_port\", 8080)\n")?;
/// let mut settings = Settings::default();
/// file.apply(&mut settings)?;
/// assert_eq!(settings.ws_port, 8080);
///
/// let error = ConfigFile::parse("modparam(\"proto_ws\", \"ws_port\", \"80\")").unwrap_err();
/// assert_eq!(error.to_string(), r#"1:33: expected a number, found "80""#);
/// # Ok::<(), ws_sip::SyntaxError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    sockets: Vec<ListenAddress>,
    log_level: Option<i8>,
    assignments: Vec<Assignment>,
    routes: Vec<NamedRoute>,
    notices: Vec<SyntaxError>,
}

#[derive(Clone, Debug)]
struct Assignment {
    parameter: &'static str,
    value: String,
    at: Position,
}

#[derive(Clone, Debug)]
struct NamedRoute {
    name: String,
    route: Route,
}

impl ConfigFile {
    /// Reads a configuration file. Each parameter's value is checked for itself.
    ///
    /// # Errors
    /// [`SyntaxError`] where something else was expected.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parse::file(text)
    }

    /// Returns where to listen, in the order of the file.
    #[must_use]
    pub fn sockets(&self) -> &[ListenAddress] {
        &self.sockets
    }

    /// Returns how much is to be logged, if the file says so, as OpenSIPS counts: 4 for all, 3 and 2 for information and
    /// what matters more, 1 for warnings and errors, less for errors alone.
    #[must_use]
    pub const fn log_level(&self) -> Option<i8> {
        self.log_level
    }

    /// Sets what the file sets.
    ///
    /// # Errors
    /// [`SyntaxError`] if a setting cannot be added to those that there are.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), SyntaxError> {
        for Assignment { parameter, value, at } in &self.assignments {
            settings.set(parameter, value).map_err(|error| SyntaxError::new(*at, error.to_string()))?;
        }
        Ok(())
    }

    /// Returns the filter that `settings` name, if they name one.
    ///
    /// # Errors
    /// [`SettingError::NoSuchRoute`] if the file has no route of that name.
    pub fn trace_filter(&self, settings: &Settings) -> Result<Option<TraceFilter>, SettingError> {
        let Some(name) = &settings.trace_filter_route else { return Ok(None) };
        let found = self.routes.iter().find(|route| route.name == *name);
        let found = found.ok_or_else(|| SettingError::NoSuchRoute(name.clone()))?;
        Ok(Some(found.route.clone().into()))
    }

    /// Returns where the file sets a parameter last.
    #[must_use]
    pub fn position(&self, parameter: &str) -> Option<Position> {
        self.assignments.iter().rfind(|assignment| assignment.parameter == parameter).map(|found| found.at)
    }

    /// Returns what the file says that has no effect here, and is no error: for a warning each.
    #[must_use]
    pub fn notices(&self) -> &[SyntaxError] {
        &self.notices
    }
}

#[cfg(test)]
mod tests;
