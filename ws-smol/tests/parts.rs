//! A connection can be taken apart in any state, in both roles, and gone on with: nothing is lost.

mod common;

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use common::{End, frame, open_pair, open_server, put, run};
use smol::io::AsyncReadExt as _;
use ws_core::frame::Opcode;
use ws_core::{Config, Role, StatusCode};
use ws_smol::{Error, WebSocket};

fn again(ws: WebSocket<End>) -> WebSocket<End> {
    WebSocket::from_parts(ws.into_parts())
}

#[test]
fn in_the_middle_of_everything() {
    run(async {
        let (mut peer, mut server) = open_server(1000, &Config::default());
        // Output that the stream did not take,
        server.send_binary(&[7; 3000]).await.unwrap();
        // messages that were received while waiting for room,
        put(&mut peer, &frame(Opcode::Text, true, b"ahead")).await;
        {
            let mut flush = pin!(server.flush());
            assert!(poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await);
        }
        // messages that came in one read with the one that is taken, and half a message.
        let (one, two, three) = (
            frame(Opcode::Text, true, b"one"),
            frame(Opcode::Text, true, b"two"),
            frame(Opcode::Text, true, b"three"),
        );
        put(&mut peer, &[&one[..], &two, &three[..9]].concat()).await;
        server = again(server);
        assert_eq!(server.read().await.unwrap(), Some("ahead".into()));
        assert_eq!(server.read().await.unwrap(), Some("one".into()));
        let parts = server.into_parts();
        assert_eq!((parts.endpoint.role(), parts.received.len()), (Role::Server, 0));
        assert_eq!(parts.input, [&two[..], &three[..9]].concat());
        assert_eq!(parts.output.len(), 4 + 3000 - 1000);
        server = WebSocket::from_parts(parts);
        assert_eq!(server.read().await.unwrap(), Some("two".into()));
        server = again(server);
        put(&mut peer, &three[9..]).await;
        assert_eq!(server.read().await.unwrap(), Some("three".into()));
        server = again(server);
        let mut sent = vec![0; 4 + 3000];
        let (flushed, read) = smol::future::zip(server.flush(), peer.read_exact(&mut sent)).await;
        flushed.unwrap();
        read.unwrap();
        assert!(sent.starts_with(b"\x82\x7e\x0b\xb8\x07") && sent.ends_with(&[7; 3000]));
    });
}

/// The closing handshake goes on, too, and the end stays the end.
#[test]
fn while_closing_and_after() {
    run(async {
        let (mut client, mut server) = open_pair(1000, &Config::default());
        client.start_close(StatusCode::NORMAL, "").unwrap();
        client = again(client);
        assert!(client.send_text("late").await.is_err());
        let (closed, read) = smol::future::zip(client.close(None, ""), server.read()).await;
        assert!(closed.unwrap().is_clean());
        assert_eq!(read.unwrap(), None);
        client = again(client);
        assert_eq!(client.read().await.unwrap(), None);
        assert!(client.outcome().unwrap().is_clean());
        let Err(Error::Ended(ended)) = client.send_text("later").await else { panic!() };
        assert!(ended.outcome.is_clean());
    });
}
