//! Streams that keep what they took until they are flushed, as TLS does: `send_timeout` holds for that, too.

mod common;

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;

use common::{open, run};
use futures_io::{AsyncRead, AsyncWrite};
use ws_core::{Config, Deadline, Outcome, Role};
use ws_smol::{Error, WebSocket};

const SHORT: Duration = Duration::from_millis(30);

/// Takes all; at each flush a part of it leaves, which takes some time, and all in the last one.
#[derive(Debug)]
struct Keeping {
    /// `None`: nothing leaves.
    flushes: Option<u32>,
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
        match &mut self.flushes {
            None => Poll::Pending,
            Some(0) => Poll::Ready(Ok(())),
            Some(left) => {
                *left -= 1;
                std::thread::sleep(SHORT);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn keeping(flushes: Option<u32>) -> WebSocket<Keeping> {
    let mut config = Config::default();
    config.send_timeout = Some(SHORT);
    open(Keeping { flushes }, Role::Server, &config)
}

#[track_caller]
fn assert_stuck<T: core::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Some(&Outcome::TimedOut(Deadline::Send)), "{error}");
}

#[test]
fn what_never_leaves_ends_the_connection_whatever_waits() {
    run(async {
        let mut ws = keeping(None);
        ws.send_text("hello").await.unwrap();
        assert_eq!(ws.output_len(), 0, "the stream took it");
        assert_stuck(ws.flush().await);
        // And says so again, whoever goes on with it.
        assert_stuck(ws.send_text("more").await);
        assert_stuck(WebSocket::from_parts(ws.into_parts()).read().await);
    });
    run(async {
        let mut ws = keeping(None);
        ws.send_text("hello").await.unwrap();
        assert_stuck(ws.read().await);
        assert_stuck(ws.flush().await);
    });
    run(async {
        let mut ws = keeping(None);
        ws.send_text("hello").await.unwrap();
        let outcome = ws.close(None, "").await.unwrap();
        assert_eq!(outcome, Outcome::TimedOut(Deadline::Send));
    });
    // One half sends, and only the other waits.
    run(async {
        let (mut reader, mut writer) = keeping(None).split();
        let sending = async { writer.send_text("hello").await };
        let (read, sent) = smol::future::zip(reader.read(), sending).await;
        sent.unwrap();
        assert_stuck(read);
    });
}

/// However much the stream still takes.
#[test]
fn an_application_that_only_sends_learns_of_it() {
    run(async {
        let mut ws = keeping(None);
        ws.send_text("hello").await.unwrap();
        while ws.send_text("more").await.is_ok() {
            std::thread::yield_now();
        }
        assert_stuck(ws.send_text("more").await);
    });
}

#[test]
fn what_leaves_part_by_part_has_the_time_anew_with_each() {
    run(async {
        let mut ws = keeping(Some(5));
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
        assert_eq!(ws.get_ref().flushes, Some(0), "it took five times as long");
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
    });
}

#[test]
fn without_a_send_timeout_it_may_take_any_time() {
    run(async {
        let mut ws = open(Keeping { flushes: Some(2) }, Role::Server, &Config::default());
        ws.send_text("hello").await.unwrap();
        ws.flush().await.unwrap();
    });
}
