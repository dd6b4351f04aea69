//! A server on `ws-smol`: one thread, and a task a connection.

use core::cell::Cell;
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
    crate::run(&Adapter { serve: "with_smol::serve", idle: 2200, reading: |_| 0 });
}

/// What all tasks did.
#[derive(Default)]
struct Crowd {
    /// Bytes read.
    read: Cell<u64>,
    ended: Cell<usize>,
}

/// A stream that counts what is read of it.
struct Counted(Async<TcpStream>, Rc<Crowd>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.ended.set(self.1.ended.get() + 1);
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.0).poll_read(cx, buf);
        if let Poll::Ready(Ok(n)) = result {
            self.1.read.set(self.1.read.get() + n as u64);
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
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
                executor.spawn(echo(Counted(stream, Rc::clone(&crowd)), Arc::clone(&config))).detach();
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
            while crowd.read.get() < question.sent || crowd.ended.get() < question.ended {
                question.assert_not_stuck(crowd.read.get(), crowd.ended.get());
                smol::future::yield_now().await;
            }
            // What came last has been acted on when all others had their turn.
            for _ in 0..10_000 {
                smol::future::yield_now().await;
            }
            server::tell_resident();
        }
    }));
}
