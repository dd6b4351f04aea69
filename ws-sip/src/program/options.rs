//! The command line.

use core::fmt::Write as _;
use core::net::SocketAddr;
use std::io::Read as _;

use lexopt::Arg;
use ws_sip::edge::Upstream;
use ws_sip::settings::{PARAMETERS, SettingError, Settings};
use ws_sip::{ConfigFile, ListenAddress, TraceFilter};

use super::log::Level;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Box<Options>),
    /// Only whether it could run.
    Check(Box<Options>),
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
    /// `Some`: an edge in front of this server.
    pub(crate) upstream: Option<Upstream>,
    /// Where its connections are listened for, with TCP, or datagrams are sent from, with UDP.
    pub(crate) upstream_socket: Option<SocketAddr>,
    /// Who may register, if not everybody: a file.
    pub(crate) users: Option<String>,
    /// `None`: the first domain, or the host.
    pub(crate) realm: Option<String>,
    pub(crate) log: Level,
    /// What the configuration file says about which connections are traced.
    pub(crate) trace_filter: Option<TraceFilter>,
    /// What is in the configuration file without effect.
    pub(crate) notices: Vec<String>,
}

/// Reads the command line, and the configuration file that it names with `read_file`. What the command line says
/// counts over what the file says. The error is one line that tells what is wrong.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
    read_file: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Command, String> {
    let mut options = Options {
        settings: Settings::default(),
        sockets: Vec::new(),
        host: None,
        domains: Vec::new(),
        upstream: None,
        upstream_socket: None,
        users: None,
        realm: None,
        log: Level::Info,
        trace_filter: None,
        notices: Vec::new(),
    };
    let mut check = false;
    let mut path = None;
    let mut log = None;
    let mut parameters = Vec::new();
    let mut parser = lexopt::Parser::from_iter(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let name = match argument {
            Arg::Long(name) => name.to_owned(),
            Arg::Short('f') => "config".to_owned(),
            Arg::Short('h') => "help".to_owned(),
            Arg::Short('V') => "version".to_owned(),
            other => return Err(format!("{}; --help lists the options", other.unexpected())),
        };
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "version" => return Ok(Command::Version),
            "check" => {
                check = true;
                continue;
            }
            _ => {}
        }
        let parameter = name.replace('-', "_");
        let parameter = PARAMETERS.iter().find(|known| known.name == parameter && !name.contains('_'));
        if !KNOWN.contains(&name.as_str()) && parameter.is_none() {
            return Err(format!("unknown option `--{name}`; --help lists the options"));
        }
        let value = parser.value().map_err(|error| error.to_string())?;
        let value = value.into_string().map_err(|_| format!("the value of `--{name}` is not text"))?;
        match name.as_str() {
            "config" if path.is_some() => return Err("`--config` is given twice".into()),
            "config" => path = Some(value),
            "socket" => {
                let address = value.parse().map_err(|error| format!("`--socket {value}`: {error}"))?;
                options.sockets.push(address);
            }
            "host" => options.host = Some(value),
            "domain" => options.domains.push(value),
            "users" => options.users = Some(value),
            // Within quotes these are escaped, and clients do not agree on whether the hash is of the escapes.
            "realm" if value.contains(['"', '\\']) || value.contains(char::is_control) => {
                return Err("`--realm` cannot have quotes, backslashes or control characters".into());
            }
            "realm" => options.realm = Some(value),
            "upstream" => {
                let upstream = value.parse().map_err(|error| format!("`--upstream {value}`: {error}"))?;
                options.upstream = Some(upstream);
            }
            "upstream-socket" => {
                let socket = value.parse().map_err(|_| {
                    format!("`--upstream-socket` takes IP:PORT, IPv6 in brackets, not `{value}`")
                })?;
                options.upstream_socket = Some(socket);
            }
            "log" => {
                let level = value.parse();
                let wrong = |()| format!("`--log` takes error, warn, info or debug, not `{value}`");
                log = Some(level.map_err(wrong)?);
            }
            _ => parameters.extend(parameter.map(|parameter| (parameter.name, value))),
        }
    }
    let file = match &path {
        Some(path) => {
            let file = ConfigFile::parse(&read_file(path)?).map_err(|error| format!("{path}:{error}"))?;
            options.notices = file.notices().iter().map(|notice| format!("{path}:{notice}")).collect();
            if options.sockets.is_empty() {
                options.sockets = file.sockets().to_vec();
            }
            file.apply(&mut options.settings).map_err(|error| format!("{path}:{error}"))?;
            file
        }
        None => ConfigFile::default(),
    };
    if let Some(level) = log.or_else(|| file.log_level().map(Level::from_number)) {
        options.log = level;
    }
    set(&mut options.settings, &parameters)?;
    look_up_names(&mut options, &file, path.as_deref().unwrap_or_default(), &parameters)?;
    if options.sockets.is_empty() {
        return Err("nothing to listen on; give `--socket ws:127.0.0.1:8080` or another address".into());
    }
    check_role(&options)?;
    let options = Box::new(options);
    Ok(if check { Command::Check(options) } else { Command::Run(options) })
}

