//! Opening handshakes over sockets: what is agreed, what is refused, and what is not even tried.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ws_core::{
    Accept, AnswerError, ClientRequestError, Config, Headers, Opened, OriginPolicy, Outcome, RequestError,
    Response, ResponseFault, ServerConfig, Subprotocol,
};
use ws_std::{AcceptError, Acceptor, Answer, ClientBuilder, ConnectError, Ended, Listener, WebSocket};

use crate::common::{config, ms, server_config, streams, within};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Sends `request` to a server, and returns what that makes of it and all that comes back.
fn ask(config: ServerConfig, request: String) -> (Result<WebSocket, AcceptError>, String) {
    let (accepted, mut connected) = streams();
    let server = thread::spawn(move || ws_std::accept(accepted, &Arc::new(config)));
    connected.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    let mut reader = BufReader::new(&connected);
    while !response.ends_with("\r\n\r\n") {
        reader.read_line(&mut response).unwrap();
    }
    if !response.starts_with("HTTP/1.1 101 ") {
        reader.read_to_string(&mut response).unwrap();
    }
    drop(connected);
    (server.join().unwrap(), response)
}

fn ended(error: AcceptError) -> Outcome {
    match error {
        AcceptError::Ended(Ended { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_answers_what_it_refuses() {
    within(|| {
        let with = |edit: fn(&mut ServerConfig)| {
            let mut config = ServerConfig::default();
            edit(&mut config);
            config
        };
        let all = || with(|_| ());
        for (config, request, status, error) in [
            (all(), format!("POST{}\r\n", &REQUEST[3..]), "405 ", RequestError::Method),
            (all(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 ", RequestError::NotWebSocket),
            (all(), format!("{}\r\n", REQUEST.replace("13", "8")), "426 ", RequestError::Version),
            (all(), format!("{}\r\n", REQUEST.replace("nonce", "")), "101", RequestError::Key),
            (
                with(|config| config.resource = Some("/other".into())),
                format!("{REQUEST}\r\n"),
                "404 ",
                RequestError::Resource,
            ),
            (
                with(|config| config.origins = OriginPolicy::Required),
                format!("{REQUEST}\r\n"),
                "403 ",
                RequestError::Origin,
            ),
            (
                with(|config| config.require_subprotocol = true),
                format!("{REQUEST}\r\n"),
                "400 ",
                RequestError::Subprotocol,
            ),
            (
                with(|config| config.unavailable = Some(ms(7000))),
                format!("{REQUEST}\r\n"),
                "503 ",
                RequestError::Unavailable,
            ),
        ] {
            let (result, response) = ask(config, request);
            if status == "101" {
                assert!(result.is_ok());
                continue;
            }
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{response}");
            assert_eq!(ended(result.unwrap_err()), Outcome::Refused(error));
        }
    });
}

/// The answer arrives although more comes than was asked for.
#[test]
fn a_refusal_arrives_at_a_client_that_talks_on() {
    within(|| {
        let request = format!("GET / HTTP/1.0\r\n{}", "x".repeat(200_000));
        let (result, response) = ask(ServerConfig::default(), request);
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert!(matches!(ended(result.unwrap_err()), Outcome::Refused(RequestError::Head(_))));
    });
}

#[test]
fn a_client_that_goes_away() {
    within(|| {
        let (accepted, mut connected) = streams();
        connected.write_all(&REQUEST.as_bytes()[..50]).unwrap();
        drop(connected);
        let error = ws_std::accept(accepted, &Arc::default()).unwrap_err();
        assert_eq!(ended(error), Outcome::Vanished);
    });
}

/// Frames that came in one piece with the request are not lost.
#[test]
fn frames_behind_the_request() {
    within(|| {
        for ask in [false, true] {
            let (accepted, mut connected) = streams();
            let mut bytes = format!("{REQUEST}\r\n").into_bytes();
            bytes.extend(b"\x81\x82\0\0\0\0hi\x81\x82\0\0\0\0yo");
            connected.write_all(&bytes).unwrap();
            let mut config = ServerConfig::default();
            config.ask = ask;
            let mut ws = ws_std::accept(accepted, &Arc::new(config)).unwrap();
            assert_eq!(ws.read().unwrap(), Some("hi".into()));
            assert_eq!(ws.read().unwrap(), Some("yo".into()));
        }
    });
}

/// What a builder asks for and what the application answers with meet.
#[test]
fn what_both_sides_agree_on() {
    within(|| {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/chat?room=1", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut config = ServerConfig::default();
            config.ask = true;
            config.subprotocols = vec!["sip".into()];
            let ws = ws_std::accept_with(stream, &Arc::new(config), |request| {
                assert_eq!(request.target(), "/chat?room=1");
                assert_eq!(request.header("X-Token"), Some("abc"));
                assert_eq!(request.origin(), Some("https://example.com"));
                assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["other", "sip"]);
                Answer::Accept(Accept {
                    subprotocol: Subprotocol::Named("other".into()),
                    headers: Headers::new().with("X-Reply", "yes").unwrap(),
                })
            });
            let ws = ws.unwrap();
            assert_eq!(ws.subprotocol(), Some("other"));
            assert_eq!(ws.opened().unwrap().request().unwrap().path(), "/chat");
            ws
        });
        let mut client = ClientBuilder::new(&url)
            .subprotocol("other")
            .subprotocol("sip")
            .origin("https://example.com")
            .header("X-Token", "abc")
            .config(config(|config| config.max_message_len = 1000))
            .connect()
            .unwrap();
        assert_eq!(client.subprotocol(), Some("other"));
        assert_eq!(client.config().max_message_len, 1000);
        let response = client.opened().and_then(Opened::response).unwrap();
        assert_eq!(response.header("x-reply"), Some("yes"));
        assert!(client.take_opened().is_some() && client.opened().is_none());
        assert!(client.get_ref().tcp().nodelay().unwrap());
        let server = server.join().unwrap();
        assert!(server.get_ref().nodelay().unwrap());
    });
}

/// A server that agrees to none of the subprotocols, to a client that goes on without, and to one that does not.
#[test]
fn no_subprotocol() {
    within(|| {
        for required in [false, true] {
            let (accepted, connected) = streams();
            let server = thread::spawn(move || ws_std::accept(accepted, &Arc::default()).map(drop));
            let builder = ClientBuilder::new("ws://localhost/").subprotocol("sip");
            let builder = if required { builder.require_subprotocol() } else { builder };
            match builder.connect_over(connected) {
                Ok(client) => assert!(!required && client.subprotocol().is_none()),
                Err(ConnectError::Ended(Ended { outcome: Outcome::Rejected(rejected), .. })) => {
                    assert!(required);
                    assert_eq!(rejected.fault(), ResponseFault::NoSubprotocol);
                }
                Err(error) => panic!("{error}"),
            }
            server.join().unwrap().unwrap();
        }
    });
}

#[test]
fn an_application_answers_otherwise() {
    within(|| {
        let (accepted, connected) = streams();
        let mut config = ServerConfig::default();
        config.ask = true;
        let server = thread::spawn(move || {
            let acceptor = Acceptor::receive(accepted, &Arc::new(config)).unwrap();
            assert!(acceptor.request().is_websocket());
            let mut response = Response::new(401);
            response.headers = Headers::new().with("WWW-Authenticate", "Basic").unwrap();
            response.body = "who are you?".into();
            acceptor.answer(Answer::Respond(response)).unwrap_err()
        });
        let result = ClientBuilder::new("ws://localhost/").connect_over(connected);
        let Err(ConnectError::Ended(Ended { outcome: Outcome::Rejected(rejected), .. })) = result else {
            panic!("{result:?}")
        };
        assert_eq!((rejected.fault(), rejected.status()), (ResponseFault::Status, 401));
        assert_eq!(rejected.header("www-authenticate"), Some("Basic"));
        assert_eq!(rejected.body(), b"who are you?");
        assert_eq!(ended(server.join().unwrap()), Outcome::Responded(401));
    });
}

/// The application's fault is not the client's: it gets 500.
#[test]
fn an_answer_that_cannot_be_sent() {
    within(|| {
        let (accepted, mut connected) = streams();
        connected.write_all(format!("{REQUEST}\r\n").as_bytes()).unwrap();
        let mut config = ServerConfig::default();
        config.ask = true;
        let server = thread::spawn(move || {
            ws_std::accept_with(accepted, &Arc::new(config), |_| {
                let subprotocol = Subprotocol::Named("not offered".into());
                Answer::Accept(Accept { subprotocol, headers: Headers::new() })
            })
            .unwrap_err()
        });
        let mut response = String::new();
        connected.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
        drop(connected);
        let error = server.join().unwrap();
        assert!(matches!(error, AcceptError::Answer(AnswerError::SubprotocolNotOffered)), "{error:?}");
    });
}

/// An application that takes longer than the handshake may.
#[test]
fn an_answer_that_comes_too_late() {
    within(|| {
        let (accepted, mut connected) = streams();
        connected.write_all(format!("{REQUEST}\r\n").as_bytes()).unwrap();
        let mut config = ServerConfig::default();
        config.ask = true;
        config.connection = Arc::new(self::config(|config| config.opening_handshake_timeout = Some(ms(50))));
        let server = thread::spawn(move || {
            let acceptor = Acceptor::receive(accepted, &Arc::new(config)).unwrap();
            let start = std::time::Instant::now();
            while start.elapsed() < ms(60) {
                thread::yield_now();
            }
            acceptor.answer(Answer::Accept(Accept::default())).unwrap_err()
        });
        let mut response = String::new();
        connected.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        drop(connected);
        assert!(matches!(ended(server.join().unwrap()), Outcome::TimedOut(_)));
    });
}

#[test]
fn a_response_that_is_not_one() {
    within(|| {
        let (mut accepted, connected) = streams();
        accepted
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            )
            .unwrap();
        let result = ClientBuilder::new("ws://localhost/").connect_over(connected);
        let Err(ConnectError::Ended(Ended { outcome: Outcome::Rejected(rejected), .. })) = result else {
            panic!("{result:?}")
        };
        assert_eq!(rejected.fault(), ResponseFault::Accept);
    });
}

/// Nothing is connected for what cannot be asked.
#[test]
fn requests_that_cannot_be_sent() {
    let error = |builder: ClientBuilder| builder.connect().unwrap_err();
    #[cfg(not(feature = "tls"))]
    assert!(matches!(error(ClientBuilder::new("wss://localhost/")), ConnectError::NoTls));
    for (builder, fault) in [
        (ClientBuilder::new("http://localhost/"), ClientRequestError::Scheme),
        (ClientBuilder::new("ws://localhost/ x"), ClientRequestError::Character),
        (ClientBuilder::new("ws://localhost/#x").origin("also wrong\n"), ClientRequestError::Fragment),
        (ClientBuilder::new("ws://localhost/").subprotocol("a b"), ClientRequestError::Subprotocol),
        (ClientBuilder::new("ws://localhost/").origin("a\r\nb"), ClientRequestError::Origin),
    ] {
        match error(builder) {
            ConnectError::Request(error) => assert_eq!(error, fault),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nobody_listens() {
    within(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = ws_std::connect(&url).unwrap_err();
        assert!(
            matches!(&error, ConnectError::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
        );
        let error = ClientBuilder::new(&url).connect_timeout(None).connect().unwrap_err();
        assert!(matches!(error, ConnectError::Io(_)));
    });
}

/// IPv6 addresses in brackets, where the machine has IPv6.
#[test]
fn an_ipv6_literal() {
    within(|| {
        let Ok(listener) = Listener::bind("[::1]:0") else { return };
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (stream, peer) = listener.accept().unwrap();
            assert!(peer.is_ipv6());
            ws_std::accept(stream, &server_config(Config::default())).unwrap().read().unwrap()
        });
        let mut client = ws_std::connect(&url).unwrap();
        client.send_text("six").unwrap();
        assert_eq!(server.join().unwrap(), Some("six".into()));
    });
}

/// `serve` gives each connection a thread, and tells what came of the handshakes.
#[test]
fn a_listener_serves() {
    within(|| {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            listener.serve(&Arc::default(), move |accepted, peer| match accepted {
                Ok(mut ws) => {
                    while let Ok(Some(message)) = ws.read() {
                        ws.send(message).unwrap();
                    }
                }
                Err(error) => tell.send((ended(error), peer)).unwrap(),
            })
        });
        // A slow client keeps nobody waiting.
        let mut slow = TcpStream::connect(address).unwrap();
        slow.write_all(b"GET").unwrap();
        let mut clients: Vec<_> =
            (0..10).map(|_| ws_std::connect(&format!("ws://{address}/")).unwrap()).collect();
        for client in &mut clients {
            client.send_text("echo").unwrap();
            assert_eq!(client.read().unwrap(), Some("echo".into()));
        }
        let peer = slow.local_addr().unwrap();
        drop(slow);
        assert_eq!(told.recv().unwrap(), (Outcome::Vanished, peer));
    });
}
