//! Opening handshakes through the adapter: over TCP on a port of the system's choice, and the ways they fail.

mod common;

use core::time::Duration;
use std::sync::Arc;

use common::{pipe, put, run, server_config};
use smol::io::AsyncReadExt as _;
use ws_core::{
    Accept, AnswerError, ClientRequestError, Config, Headers, OriginPolicy, Outcome, RequestError, Response,
    ResponseFault, ServerConfig, StatusCode, Subprotocol,
};
use ws_smol::{
    AcceptError, Acceptor, Answer, ClientBuilder, ConnectError, Listener, WebSocket, accept, accept_with,
};

fn builder() -> ClientBuilder {
    ClientBuilder::new("ws://example.com/chat?room=1")
}

/// Runs a client and a server against each other.
async fn handshake(
    builder: ClientBuilder,
    config: ServerConfig,
) -> (Result<WebSocket<common::End>, ConnectError>, Result<WebSocket<common::End>, AcceptError>) {
    let (ours, theirs) = pipe(100);
    let config = Arc::new(config);
    smol::future::zip(builder.connect_over(ours), accept(theirs, &config)).await
}

#[test]
fn over_tcp() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/chat", listener.local_addr().unwrap());
        let mut config = ServerConfig::default();
        config.subprotocols = vec!["v2".into(), "v1".into()];
        let config = Arc::new(config);
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(stream.get_ref().nodelay().unwrap());
            let mut ws = accept(stream, &config).await.unwrap();
            let opened = ws.take_opened().unwrap();
            let request = opened.request().unwrap();
            assert_eq!((request.path(), request.header("X-One")), ("/chat", Some("1")));
            assert_eq!(opened.subprotocol(), Some("v2"));
            assert!(ws.opened().is_none());
            while let Some(message) = ws.read().await.unwrap() {
                ws.send(message).await.unwrap();
            }
        };
        let client = async {
            let builder = ClientBuilder::new(&url).subprotocol("v1").subprotocol("v2").header("X-One", "1");
            let mut ws = builder.connect().await.unwrap();
            assert!(ws.get_ref().tcp().get_ref().nodelay().unwrap());
            assert_eq!(ws.subprotocol(), Some("v2"));
            assert_eq!(ws.opened().unwrap().response().unwrap().status(), 101);
            ws.send_text("hello").await.unwrap();
            assert_eq!(ws.read().await.unwrap(), Some("hello".into()));
            let outcome = ws.close(StatusCode::NORMAL, "").await.unwrap();
            assert!(outcome.is_clean(), "{outcome}");
        };
        smol::future::zip(server, client).await;
    });
}

#[test]
fn names_are_resolved() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            accept(stream, &Arc::default()).await.unwrap()
        };
        let (ws, client) = smol::future::zip(server, ws_smol::connect(&url)).await;
        client.unwrap();
        assert!(ws.opened().unwrap().request().unwrap().host().starts_with("localhost:"));
    });
}

#[test]
fn ipv6_literals() {
    let Ok(listener) = Listener::bind("[::1]:0") else {
        eprintln!("no IPv6 here");
        return;
    };
    run(async {
        let url = format!("ws://[::1]:{}/", listener.local_addr().unwrap().port());
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            accept(stream, &Arc::default()).await.unwrap()
        };
        let (ws, client) = smol::future::zip(server, ws_smol::connect(&url)).await;
        client.unwrap();
        assert!(ws.opened().unwrap().request().unwrap().host().starts_with("[::1]:"));
    });
}

/// The listener's queue takes the connection, and nobody ever answers.
#[test]
fn connect_timeout_leaves_the_handshake_alone() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let mut config = Config::default();
        config.opening_handshake_timeout = Some(Duration::from_millis(30));
        let error = ClientBuilder::new(&url).config(config).connect().await.unwrap_err();
        let ConnectError::Ended(ended) = error else { panic!("{error}") };
        assert_eq!(ended.outcome, Outcome::TimedOut(ws_core::Deadline::OpeningHandshake));
    });
}

