use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc;

use rustix::fs::{CWD, Mode};

use super::*;
use crate::mi::commands::tests::Fake;

/// Longer than anything takes, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

const TRACE: &str = r#"{"jsonrpc": "2.0", "id": "8750", "method": "ws_trace", "params": {}}"#;
const TRACE_RESPONSE: &str = r#"{"jsonrpc":"2.0","result":{"WS tracing":"off"},"id":"8750"}"#;

/// A directory of its own for each test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ws-sip-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Settings with each way of management, the files in this directory.
    fn settings(&self) -> Settings {
        Settings {
            mi_fifo: Some(self.path("fifo")),
            mi_fifo_reply_dir: self.0.clone(),
            mi_datagram: Some(DatagramAddress::Unix(self.path("socket"))),
            mi_http: Some("127.0.0.1:0".parse().unwrap()),
            ..Settings::default()
        }
    }

    fn start(&self) -> Server {
        Server::start(&self.settings(), Fake::default()).unwrap().unwrap()
    }

    fn reply_fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        rustix::fs::mkfifoat(CWD, &path, Mode::from_raw_mode(0o666)).unwrap();
        path
    }

    /// Writes to the server's FIFO as a client does: opened, written and closed.
    fn write(&self, text: &str) {
        File::options().write(true).open(self.path("fifo")).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads a file to its end in another thread, since that may wait for ever.
fn read_all(path: PathBuf) -> mpsc::Receiver<String> {
    let (done, all) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        File::open(path).unwrap().read_to_string(&mut text).unwrap();
        let _ = done.send(text);
    });
    all
}

fn http_address(server: &Server) -> SocketAddr {
    let found = server.addresses().iter().find_map(|address| match address {
        Address::Http(address) => Some(*address),
        _ => None,
    });
    found.unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(http_address(server)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn exchange(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn post(body: &str) -> String {
    format!("POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn statistic(server: &Server, name: &str) -> u64 {
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"get_statistics","params":["{name}"]}}"#);
    let response = exchange(connect(server), &post(&request));
    let value = response.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("{response}"));
    value[..value.find('}').unwrap()].parse().unwrap()
}

#[test]
fn a_fifo_answers_into_the_clients_own() {
    let directory = Directory::new();
    let server = directory.start();
    let metadata = fs::metadata(directory.path("fifo")).unwrap();
    assert!(metadata.file_type().is_fifo());
    assert_eq!(metadata.mode() & 0o777, 0o660);
    // The client looks whether it can write, several times.
    for _ in 0..10 {
        directory.write("");
    }
    let reply = directory.reply_fifo("opensips_fifo_reply_1_2_3");
    // The client opens its own only after its request.
    directory.write(&format!(":opensips_fifo_reply_1_2_3:{TRACE}"));
    assert_eq!(read_all(reply.clone()).recv_timeout(PATIENCE).unwrap(), TRACE_RESPONSE);
    // Two in one write, the second with a response beyond what a pipe holds.
    let second = directory.reply_fifo("second");
    let (first, second) = (read_all(reply), read_all(second));
    let requests = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"which"}"#; 64].join(","));
    directory.write(&format!(":opensips_fifo_reply_1_2_3:{TRACE}\n:second:\n{requests}"));
    assert_eq!(first.recv_timeout(PATIENCE).unwrap(), TRACE_RESPONSE);
    assert_eq!(second.recv_timeout(PATIENCE).unwrap().matches("get_statistics").count(), 64);
    assert_eq!(statistic(&server, "mi:lost_responses"), 0);
    assert_eq!(statistic(&server, "mi:requests"), 5);
}

