//! Streams that keep what they took until they are flushed, as TLS does, or take nothing more: `send_timeout` holds for both.

mod common;

use core::cell::Cell;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use common::{frame, open, run};
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::frame::Opcode;
use ws_core::{Config, Deadline, Outcome, Role, Side, StatusCode};
use ws_smol::{Error, WebSocket};

const SHORT: Duration = Duration::from_millis(30);

/// Takes all; at each flush a part of it leaves, which takes some time, and all in the last one.
#[derive(Debug)]
struct Keeping {
    flushes: u32,
    time: Duration,
    /// The rest does not leave.
    is_stuck: Arc<AtomicBool>,
}

impl AsyncRead for Keeping {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Keeping {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flushes > 0 {
            self.flushes -= 1;
            std::thread::sleep(self.time);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.is_stuck.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn keeping(flushes: u32, is_stuck: bool) -> WebSocket<Keeping> {
    let mut config = Config::default();
    config.send_timeout = Some(SHORT);
    let is_stuck = Arc::new(AtomicBool::new(is_stuck));
    open(Keeping { flushes, time: SHORT, is_stuck }, Role::Server, &config)
}

#[track_caller]
fn assert_stuck<T: core::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)), "{error}");
}

#[test]
fn what_never_leaves_ends_the_connection_whatever_waits() {
    run(async {
        let mut ws = keeping(0, true);
        drop(ws.send_text("hello").await);
        assert_eq!(ws.output_len(), 0, "the stream took it");
        assert_stuck(ws.flush().await);
        // And says so again, whoever goes on with it.
        assert_stuck(ws.send_text("more").await);
        assert_stuck(WebSocket::from_parts(ws.into_parts()).read().await);
    });
    run(async {
        let mut ws = keeping(0, true);
        drop(ws.send_text("hello").await);
        assert_stuck(ws.read().await);
        assert_stuck(ws.flush().await);
    });
    run(async {
        let mut ws = keeping(0, true);
        drop(ws.send_text("hello").await);
        let outcome = ws.close(None, "").await.unwrap();
        assert_eq!(outcome, Outcome::TimedOut(Deadline::Send));
    });
    // One half sends, and only the other waits.
    run(async {
        let (mut reader, mut writer) = keeping(0, true).split();
        let sending = async { writer.send_text("hello").await };
        let (read, sent) = smol::future::zip(reader.read(), sending).await;
        drop(sent);
        assert_stuck(read);
    });
}

/// However much the stream still takes.
#[test]
fn an_application_that_only_sends_learns_of_it() {
    run(async {
        let mut ws = keeping(0, true);
        while ws.send_text("more").await.is_ok() {
            std::thread::yield_now();
        }
        assert_stuck(ws.send_text("more").await);
    });
}

#[test]
fn what_leaves_part_by_part_has_the_time_anew_with_each() {
    run(async {
        let mut ws = keeping(5, false);
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
        assert_eq!(ws.get_ref().flushes, 0, "it took five times as long");
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
    });
}

/// From when the last part left: by then the time of the first one was up.
#[test]
fn what_leaves_no_more_has_the_time_from_there() {
    run(async {
        let config = with_send_timeout(LONG);
        let is_stuck = Arc::new(AtomicBool::new(true));
        let stream = Keeping { flushes: 2, time: LONG + SHORT, is_stuck: Arc::clone(&is_stuck) };
        let mut ws = open(stream, Role::Server, &config);
        ws.send_text("hello").await.unwrap();
        for _ in 0..2 {
            assert!(smol::future::poll_once(ws.flush()).await.is_none());
        }
        is_stuck.store(false, Ordering::Relaxed);
        ws.flush().await.unwrap();
    });
}

#[test]
fn without_a_send_timeout_it_may_take_any_time() {
    run(async {
        let stream = Keeping { flushes: 2, time: SHORT, is_stuck: Arc::default() };
        let mut ws = open(stream, Role::Server, &Config::default());
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
    });
}

/// Takes one byte, and another one when it is too late. Says nothing.
#[derive(Debug)]
struct Grudging {
    is_late: Arc<AtomicBool>,
    taken: usize,
}

