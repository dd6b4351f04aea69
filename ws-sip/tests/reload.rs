//! What SIGHUP puts in force, and what it leaves.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStderr, Command};

use common::Raw;
use common::program::{ConfigFile, Running, get, log_line, ws_sip};
use md5::{Digest as _, Md5};

/// The program, its log, and where it listens for `ws`.
struct Program {
    running: Running,
    log: BufReader<ChildStderr>,
    port: u16,
}

impl Program {
    /// Starts it with a file whose first socket is for `ws`.
    fn start(file: &ConfigFile, arguments: &[&str]) -> Self {
        let mut all = vec!["-f", file.path()];
        all.extend(arguments);
        let mut child = ws_sip(&all).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let running = Running(child);
        let port = line.trim_end().strip_prefix("listening on ws:127.0.0.1:").expect(&line).parse().unwrap();
        Self { running, log, port }
    }

    /// Has it read `text` in place of its file; returns what it logs of that, the last line whether it is in force.
    fn reread(&mut self, file: &ConfigFile, text: &str) -> Vec<String> {
        std::fs::write(&file.0, text).unwrap();
        let id = self.running.0.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains("reloaded")) {
            lines.push(log_line(&mut self.log, &[]));
            lines.retain(|line| line.contains("reloaded") || line.contains("needs-a-restart"));
        }
        lines
    }

    /// The status with which an opening handshake is answered.
    fn status(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: sip\r\n\r\n"
        )
        .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer[9..].to_vec()).unwrap()
    }
}

/// What is listened on stays until a restart, and so does what it needs.
#[cfg(feature = "tls")]
#[test]
fn a_listener_keeps_its_certificate() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = ConfigFile::new("reload-certificate", &params.self_signed(&key).unwrap().pem());
    let key = ConfigFile::new("reload-key", &key.serialize_pem());
    let tls = format!(
        "modparam(\"proto_ws\", \"tls_certificate\", \"{}\")\nmodparam(\"proto_ws\", \"tls_private_key\", \"{}\")\n",
        certificate.path(),
        key.path()
    );
    let (plain, secure) = ("socket=ws:127.0.0.1:0\n", "socket=wss:127.0.0.1:0\n");
    let lax = "modparam(\"proto_ws\", \"require_origin\", no)\n";
    for workers in ["1", "2"] {
        let file = ConfigFile::new(&format!("reload-tls-{workers}"), &format!("{plain}{secure}{tls}"));
        let mut program = Program::start(&file, &["--workers", workers]);
        assert_eq!(program.status(), "403");
        for text in [format!("{plain}{secure}{lax}"), format!("{plain}{lax}")] {
            let logged = program.reread(&file, &text);
            let [line] = logged.as_slice() else { panic!("{logged:?}") };
            let told =
                " error not-reloaded error=\"wss:127.0.0.1:0 needs `tls_certificate` and `tls_private_key`";
            assert!(line.contains(told), "{line}");
            assert_eq!(program.status(), "403");
        }
        assert!(program.reread(&file, &format!("{plain}{secure}{tls}{lax}"))[0].contains(" info reloaded"));
        assert_eq!(program.status(), "101");
    }
}

/// What a restart would change is named as long as it would.
#[test]
fn what_needs_a_restart_is_told_from_what_runs() {
    let text = |socket: &str, len: u32, timeout: u32| {
        format!(
            "socket=ws:{socket}\nmodparam(\"proto_ws\", \"upstream_max_message_len\", {len})\n\
             modparam(\"proto_ws\", \"upstream_send_timeout\", {timeout})\n\
             modparam(\"proto_ws\", \"ws_ping_interval\", {timeout})\n"
        )
    };
    let file = ConfigFile::new("reload-restart", &text("127.0.0.1:0", 7000, 7));
    let mut program = Program::start(&file, &[]);
    let mut pending = |text: &str| {
        let logged = program.reread(&file, text);
        let settings = logged.iter().filter_map(|line| Some(line.split_once(" needs-a-restart setting=")?.1));
        settings.map(String::from).collect::<Vec<_>>()
    };
    let len = "upstream-max-message-len";
    assert_eq!(pending(&text("127.0.0.2:0", 7000, 7)), ["socket"]);
    assert_eq!(pending(&text("127.0.0.2:0", 8000, 7)), ["socket", len], "still pending");
    assert_eq!(pending(&text("127.0.0.1:0", 8000, 7)), [len]);
    assert_eq!(
        pending(&text("127.0.0.1:0", 7000, 8)),
        [""; 0],
        "what is pending is as it runs, the rest changes"
    );
}