/// Refuses what means nothing for what the program is asked to be, a registrar or an edge.
fn check_role(options: &Options) -> Result<(), String> {
    let Some(upstream) = &options.upstream else {
        return match options.upstream_socket {
            Some(_) => Err("`--upstream-socket` needs `--upstream`".into()),
            None => Ok(()),
        };
    };
    let of_a_registrar = [
        ("domain", !options.domains.is_empty()),
        ("users", options.users.is_some()),
        ("realm", options.realm.is_some()),
    ];
    if let Some((name, _)) = of_a_registrar.iter().find(|(_, is_given)| *is_given) {
        return Err(format!("`--{name}` cannot be given with `--upstream`: it is for that server to know"));
    }
    if options.upstream_socket.is_some() && matches!(upstream, Upstream::Ws(_)) {
        return Err("`--upstream-socket` needs an `--upstream` over TCP or UDP".into());
    }
    Ok(())
}

/// Sets what the command line sets, over what the file said.
fn set(settings: &mut Settings, parameters: &[(&'static str, String)]) -> Result<(), String> {
    // What can be given several times replaces what the file has, collectors by their names.
    let mut of_the_file = core::mem::take(&mut settings.hep_id);
    for (name, _) in parameters {
        settings.clear(name);
    }
    for (name, value) in parameters {
        settings.set(name, value).map_err(|error| as_option(name, &error.to_string()))?;
    }
    of_the_file.retain(|destination| settings.hep_id.iter().all(|new| new.name != destination.name));
    settings.hep_id.extend(of_the_file);
    Ok(())
}

/// Finds what is set as a name of something else.
fn look_up_names(
    options: &mut Options,
    file: &ConfigFile,
    path: &str,
    parameters: &[(&'static str, String)],
) -> Result<(), String> {
    let complain = |parameter: &str, error: &SettingError| {
        let on_the_line = parameters.iter().any(|(name, _)| *name == parameter);
        match file.position(parameter).filter(|_| !on_the_line) {
            Some(at) => format!("{path}:{at}: {error}"),
            None => as_option(parameter, &error.to_string()),
        }
    };
    options.settings.hep_destination().map_err(|error| complain("trace_destination", &error))?;
    options.trace_filter =
        file.trace_filter(&options.settings).map_err(|error| complain("trace_filter_route", &error))?;
    Ok(())
}

/// Names the parameter as the command line does.
fn as_option(parameter: &str, text: &str) -> String {
    text.replace(&format!("`{parameter}`"), &format!("`--{}`", parameter.replace('_', "-")))
}

/// Reads a configuration file.
pub(crate) fn read_file(path: &str) -> Result<String, String> {
    let failed = |error: &dyn core::fmt::Display| format!("cannot read {path}: {error}");
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    // Whoever names a device or a core dump by mistake is told so, instead of waiting for its end.
    let len = file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if len as u64 > MAX_FILE_LEN { Err(failed(&"it is longer than 1 MiB")) } else { decode(path, bytes) }
}

/// Returns what a file says, which must be UTF-8; the error tells where it is not.
pub(crate) fn decode(path: &str, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let (text, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let text = String::from_utf8_lossy(text);
        let (line, column) = (
            text.matches('\n').count() + 1,
            text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1,
        );
        let byte = rest.first().copied().unwrap_or_default();
        format!("{path}:{line}:{column}: expected UTF-8, found the byte 0x{byte:02x}")
    })
}

const MAX_FILE_LEN: u64 = 1 << 20;

const KNOWN: &[&str] =
    &["config", "socket", "host", "domain", "upstream", "upstream-socket", "users", "realm", "log"];

/// Returns the help text.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "SIP over WebSocket (RFC 7118): a registrar and proxy in memory for the browsers that connect.\n\
         \n\
         usage: ws-sip [-f FILE] [--socket ws:IP[:PORT]] [OPTION VALUE]...\n\
         \n",
    );
    let mut line = |name: &str, value: &str, help: &str| {
        let option = format!("--{name} {value}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {option:<42} {help}");
    };
    line("config", "FILE", "settings from a file, also -f; options count over it");
    line("check", "", "only tell whether it could run");
    line("socket", "ws:IP[:PORT]", "listen here; may be repeated; IPv6 in brackets");
    line("host", "HOST[:PORT]", "own name in Via and Record-Route (the first socket)");
    line("domain", "NAME", "a domain that is served; may be repeated (any)");
    line("users", "FILE", "who may register: lines of user::password, or of htdigest (everybody)");
    line("realm", "NAME", "what their passwords are for (the first domain, or the host)");
    line("upstream", "sip:HOST[:PORT];transport=tcp|udp|ws", "be an edge proxy in front of this server");
    line("upstream-socket", "IP:PORT", "where it reaches this edge over TCP or UDP (any free port)");
    line(
        "log",
        "error|warn|info|debug",
        "how much goes to standard error (`log_level` of the file, or info)",
    );
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
        run_with(line, "")
    }

    fn run_with(line: &str, file: &str) -> Result<Box<Options>, String> {
        let arguments = core::iter::once("ws-sip").chain(line.split_whitespace()).map(String::from);
        match parse(arguments, |_| Ok(file.to_owned()))? {
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
    fn the_command_line_counts_over_the_file() {
        let file = r#"
            log_level=1
            socket=ws:127.0.0.1:5060
            modparam("proto_ws", "ws_port", 8080)
            modparam("proto_ws", "ws_max_msg_chunks", 8)
            modparam("proto_ws", "ws_allowed_origins", "https://a.example")
            modparam("proto_ws", "proxy_protocol_from", "10.0.0.1")
            modparam("proto_ws", "forwarded_for_from", "10.0.0.1, 10.0.0.2")
            modparam("proto_hep", "hep_id", "[a] 10.0.0.1")
            modparam("proto_hep", "hep_id", "[b] 10.0.0.2")
            modparam("proto_ws", "trace_destination", "c")
            modparam("proto_ws", "trace_filter_route", "f")
            route[f] { drop; }
        "#;
        let options = run_with(
            "--ws-port 9090 --hep-id [b]10.0.0.3 --hep-id [c]10.0.0.4 --ws-allowed-origins https://b.example -f x \
             --proxy-protocol-from 10.1.0.0/16 --proxy-protocol-from ::1 --forwarded-for-from 10.0.0.3 \
             --ws-allowed-origins https://c.example",
            file,
        )
        .unwrap();
        assert_eq!(options.sockets, ["ws:127.0.0.1:5060".parse().unwrap()]);
        assert_eq!((options.settings.ws_port, options.settings.ws_max_msg_chunks), (9090, 8));
        assert_eq!(options.settings.ws_allowed_origins, ["https://b.example", "https://c.example"]);
        assert_eq!(options.log, Level::Warn);
        assert_eq!(run_with("-f x --log debug --trace-destination a", file).unwrap().log, Level::Debug);
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(options.settings.proxy_protocol_from, prefixes(&["10.1.0.0/16", "::1"]));
        assert_eq!(options.settings.forwarded_for_from, prefixes(&["10.0.0.3"]));
        let hosts: Vec<_> = options.settings.hep_id.iter().map(|hep| hep.host.as_str()).collect();
        assert_eq!(hosts, ["10.0.0.3", "10.0.0.4", "10.0.0.1"]);
        assert!(options.trace_filter.is_some());

        let options = run_with("--config x --socket ws:127.0.0.2 --trace-destination a", file).unwrap();
        assert_eq!(options.sockets, ["ws:127.0.0.2".parse().unwrap()]);
        assert_eq!(options.settings.ws_port, 8080);
        assert_eq!(options.settings.forwarded_for_from, prefixes(&["10.0.0.1", "10.0.0.2"]));
    }

    #[test]
    fn a_check_is_no_run() {
        let arguments = ["ws-sip", "--check", "--socket", "ws:127.0.0.1"].map(String::from);
        assert!(matches!(parse(arguments, |_| unreachable!()), Ok(Command::Check(_))));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (line, told) in [
            ("", "nothing to listen on"),
            ("--socket", "missing argument"),
            ("--socket tcp:127.0.0.1", "expected `ws:` or `wss:`"),
            ("--socket ws:127.0.0.1 --ws-port x", "`--ws-port` takes PORT, not `x`"),
            ("--socket ws:127.0.0.1 --loud 1", "unknown option `--loud`"),
            ("--socket ws:127.0.0.1 --ws_port 1", "unknown option `--ws_port`"),
            ("--socket ws:127.0.0.1 stray", "unexpected argument"),
            ("--socket ws:127.0.0.1 --log loud", "`--log` takes"),
            ("--socket ws:127.0.0.1 --hep-id [a]h --hep-id [a]g", "there is a `--hep-id` named `a` already"),
            (
                "--socket ws:127.0.0.1 --trace-destination a",
                "`--trace-destination` takes the name of a `hep_id`",
            ),
            (
                "--socket ws:127.0.0.1 --trace-filter-route a",
                "`--trace-filter-route` takes the name of a route",
            ),
            ("-f a -f b", "given twice"),
            ("--realm a\"b", "`--realm` cannot have quotes"),
            ("--realm a\\b", "`--realm` cannot have quotes"),
            (
                "--socket ws:127.0.0.1 --upstream sip:h;transport=sctp",
                "`--upstream sip:h;transport=sctp`: the transport can be tcp, udp, ws or wss",
            ),
            ("--upstream sips:h", "`sips:` needs `;transport=ws`, for WebSocket over TLS"),
            ("--upstream sip:h;lr", "the only parameter can be `transport`"),
            ("--upstream http://h", "expected `sip:HOST[:PORT];transport=tcp|udp|ws|wss` or `ws://HOST"),
            ("--upstream ws:h", "expected `sip:HOST[:PORT];transport=tcp|udp|ws|wss` or `ws://HOST"),
            (
                "--socket ws:127.0.0.1 --upstream sip:h --users u",
                "`--users` cannot be given with `--upstream`",
            ),
            ("--socket ws:127.0.0.1 --realm r --upstream sip:h", "`--realm` cannot be given with"),
            ("--socket ws:127.0.0.1 --upstream sip:h --domain d", "`--domain` cannot be given with"),
            ("--socket ws:127.0.0.1 --upstream-socket 127.0.0.1:0", "`--upstream-socket` needs `--upstream`"),
            (
                "--socket ws:127.0.0.1 --upstream-socket 127.0.0.1:0 --upstream ws://h/",
                "`--upstream-socket` needs an `--upstream` over TCP or UDP",
            ),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(told) && !error.contains('\n'), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_where_it_is() {
        for (file, told) in [
            ("\nsocket ws:127.0.0.1", "x.cfg:2:8: expected `=`, found `ws`"),
            (
                r#"modparam("proto_ws", "trace_destination", "a")"#,
                "x.cfg:1:43: `trace_destination` takes the name of a `hep_id`, and none is named `a`",
            ),
            (r#"modparam("proto_ws", "trace_filter_route", "a")"#, "x.cfg:1:44: `trace_filter_route` takes"),
            ("socket=hep_udp:127.0.0.1", "nothing to listen on"),
        ] {
            let error = run_with("-f x.cfg", file).unwrap_err();
            assert!(error.starts_with(told), "{file}: {error}");
        }
        let options = run_with("-f x.cfg --socket ws:127.0.0.1", "socket=hep_udp:127.0.0.1").unwrap();
        assert!(options.notices[0].starts_with("x.cfg:1:8: "), "{:?}", options.notices);
        assert!(read_file("/nowhere/x.cfg").unwrap_err().starts_with("cannot read /nowhere/x.cfg: "));
        let decoded = |bytes: &[u8]| decode("x.cfg", bytes.to_vec());
        assert_eq!(decoded("# ä\n".as_bytes()).unwrap(), "# ä\n");
        assert_eq!(
            decoded(b"# \xc3\xa4\n# \xc3\xa4\xff").unwrap_err(),
            "x.cfg:2:4: expected UTF-8, found the byte 0xff"
        );
        assert_eq!(read_file("/dev/zero").unwrap_err(), "cannot read /dev/zero: it is longer than 1 MiB");
    }
}