impl AsyncRead for Grudging {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Grudging {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        if self.taken > 0 && !self.is_late.swap(false, Ordering::Relaxed) {
            return Poll::Pending;
        }
        self.taken += 1;
        Poll::Ready(Ok(1))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A socket may take a little more when it is asked again, without the peer having taken much: the time is not doubled.
#[test]
fn a_stream_that_has_no_room_is_not_asked_again_when_time_is_up() {
    run(async {
        let mut config = Config::default();
        config.send_timeout = Some(SHORT);
        let is_late = Arc::new(AtomicBool::new(false));
        let stream = Grudging { is_late: Arc::clone(&is_late), taken: 0 };
        let mut ws = open(stream, Role::Server, &config);
        drop(ws.send_text("hello").await);
        std::thread::sleep(2 * SHORT);
        is_late.store(true, Ordering::Relaxed);
        assert_stuck(ws.flush().await);
        assert_eq!(ws.get_ref().taken, 1);
    });
}

/// Keeps up to `CAPACITY` bytes, as rustls does: what was full when it was asked takes nothing, though some leaves then.
#[derive(Debug, Default)]
struct Sieve {
    kept: usize,
    /// How much leaves at each poll. It never wakes anybody for that.
    leaves: Cell<usize>,
    waker: Option<Waker>,
}

impl Sieve {
    const CAPACITY: usize = 1000;

