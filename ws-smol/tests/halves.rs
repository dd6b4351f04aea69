//! The halves of a split connection, used at once by two tasks.

mod common;

use common::{End, expect, frame, open_pair, open_server, pattern, put, run};
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use smol::io::AsyncReadExt as _;
use std::sync::Arc;
use std::task::Wake;
use ws_core::frame::Opcode;
use ws_core::{Config, Outcome, Side, StatusCode};
use ws_smol::Message;

/// Two threads run four tasks: each half sends and receives at full speed.
#[test]
fn at_full_speed_on_two_threads() {
    let executor = Arc::new(smol::Executor::new());
    let threads = [(); 2].map(|()| {
        let (executor, (stop, stopped)) = (Arc::clone(&executor), smol::channel::bounded::<()>(1));
        let thread = std::thread::spawn(move || smol::block_on(executor.run(stopped.recv())));
        (stop, thread)
    });
    run(async {
        const MESSAGES: usize = 1000;
        let (client, server) = open_pair(5000, &Config::default());
        let mut tasks = Vec::new();
        for ws in [client, server] {
            let (mut reader, mut writer) = ws.split();
            tasks.push(executor.spawn(async move {
                for i in 0..MESSAGES {
                    writer.send_binary(&pattern(i, i)).await.unwrap();
                }
                writer.flush().await.unwrap();
                writer
            }));
            let writer = tasks.pop().unwrap();
            tasks.push(executor.spawn(async move {
                for i in 0..MESSAGES {
                    assert_eq!(reader.read().await.unwrap(), Some(pattern(i, i).into()));
                }
                let writer = writer.await;
                let mut ws = reader.join(writer).unwrap();
                let _ = ws.close(StatusCode::NORMAL, "").await.unwrap();
                ws.split().1
            }));
        }
        for task in tasks {
            assert!(task.await.outcome().unwrap().is_clean());
        }
    });
    for (stop, thread) in threads {
        drop(stop);
        let _ = thread.join().unwrap();
    }
}

#[test]
fn pongs_leave_while_only_reading() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (mut reader, _writer) = server.split();
        let reading = reader.read();
        let peer = async {
            put(&mut peer, &frame(Opcode::Ping, true, b"there?")).await;
            expect(&mut peer, b"\x8a\x06there?").await;
            put(&mut peer, &frame(Opcode::Text, true, b"hello")).await;
        };
        let (read, ()) = smol::future::zip(reading, peer).await;
        assert_eq!(read.unwrap(), Some("hello".into()));
    });
}

/// The writer waits for room, and nobody reads: the Pong goes out at the next end of a frame, before the data that
/// wait.
#[test]
fn pongs_leave_while_only_writing() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (_reader, mut writer) = server.split();
        // 4 + 3,000 bytes, of which the stream holds 1,000.
        writer.send_binary(&[7; 3000]).await.unwrap();
        writer.send_text("behind").await.unwrap();
        let peer = async {
            put(&mut peer, &frame(Opcode::Ping, true, b"there?")).await;
            let mut message = vec![0; 4 + 3000];
            peer.read_exact(&mut message).await.unwrap();
            assert!(message.ends_with(&[7; 3000]));
            expect(&mut peer, b"\x8a\x06there?\x81\x06behind").await;
        };
        let (flushed, ()) = smol::future::zip(writer.flush(), peer).await;
        flushed.unwrap();
    });
}

/// The same with a Close: the frame that was begun is ended, the data behind it are dropped, as nobody wants them
/// any more.
#[test]
fn closes_leave_while_only_writing() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (_reader, mut writer) = server.split();
        writer.send_binary(&[7; 3000]).await.unwrap();
        writer.send_text("behind").await.unwrap();
        let peer = async {
            put(&mut peer, &frame(Opcode::Close, true, b"\x03\xe8")).await;
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest.len(), 4 + 3000 + 4);
            assert!(rest.ends_with(b"\x07\x88\x02\x03\xe8"));
        };
        let (flushed, ()) = smol::future::zip(writer.flush(), peer).await;
        let outcome = Outcome::Clean { initiator: Side::Peer, code: Some(StatusCode::NORMAL) };
        assert_eq!(flushed.unwrap_err().outcome(), Some(&outcome));
        assert_eq!(writer.close(None, "").await.unwrap(), outcome);
    });
}

