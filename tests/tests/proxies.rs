//! Clients of both adapters behind a proxy: what it is asked for, what passes through it, what its refusal is.

use core::net::SocketAddr;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::net::{AddressFamily, SocketType};
use ws_core::ProxyError;

/// Names that nobody looks up but the proxy.
const URL: &str = "ws://server.invalid:8080/chat";

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Answers one connection as a proxy, and what goes through it as the server: with `None` it refused.
type Proxy = fn(TcpStream) -> Option<TcpStream>;

fn connect_proxy(mut stream: TcpStream) -> Option<TcpStream> {
    let head = read_head(&mut stream);
    assert!(head.starts_with("CONNECT server.invalid:8080 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nHost: server.invalid:8080\r\n"), "{head}");
    // RFC 7617, section 2: its own example.
    assert!(head.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
    Some(stream)
}

fn refusing_proxy(mut stream: TcpStream) -> Option<TcpStream> {
    read_head(&mut stream);
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
    None
}

/// RFC 1928 and RFC 1929.
fn socks_proxy(mut stream: TcpStream) -> Option<TcpStream> {
    let [version, methods] = read(&mut stream);
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).unwrap();
    assert!(version == 5 && offered.contains(&2), "{offered:?}");
    stream.write_all(&[5, 2]).unwrap();
    assert_eq!(&read::<21>(&mut stream), b"\x01\x07Aladdin\x0bopen sesame");
    stream.write_all(&[1, 0]).unwrap();
    assert_eq!(&read::<20>(&mut stream), b"\x05\x01\x00\x03\x0eserver.invalid\x1f");
    assert_eq!(read(&mut stream), [0x90]);
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]).unwrap();
    Some(stream)
}

fn serve(proxy: Proxy) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let Some(stream) = proxy(stream) else { return };
        let mut ws = ws_std::accept(stream, &Arc::default()).unwrap();
        while let Some(message) = ws.read().unwrap() {
            ws.send(message).unwrap();
        }
    });
    (address, served)
}

/// Connects by blocking calls, says something and returns the answer.
fn blocking(proxy: &str) -> Result<ws_std::Message, ws_std::ConnectError> {
    let mut ws = ws_std::ClientBuilder::new(URL).proxy(proxy).connect()?;
    ws.send_text("through the proxy").unwrap();
    let answer = ws.read().unwrap().unwrap();
    ws.close(None, "").unwrap();
    Ok(answer)
}

/// The same on smol.
fn on_smol(proxy: &str) -> Result<ws_smol::Message, ws_smol::ConnectError> {
    smol::block_on(async {
        let mut ws = ws_smol::ClientBuilder::new(URL).proxy(proxy).connect().await?;
        ws.send_text("through the proxy").await.unwrap();
        let answer = ws.read().await.unwrap().unwrap();
        ws.close(None, "").await.unwrap();
        Ok(answer)
    })
}

#[test]
fn messages_pass_through_a_proxy_that_took_user_and_password() {
    for (scheme, proxy) in [("http", connect_proxy as Proxy), ("socks5", socks_proxy)] {
        let (address, served) = serve(proxy);
        let url = format!("{scheme}://Aladdin:open%20sesame@{address}");
        assert_eq!(blocking(&url).unwrap(), ws_std::Message::Text("through the proxy".into()), "{scheme}");
        served.join().unwrap();

        let (address, served) = serve(proxy);
        let url = format!("{scheme}://Aladdin:open%20sesame@{address}");
        assert_eq!(on_smol(&url).unwrap(), ws_smol::Message::Text("through the proxy".into()), "{scheme}");
        served.join().unwrap();
    }
}

#[test]
fn a_refusal_is_told_with_its_status() {
    let (address, served) = serve(refusing_proxy);
    let error = blocking(&format!("http://{address}")).unwrap_err();
    assert!(matches!(error, ws_std::ConnectError::Proxy(ProxyError::Status(403))), "{error:?}");
    served.join().unwrap();

    let (address, served) = serve(refusing_proxy);
    let error = on_smol(&format!("http://{address}")).unwrap_err();
    assert!(matches!(error, ws_smol::ConnectError::Proxy(ProxyError::Status(403))), "{error:?}");
    served.join().unwrap();
}

#[test]
fn what_is_no_proxy_and_what_is_not_there_are_told_apart() {
    for url in ["ftp://proxy.invalid", "http://", "http://proxy.invalid/path", "socks4://proxy.invalid"] {
        let error = blocking(url).unwrap_err();
        assert!(matches!(error, ws_std::ConnectError::Proxy(ProxyError::Url)), "{url}: {error:?}");
        let error = on_smol(url).unwrap_err();
        assert!(matches!(error, ws_smol::ConnectError::Proxy(ProxyError::Url)), "{url}: {error:?}");
    }
    // Taken, so that nobody else listens there, and not listened on.
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let taken = TcpListener::from(socket);
    let address = taken.local_addr().unwrap();
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let error = blocking(&format!("socks5://{address}")).unwrap_err();
    assert!(matches!(&error, ws_std::ConnectError::Io(error) if refused(error)), "{error:?}");
    let error = on_smol(&format!("socks5://{address}")).unwrap_err();
    assert!(matches!(&error, ws_smol::ConnectError::Io(error) if refused(error)), "{error:?}");
}