    fn pass_on(&mut self) {
        self.kept -= self.leaves.get().min(self.kept);
    }
}

impl AsyncRead for Sieve {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sieve {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.kept == Self::CAPACITY {
            self.waker = Some(cx.waker().clone());
            self.pass_on();
            return Poll::Pending;
        }
        let n = buf.len().min(Self::CAPACITY - self.kept);
        self.kept += n;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pass_on();
        if self.kept == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Of a deadline that no machine misses by being slow.
const LONG: Duration = Duration::from_secs(1);

fn with_send_timeout(timeout: Duration) -> Config {
    let mut config = Config::default();
    config.send_timeout = Some(timeout);
    config
}

/// Sends all the time, for longer than twice the deadline. An error comes with the longest time between two messages.
async fn send_busily<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocket<S>,
) -> Result<(), (Error, Duration)> {
    let start = Instant::now();
    let (mut last, mut longest) = (start, Duration::ZERO);
    while start.elapsed() < 2 * LONG + 5 * SHORT {
        let sent = ws.send_binary(&[0; 100]).await;
        longest = longest.max(last.elapsed());
        sent.map_err(|error| (error, longest))?;
        last = Instant::now();
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Does so, once more whenever the machine stalled: that is no busy sender.
fn is_kept_by_a_busy_sender<S: AsyncRead + AsyncWrite + Unpin>(stream: impl Fn() -> S) -> WebSocket<S> {
    run(async {
        loop {
            let mut ws = open(stream(), Role::Server, &with_send_timeout(LONG));
            match send_busily(&mut ws).await {
                Ok(()) => return ws,
                Err((error, longest)) => assert!(longest > LONG / 8, "{error}"),
            }
        }
    })
}

#[test]
fn what_leaves_only_when_it_is_polled_leaves() {
    let ws = is_kept_by_a_busy_sender(|| Sieve { leaves: Cell::new(40), ..Sieve::default() });
    assert!(ws.output_len() > 0, "it was full");
}

#[test]
fn what_is_full_and_does_not_leave_ends_a_busy_sender() {
    run(async {
        let mut ws = open(Sieve::default(), Role::Server, &with_send_timeout(SHORT));
        assert_stuck(send_busily(&mut ws).await.map_err(|(error, _)| error));
    });
}

/// One call of the waker is one proof of room, though the stream at first takes nothing.
#[test]
fn a_stream_that_woke_us_is_asked_twice() {
    run(async {
        let mut ws = open(Sieve::default(), Role::Server, &with_send_timeout(LONG));
        ws.send_binary(&[0; 2 * Sieve::CAPACITY]).await.unwrap();
        std::thread::sleep(LONG + SHORT);
        ws.get_ref().leaves.set(Sieve::CAPACITY);
        ws.get_ref().waker.as_ref().unwrap().wake_by_ref();
        ws.flush().await.unwrap();
    });
}

/// Never full and never empty. It has much room, and wakes for that, only when it is left alone.
struct Hovering(smol::Timer);

impl AsyncRead for Hovering {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Hovering {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.set_after(SHORT);
        Pin::new(&mut self.0).poll(cx).map(|_| Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_has_room_only_when_it_is_left_alone_is_left_alone() {
    is_kept_by_a_busy_sender(|| Hovering(smol::Timer::never()));
}

/// Takes all and passes nothing on; what it brings is there from the start.
#[derive(Debug)]
struct Deaf(Vec<u8>);

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = core::mem::take(&mut self.0);
        buf[..bytes.len()].copy_from_slice(&bytes);
        if bytes.is_empty() { Poll::Pending } else { Poll::Ready(Ok(bytes.len())) }
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_came_in_time_is_read_first() {
    let two = [frame(Opcode::Text, true, b"one"), frame(Opcode::Text, true, b"two")].concat();
    // In the stream.
    run(async {
        let mut ws = open(Deaf(two.clone()), Role::Server, &with_send_timeout(LONG));
        ws.send_text("hello").await.unwrap();
        std::thread::sleep(LONG + SHORT);
        assert_eq!(ws.read().await.unwrap(), Some("one".into()));
        assert_eq!(ws.read().await.unwrap(), Some("two".into()));
        assert_stuck(ws.read().await);
    });
    // One is here already, and the application does else than to read.
    run(async {
        let mut ws = open(Deaf(two), Role::Server, &with_send_timeout(LONG));
        assert_eq!(ws.read().await.unwrap(), Some("one".into()));
        ws.send_text("hello").await.unwrap();
        std::thread::sleep(LONG + SHORT);
        assert_stuck(ws.flush().await);
        assert_eq!(ws.read().await.unwrap(), Some("two".into()));
        assert_stuck(ws.read().await);
    });
}

/// Whether the last frame leaves or not.
#[test]
fn what_ended_the_connection_before_stands() {
    let end = |role, input: &[u8], idle| {
        let mut config = with_send_timeout(SHORT);
        config.idle_timeout = idle;
        config.close_timeout = Duration::from_secs(60);
        let mut ws = open(Deaf(input.to_vec()), role, &config);
        run(async {
            drop(ws.read().await);
            ws.outcome().cloned().unwrap()
        })
    };
    let nonsense = end(Role::Server, &[0xff; 6], None);
    assert!(matches!(nonsense, Outcome::Failed(_)), "{nonsense}");
    assert_eq!(end(Role::Server, b"", Some(SHORT)), Outcome::TimedOut(Deadline::Idle));
    // As a client that waits for the server to end the stream.
    let clean = Outcome::Clean { initiator: Side::Peer, code: Some(StatusCode::NORMAL) };
    assert_eq!(end(Role::Client, b"\x88\x02\x03\xe8", None), clean);
}

/// Takes all or nothing, and says nothing of that.
#[derive(Debug, Default)]
struct Valve {
    is_open: Cell<bool>,
    taken: Vec<u8>,
}

impl AsyncRead for Valve {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Valve {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_open.get() {
            return Poll::Pending;
        }
        self.taken.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Which drops what the stream would not take.
#[test]
fn what_waits_is_tried_before_another_deadline_is_acted_on() {
    run(async {
        let mut config = with_send_timeout(Duration::from_secs(60));
        config.idle_timeout = Some(SHORT);
        config.close_timeout = SHORT;
        let mut ws = open(Valve::default(), Role::Server, &config);
        ws.send_text("hello").await.unwrap();
        std::thread::sleep(2 * SHORT);
        ws.get_ref().is_open.set(true);
        let error = ws.flush().await.unwrap_err();
        assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Idle)), "{error}");
        assert_eq!(ws.get_ref().taken, b"\x81\x05hello\x88\x06\x03\xe9idle");
    });
}