#[test]
fn what_cannot_be_asked_for() {
    run(async {
        for (builder, error) in [
            (ClientBuilder::new("http://x/"), ClientRequestError::Scheme),
            (builder().subprotocol("a b"), ClientRequestError::Subprotocol),
            (builder().origin(""), ClientRequestError::Origin),
            // The first fault is told.
            (builder().origin("").subprotocol("a b"), ClientRequestError::Origin),
        ] {
            let Err(ConnectError::Request(got)) = builder.connect().await else { panic!("{error}") };
            assert_eq!(got, error);
        }
        assert!(builder().header("X", "a\r\nb").connect().await.is_err());
        #[cfg(not(feature = "tls"))]
        assert!(matches!(ws_smol::connect("wss://localhost/").await, Err(ConnectError::NoTls)));
    });
}

#[test]
fn a_refusal_reaches_both_sides() {
    run(async {
        let mut config = ServerConfig::default();
        config.origins = OriginPolicy::Required;
        let (client, server) = handshake(builder(), config.clone()).await;
        let Err(ConnectError::Ended(ended)) = client else { panic!("{client:?}") };
        let Outcome::Rejected(rejected) = ended.outcome else { panic!("{}", ended.outcome) };
        assert_eq!((rejected.status(), rejected.fault()), (403, ResponseFault::Status));
        let Err(AcceptError::Ended(ended)) = server else { panic!("{server:?}") };
        assert!(matches!(ended.outcome, Outcome::Refused(RequestError::Origin)), "{}", ended.outcome);

        let (client, server) = handshake(builder().origin("https://example.com"), config).await;
        client.unwrap();
        server.unwrap();
    });
}

/// A server that agrees to none of the subprotocols, to a client that goes on without, and to one that does not.
#[test]
fn no_subprotocol() {
    run(async {
        let (client, _) = handshake(builder().subprotocol("sip"), ServerConfig::default()).await;
        assert_eq!(client.unwrap().subprotocol(), None);
        let builder = builder().subprotocol("sip").require_subprotocol();
        let (client, _) = handshake(builder, ServerConfig::default()).await;
        let Err(ConnectError::Ended(ended)) = client else { panic!("{client:?}") };
        let Outcome::Rejected(rejected) = ended.outcome else { panic!("{ended}") };
        assert_eq!(rejected.fault(), ResponseFault::NoSubprotocol);
    });
}

/// An answer that is no HTTP, a stream that ends, a head that never ends.
#[test]
fn a_peer_that_speaks_otherwise() {
    run(async {
        let (ours, mut theirs) = pipe(1000);
        put(&mut theirs, b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        let Err(ConnectError::Ended(ended)) = builder().connect_over(ours).await else { panic!() };
        assert!(matches!(ended.outcome, Outcome::Rejected(_)), "{}", ended.outcome);

        let (ours, theirs) = pipe(1000);
        drop(theirs);
        let Err(ConnectError::Ended(ended)) = builder().connect_over(ours).await else { panic!() };
        assert!(matches!(ended.outcome, Outcome::Vanished | Outcome::TransportLost), "{}", ended.outcome);

        let (mut ours, theirs) = pipe(1000);
        let endless = async {
            let head = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 20_000][..]].concat();
            put(&mut ours, &head).await;
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
            drop(ours);
        };
        let config = Arc::default();
        let ((), accepted) = smol::future::zip(endless, accept(theirs, &config)).await;
        let Err(AcceptError::Ended(ended)) = accepted else { panic!() };
        assert!(matches!(ended.outcome, Outcome::Refused(RequestError::Head(_))), "{}", ended.outcome);
    });
}

/// What the client sends together with its request, and the server with its 101, is not lost.
#[test]
fn bytes_behind_the_heads_belong_to_the_connection() {
    run(async {
        let (mut ours, theirs) = pipe(1000);
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let hello = common::frame(ws_core::frame::Opcode::Text, true, b"hello");
        put(&mut ours, &[&request[..], &hello, &hello[..4]].concat()).await;
        let mut server = accept(theirs, &Arc::default()).await.unwrap();
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
        put(&mut ours, &hello[4..]).await;
        assert_eq!(server.read().await.unwrap(), Some("hello".into()));
    });
    run(async {
        let (ours, mut theirs) = pipe(1000);
        let server = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                theirs.read_exact(&mut byte).await.unwrap();
                request.extend(byte);
            }
            let (mut there, back) = pipe(1000);
            let config = Arc::default();
            put(&mut there, &request).await;
            let answer = async {
                drop(accept(back, &config).await.unwrap());
                let mut answer = Vec::new();
                there.read_to_end(&mut answer).await.unwrap();
                answer
            };
            let answer = answer.await;
            put(&mut theirs, &[&answer[..], b"\x81\x05hello"].concat()).await;
            theirs
        };
        let (client, _theirs) = smol::future::zip(builder().connect_over(ours), server).await;
        assert_eq!(client.unwrap().read().await.unwrap(), Some("hello".into()));
    });
}

