//! An in-memory byte stream that every contestant reads from and writes to.
//!
//! Reading copies the next bytes of the current chunk, as the system call would, and is always
//! ready; after the last chunk the first follows. So the bytes that in-place unmasking destroys are
//! restored by the read itself, and that copy is charged to every contestant alike.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex};

use crate::accept::answer;

/// Bytes that arrive, and where each arrival ends.
#[derive(Clone)]
pub struct Arrivals {
    bytes: Arc<[u8]>,
    /// Invariant: ascending, the last one is `bytes.len()`.
    ends: Arc<[usize]>,
}

impl Arrivals {
    /// Cuts `bytes` into chunks of at most `chunk` bytes.
    pub fn cut(bytes: Vec<u8>, chunk: usize) -> Self {
        let ends = (chunk..bytes.len()).step_by(chunk).chain([bytes.len()]).collect();
        Self::at(bytes, ends)
    }

    /// Takes the ends of the chunks as given.
    pub fn at(bytes: Vec<u8>, ends: Vec<usize>) -> Self {
        assert_eq!(ends.last(), Some(&bytes.len()), "the last chunk ends with the bytes");
        Self { bytes: bytes.into(), ends: ends.into() }
    }

    /// All bytes of one round.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where written bytes go.
enum Output {
    /// Counted and forgotten: what the kernel would do with them is no cost of the contestant.
    Discard,
    /// Kept, to be compared before anything is measured.
    Record(Arc<Mutex<Vec<u8>>>),
    /// Read as an opening handshake's request; the answer becomes what is read next.
    Answer { request: Vec<u8>, response: Vec<u8> },
}

/// The stream.
pub struct Wire {
    arrivals: Arrivals,
    chunk: usize,
    position: usize,
    output: Output,
}

impl Wire {
    /// A stream that delivers `arrivals` again and again and forgets what is written.
    pub fn new(arrivals: &Arrivals) -> Self {
        Self { arrivals: arrivals.clone(), chunk: 0, position: 0, output: Output::Discard }
    }

    /// A stream of nothing that appends what is written to `tape`.
    pub fn recording(tape: &Arc<Mutex<Vec<u8>>>) -> Self {
        Self::taped(&Arrivals::at(vec![0], vec![1]), tape)
    }

    /// A stream that delivers `arrivals` again and again and appends what is written to `tape`.
    pub fn taped(arrivals: &Arrivals, tape: &Arc<Mutex<Vec<u8>>>) -> Self {
        Self { output: Output::Record(Arc::clone(tape)), ..Self::new(arrivals) }
    }

    /// A stream behind which a server answers one opening handshake.
    pub fn answering(arrivals: &Arrivals) -> Self {
        Self { output: Output::Answer { request: Vec::new(), response: Vec::new() }, ..Self::new(arrivals) }
    }

    /// Copies from the current chunk into `space`; a chunk never spans two reads' worth of copying.
    pub fn fetch(&mut self, space: &mut [u8]) -> usize {
        let from = self.available();
        let n = from.len().min(space.len());
        space[..n].copy_from_slice(&from[..n]);
        self.advance(n);
        n
    }

    fn available(&self) -> &[u8] {
        if let Output::Answer { response, .. } = &self.output {
            return &response[self.position..];
        }
        &self.arrivals.bytes[self.position..self.arrivals.ends[self.chunk]]
    }

    fn advance(&mut self, n: usize) {
        self.position += n;
        if matches!(self.output, Output::Answer { .. }) || self.position < self.arrivals.ends[self.chunk] {
            return;
        }
        self.chunk += 1;
        if self.chunk == self.arrivals.ends.len() {
            self.chunk = 0;
            self.position = 0;
        }
    }

    fn take_in(&mut self, bytes: &[u8]) -> usize {
        match &mut self.output {
            Output::Discard => {
                core::hint::black_box(bytes);
            }
            Output::Record(tape) => tape.lock().expect("no writer panicked").extend_from_slice(bytes),
            Output::Answer { request, response } => {
                request.extend_from_slice(bytes);
                if request.ends_with(b"\r\n\r\n") {
                    answer(request, response);
                }
            }
        }
        bytes.len()
    }
}

impl Read for Wire {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        Ok(self.fetch(space))
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.take_in(bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(slices.iter().map(|slice| self.take_in(slice)).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "peers")]
mod asynchronous {
    use core::pin::Pin;
    use core::task::{Context, Poll};
    use std::io::{IoSlice, Result};

    use super::Wire;

    impl tokio::io::AsyncRead for Wire {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            space: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<Result<()>> {
            let from = self.available();
            let n = from.len().min(space.remaining());
            space.put_slice(&from[..n]);
            self.advance(n);
            Poll::Ready(Ok(()))
        }
    }

    impl tokio::io::AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Poll::Ready(Ok(self.take_in(bytes)))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<Result<usize>> {
            Poll::Ready(Ok(slices.iter().map(|slice| self.take_in(slice)).sum()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl futures_util::AsyncRead for Wire {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize>> {
            Poll::Ready(Ok(self.fetch(space)))
        }
    }

    impl futures_util::AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
            Poll::Ready(Ok(self.take_in(bytes)))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<Result<usize>> {
            Poll::Ready(Ok(slices.iter().map(|slice| self.take_in(slice)).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
