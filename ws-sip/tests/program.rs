//! The program as its user meets it: start, errors, stop.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use common::program::{ConfigFile, Running, get, log_line, start, started, ws_sip};

#[test]
fn it_serves_its_page_and_stops_when_told() {
    let (mut program, port) = start(&["--socket", "ws:127.0.0.1:0", "--log", "debug"]);
    let page = get(port, "/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("<title>ws-sip</title>"), "{page}");
    assert!(get(port, "/sip.js").contains("text/javascript"));
    assert!(get(port, "/nothing").starts_with("HTTP/1.1 404 "));
    let told = Command::new("kill").arg(program.0.id().to_string()).status().unwrap();
    assert!(told.success());
    assert!(program.0.wait().unwrap().success());
    let mut log = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains(" debug http ")).count(), 3, "{log}");
}

#[test]
fn a_fault_at_the_start_is_one_line_and_a_bad_exit() {
    let (_program, port) = start(&["--socket", "ws:127.0.0.1:0"]);
    let taken = format!("ws:127.0.0.1:{port}");
    for (arguments, told) in [
        (vec!["--socket", &taken], "cannot listen on ws:127.0.0.1:"),
        (
            vec![
                "--socket",
                "ws:127.0.0.1:0",
                "--upstream",
                "sip:127.0.0.1;transport=tcp",
                "--upstream-socket",
                &taken[3..],
            ],
            "`--upstream-socket 127.0.0.1:",
        ),
        (vec!["--socket", "ws:nowhere"], "expected an IP address"),
        (vec!["--socket", "ws:127.0.0.1:0", "--frobnicate", "1"], "unknown option `--frobnicate`"),
        (vec!["--socket", "ws:127.0.0.1:0", "--ws-ping-interval", "soon"], "`--ws-ping-interval` takes S"),
        (vec!["--socket", "ws:127.0.0.1:0", "--ws-allowed-origins", "phone"], "`phone` is no origin"),
        (vec!["--socket", "ws:127.0.0.1:0", "--host", "no host"], "`--host`: the own host is not a host"),
        (vec!["--socket", "ws:127.0.0.1:0", "--domain", "no domain"], "`--domain`: a domain is not a host"),
        (vec!["--socket", "ws:127.0.0.1:0", "--users", "/nowhere"], "cannot read /nowhere"),
        (
            vec!["--socket", "ws:127.0.0.1:0", "--upstream", "sip:127.0.0.1", "--host", "no host"],
            "`--host`: the own host is not a host",
        ),
        (
            vec!["--socket", "ws:127.0.0.1:0", "--upstream", "sip:127.0.0.1", "--users", "/nowhere"],
            "`--users` cannot be given with `--upstream`",
        ),
        (
            vec![
                "--socket",
                "ws:127.0.0.1:0",
                "--upstream",
                "sip:127.0.0.1",
                "--upstream-socket",
                "127.0.0.1:65535",
                "--workers",
                "2",
            ],
            "no port is left for each worker",
        ),
        (vec!["--socket", "wss:127.0.0.1:0"], "wss:127.0.0.1:0"),
        (vec![], "nothing to listen on"),
    ] {
        let output = ws_sip(&arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.starts_with("ws-sip: ") && error.contains(told), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(output.stdout.is_empty());
        // A check sees the same, but for what is only seen by doing it.
        if !error.contains("cannot listen on") {
            let checked = ws_sip(&arguments).arg("--check").output().unwrap();
            assert_eq!(
                (checked.status, String::from_utf8_lossy(&checked.stderr)),
                (output.status, error.into())
            );
        }
    }
}

#[test]
fn help_and_version() {
    let help = ws_sip(&["--help"]).output().unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("--ws-max-msg-chunks"));
    let version = ws_sip(&["--version"]).output().unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        concat!("ws-sip ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_told() {
    for argument in ["--help", "--version", "--check"] {
        let arguments = ["--socket", "ws:127.0.0.1:0", argument];
        let full = || std::fs::File::create("/dev/full").unwrap();
        let output = ws_sip(&arguments).stdout(full()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("ws-sip: cannot write to standard output: "), "{argument}: {error}");
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{argument}: {error}");
        let output = ws_sip(&arguments).stdout(full()).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{argument}");
        // Who reads the first lines of the help only is not disturbed.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = ws_sip(&arguments).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{argument}");
    }
}

#[test]
fn a_check_tells_where_the_file_is_wrong() {
    let good =
        ConfigFile::new("good", "socket=ws:127.0.0.1:1\nmodparam(\"proto_ws\", \"ws_max_msg_chunks\", 8)\n");
    let output = ws_sip(&["-f", good.path(), "--check"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"the configuration is valid\n");

    let bad = ConfigFile::new("bad", "socket=ws:127.0.0.1:1\nmodparam(\"proto_ws\", \"ws_port\", no)\n");
    let output = ws_sip(&["--check", "--config", bad.path()]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, format!("ws-sip: {}:2:33: expected a number, found `no`\n", bad.path()));
}

#[test]
fn management_tells_what_goes_on() {
    let file = ConfigFile::new(
        "management",
        "socket=ws:127.0.0.1:0\nmodparam(\"httpd\", \"port\", 0)\nmodparam(\"proto_ws\", \"trace_on\", 1)\n",
    );
    let mut child = ws_sip(&["-f", file.path()]).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut program = Running(child);
    let lines: Vec<_> = stdout.lines().take(2).map(Result::unwrap).collect();
    let port = lines[1].strip_prefix("management on http:127.0.0.1:").expect(&lines[1]).parse().unwrap();
    let metrics = get(port, "/metrics");
    for line in ["ws_sip_transport_flows 0", "ws_sip_proxy_requests_total 0", "ws_sip_mi_requests_total 1"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{metrics}");
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = r#"{"jsonrpc":"2.0","id":7,"method":"ws_trace"}"#;
    write!(stream, "POST /mi HTTP/1.0\r\nContent-Length: {}\r\n\r\n{request}", request.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(r#"{"jsonrpc":"2.0","result":{"WS tracing":"on"},"id":7}"#), "{answer}");
    let told = Command::new("kill").arg(program.0.id().to_string()).status().unwrap();
    assert!(told.success() && program.0.wait().unwrap().success());
}

#[test]
fn it_reads_its_settings_anew_when_told() {
    let file = std::env::temp_dir().join(format!("ws-sip-{}.cfg", std::process::id()));
    let write = |origin: &str| {
        std::fs::write(&file, format!("modparam(\"proto_ws\", \"ws_allowed_origins\", \"{origin}\")\n"))
            .unwrap();
    };
    write("https://one.example");
    let (mut program, port) = start(&["--socket", "ws:127.0.0.1:0", "-f", file.to_str().unwrap()]);
    let mut log = BufReader::new(program.0.stderr.take().unwrap());
    let status = |origin: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: sip\r\n\r\n"
        )
        .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer[9..].to_vec()).unwrap()
    };
    assert_eq!([status("https://one.example"), status("https://two.example")], ["101", "403"]);
    let hang_up = |program: &Running| {
        assert!(Command::new("kill").args(["-HUP", &program.0.id().to_string()]).status().unwrap().success());
    };
    write("https://two.example");
    hang_up(&program);
    log_line(&mut log, &["info reloaded"]);
    assert_eq!([status("https://one.example"), status("https://two.example")], ["403", "101"]);
    // What cannot be read changes nothing.
    write("no origin");
    hang_up(&program);
    log_line(&mut log, &["error not-reloaded", "no origin"]);
    assert_eq!(status("https://two.example"), "101");
    std::fs::remove_file(&file).unwrap();
}

/// RFC 7118 section 5.2.3 leaves it open.
#[test]
fn received_is_added_when_asked_for() {
    for asked in [false, true] {
        let mut arguments = vec!["--socket", "ws:127.0.0.1:0", "--require-origin", "no"];
        arguments.extend(if asked { &["--ws-received", "yes"][..] } else { &[] });
        let (_program, port) = start(&arguments);
        let mut raw = common::Raw::connect(([127, 0, 0, 1], port).into());
        raw.handshake("Sec-WebSocket-Protocol: sip\r\n");
        raw.frame(0x81, &common::options("received"));
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") || answer.windows(4).filter(|end| end == b"\r\n\r\n").count() < 2
        {
            let mut buffer = [0; 1024];
            let n = raw.0.read(&mut buffer).unwrap();
            assert!(n > 0);
            answer.extend_from_slice(&buffer[..n]);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.contains(";received=127.0.0.1"), asked, "{answer}");
    }
}

/// The collector, and whether there is one, can change; where management is served cannot, and is told.
#[test]
fn it_traces_anew_when_told() {
    let collectors = [(); 2].map(|()| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
        socket
    });
    let port_of = |at: usize| collectors[at].local_addr().unwrap().port();
    let text = |at: usize, on: u8| {
        format!(
            "modparam(\"proto_hep\", \"hep_id\", \"[c] 127.0.0.1:{};transport=udp\")\n\
             modparam(\"proto_ws\", \"trace_destination\", \"c\")\nmodparam(\"proto_ws\", \"trace_on\", {on})\n\
             modparam(\"proto_ws\", \"require_origin\", no)\n",
            port_of(at)
        )
    };
    for workers in ["1", "2"] {
        let file = ConfigFile::new(&format!("traced-{workers}"), &text(0, 1));
        let (mut program, port) =
            start(&["--socket", "ws:127.0.0.1:0", "-f", file.path(), "--workers", workers]);
        let mut log = BufReader::new(program.0.stderr.take().unwrap());
        let traced_to = |at: usize, user: &str| {
            let mut raw = common::Raw::connect(([127, 0, 0, 1], port).into());
            raw.handshake(&format!("Sec-WebSocket-Protocol: sip\r\nX-User: {user}\r\n"));
            let mut record = [0; 4096];
            loop {
                let n = collectors[at].recv(&mut record).unwrap();
                let record = String::from_utf8_lossy(&record[..n]).into_owned();
                if record.contains(&format!("X-User: {user}")) {
                    break;
                }
            }
        };
        let id = program.0.id().to_string();
        let reread = |text: &str| {
            std::fs::write(&file.0, text).unwrap();
            assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        };
        traced_to(0, "one");
        reread(&text(1, 1));
        log_line(&mut log, &["info reloaded"]);
        traced_to(1, "two");
        // A collector that is no collector changes nothing.
        reread(&text(0, 1).replace("[c]", "[d]"));
        log_line(&mut log, &["error not-reloaded", "trace_destination"]);
        traced_to(1, "three");
        reread(&format!("{}modparam(\"httpd\", \"port\", 0)\n", text(0, 0)));
        log_line(&mut log, &["warn needs-a-restart setting=mi-http"]);
        log_line(&mut log, &["info reloaded"]);
        // Off now: the next that comes is what is traced when it is on again.
        let mut silent = common::Raw::connect(([127, 0, 0, 1], port).into());
        silent.handshake("Sec-WebSocket-Protocol: sip\r\nX-User: nobody\r\n");
        silent.0.read_exact(&mut [0; 12]).unwrap();
        reread(&text(0, 1));
        log_line(&mut log, &["info reloaded"]);
        let mut raw = common::Raw::connect(([127, 0, 0, 1], port).into());
        raw.handshake("Sec-WebSocket-Protocol: sip\r\nX-User: four\r\n");
        loop {
            let mut record = [0; 4096];
            let n = collectors[0].recv(&mut record).unwrap();
            let record = String::from_utf8_lossy(&record[..n]).into_owned();
            assert!(!record.contains("X-User: nobody"), "{record}");
            if record.contains("X-User: four") {
                break;
            }
        }
    }
}

/// Why an upstream cannot be reached over TLS is in the log.
#[cfg(feature = "tls")]
#[test]
fn the_log_tells_why_tls_failed() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let trusted = ConfigFile::new("trusted", &authority.cert.pem());
    let address = format!("wss://{}/", upstream.local_addr().unwrap());
    let arguments = ["--socket", "ws:127.0.0.1:0", "--upstream", &address, "--tls-ca", trusted.path()];
    let (mut program, _) = start(&arguments);
    let mut log = BufReader::new(program.0.stderr.take().unwrap());
    // It does not speak TLS.
    let mut stream = upstream.accept().unwrap().0;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    log_line(
        &mut log,
        &[
            "warn not-opened",
            "why=\"the transport was lost: TLS: received corrupt message of type InvalidContentType\"",
        ],
    );
}

