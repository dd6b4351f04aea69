//! The peers over rustls, by the wrappers of their runtimes.

use std::io;
use std::net::TcpListener;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{fastwebsockets_over, forward_over, send_over, tokio_block_on, tokio_websockets_over};
use crate::accept::answer;
use crate::echo::servers::Server;
use crate::echo::tls::server_config;

/// Servers of the peers.
pub(crate) fn servers() -> Vec<Server> {
    vec![
        ("async-tungstenite, forward, wss", "smol, futures-rustls; `Stream::forward`", |listener| {
            smol::block_on(async { forward_over(smol_accept(listener).await?).await })
        }),
        ("async-tungstenite, send, wss", "smol, futures-rustls; `send` after `next`", |listener| {
            smol::block_on(async { send_over(smol_accept(listener).await?).await })
        }),
        ("fastwebsockets, wss", "tokio, current thread, tokio-rustls; FragmentCollector", |listener| {
            tokio_block_on(async { fastwebsockets_over(tokio_accept(&listener).await?).await })
        }),
        (
            "tokio-websockets, forward, wss",
            "tokio, current thread, tokio-rustls; `Stream::forward`",
            |listener| tokio_block_on(async { tokio_websockets_over(tokio_accept(&listener).await?).await }),
        ),
    ]
}

type SmolStream = futures_rustls::server::TlsStream<smol::net::TcpStream>;

async fn smol_accept(listener: TcpListener) -> io::Result<async_tungstenite::WebSocketStream<SmolStream>> {
    let listener = smol::net::TcpListener::try_from(listener)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let stream = futures_rustls::TlsAcceptor::from(server_config()?).accept(stream).await?;
    async_tungstenite::accept_async(stream).await.map_err(io::Error::other)
}

/// Both handshakes.
async fn tokio_accept(listener: &TcpListener) -> io::Result<TlsStream<tokio::net::TcpStream>> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut stream = TlsAcceptor::from(server_config()?).accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut response = Vec::new();
    answer(&request, &mut response);
    stream.write_all(&response).await?;
    stream.flush().await?;
    Ok(stream)
}
