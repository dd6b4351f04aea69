//! The peers' echo servers, written as their own examples are.

use std::io;
use std::net::TcpListener;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::echo::servers::{Server, accept};

/// Servers of the peers.
pub fn servers() -> Vec<Server> {
    vec![
        (
            "async-tungstenite, forward",
            "smol; `Stream::forward`, flushes when nothing is left to read",
            forward,
        ),
        ("async-tungstenite, send", "smol; `send` after `next`, flushes each message", send),
        ("fastwebsockets", "tokio, current thread; FragmentCollector", fastwebsockets),
        ("tokio-websockets, forward", "tokio, current thread; `Stream::forward`", tokio_websockets),
    ]
}

#[cfg(feature = "tls")]
pub(crate) mod tls;

async fn smol_accept(
    listener: TcpListener,
) -> io::Result<async_tungstenite::WebSocketStream<smol::net::TcpStream>> {
    let listener = smol::net::TcpListener::try_from(listener)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    async_tungstenite::accept_async(stream).await.map_err(io::Error::other)
}

fn forward(listener: TcpListener) -> io::Result<()> {
    smol::block_on(async { forward_over(smol_accept(listener).await?).await })
}

async fn forward_over<S>(socket: async_tungstenite::WebSocketStream<S>) -> io::Result<()>
where
    S: smol::io::AsyncRead + smol::io::AsyncWrite + Unpin,
{
    let (sender, receiver) = futures_util::StreamExt::split(socket);
    let data = receiver.try_filter(|message| core::future::ready(message.is_text() || message.is_binary()));
    data.forward(sender).await.map_err(io::Error::other)
}

fn send(listener: TcpListener) -> io::Result<()> {
    smol::block_on(async { send_over(smol_accept(listener).await?).await })
}

async fn send_over<S>(mut socket: async_tungstenite::WebSocketStream<S>) -> io::Result<()>
where
    S: smol::io::AsyncRead + smol::io::AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        let message = message.map_err(io::Error::other)?;
        if message.is_text() || message.is_binary() {
            futures_util::SinkExt::send(&mut socket, message).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

fn tokio_block_on<F: Future<Output = io::Result<()>>>(future: F) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(future)
}

fn tokio_stream(listener: &TcpListener) -> io::Result<tokio::net::TcpStream> {
    let stream = accept(listener)?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

fn fastwebsockets(listener: TcpListener) -> io::Result<()> {
    tokio_block_on(async { fastwebsockets_over(tokio_stream(&listener)?).await })
}

/// After the opening handshake.
async fn fastwebsockets_over<S>(stream: S) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    use ::fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
    let mut socket = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        let frame = socket.read_frame().await.map_err(io::Error::other)?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await.map_err(io::Error::other)?,
            _ => {}
        }
    }
}

fn tokio_websockets(listener: TcpListener) -> io::Result<()> {
    tokio_block_on(async { tokio_websockets_over(tokio_stream(&listener)?).await })
}

/// After the opening handshake.
async fn tokio_websockets_over<S>(stream: S) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let socket = ::tokio_websockets::ServerBuilder::new().serve(stream);
    let (sender, receiver) = socket.split();
    let data = receiver.try_filter(|message| core::future::ready(message.is_text() || message.is_binary()));
    data.forward(sender).await.map_err(io::Error::other)
}