fn asking() -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    config.ask = true;
    config.plain_requests = true;
    config.subprotocols = vec!["known".into()];
    Arc::new(config)
}

#[test]
fn the_application_decides_at_once() {
    run(async {
        let config = asking();
        let (ours, theirs) = pipe(1000);
        let client = builder().subprotocol("odd").connect_over(ours);
        let server = accept_with(theirs, &config, |request| {
            assert_eq!((request.path(), request.query()), ("/chat", Some("room=1")));
            let headers = Headers::new().with("X-Server", "1").unwrap();
            Answer::Accept(Accept { subprotocol: Subprotocol::Named("odd".into()), headers })
        });
        let (client, server) = smol::future::zip(client, server).await;
        let (client, _server) = (client.unwrap(), server.unwrap());
        assert_eq!(client.subprotocol(), Some("odd"));
        assert_eq!(client.opened().unwrap().response().unwrap().header("X-Server"), Some("1"));
    });
}

#[test]
fn the_application_decides_later() {
    run(async {
        let config = asking();
        let (ours, theirs) = pipe(1000);
        let client = builder().connect_over(ours);
        let server = async {
            let acceptor = Acceptor::receive(theirs, &config).await.unwrap();
            assert_eq!(acceptor.request().host(), "example.com");
            smol::future::yield_now().await;
            let mut response = Response::new(401);
            response.headers = Headers::new().with("WWW-Authenticate", "Basic").unwrap();
            response.body = "who are you?".into();
            acceptor.answer(Answer::Respond(response)).await.unwrap_err()
        };
        let (client, server) = smol::future::zip(client, server).await;
        let Err(ConnectError::Ended(ended)) = client else { panic!("{client:?}") };
        let Outcome::Rejected(rejected) = ended.outcome else { panic!("{}", ended.outcome) };
        assert_eq!((rejected.status(), rejected.body()), (401, &b"who are you?"[..]));
        assert_eq!(rejected.header("WWW-Authenticate"), Some("Basic"));
        let AcceptError::Ended(ended) = server else { panic!("{server}") };
        assert_eq!(ended.outcome, Outcome::Responded(401));
    });
}

#[test]
fn an_answer_that_cannot_be_sent_becomes_500() {
    run(async {
        let config = asking();
        let (ours, theirs) = pipe(1000);
        let server = accept_with(theirs, &config, |_| {
            Answer::Accept(Accept {
                subprotocol: Subprotocol::Named("not offered".into()),
                ..Accept::default()
            })
        });
        let (client, server) = smol::future::zip(builder().connect_over(ours), server).await;
        let Err(ConnectError::Ended(ended)) = client else { panic!("{client:?}") };
        let Outcome::Rejected(rejected) = ended.outcome else { panic!("{}", ended.outcome) };
        assert_eq!(rejected.status(), 500);
        assert!(matches!(server, Err(AcceptError::Answer(AnswerError::SubprotocolNotOffered))));
    });
}

#[test]
fn plain_requests() {
    let request = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer_of = async |config: Arc<ServerConfig>| {
        let (mut ours, theirs) = pipe(1000);
        put(&mut ours, request).await;
        let client = async {
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.unwrap();
            drop(ours);
            answer
        };
        let server = accept_with(theirs, &config, |request| {
            assert!(!request.is_websocket());
            let mut page = Response::new(200);
            page.body = "a page".into();
            Answer::Respond(page)
        });
        smol::future::zip(client, server).await.0
    };
    run(async {
        let answer = answer_of(asking()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("a page"), "{answer}");
        let answer = answer_of(server_config(Config::default())).await;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    });
}