/// Whoever reads the log, or does not, holds up no connection; what was left out is told when there is room.
#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // Full before the program starts.
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut filled = 0;
    while let Ok(n) = writer.write(&[b'.'; 4096]) {
        filled += n;
    }
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let mut command = ws_sip(&["--socket", "ws:127.0.0.1:0", "--log", "debug"]);
    command.stderr(writer);
    let (mut program, port) = started(command.spawn().unwrap());
    drop(command);
    // Each line has the whole target: more than may wait.
    let target = format!("/{}", "x".repeat(12_000));
    for _ in 0..100 {
        assert!(get(port, &target).starts_with("HTTP/1.1 404 "));
    }
    let mut filling = vec![0; filled];
    reader.read_exact(&mut filling).unwrap();
    let mut log = BufReader::new(reader).lines().map(Result::unwrap);
    let is_page = |line: &String| line.contains(" debug http ");
    let written =
        log.by_ref().take_while(|line| !line.contains(" info dropped lines=")).filter(is_page).count();
    assert!((50..100).contains(&written), "{written}");
    assert!(get(port, "/").starts_with("HTTP/1.1 200 "));
    // A thread of its own writes it, when the answer is there already.
    let next = log.find(is_page).expect("there is room again");
    assert!(next.contains(" target=/ "), "{next}");
    program.0.kill().unwrap();
    assert_eq!(log.filter(is_page).count(), 0);
}
