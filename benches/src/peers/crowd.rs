//! The peers' servers for many connections: one thread, a task a connection, written as their own examples are.

use std::io;
use std::net::TcpListener;

use futures_util::{StreamExt as _, TryStreamExt as _};
use smol::LocalExecutor;
use tokio::task::LocalSet;

use crate::accept::answer;
use crate::crowd::servers::Server;

/// Servers of the peers.
pub fn servers() -> Vec<Server> {
    vec![
        ("async-tungstenite", "smol, one thread; `send` after `next`", async_tungstenite),
        ("fastwebsockets", "tokio, current thread; FragmentCollector", fastwebsockets),
        ("tokio-websockets", "tokio, current thread; `Stream::forward`", tokio_websockets),
    ]
}

fn async_tungstenite(listener: TcpListener) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = smol::net::TcpListener::try_from(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let serve = async move {
                let Ok(mut socket) = ::async_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary())
                        && futures_util::SinkExt::send(&mut socket, message).await.is_err()
                    {
                        return;
                    }
                }
            };
            executor.spawn(serve).detach();
        }
    }))
}

/// Runs `serve` for each connection, as a task of one thread, after the opening handshake.
fn tokio_serve<F: Future<Output = ()> + 'static>(
    listener: TcpListener,
    serve: fn(tokio::net::TcpStream) -> F,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                if opening(&mut stream).await.is_ok() {
                    serve(stream).await;
                }
            });
        }
    })
}

/// The opening handshake, in the plainest way.
async fn opening(stream: &mut tokio::net::TcpStream) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&buffer[..n]);
    }
    let mut response = Vec::new();
    answer(&request, &mut response);
    stream.write_all(&response).await
}

fn fastwebsockets(listener: TcpListener) -> io::Result<()> {
    use ::fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
    tokio_serve(listener, |stream| async move {
        let mut socket = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
        while let Ok(frame) = socket.read_frame().await {
            match frame.opcode {
                OpCode::Close => return,
                OpCode::Text | OpCode::Binary => {
                    let Ok(()) = socket.write_frame(frame).await else { return };
                }
                _ => {}
            }
        }
    })
}

fn tokio_websockets(listener: TcpListener) -> io::Result<()> {
    tokio_serve(listener, |stream| async move {
        let socket = ::tokio_websockets::ServerBuilder::new().serve(stream);
        let (sender, receiver) = socket.split();
        let data =
            receiver.try_filter(|message| core::future::ready(message.is_text() || message.is_binary()));
        // It ends with the connection.
        let _ = data.forward(sender).await;
    })
}
