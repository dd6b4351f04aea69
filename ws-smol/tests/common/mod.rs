//! What the tests share: a stream in memory, an open connection over it, and a limit on how long a test may take.
#![allow(dead_code, reason = "each test uses its own part")]

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use futures_io::{AsyncRead, AsyncWrite};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use ws_core::frame::{Header, Opcode};
use ws_core::{Config, Connection, KeySource, Role, ServerConfig};
use ws_smol::{Parts, WebSocket};

/// Runs a test to its end, or says that it hangs.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    smol::block_on(smol::future::or(test, async {
        smol::Timer::after(Duration::from_secs(120)).await;
        panic!("the test hangs");
    }))
}

/// One direction of a [`pipe`].
#[derive(Debug)]
struct Flow {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more comes in.
    ended: bool,
    /// Nobody takes anything out any more.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a [`pipe`].
#[derive(Debug)]
pub(crate) struct End {
    input: Arc<Mutex<Flow>>,
    output: Arc<Mutex<Flow>>,
}

/// Returns both ends of a stream that holds up to `capacity` bytes each way.
pub(crate) fn pipe(capacity: usize) -> (End, End) {
    let flow = || {
        Arc::new(Mutex::new(Flow {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            broken: false,
            reader: None,
            writer: None,
        }))
    };
    let (there, back) = (flow(), flow());
    (End { input: Arc::clone(&back), output: Arc::clone(&there) }, End { input: there, output: back })
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut flow = self.input.lock().unwrap();
        let n = flow.bytes.len().min(buf.len());
        if n == 0 && !flow.ended {
            flow.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (to, from) in buf.iter_mut().zip(flow.bytes.drain(..n)) {
            *to = from;
        }
        if let Some(a) = flow.writer.take() {
            Waker::wake(a)
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut flow = self.output.lock().unwrap();
        if flow.broken || flow.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = buf.len().min(flow.capacity - flow.bytes.len());
        if n == 0 {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        flow.bytes.extend(&buf[..n]);
        if let Some(a) = flow.reader.take() {
            Waker::wake(a)
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut flow = self.output.lock().unwrap();
        flow.ended = true;
        if let Some(a) = flow.reader.take() {
            Waker::wake(a)
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut output = self.output.lock().unwrap();
        output.ended = true;
        if let Some(a) = output.reader.take() {
            Waker::wake(a)
        }
        let mut input = self.input.lock().unwrap();
        input.broken = true;
        if let Some(a) = input.writer.take() {
            Waker::wake(a)
        }
    }
}

/// Returns an open connection in `role` over any stream.
pub(crate) fn open<S>(stream: S, role: Role, config: &Config) -> WebSocket<S> {
    let keys = (role == Role::Client).then(|| KeySource::counter(1));
    let connection = Connection::new(role, &Arc::new(config.clone()), ws_smol::now(), keys);
    WebSocket::from_parts(Parts::new(stream, connection))
}

/// Returns a client and a server over a stream that holds up to `capacity` bytes each way.
pub(crate) fn open_pair(capacity: usize, config: &Config) -> (WebSocket<End>, WebSocket<End>) {
    let (ours, theirs) = pipe(capacity);
    (open(ours, Role::Client, config), open(theirs, Role::Server, config))
}

/// Returns a server, and the client's end of its stream, to write bytes to by hand.
pub(crate) fn open_server(capacity: usize, config: &Config) -> (End, WebSocket<End>) {
    let (ours, theirs) = pipe(capacity);
    (ours, open(theirs, Role::Server, config))
}

/// Returns a server's settings with these limits.
pub(crate) fn server_config(limits: Config) -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    config.connection = Arc::new(limits);
    Arc::new(config)
}

/// Returns a frame as a client sends it.
pub(crate) fn frame(opcode: Opcode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let key = Some([0, 0, 0, 0]);
    let (header, len) = Header { fin, rsv: 0, opcode, key, len: payload.len() as u64 }.write();
    [&header[..len], payload].concat()
}

/// Reads exactly `expected` from the stream.
pub(crate) async fn expect(stream: &mut End, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
}

/// Writes all of `bytes` to the stream.
pub(crate) async fn put(stream: &mut End, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

/// A message whose bytes tell where they belong.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31) ^ (i >> 8) ^ seed).to_le_bytes()[0]).collect()
}