/// What the writer received ahead while it waited is there for the reader, in order.
#[test]
fn messages_received_by_the_writer_reach_the_reader() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (mut reader, mut writer) = server.split();
        writer.send_binary(&[7; 3000]).await.unwrap();
        for text in ["one", "two", "three"] {
            put(&mut peer, &frame(Opcode::Text, true, text.as_bytes())).await;
        }
        {
            // The writer takes them in, and waits.
            let mut flush = pin!(writer.flush());
            let first = poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await;
            assert!(first);
        }
        put(&mut peer, &frame(Opcode::Text, true, b"four")).await;
        for text in ["one", "two", "three", "four"] {
            assert_eq!(reader.read().await.unwrap(), Some(text.into()));
        }
    });
}

/// Without the reader nobody wants messages: they must not stop the writer's Pongs.
#[test]
fn a_dropped_reader_leaves_messages_to_be_dropped() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (reader, mut writer) = server.split();
        drop(reader);
        writer.send_binary(&[7; 3000]).await.unwrap();
        let peer = async {
            // Far more than is received ahead.
            for _ in 0..500 {
                put(&mut peer, &frame(Opcode::Binary, true, &[1; 1000])).await;
            }
            put(&mut peer, &frame(Opcode::Ping, true, b"")).await;
            let mut all = vec![0; 4 + 3000 + 2];
            peer.read_exact(&mut all).await.unwrap();
            assert!(all.ends_with(b"\x8a\x00"));
        };
        let (flushed, ()) = smol::future::zip(writer.flush(), peer).await;
        flushed.unwrap();
    });
}

/// The other half can be used in the middle of a loan: no lock is held.
#[test]
fn a_lent_message_can_be_answered_by_the_writer() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (mut reader, mut writer) = server.split();
        put(&mut peer, &[frame(Opcode::Text, true, b"a"), frame(Opcode::Text, true, b"b")].concat()).await;
        for text in ["a", "b"] {
            reader
                .read_ref(|message| {
                    assert_eq!(message.as_bytes(), text.as_bytes());
                    writer.feed(&Message::from(message)).unwrap();
                    assert_eq!(writer.outcome(), None);
                })
                .await
                .unwrap()
                .unwrap();
        }
        writer.flush().await.unwrap();
        expect(&mut peer, b"\x81\x01a\x81\x01b").await;
    });
}

/// `start_close` of the writer wakes a reader that sleeps, which then sends the frame and keeps the deadline.
#[test]
fn the_reader_carries_on_what_the_writer_started() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (mut reader, mut writer) = server.split();
        let mut reading = Box::pin(reader.read());
        assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
        writer.start_close(StatusCode::GOING_AWAY, "").unwrap();
        let peer = async {
            expect(&mut peer, b"\x88\x02\x03\xe9").await;
            put(&mut peer, &frame(Opcode::Text, true, b"last words")).await;
            put(&mut peer, &frame(Opcode::Close, true, b"\x03\xe9")).await;
        };
        let (read, ()) = smol::future::zip(&mut reading, peer).await;
        assert_eq!(read.unwrap(), Some("last words".into()));
        drop(reading);
        assert_eq!(reader.read().await.unwrap(), None);
        assert!(writer.send_text("late").await.is_err());
    });
}

/// While a message is lent the writer cannot read, and the reader need not go on after that.
#[test]
fn a_writer_that_found_a_message_lent_goes_on_after_it() {
    run(async {
        let (mut peer, server) = open_server(1000, &Config::default());
        let (mut reader, mut writer) = server.split();
        put(&mut peer, &frame(Opcode::Text, true, b"hello")).await;
        let mut closing = pin!(writer.close(StatusCode::NORMAL, ""));
        let (woken, waker) = flag();
        let look = |_: ws_smol::MessageRef<'_>| {
            assert!(closing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            woken.0.store(false, Ordering::Relaxed);
        };
        reader.read_ref(look).await.unwrap().unwrap();
        assert!(woken.0.load(Ordering::Relaxed));
        put(&mut peer, &frame(Opcode::Close, true, b"\x03\xe8")).await;
        assert!(closing.await.unwrap().is_clean());
    });
}

/// A waker that remembers that it was called.
fn flag() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    (Arc::clone(&flag), Waker::from(flag))
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn halves_of_different_connections_do_not_join() {
    let (first, second) = open_pair(10, &Config::default());
    let (reader, writer) = first.split();
    let (other_reader, other_writer) = second.split();
    let (reader, other_writer) = reader.join(other_writer).unwrap_err();
    assert!(reader.join(writer).is_ok());
    let whole: ws_smol::WebSocket<End> = other_reader.join(other_writer).unwrap();
    assert_eq!(whole.outcome(), None);
}