#[test]
fn a_reply_fifo_that_nobody_reads_holds_nothing_up() {
    let directory = Directory::new();
    let server = directory.start();
    directory.reply_fifo("unread");
    // No file, a file that is no FIFO, and more than may wait: who asks last is not the one that is dropped.
    fs::write(directory.path("file"), "precious").unwrap();
    let unread = format!(":unread:{TRACE}").repeat(70);
    directory.write(&format!(":nowhere:{TRACE}:file:{TRACE}{unread}"));
    let start = Instant::now();
    while statistic(&server, "mi:lost_responses") < 2 + 70 - 64 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(fs::read(directory.path("file")).unwrap(), b"precious");
    directory.write("nonsense:../up:{}:a/b:{}::{}:unread:{]");
    let response = read_all(directory.reply_fifo("read"));
    directory.write(&format!(":read:{TRACE}"));
    assert_eq!(response.recv_timeout(PATIENCE).unwrap(), TRACE_RESPONSE);
}

#[test]
fn what_has_no_end_is_answered_after_a_while() {
    let directory = Directory::new();
    let _server = directory.start();
    let response = read_all(directory.reply_fifo("reply"));
    directory.write(":reply:{\"jsonrpc\"");
    let response = response.recv_timeout(PATIENCE).unwrap();
    assert_eq!(response, r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}"#);
}

