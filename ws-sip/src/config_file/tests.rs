use super::*;
use crate::transport::Ends;

fn settings(text: &str) -> Settings {
    let mut settings = Settings::default();
    read(text).apply(&mut settings).unwrap();
    settings
}

#[track_caller]
fn read(text: &str) -> ConfigFile {
    ConfigFile::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Each example of the original's documentation, as it stands there but for the words of its comments and the line
/// breaks that its plain text puts into long lines.
mod examples {
    use super::*;

    const LISTENERS: &str = "...
mpath=/path/to/modules
...
socket=ws:127.0.0.1             # change with the listening IP
socket=ws:127.0.0.1:5060        # change with the listening IP and port
...
";
    const WS_PORT: &str = "...
modparam(\"proto_ws\", \"ws_port\", 8080)
...
";
    const WS_SEND_TIMEOUT: &str = "...
modparam(\"proto_ws\", \"ws_send_timeout\", 200)
...
";
    const WS_MAX_MSG_CHUNKS: &str = "...
modparam(\"proto_ws\", \"ws_max_msg_chunks\", 8)
...
";
    const TRACE_DESTINATION: &str = "...
modparam(\"proto_hep\", \"hep_id\", \"[hep_dest]10.0.0.2;transport=tcp;version=3\")

modparam(\"proto_ws\", \"trace_destination\", \"hep_dest\")
...
";
    const TRACE_ON: &str = "...
modparam(\"proto_ws\", \"trace_on\", 1)
...
";
    const TRACE_FILTER_ROUTE: &str = "...
modparam(\"proto_ws\", \"trace_filter_route\", \"ws_filter\")
...
/* each connection runs through here
 * while tracing is on */
route[ws_filter] {
        ...
        /* one peer on one of our interfaces (1.1.1.10:5060)
           is traced, whoever dialled; the others
           aren't */
         if ( $si == \"1.1.1.1\" && $sp == 8000 &&
                $socket_in(ip) == \"1.1.1.10\"  && $socket_in(port) == 5060)
                exit;
        else
                drop;
}
...
";
    const REQUIRE_ORIGIN: &str = "...
modparam(\"proto_ws\", \"require_origin\", no)
...
";

    #[test]
    fn each_says_what_it_means() {
        let sockets: Vec<_> =
            read(LISTENERS).sockets().iter().map(|socket| socket.with_default_port(80).to_string()).collect();
        assert_eq!(sockets, ["127.0.0.1:80", "127.0.0.1:5060"]);

        assert_eq!(settings(WS_PORT).ws_port, 8080);
        assert_eq!(settings(WS_SEND_TIMEOUT).ws_send_timeout.as_millis(), 200);
        assert_eq!(settings(WS_MAX_MSG_CHUNKS).ws_max_msg_chunks, 8);
        assert!(settings(TRACE_ON).trace_on);
        assert!(!settings(REQUIRE_ORIGIN).require_origin);

        let settings = settings(TRACE_DESTINATION);
        let destination = settings.hep_destination().unwrap().unwrap();
        assert_eq!(destination.to_string(), "[hep_dest] 10.0.0.2:9060;transport=tcp");
    }

    #[test]
    fn the_filter_traces_one_connection() {
        let filter = read(TRACE_FILTER_ROUTE).trace_filter(&settings(TRACE_FILTER_ROUTE)).unwrap().unwrap();
        let traces = |peer: &str, local: &str, is_incoming| {
            filter.traces(&Ends {
                peer: peer.parse().unwrap(),
                local: local.parse().unwrap(),
                is_incoming,
                is_secure: false,
            })
        };
        assert!(traces("1.1.1.1:8000", "1.1.1.10:5060", true));
        assert!(traces("1.1.1.1:8000", "1.1.1.10:5060", false));
        assert!(!traces("1.1.1.1:8001", "1.1.1.10:5060", true));
        assert!(!traces("1.1.1.2:8000", "1.1.1.10:5060", true));
        assert!(!traces("1.1.1.1:8000", "1.1.1.10:5061", true));
        assert!(!traces("1.1.1.1:8000", "1.1.1.11:5060", true));
    }

    #[test]
    fn all_together_are_one_file() {
        let all = [
            LISTENERS,
            WS_PORT,
            WS_SEND_TIMEOUT,
            WS_MAX_MSG_CHUNKS,
            TRACE_DESTINATION,
            TRACE_ON,
            TRACE_FILTER_ROUTE,
            REQUIRE_ORIGIN,
        ]
        .concat();
        for text in [all.clone(), all.replace('\n', "\r\n")] {
            let file = read(&text);
            let settings = settings(&text);
            assert_eq!(file.sockets().len(), 2);
            assert!(file.notices().is_empty());
            assert!(settings.trace_on && !settings.require_origin);
            assert!(file.trace_filter(&settings).unwrap().is_some());
            assert!(settings.hep_destination().unwrap().is_some());
        }
    }
}

#[test]
fn management_by_the_originals_names() {
    let settings = settings(
        r#"
        loadmodule "mi_fifo.so"
        modparam("mi_fifo", "fifo_name", "/run/ws-sip/fifo")
        modparam("mi_fifo", "fifo_mode", 0600)
        modparam("mi_fifo", "reply_dir", "/tmp/")
        modparam("mi_datagram", "socket_name", "udp:127.0.0.1:8080")
        modparam("httpd", "ip", "127.0.0.2")
        modparam("httpd", "port", 8889)
        modparam("mi_http", "root", "jsonrpc")
        modparam("proto_hep", "hep_capture_id", 2001)
        modparam("proto_hep", "homer5_on", yes)
        "#,
    );
    assert_eq!(settings.mi_fifo.as_deref(), Some("/run/ws-sip/fifo".as_ref()));
    assert_eq!(settings.mi_fifo_mode, 0o600);
    assert_eq!(settings.mi_fifo_reply_dir, std::path::Path::new("/tmp/"));
    assert_eq!(settings.mi_datagram.as_ref().unwrap().to_string(), "udp:127.0.0.1:8080");
    assert_eq!(settings.mi_http.unwrap().to_string(), "127.0.0.2:8889");
    assert_eq!(settings.mi_http_root, "jsonrpc");
    assert_eq!((settings.hep_capture_id, settings.homer5_on), (2001, true));
}

#[test]
fn http_management_is_local_unless_it_is_said() {
    let http = |text| settings(text).mi_http.unwrap().to_string();
    assert_eq!(http(r#"modparam("httpd", "port", 9000)"#), "127.0.0.1:9000");
    assert_eq!(http(r#"modparam("httpd", "ip", "::1")"#), "[::1]:8888");
    assert!(settings("").mi_http.is_none());
}

#[test]
fn the_last_value_counts() {
    let text = "modparam(\"proto_ws\", \"ws_port\", 1)\n  modparam(\"proto_ws\", \"ws_port\", 2)";
    assert_eq!(settings(text).ws_port, 2);
    assert_eq!(read(text).position("ws_port").unwrap().to_string(), "2:35");
    assert_eq!(read(text).position("trace_on"), None);
}

#[test]
fn a_hep_listener_is_not_needed() {
    let file = read("socket=hep_udp:127.0.0.1:9061\nsocket = \"ws:[::1]\"");
    assert_eq!(file.sockets().len(), 1);
    assert_eq!(
        file.notices()[0].to_string(),
        "1:8: `hep_udp:127.0.0.1:9061` is not needed: records are sent from a socket of their own"
    );
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    for (text, error) in [
        (
            "debug_mode=yes",
            "1:1: expected `socket`, `log_level`, `mpath`, `loadmodule`, `modparam` or `route`, found `debug_mode`",
        ),
        ("log_level 3", "1:11: expected `=`, found `3`"),
        (
            "log_level=-4",
            "1:11: expected a level from -3 to 4, such as 1 for warnings, 3 for information or 4 for all, found `-4`",
        ),
        ("\n\n socket ws:127.0.0.1", "3:9: expected `=`, found `ws`"),
        ("socket=", "1:8: expected `ws:IP` or `ws:IP:PORT` after `=`"),
        ("socket=udp:127.0.0.1", "1:8: expected `ws:` or `wss:`, found `udp:127.0.0.1`"),
        ("socket = ws:localhost", "1:10: expected an IP address, IPv6 in brackets, found `ws:localhost`"),
        (
            "socket=ws:127.0.0.1 use_workers 2",
            "1:21: expected `socket`, `log_level`, `mpath`, `loadmodule`, `modparam` or `route`, found `use_workers`",
        ),
        ("loadmodule proto_ws", "1:12: expected a module's name in quotes, found `proto_ws`"),
        (
            "modparam(\"tm\", \"fr_timeout\", 5)",
            "1:10: expected a module with parameters (proto_ws, proto_hep, mi_fifo, mi_datagram, httpd, mi_http), \
             found \"tm\"",
        ),
        (
            "modparam(\"proto_hep\", \"hep_async\", 1)",
            "1:23: expected a parameter of proto_hep (hep_id, hep_capture_id, hep_tls_ca, homer5_on), found \
             \"hep_async\"",
        ),
        ("modparam(\"proto_ws\" \"ws_port\", 1)", "1:21: expected `,`, found \"ws_port\""),
        ("modparam(\"proto_ws\", \"ws_port\")", "1:31: expected `,`, found `)`"),
        ("modparam(\"proto_ws\", \"ws_port\", 1", "1:34: expected `)`, found the end"),
        ("modparam(\"proto_ws\", \"ws_port\", \"1\")", "1:33: expected a number, found \"1\""),
        ("modparam(\"proto_ws\", \"ws_port\", no)", "1:33: expected a number, found `no`"),
        ("modparam(\"proto_ws\", \"ws_port\", 0)", "1:33: `ws_port` takes PORT, not `0`"),
        (
            "modparam(\"proto_ws\", \"require_origin\", maybe)",
            "1:40: `require_origin` takes yes|no, not `maybe`",
        ),
        (
            "modparam(\"proto_ws\", \"require_origin\", \"no\")",
            "1:40: expected `yes`, `no`, 1 or 0, found \"no\"",
        ),
        ("modparam(\"proto_ws\", \"trace_on\", 2)", "1:34: `trace_on` takes yes|no, not `2`"),
        (
            "modparam(\"proto_ws\", \"trace_destination\", hep)",
            "1:43: expected a string in quotes, found `hep`",
        ),
        (
            "modparam(\"proto_hep\", \"hep_id\", \"[a] h;transport=udp;version=2\")",
            "1:33: `hep_id` cannot be `[a] h;transport=udp;version=2`: HEP versions 1 and 2 have no place for \
             WebSocket events; expected `version=3`",
        ),
        (
            "modparam(\"proto_hep\", \"hep_id\", \"[a] h\")\nmodparam(\"proto_hep\", \"hep_id\", \"[a] g\")",
            "2:33: `hep_id` cannot be `[a] g`: there is a `hep_id` named `a` already",
        ),
        ("modparam(\"mi_fifo\", \"fifo_mode\", 999)", "1:34: `fifo_mode` takes MODE, not `999`"),
        ("modparam(\"httpd\", \"ip\", \"localhost\")", "1:25: expected an IP address, found \"localhost\""),
        ("modparam(\"httpd\", \"port\", 70000)", "1:27: expected a port from 0 to 65535, found `70000`"),
        (
            "modparam(\"mi_datagram\", \"socket_name\", \"x\")",
            "1:40: `socket_name` takes udp:IP:PORT|PATH, not `x`",
        ),
        (
            "modparam(\"mi_fifo\", \"fifo\\name\", 1)",
            "1:21: expected a parameter of mi_fifo (fifo_name, fifo_mode, \
             reply_dir), found \"fifo\\name\"",
        ),
        (
            "modparam(\"proto_ws\", \"ws_resource\", \"\\nx\u{1b}[1m\")",
            "1:37: `ws_resource` takes PATH, not \
             `\\nx\\u{1b}[1m`",
        ),
        ("route{\n}", "1:6: expected `[`, found `{`"),
        ("route[] { }", "1:7: expected the route's name, found `]`"),
        (
            "route[a] {\n  if ($si == \"1.1.1.1\")\n    xlog(\"x\");\n}",
            "3:5: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found `xlog`",
        ),
        ("route[a] { exit;", "1:17: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found the end"),
        ("route[a] {}\nroute[\"a\"] {}", "2:7: there is a route named `a` already"),
    ] {
        assert_eq!(ConfigFile::parse(text).unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn names_of_nothing_are_found() {
    let text = "modparam(\"proto_ws\", \"trace_filter_route\", \"f\")\n\
                modparam(\"proto_ws\", \"trace_destination\", \"hep\")\nroute[g] {}";
    let (file, settings) = (read(text), settings(text));
    assert_eq!(
        file.trace_filter(&settings).unwrap_err().to_string(),
        "`trace_filter_route` takes the name of a route in the configuration file, and none is named `f`"
    );
    assert_eq!(file.position("trace_filter_route").unwrap().to_string(), "1:44");
    assert_eq!(
        settings.hep_destination().unwrap_err().to_string(),
        "`trace_destination` takes the name of a `hep_id`, and none is named `hep`"
    );
    assert_eq!(file.position("trace_destination").unwrap().to_string(), "2:43");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(pieces in proptest::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        if let Err(error) = ConfigFile::parse(&text) {
            let lines: Vec<_> = text.split('\n').collect();
            let line = lines[error.at.line as usize - 1];
            proptest::prop_assert!(!error.message.contains(char::is_control));
            proptest::prop_assert!(error.at.column as usize <= line.chars().count() + 1, "{}: {:?}", error, text);
        }
    }
}

fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let known = [
        "socket=",
        "ws:127.0.0.1",
        "mpath=",
        "loadmodule",
        "modparam",
        "(",
        ")",
        "\"proto_ws\"",
        ",",
        "\"ws_port\"",
        "80",
        "no",
        "route",
        "[",
        "x",
        "]",
        "{",
        "}",
        "if",
        "else",
        "drop",
        ";",
        "$si",
        "==",
        "!",
        "&&",
        "||",
        "...",
        "/*",
        "*/",
        "#",
        "\"",
        "\\",
        "\n",
        " ",
        "\r",
    ];
    prop_oneof![8 => prop::sample::select(known.map(String::from).to_vec()), 1 => any::<char>().prop_map(String::from)]
}
