//! The command line.

use core::fmt::Write as _;

use lexopt::Arg;
use ws_sip::settings::{PARAMETERS, Settings};
use ws_sip::{ListenAddress, proxy};

use super::log::Level;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Options>),
    Help,
    Version,
}

/// How to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) settings: Settings,
    pub(crate) sockets: Vec<ListenAddress>,
    /// `None`: the address of the first listener.
    pub(crate) host: Option<String>,
    pub(crate) domains: Vec<String>,
    pub(crate) log: Level,
}

/// Reads the command line. The error is one line that tells what is wrong.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        settings: Settings::default(),
        sockets: Vec::new(),
        host: None,
        domains: Vec::new(),
        log: Level::Info,
    };
    let mut parser = lexopt::Parser::from_iter(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let name = match argument {
            Arg::Long(name) => name.to_owned(),
            Arg::Short('h') => "help".to_owned(),
            Arg::Short('V') => "version".to_owned(),
            other => return Err(format!("{}; --help lists the options", other.unexpected())),
        };
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "version" => return Ok(Command::Version),
            _ => {}
        }
        let parameter = name.replace('-', "_");
        if !KNOWN.contains(&name.as_str())
            && (name.contains('_') || !PARAMETERS.iter().any(|known| known.name == parameter))
        {
            return Err(format!("unknown option `--{name}`; --help lists the options"));
        }
        let value = parser.value().map_err(|error| error.to_string())?;
        let value = value.into_string().map_err(|_| format!("the value of `--{name}` is not text"))?;
        match name.as_str() {
            "socket" => {
                let address = value.parse().map_err(|error| format!("`--socket {value}`: {error}"))?;
                options.sockets.push(address);
            }
            "host" => options.host = Some(value),
            "domain" => options.domains.push(value),
            "log" => {
                options.log = value
                    .parse()
                    .map_err(|()| format!("`--log` takes error, warn, info or debug, not `{value}`"))?;
            }
            _ => options.settings.set(&parameter, &value).map_err(|error| {
                let text = error.to_string();
                text.replace(&format!("`{parameter}`"), &format!("`--{name}`"))
            })?,
        }
    }
    if options.sockets.is_empty() {
        return Err("nothing to listen on; give `--socket ws:127.0.0.1:8080` or another address".into());
    }
    let mut config = proxy::Config::default();
    config.domains.clone_from(&options.domains);
    if let Some(host) = &options.host {
        config.host.clone_from(host);
    }
    Ok(Command::Run(Box::new(options)))
}

const KNOWN: &[&str] = &["socket", "host", "domain", "log"];

/// Returns the help text.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "SIP over WebSocket (RFC 7118): a registrar and proxy in memory for the browsers that connect.\n\
         \n\
         usage: ws-sip --socket ws:IP[:PORT] [OPTION VALUE]...\n\
         \n",
    );
    let mut line = |name: &str, value: &str, help: &str| {
        let option = format!("--{name} {value}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {option:<42} {help}");
    };
    line("socket", "ws:IP[:PORT]", "listen here; may be repeated; IPv6 in brackets");
    line("host", "HOST[:PORT]", "own name in Via and Record-Route (the first socket)");
    line("domain", "NAME", "a domain that is served; may be repeated (any)");
    line("log", "error|warn|info|debug", "how much goes to standard error (info)");
    for parameter in PARAMETERS {
        line(&parameter.name.replace('_', "-"), parameter.value, parameter.help);
    }
    line("help", "", "this text");
    line("version", "", "the version");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Box<Options>, String> {
        match parse(core::iter::once("ws-sip").chain(line.split_whitespace()).map(String::from))? {
            Command::Run(options) => Ok(options),
            _ => panic!("not to run"),
        }
    }

    #[test]
    fn each_parameter_is_an_option() {
        let options = run("--socket ws:127.0.0.1:8080 --socket ws:[::1] --ws-max-msg-chunks 8 \
            --require-origin=no --log debug --domain a.example --host sip.example:80")
        .unwrap();
        assert_eq!(options.sockets.len(), 2);
        assert_eq!(options.settings.ws_max_msg_chunks, 8);
        assert!(!options.settings.require_origin);
        assert_eq!(options.log, Level::Debug);
        assert_eq!(options.domains, ["a.example"]);
        for parameter in PARAMETERS {
            assert!(help().contains(&parameter.name.replace('_', "-")));
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (line, told) in [
            ("", "nothing to listen on"),
            ("--socket", "missing argument"),
            ("--socket tcp:127.0.0.1", "expected `ws:`"),
            ("--socket ws:127.0.0.1 --ws-port x", "`--ws-port` takes PORT, not `x`"),
            ("--socket ws:127.0.0.1 --loud 1", "unknown option `--loud`"),
            ("--socket ws:127.0.0.1 --ws_port 1", "unknown option `--ws_port`"),
            ("--socket ws:127.0.0.1 stray", "unexpected argument"),
            ("--socket ws:127.0.0.1 --log loud", "`--log` takes"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(told) && !error.contains('\n'), "{line}: {error}");
        }
    }
}
