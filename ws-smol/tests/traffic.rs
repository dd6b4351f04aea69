//! How the adapter uses its stream and memory: one read, all its events, one write; nothing allocated for a small
//! message; nothing held by an idle connection.

mod common;

use core::cell::Cell;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use common::{End, expect, frame, open, open_server, pipe, put, run};
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::frame::Opcode;
use ws_core::{Config, Connection, Role};
use ws_smol::{Error, Parts, WebSocket};

/// Counts the reads and writes that did something.
struct Counted {
    end: End,
    reads: Rc<Cell<usize>>,
    writes: Rc<Cell<usize>>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.end).poll_read(cx, buf);
        self.reads.set(self.reads.get() + usize::from(result.is_ready()));
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.end).poll_write(cx, buf);
        self.writes.set(self.writes.get() + usize::from(result.is_ready()));
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_close(cx)
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocket<S>) -> Result<(), Error> {
    while let Some(queued) = ws.read_ref(|message, replies| replies.send(&message)).await? {
        queued?;
    }
    Ok(())
}

#[test]
fn a_read_of_many_messages_is_answered_by_one_write() {
    run(async {
        let (mut peer, end) = pipe(10_000);
        let (reads, writes) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counted = Counted { end, reads: Rc::clone(&reads), writes: Rc::clone(&writes) };
        let mut server = open(counted, Role::Server, &Config::default());
        let peer = async {
            for _ in 0..3 {
                put(&mut peer, &frame(Opcode::Text, true, b"0123456789abcdef").repeat(16)).await;
                expect(&mut peer, &b"\x81\x100123456789abcdef".repeat(16)).await;
            }
            drop(peer);
        };
        let (echoed, ()) = smol::future::zip(echo(&mut server), peer).await;
        assert!(echoed.is_err());
        // And the read that finds the end.
        assert_eq!((reads.get(), writes.get()), (3 + 1, 3));
    });
}

/// A message that is sent, not fed, leaves at once; so does a Pong that nobody waits for.
#[test]
fn a_message_that_is_sent_leaves_at_once() {
    run(async {
        let (mut peer, mut server) = open_server(10_000, &Config::default());
        put(&mut peer, &frame(Opcode::Text, true, b"a").repeat(2)).await;
        assert_eq!(server.read().await.unwrap(), Some("a".into()));
        server.send_text("b").await.unwrap();
        expect(&mut peer, b"\x81\x01b").await;
    });
}

/// An application that only sends still answers Pings in the end.
#[test]
fn an_application_that_only_sends_answers_pings() {
    run(async {
        let (mut peer, mut server) = open_server(10_000, &Config::default());
        put(&mut peer, &frame(Opcode::Ping, true, b"there?")).await;
        let mut all = Vec::new();
        while !all.ends_with(b"\x8a\x06there?") {
            server.send_text("x").await.unwrap();
            let mut bytes = [0; 100];
            let n = smol::io::AsyncReadExt::read(&mut peer, &mut bytes).await.unwrap();
            all.extend_from_slice(&bytes[..n]);
        }
    });
}

/// A peer that always has something to say does not keep the other tasks of the thread from running.
#[test]
fn a_flood_lets_other_tasks_run() {
    struct Flood(Vec<u8>);

    impl AsyncRead for Flood {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            buf[..self.0.len()].copy_from_slice(&self.0);
            Poll::Ready(Ok(self.0.len()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    let flood = Flood(frame(Opcode::Text, true, b"more"));
    let mut server = open(flood, Role::Server, &Config::default());
    let mut echo = pin!(echo(&mut server));
    for _ in 0..10 {
        assert!(echo.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

#[test]
fn memory() {
    let cx = &mut Context::from_waker(Waker::noop());
    let message = frame(Opcode::Text, true, &[b'x'; 700]);
    // One echo of 16 messages, there and back; the stream itself allocates nothing after the first.
    fn round<F: Future>(peer: &mut End, message: &[u8], echo: &mut Pin<&mut F>, cx: &mut Context<'_>) {
        for _ in 0..16 {
            assert!(
                matches!(Pin::new(&mut *peer).poll_write(cx, message), Poll::Ready(Ok(n)) if n == message.len())
            );
        }
        assert!(echo.as_mut().poll(cx).is_pending());
        let mut bytes = [0; 16 * (4 + 700)];
        assert!(matches!(Pin::new(peer).poll_read(cx, &mut bytes), Poll::Ready(Ok(n)) if n == bytes.len()));
    }

    // The thread's spare memory.
    let (mut peer, mut server) = open_server(20_000, &Config::default());
    let mut echoing = pin!(echo(&mut server));
    round(&mut peer, &message, &mut echoing, cx);
    // Nothing is allocated for a message of either direction.
    let echoes = allocation_counter::measure(|| {
        for _ in 0..10 {
            round(&mut peer, &message, &mut echoing, cx);
        }
    });
    assert_eq!(echoes.count_total, 0);

    // An idle connection holds its state, in one piece, and nothing else: the second round ends as the first.
    let config = Arc::new(Config::default());
    let (mut peer, end) = pipe(20_000);
    let mut idle = None;
    let held = allocation_counter::measure(|| {
        let connection = Connection::new(Role::Server, &config, ws_smol::now(), None);
        let ws = idle.insert(WebSocket::from_parts(Parts::new(end, connection)));
        assert!(pin!(echo(ws)).poll(cx).is_pending());
    });
    assert_eq!(held.count_current, 1);
    assert!(held.bytes_current <= 640, "{held:?}");
    let ws = idle.as_mut().unwrap();
    round(&mut peer, &message, &mut pin!(echo(ws)), cx);
    let more = allocation_counter::measure(|| round(&mut peer, &message, &mut pin!(echo(ws)), cx));
    assert_eq!((more.count_current, more.bytes_current), (0, 0));
}