#[test]
fn datagrams_are_answered_where_they_came_from() {
    let directory = Directory::new();
    let server = directory.start();
    let client = UnixDatagram::bind(directory.path("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 65_536];
    let mut ask = |request: &[u8]| {
        client.send_to(request, directory.path("socket")).unwrap();
        let len = client.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    assert_eq!(ask(TRACE.as_bytes()), TRACE_RESPONSE);
    assert_eq!(ask(b"[]").matches("-32600").count(), 1);
    assert_eq!(ask(b"nonsense").matches("-32700").count(), 1);
    assert_eq!(ask(b"").matches("-32700").count(), 1);
    assert_eq!(ask(&[b' '; MAX_REQUEST_LEN + 100]).matches("-32600").count(), 1);
    // A sender without an address is served, and gets nothing.
    let nobody = UnixDatagram::unbound().unwrap();
    nobody.send_to(TRACE.as_bytes(), directory.path("socket")).unwrap();
    assert_eq!(ask(TRACE.as_bytes()), TRACE_RESPONSE);
    assert_eq!(statistic(&server, "mi:lost_responses"), 1);

    let settings = Settings { mi_datagram: Some("udp:127.0.0.1:0".parse().unwrap()), ..Settings::default() };
    let server = Server::start(&settings, Fake::default()).unwrap().unwrap();
    let [Address::Datagram(DatagramAddress::Udp(address))] = server.addresses() else { panic!() };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..100 {
        client.send_to(TRACE.as_bytes(), address).unwrap();
        let len = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], TRACE_RESPONSE.as_bytes());
    }
}

#[test]
fn http_connections_are_bounded_in_number() {
    let directory = Directory::new();
    let server = directory.start();
    // Looks whether somebody listens.
    drop(connect(&server));
    let response = exchange(connect(&server), &post(TRACE));
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with(TRACE_RESPONSE), "{response}");
    assert!(exchange(connect(&server), "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(exchange(connect(&server), &post("")).starts_with("HTTP/1.1 400 "));
    assert!(
        exchange(connect(&server), "GET /metrics HTTP/1.0\r\n\r\n").contains("\nws_sip_mi_requests_total ")
    );
    let many = exchange(connect(&server), &format!("{}{}", post(TRACE), post(TRACE).repeat(50)));
    assert_eq!(many.matches("HTTP/1.1").count(), 1);
    // Connections that say nothing.
    let silent: Vec<_> = core::iter::repeat_with(|| connect(&server)).take(200).collect();
    let mut refused = silent.iter().rev().filter(|stream| {
        let mut start = [0; 13];
        (&mut &**stream).read_exact(&mut start).is_ok_and(|()| start == *b"HTTP/1.1 503 ")
    });
    assert!(refused.next().is_some());
    drop(silent);
    let start = Instant::now();
    loop {
        let mut stream = connect(&server);
        let mut response = String::new();
        // A refusal may meet what is sent, which resets the connection.
        let sent =
            stream.write_all(post(TRACE).as_bytes()).and_then(|()| stream.read_to_string(&mut response));
        if sent.is_ok() && response.ends_with(TRACE_RESPONSE) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{response}");
    }
}

#[test]
fn a_request_in_pieces_is_one() {
    let directory = Directory::new();
    let server = directory.start();
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    let request = post(TRACE).replace("Host: x", "Host: x\r\nExpect: 100-continue");
    let (head, body) = request.split_at(request.len() - TRACE.len());
    for piece in head.as_bytes().chunks(7) {
        stream.write_all(piece).unwrap();
    }
    let mut proceed = [0; 25];
    stream.read_exact(&mut proceed).unwrap();
    assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(exchange(stream, body).ends_with(TRACE_RESPONSE));
}

#[test]
fn files_of_others_are_left_alone() {
    let directory = Directory::new();
    let server = directory.start();
    let start = |path: &str, kind: &str| {
        let mut settings = Settings::default();
        settings.set(kind, directory.path(path).to_str().unwrap()).unwrap();
        Server::start(&settings, Fake::default())
    };
    let refused = |path: &str, kind: &str| start(path, kind).unwrap_err().to_string();
    assert!(refused("fifo", "mi_fifo").ends_with("another program serves it"));
    assert!(refused("socket", "mi_datagram").ends_with("another program serves it"));
    fs::write(directory.path("file"), "precious").unwrap();
    std::os::unix::fs::symlink("elsewhere", directory.path("link")).unwrap();
    for name in ["file", "link", "socket"] {
        assert!(refused(name, "mi_fifo").ends_with("there is a file that is no FIFO"), "{name}");
    }
    for name in ["file", "link", "fifo"] {
        assert!(refused(name, "mi_datagram").ends_with("there is a file that is no socket"), "{name}");
    }
    assert!(refused("no/where", "mi_fifo").contains("cannot serve management on fifo:"));
    assert_eq!(fs::read(directory.path("file")).unwrap(), b"precious");

    // What a program that is gone left behind is replaced.
    fs::rename(directory.path("fifo"), directory.path("stale_fifo")).unwrap();
    fs::rename(directory.path("socket"), directory.path("stale_socket")).unwrap();
    drop(server);
    assert!(directory.path("stale_fifo").exists(), "it goes by what it made, not by the name");
    for (name, kind) in [("stale_fifo", "mi_fifo"), ("stale_socket", "mi_datagram")] {
        drop(start(name, kind).unwrap().unwrap());
        assert!(!directory.path(name).exists(), "it removes what it made");
    }
}

#[test]
fn addresses_say_who_may_come() {
    assert!(Server::start(&Settings::default(), Fake::default()).unwrap().is_none());
    for (address, shown, is_exposed) in [
        (Address::Fifo("/run/fifo".into()), "fifo:/run/fifo", false),
        (Address::Datagram("/run/socket".parse().unwrap()), "unix:/run/socket", false),
        (Address::Datagram("127.0.0.1:1".parse().unwrap()), "udp:127.0.0.1:1", false),
        (Address::Datagram("0.0.0.0:1".parse().unwrap()), "udp:0.0.0.0:1", true),
        (Address::Http("[::1]:80".parse().unwrap()), "http:[::1]:80", false),
        (Address::Http("192.0.2.1:80".parse().unwrap()), "http:192.0.2.1:80", true),
    ] {
        assert_eq!((address.to_string().as_str(), address.is_exposed()), (shown, is_exposed));
    }
    let directory = Directory::new();
    let server = directory.start();
    assert_eq!(server.addresses().len(), 3);
    assert!(http_address(&server).port() != 0);
    let made = [directory.path("fifo"), directory.path("socket")];
    assert!(made.iter().all(|path| Path::exists(path)));
    drop(server);
    assert!(!made.iter().any(|path| Path::exists(path)));
}
