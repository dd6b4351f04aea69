use core::pin::Pin;
use core::task::{Context, Poll};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use futures_io::{AsyncRead, AsyncWrite};

use crate::stream::Seen;

/// A stream that is watched.
#[derive(Debug)]
pub(super) struct Tap<S>(pub(super) S, pub(super) Rc<RefCell<Seen>>);

impl<S> Tap<S> {
    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(_)) = result {
            self.1.borrow_mut().broken = true;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_read(cx, buf);
        self.note(&result);
        let mut seen = self.1.borrow_mut();
        assert!(!seen.eof, "read beyond the end");
        if let Poll::Ready(Ok(n)) = result {
            seen.read.extend_from_slice(&buf[..n]);
            seen.eof = n == 0;
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!self.1.borrow().closed, "written after the end: {}", buf.escape_ascii());
        let result = Pin::new(&mut self.0).poll_write(cx, buf);
        self.note(&result);
        let mut seen = self.1.borrow_mut();
        if let Poll::Ready(Ok(n)) = result {
            seen.written.extend_from_slice(&buf[..n]);
            seen.broken |= n == 0;
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.0).poll_flush(cx);
        self.note(&result);
        result
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1.borrow_mut().closed = true;
        let result = Pin::new(&mut self.0).poll_close(cx);
        self.note(&result);
        result
    }
}
