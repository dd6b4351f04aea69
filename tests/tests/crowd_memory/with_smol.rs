//! A server on `ws-smol`: one thread, and a task a connection.

use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, LocalExecutor};
use ws_core::ServerConfig;

use crate::Adapter;
use crate::server::{self, Question};

#[test]
fn each_class_stays_within_the_formula() {
    // Between messages: the state, its task, and what the reactor keeps of the socket.
    crate::run(&Adapter { serve: "with_smol::serve", idle: 2200, reading });
}

/// What the last read brought stays there while messages before it wait.
const fn reading(came: usize) -> usize {
    const READ: usize = 64 << 10;
    if came > READ { READ } else { 0 }
}

/// What all tasks did.
#[derive(Default)]
struct Crowd(RefCell<Vec<Progress>>);

/// How far a connection is.
#[derive(Clone, Copy, Default)]
struct Progress {
    /// Bytes.
    read: u64,
    /// Its last read brought something, so it has not asked for more.
    is_full: bool,
    has_ended: bool,
}

impl Crowd {
    /// Returns how many bytes were read, how many of the question's will not be as things are, and how many connections ended.
    fn sum(&self, question: &Question) -> (u64, u64, usize) {
        let each = self.0.borrow();
        let left = each.iter().filter(|it| it.is_full && !it.has_ended).map(|it| question.left(it.read));
        let read = each.iter().map(|it| it.read);
        (read.sum(), left.sum(), each.iter().filter(|it| it.has_ended).count())
    }
}

/// A stream that tells what is read of it.
struct Counted {
    stream: Async<TcpStream>,
    crowd: Rc<Crowd>,
    /// Which connection it is.
    at: usize,
}

impl Counted {
    fn new(stream: Async<TcpStream>, crowd: &Rc<Crowd>) -> Self {
        let mut all = crowd.0.borrow_mut();
        all.push(Progress::default());
        Self { stream, crowd: Rc::clone(crowd), at: all.len() - 1 }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.crowd.0.borrow_mut()[self.at].has_ended = true;
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let progress = &mut self.crowd.0.borrow_mut()[self.at];
        progress.is_full = result.is_ready();
        if let Poll::Ready(Ok(n)) = result {
            progress.read += n as u64;
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

async fn echo(stream: Counted, config: Arc<ServerConfig>) {
    let Ok(mut ws) = ws_smol::accept(stream, &config).await else { return };
    while let Ok(Some(message)) = ws.read().await {
        if ws.send(message).await.is_err() {
            break;
        }
    }
}

/// Serves, and answers each question.
#[test]
#[ignore = "the program that the other test starts"]
fn serve() {
    let config = server::config();
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    println!("\nserving {}", listener.get_ref().local_addr().unwrap());
    let executor = Rc::new(LocalExecutor::new());
    let crowd = Rc::new(Crowd::default());
    let mut input = smol::Unblock::new(io::stdin());
    let accept = {
        let (executor, crowd) = (Rc::clone(&executor), Rc::clone(&crowd));
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                server::prepare(stream.get_ref());
                executor.spawn(echo(Counted::new(stream, &crowd), Arc::clone(&config))).detach();
            }
        }
    };
    smol::block_on(executor.run(async {
        executor.spawn(accept).detach();
        let mut line = Vec::new();
        let mut byte = [0];
        while smol::io::AsyncReadExt::read(&mut input, &mut byte).await.unwrap() == 1 {
            if byte != *b"\n" {
                line.extend_from_slice(&byte);
                continue;
            }
            let question = Question::new(str::from_utf8(&line).unwrap());
            line.clear();
            loop {
                let (read, left, ended) = crowd.sum(&question);
                question.assert_not_stuck(read, ended);
                // What came last has been acted on when all others had their turn; who still reads then was not full.
                for _ in 0..10_000 {
                    smol::future::yield_now().await;
                }
                let is_over = read + left >= question.sent && ended >= question.ended;
                if is_over && crowd.sum(&question) == (read, left, ended) {
                    break;
                }
            }
            server::tell_resident();
        }
    }));
}
