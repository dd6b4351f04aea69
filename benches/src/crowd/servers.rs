//! The servers: each serves any number of connections on one thread (`ws-std`: on one thread each), for ever.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use mio::{Events, Interest, Poll, Token};
use smol::LocalExecutor;
use ws_core::{Chunk, Endpoint, Event, Instant, Message, SendBuffer, ServerConfig};

/// A server's name, what it is, and how to run it on a listener.
pub type Server = (&'static str, &'static str, fn(TcpListener) -> io::Result<()>);

/// All servers: ours, then the peers'.
pub fn servers() -> Vec<Server> {
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "the peers come on top"))]
    let mut servers: Vec<Server> = vec![
        ("ws-core", "bare readiness loop (mio); one buffer for all, one write a wake-up", core),
        ("ws-smol", "smol, one thread; `read_ref`, messages lent", smol),
        ("ws-std", "a thread a connection; `read_ref`, messages lent", std),
    ];
    #[cfg(feature = "peers")]
    servers.extend(crate::peers::crowd::servers());
    servers
}

struct Connection {
    stream: mio::net::TcpStream,
    endpoint: Endpoint,
    /// What the peer has not taken yet.
    unsent: Option<Box<SendBuffer>>,
}

fn core(listener: TcpListener) -> io::Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let config = Arc::new(ServerConfig::default());
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut out = Box::<SendBuffer>::default();
    let start = std::time::Instant::now();
    loop {
        poll.poll(&mut events, None)?;
        let now = Instant::from_epoch(start.elapsed());
        for event in &events {
            let Token(index) = event.token();
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(connections.len()), interest)?;
                    let endpoint = Endpoint::server(&config, now);
                    connections.push(Some(Connection { stream, endpoint, unsent: None }));
                }
            } else if let Some(connection) = &mut connections[index]
                && !turn(connection, now, &mut buffer, &mut out)
            {
                connections[index] = None;
            }
        }
    }
}

/// Reads, echoes and writes; returns whether the connection goes on.
fn turn(connection: &mut Connection, now: Instant, buffer: &mut [u8], shared: &mut Box<SendBuffer>) -> bool {
    let Connection { stream, endpoint, unsent } = connection;
    let out = unsent.as_mut().unwrap_or(shared);
    loop {
        let n = match stream.read(buffer) {
            Ok(0) => return false,
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return false,
        };
        let full = n == buffer.len();
        let mut chunk = if full { Chunk::cut(buffer) } else { Chunk::within(buffer, n) };
        while let Some(event) = endpoint.poll_event(now, &mut chunk) {
            let sent = match event {
                Event::Message(Message::Text(text)) => endpoint.send_text(&text, out),
                Event::Message(Message::Binary(data)) => endpoint.send_binary(&data, out),
                Event::Closed(_) => return false,
                _ => Ok(()),
            };
            if sent.is_err() {
                return false;
            }
        }
        // A read that does not fill the buffer empties the socket: what comes later is told again.
        if !full {
            break;
        }
    }
    while endpoint.poll_transmit(now, out) && !endpoint.is_closed() {
        match stream.write(out.pending()) {
            Ok(n) => endpoint.handle_transmitted(now, n, out),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                endpoint.handle_transmitted(now, 0, out);
                break;
            }
            Err(_) => return false,
        }
    }
    if out.is_empty() {
        *unsent = None;
    } else if unsent.is_none() {
        *unsent = Some(core::mem::take(shared));
    }
    true
}

fn smol(listener: TcpListener) -> io::Result<()> {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = ws_smol::Listener::try_from(listener)?;
        let config = Arc::new(ServerConfig::default());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            let config = Arc::clone(&config);
            let serve = async move {
                let Ok(mut socket) = ws_smol::accept(stream, &config).await else { return };
                // As the bare loop does: both heads are nothing to an echo.
                drop(socket.take_opened());
                while let Ok(Some(Ok(()))) = socket.read_ref(|message, replies| replies.send(&message)).await
                {
                }
            };
            executor.spawn(serve).detach();
        }
    }))
}

fn std(listener: TcpListener) -> io::Result<()> {
    let config = Arc::new(ServerConfig::default());
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let config = Arc::clone(&config);
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            let Ok(mut socket) = ws_std::accept(stream, &config) else { return };
            while let Ok(Some(Ok(()))) = socket.read_ref(|message, replies| replies.send(&message)) {}
        })?;
    }
}
