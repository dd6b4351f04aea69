use super::*;
use crate::mi::commands::tests::Fake;

fn read(bytes: &[u8]) -> HttpInput {
    HttpReader::default().push(bytes)
}

#[track_caller]
fn request(bytes: &[u8]) -> HttpRequest {
    match read(bytes) {
        HttpInput::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

fn respond_to(bytes: &[u8]) -> String {
    String::from_utf8(respond(&mut Fake::default(), "mi", &request(bytes))).unwrap()
}

/// As the real client writes it.
const TRACE: &[u8] =
    b"POST /mi HTTP/1.1\r\nAccept-Encoding: identity\r\nContent-Length: 68\r\nHost: 127.0.0.20:8888\r\n\
    User-Agent: Python-urllib/3.11\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
    {\"jsonrpc\": \"2.0\", \"id\": \"4584\", \"method\": \"ws_trace\", \"params\": {}}";

#[test]
fn a_command() {
    assert_eq!(
        respond_to(TRACE),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 59\r\n\r\n\
         {\"jsonrpc\":\"2.0\",\"result\":{\"WS tracing\":\"off\"},\"id\":\"4584\"}"
    );
}

#[test]
fn any_cut_gives_the_same_request() {
    for size in 1..TRACE.len() {
        let mut reader = HttpReader::default();
        let mut inputs: Vec<_> = TRACE.chunks(size).map(|chunk| reader.push(chunk)).collect();
        assert_eq!(inputs.pop(), Some(HttpInput::Request(request(TRACE))), "{size}");
        assert!(inputs.iter().all(|input| *input == HttpInput::Partial(false)), "{size}");
    }
}

#[test]
fn each_status() {
    for (request, status) in [
        ("GET /mi HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"),
        ("POST /mi HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "400 Bad Request"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "400 Bad Request"),
        ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "200 OK"),
        ("POST /mi/ HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "200 OK"),
        ("POST /mi?a HTTP/1.1\r\nhost:x\r\ncontent-length:\t1 \r\n\r\nx", "200 OK"),
        ("POST /mi HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nContent-Length: 1\r\n\r\nx", "403 Forbidden"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"),
    ] {
        let response = respond_to(request.as_bytes());
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {response}");
        assert!(response.contains("\r\nContent-Length: "), "{request}: {response}");
    }
    let notification = "{\"jsonrpc\":\"2.0\",\"method\":\"version\"}";
    let request = format!("POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n{notification}");
    assert_eq!(
        respond_to(request.as_bytes()),
        "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn metrics_are_text() {
    let response = respond_to(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    assert!(body.contains("# TYPE ws_sip_transport_opened_total counter\nws_sip_transport_opened_total 7\n"));
    assert!(body.contains("# TYPE ws_sip_transport_flows gauge\nws_sip_transport_flows 2\n"));
    let only_head = respond_to(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(only_head, format!("{head}\r\n\r\n"));
    let mut gone = Fake { is_gone: true, ..Fake::default() };
    let response = respond(&mut gone, "mi", &request(b"GET /metrics HTTP/1.0\r\n\r\n"));
    assert!(response.starts_with(b"HTTP/1.1 503 "));
}

#[test]
fn what_is_no_request_is_refused() {
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(64));
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(MAX_HEAD_LEN));
    for (bytes, status) in [
        ("\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /\u{7f} HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("GET / FTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
        (many.as_str(), 431),
        (long.as_str(), 431),
    ] {
        assert_eq!(read(bytes.as_bytes()), HttpInput::Refused(status), "{bytes}");
        assert!(refuse(status).starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
    }
    assert_eq!(read(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"), HttpInput::Refused(400));
    assert!(HttpReader::default().is_empty());
}

#[test]
fn who_asks_first_is_told_to_go_on_once() {
    let mut reader = HttpReader::default();
    let head = b"POST /mi HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(reader.push(head), HttpInput::Partial(true));
    assert_eq!(reader.push(b"{"), HttpInput::Partial(false));
    assert!(matches!(reader.push(b"}"), HttpInput::Request(request) if request.body == b"{}"));
}
