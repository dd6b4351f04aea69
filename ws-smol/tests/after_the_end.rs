//! Streams that break and go on, or are long in passing on what they took: how the connection ends, and what comes after.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use smol::io::{AsyncRead, AsyncWrite};
use ws_core::{Config, Outcome, ServerConfig, Side};
use ws_smol::{Error, WebSocket};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Brings a request, breaks at the first flush, and takes all that comes later.
#[derive(Debug, Default)]
struct Recovering {
    is_read: bool,
    has_broken: bool,
    is_closed: bool,
    written: Vec<u8>,
}

impl AsyncRead for Recovering {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if core::mem::replace(&mut self.is_read, true) {
            return Poll::Pending;
        }
        buf[..REQUEST.len()].copy_from_slice(REQUEST);
        Poll::Ready(Ok(REQUEST.len()))
    }
}

impl AsyncWrite for Recovering {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match core::mem::replace(&mut self.has_broken, true) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

/// The 101 waits in the engine when the stream breaks, and stays there.
#[test]
fn nothing_is_written_after_the_end_whoever_goes_on_with_the_parts() {
    smol::block_on(async {
        let ws = ws_smol::accept(Recovering::default(), &Arc::default()).await.unwrap();
        assert_eq!(ws.outcome(), Some(&Outcome::TransportLost));
        let mut ws = WebSocket::from_parts(ws.into_parts());
        for _ in 0..2 {
            assert!(matches!(ws.send_text("late").await, Err(Error::Ended(_))));
            assert!(matches!(ws.flush().await, Err(Error::Ended(_))));
            assert_eq!(ws.close(None, "").await.unwrap(), Outcome::TransportLost);
            assert!(matches!(ws.read().await, Err(Error::Ended(_))));
        }
        assert_eq!(String::from_utf8_lossy(&ws.get_ref().written), "", "nothing leaves any more");
        assert!(ws.get_ref().is_closed, "the peer is not to wait");
    });
}

/// Brings a request and a Close frame; once the reply was taken, it is so many flushes until it left.
#[derive(Debug)]
struct Slow {
    input: Vec<u8>,
    written: Vec<u8>,
    flushes: u32,
    is_closed: bool,
}

impl Slow {
    fn new(flushes: u32) -> Self {
        // 5.5.1: masked by zeros, no status.
        Self {
            input: [REQUEST, b"\x88\x80\0\0\0\0"].concat(),
            written: Vec::new(),
            flushes,
            is_closed: false,
        }
    }

    fn has_replied(&self) -> bool {
        self.written.ends_with(b"\x88\0")
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let input = core::mem::take(&mut self.input);
        if input.is_empty() {
            return Poll::Pending;
        }
        buf[..input.len()].copy_from_slice(&input);
        Poll::Ready(Ok(input.len()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_replied() || self.flushes == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.flushes < u32::MAX {
            self.flushes -= 1;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.as_mut().poll_flush(cx);
        self.is_closed = result.is_ready();
        result
    }
}

const BY_PEER: Outcome = Outcome::Clean { initiator: Side::Peer, code: None };

#[test]
fn a_clean_end_is_told_when_its_close_frame_has_left_the_stream() {
    smol::block_on(async {
        let mut ws = ws_smol::accept(Slow::new(3), &Arc::default()).await.unwrap();
        assert_eq!(ws.read().await.unwrap(), None);
        assert_eq!(ws.outcome(), Some(&BY_PEER));
        assert_eq!(ws.get_ref().flushes, 0, "it left");
        assert!(ws.get_ref().is_closed);
    });
}

#[test]
fn a_close_frame_that_never_leaves_the_stream_is_waited_for_until_the_close_timeout() {
    smol::block_on(async {
        let mut config = ServerConfig::default();
        let mut connection = Config::default();
        connection.close_timeout = Duration::from_millis(30);
        config.connection = Arc::new(connection);
        let start = std::time::Instant::now();
        let mut ws = ws_smol::accept(Slow::new(u32::MAX), &Arc::new(config)).await.unwrap();
        assert_eq!(ws.read().await.unwrap(), None);
        assert!(start.elapsed() >= Duration::from_millis(25));
        assert_eq!(ws.outcome(), Some(&BY_PEER), "both went over the wire, as far as we can tell");
    });
}
