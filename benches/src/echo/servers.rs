//! The servers: each serves one connection until it ends, then returns.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use ws_core::{Chunk, Config, Connection, Event, Instant, Message, Role, SendBuffer, ServerConfig};

use crate::accept::answer;
use crate::floor::{Header, header, text, xor};

/// A server's name, what it is, and how to run it on a listener.
pub type Server = (&'static str, &'static str, fn(TcpListener) -> io::Result<()>);

/// All servers: limits first, then ours, then the peers.
pub fn servers() -> Vec<Server> {
    #[cfg_attr(
        not(any(feature = "peers", feature = "tls")),
        expect(unused_mut, reason = "others come on top")
    )]
    let mut servers: Vec<Server> = vec![
        ("floor", "blocking loop; frames unmasked, validated and sent back, one write for a read", floor),
        ("ws-core", "blocking loop around the engine, one write for a read", core),
        ("ws-std", "blocking; `read_ref`, messages lent", std),
        ("ws-smol", "smol; `read_ref`, messages lent, replies of a read leave together", smol),
        ("ws-smol, owned", "smol; `read` and `send`", smol_owned),
    ];
    #[cfg(feature = "peers")]
    servers.extend(crate::peers::echo::servers());
    #[cfg(feature = "tls")]
    servers.extend(super::tls::servers());
    #[cfg(all(feature = "peers", feature = "tls"))]
    servers.extend(crate::peers::echo::tls::servers());
    servers
}

/// Accepts one connection and does the opening handshake in the plainest way.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    open(&mut stream)?;
    Ok(stream)
}

/// Does the opening handshake in the plainest way.
pub(crate) fn open(stream: &mut (impl io::Read + io::Write)) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&buffer[..n]);
    }
    let mut response = Vec::new();
    answer(&request, &mut response);
    stream.write_all(&response)
}

/// The least a server can do: no state, no rules, and everything a read brought answered with one write.
fn floor(listener: TcpListener) -> io::Result<()> {
    let mut stream = accept(&listener)?;
    let mut buffer = vec![0; 1 << 16];
    let mut out = Vec::new();
    let mut have = 0;
    loop {
        let n = stream.read(&mut buffer[have..])?;
        if n == 0 {
            return Ok(());
        }
        have += n;
        let mut at = 0;
        while let Some(Header { len, payload, key }) = header(&buffer[at..have])
            && at + len + payload <= have
        {
            out.extend_from_slice(&buffer[at..at + len - 4]);
            let mask = out.len() + 5 - len;
            out[mask] &= 0x7f;
            let data = &mut buffer[at + len..at + len + payload];
            xor(data, key, 0);
            if text(data).is_none() {
                return Err(io::Error::other("not UTF-8"));
            }
            out.extend_from_slice(data);
            at += len + payload;
        }
        buffer.copy_within(at..have, 0);
        have -= at;
        stream.write_all(&out)?;
        out.clear();
    }
}

fn core(listener: TcpListener) -> io::Result<()> {
    core_over(accept(&listener)?)
}

pub(crate) fn core_over(mut stream: impl io::Read + io::Write) -> io::Result<()> {
    let now = Instant::EPOCH;
    let mut connection = Connection::new(Role::Server, &Arc::new(Config::default()), now, None);
    let mut buffer = vec![0; 1 << 16];
    let mut out = SendBuffer::new();
    while !connection.is_closed() {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        let mut chunk = Chunk::new(&mut buffer[..n]);
        while let Some(event) = connection.poll_event(now, &mut chunk) {
            match event {
                Event::Message(Message::Text(data)) => connection.send_text(&data, &mut out),
                Event::Message(Message::Binary(data)) => connection.send_binary(&data, &mut out),
                _ => Ok(()),
            }
            .map_err(|error| io::Error::other(error.to_string()))?;
        }
        if connection.poll_transmit(now, &mut out) {
            stream.write_all(out.pending())?;
            let all = out.len();
            connection.handle_transmitted(now, all, &mut out);
        }
    }
    Ok(())
}

fn std(listener: TcpListener) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    std_over(ws_std::accept(stream, &Arc::new(ServerConfig::default())).map_err(io::Error::other)?)
}

pub(crate) fn std_over<S: ws_std::Transport>(mut socket: ws_std::WebSocket<S>) -> io::Result<()> {
    while let Some(queued) =
        socket.read_ref(|message, replies| replies.send(&message)).map_err(io::Error::other)?
    {
        queued.map_err(io::Error::other)?;
    }
    Ok(())
}

async fn smol_accept(listener: TcpListener) -> io::Result<ws_smol::WebSocket> {
    let (stream, _) = ws_smol::Listener::try_from(listener)?.accept().await?;
    stream.get_ref().set_nodelay(true)?;
    ws_smol::accept(stream, &Arc::new(ServerConfig::default())).await.map_err(io::Error::other)
}

fn smol(listener: TcpListener) -> io::Result<()> {
    smol::block_on(async { smol_over(smol_accept(listener).await?).await })
}

pub(crate) async fn smol_over<S>(mut socket: ws_smol::WebSocket<S>) -> io::Result<()>
where
    S: smol::io::AsyncRead + smol::io::AsyncWrite + Unpin,
{
    while let Some(queued) =
        socket.read_ref(|message, replies| replies.send(&message)).await.map_err(io::Error::other)?
    {
        queued.map_err(io::Error::other)?;
    }
    Ok(())
}

fn smol_owned(listener: TcpListener) -> io::Result<()> {
    smol::block_on(async {
        let mut socket = smol_accept(listener).await?;
        while let Some(message) = socket.read().await.map_err(io::Error::other)? {
            socket.send(message).await.map_err(io::Error::other)?;
        }
        Ok(())
    })
}