/// The level of the log is the file's, unless the command line has it.
#[test]
fn the_level_of_the_log_changes() {
    let text = |level: &str| format!("socket=ws:127.0.0.1:0\n{level}");
    for workers in ["1", "2"] {
        let file = ConfigFile::new(&format!("reload-log-{workers}"), &text("log_level=4\n"));
        let mut program = Program::start(&file, &["--workers", workers]);
        let get = |program: &Program| drop(get(program.port, "/nothing"));
        get(&program);
        log_line(&mut program.log, &[" debug http "]);
        // The line that tells of it is of the new level already.
        program.reread(&file, &text("log_level=3\n"));
        get(&program);
        assert_eq!(program.status(), "403");
        let next = log_line(&mut program.log, &[]);
        assert!(next.contains(" warn not-opened "), "{next}");
        program.reread(&file, &text("log_level=4\n"));
        get(&program);
        log_line(&mut program.log, &[" debug http "]);
        let logged = program.reread(&file, &text("log_level=5\n"));
        assert!(logged[0].contains(":2:11: expected a level from -3 to 4"), "{logged:?}");
    }
}

/// A request of alice's, with what it has besides.
fn request(method: &str, uri: &str, cseq: u32, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: 1\r\n\
         CSeq: {cseq} {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

/// What answers the second challenge, which is for MD5.
fn authorization(challenged: &str, password: &str) -> String {
    let md5 = |text: String| {
        let digest = Md5::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let nonce =
        challenged.split("nonce=\"").nth(2).and_then(|rest| rest.split('"').next()).expect(challenged);
    let (a1, a2) = (format!("alice:example.com:{password}"), "REGISTER:sip:example.com");
    let response = md5(format!("{}:{nonce}:{}", md5(a1), md5(a2.into())));
    format!(
        "Authorization: Digest username=\"alice\", realm=\"example.com\", nonce=\"{nonce}\", \
         uri=\"sip:example.com\", response=\"{response}\"\r\n"
    )
}

/// Whoever serves the users forgets those who are gone.
#[test]
fn users_go() {
    for workers in ["1", "2"] {
        let users = ConfigFile::new(&format!("reload-users-{workers}"), "alice::secret\nbob::hidden\n");
        let text = "socket=ws:127.0.0.1:0\nmodparam(\"proto_ws\", \"require_origin\", no)\n";
        let file = ConfigFile::new(&format!("reload-with-users-{workers}"), text);
        let arguments = ["--workers", workers, "--users", users.path(), "--realm", "example.com"];
        let mut program = Program::start(&file, &arguments);
        let mut alice = Raw::open(([127, 0, 0, 1], program.port).into());
        let mut ask = |method: &str, uri: &str, cseq: u32, more: &str| {
            alice.frame(0x81, request(method, uri, cseq, more).as_bytes());
            alice.text()
        };
        let contact = "Contact: <sip:a@x.invalid;transport=ws>\r\n";
        let challenged = ask("REGISTER", "sip:example.com", 1, contact);
        let registering = format!("{contact}{}", authorization(&challenged, "secret"));
        let registered = ask("REGISTER", "sip:example.com", 2, &registering);
        assert!(registered.starts_with("SIP/2.0 200 "), "{registered}");
        let called = ask("MESSAGE", "sip:alice@example.com", 3, "");
        assert!(called.starts_with("MESSAGE sip:a@x.invalid"), "{called}");

        std::fs::write(&users.0, "bob::hidden\n").unwrap();
        assert!(program.reread(&file, text)[0].contains(" info reloaded"));
        let refused = ask("MESSAGE", "sip:alice@example.com", 4, "");
        assert!(refused.starts_with("SIP/2.0 407 "), "{refused}");
    }
}
