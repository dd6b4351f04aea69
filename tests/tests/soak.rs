//! Clients that open, talk, stall, break and close at random, over TLS and with permessage-deflate too, against one server in
//! the same thread: at the end nothing of them is left.
//!
//! Lasts as many seconds as `SOAK_SECONDS` says, 5 by default; `tests/soak` has it last ten minutes, which are worth it before a
//! release.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use smol::{Async, LocalExecutor, Timer};
use ws_core::{Config, DeflateConfig, Kind, ServerConfig, StatusCode};
use ws_smol::{ClientBuilder, Listener, TcpStream, TlsStream, WebSocket, tls};

/// Clients at once: as many descriptors twice, and below what a process may have.
const CLIENTS: usize = 300;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

struct Identity {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

fn identity() -> Identity {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let directory = std::env::temp_dir().join(format!("ws-soak-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, content: String| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let certificate = write("certificate.pem", certificate.pem());
    let key = write("key.pem", key.serialize_pem());
    let identity = Identity {
        server: tls::server_config(certificate, key).unwrap(),
        client: tls::client_config_trusting(write("ca.pem", authority.pem())).unwrap(),
    };
    std::fs::remove_dir_all(directory).unwrap();
    identity
}

/// Impatient, so that who stalls is met.
fn settings() -> Arc<ServerConfig> {
    let mut connection = Config::default();
    connection.max_message_len = 64 << 10;
    connection.max_output_len = 256 << 10;
    connection.opening_handshake_timeout = Some(Duration::from_millis(700));
    connection.message_timeout = Some(Duration::from_millis(400));
    connection.idle_timeout = Some(Duration::from_millis(600));
    connection.ping_interval = Some(Duration::from_millis(150));
    connection.pong_timeout = Duration::from_millis(300);
    connection.close_timeout = Duration::from_millis(200);
    connection.send_timeout = Some(Duration::from_millis(300));
    connection.deflate = Some(DeflateConfig::with_context_takeover());
    let mut config = ServerConfig::default();
    config.connection = Arc::new(connection);
    Arc::new(config)
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut ws: WebSocket<S>) {
    while let Ok(Some(message)) = ws.read().await {
        if ws.send(message).await.is_err() {
            break;
        }
    }
}

/// What became of the clients.
#[derive(Debug, Default)]
struct Tally {
    clean: Cell<u64>,
    failed: Cell<u64>,
    raw: Cell<u64>,
    echoes: Cell<u64>,
}

impl Tally {
    fn count(cell: &Cell<u64>) {
        cell.set(cell.get() + 1);
    }
}

/// One client from its first byte to its last. Whoever is late is the test's own machine, so no outcome is asserted but that
/// what comes back is what was sent.
async fn client(address: SocketAddr, secure: bool, identity: &Identity, rng: &RefCell<Rng>, tally: &Tally) {
    let roll = |limit: u64| rng.borrow_mut().below(limit);
    let Ok(stream) = TcpStream::connect(address).await else { return };
    if roll(4) == 0 {
        Tally::count(&tally.raw);
        // One that speaks no WebSocket, or not all of it.
        let mut stream: Async<std::net::TcpStream> = stream.into_inner();
        let bytes: &[u8] = match roll(4) {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n",
            1 => b"\x16\x03\x01\x02\x00\x01",
            2 => b"nonsense\r\n\r\n",
            _ => b"",
        };
        let _ = stream.write_all(bytes).await;
        if roll(2) == 0 {
            let _ = stream.read(&mut [0; 100]).await;
        }
        return;
    }
    let mut config = Config::default();
    if roll(2) == 0 {
        config.deflate = Some(DeflateConfig::default());
    }
    let builder = ClientBuilder::new("ws://localhost/").config(config);
    if secure {
        let timeout = Some(Duration::from_secs(5));
        let Ok(stream) = TlsStream::connect(stream, "localhost", &identity.client, timeout).await else {
            return;
        };
        talk(builder.connect_over(stream).await, rng, tally).await;
    } else {
        talk(builder.connect_over(stream).await, rng, tally).await;
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    opened: Result<WebSocket<S>, ws_smol::ConnectError>,
    rng: &RefCell<Rng>,
    tally: &Tally,
) {
    let roll = |limit: u64| rng.borrow_mut().below(limit);
    let Ok(mut ws) = opened else { return Tally::count(&tally.failed) };
    for _ in 0..roll(8) {
        let len = match roll(4) {
            0 => 0,
            1 => roll(200),
            2 => roll(5000),
            _ => roll(70_000),
        };
        let text = "soak ".repeat(usize::try_from(len).unwrap() / 5);
        if ws.send_text(&text).await.is_err() {
            return Tally::count(&tally.failed);
        }
        match ws.read().await {
            Ok(Some(message)) => {
                assert!(message.as_text() == Some(&text[..]), "the same comes back");
                Tally::count(&tally.echoes);
            }
            // Too long, or it was late.
            _ => return Tally::count(&tally.failed),
        }
    }
    match roll(5) {
        // Gone, in the middle of a message or of nothing.
        0 => drop(ws.send_part(Kind::Text, b"half a mess", false).await),
        // Silent in the middle of a message, for longer than is allowed.
        1 => {
            let _ = ws.send_part(Kind::Binary, b"slow", false).await;
            Timer::after(Duration::from_millis(500)).await;
        }
        // Sends and reads nothing.
        2 => {
            for _ in 0..20 {
                if ws.send_binary(&[7; 30_000]).await.is_err() {
                    break;
                }
            }
        }
        _ => {
            if ws.close(Some(StatusCode::NORMAL), "").await.is_ok() {
                Tally::count(&tally.clean);
            }
        }
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Bytes of memory that the process has. Counts of one thread's allocations would not do: the reactor has a thread of its own,
/// which frees some of what this one allocates.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Runs clients for so long, and until the server has none left.
fn soak(duration: Duration, identity: &Identity, seed: u64) -> Tally {
    let executor = Rc::new(LocalExecutor::new());
    let (rng, tally) = (RefCell::new(Rng(seed)), Tally::default());
    let serving = Rc::new(Cell::new(0_u64));
    let config = settings();
    let listeners = [Listener::bind("127.0.0.1:0").unwrap(), Listener::bind("127.0.0.1:0").unwrap()];
    let addresses = [listeners[0].local_addr().unwrap(), listeners[1].local_addr().unwrap()];
    let accept = async |secure: bool| -> io::Result<()> {
        loop {
            let (stream, _) = listeners[usize::from(secure)].accept().await?;
            let (config, serving, tls) =
                (Arc::clone(&config), Rc::clone(&serving), Arc::clone(&identity.server));
            serving.set(serving.get() + 1);
            executor
                .spawn(async move {
                    if secure {
                        if let Ok(ws) = ws_smol::accept_tls(stream, &tls, &config).await {
                            echo(ws).await;
                        }
                    } else if let Ok(ws) = ws_smol::accept(stream, &config).await {
                        echo(ws).await;
                    }
                    serving.set(serving.get() - 1);
                })
                .detach();
        }
    };
    let clients = async {
        let end = Instant::now() + duration;
        let one = async |at: usize| {
            while Instant::now() < end {
                let secure = at.is_multiple_of(3);
                client(addresses[usize::from(secure)], secure, identity, &rng, &tally).await;
            }
        };
        all((0..CLIENTS).map(|at| Box::pin(one(at))).collect()).await;
        while serving.get() > 0 {
            assert!(
                Instant::now() < end + Duration::from_secs(60),
                "{} are left at the server",
                serving.get()
            );
            Timer::after(Duration::from_millis(20)).await;
        }
    };
    let servers = async {
        let accepted = smol::future::zip(accept(false), accept(true)).await;
        panic!("{accepted:?}");
    };
    smol::block_on(executor.run(clients.or(servers)));
    tally
}

/// Waits for all of them at once.
async fn all<F: Future<Output = ()>>(mut futures: Vec<Pin<Box<F>>>) {
    poll_fn(move |cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn nothing_is_left() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let seed = std::process::id().into();
    println!("seed {seed}");
    let identity = identity();
    // What the process keeps for good: the reactor, caches of the thread, states that compress, what the busiest moment took.
    soak(Duration::from_secs(5), &identity, seed);
    let before = (descriptors(), resident());
    let tally = soak(Duration::from_secs(seconds), &identity, seed + 1);
    let after = (descriptors(), resident());
    println!("{tally:?}, descriptors and bytes before {before:?}, after {after:?}");
    assert_eq!(after.0, before.0, "descriptors");
    // What the allocator keeps of the busiest moment varies by some megabytes.
    assert!(after.1 < before.1 + (32 << 20), "{} bytes more than before", after.1 - before.1);
    assert!(tally.clean.get() > 50 && tally.echoes.get() > 200 && tally.raw.get() > 50, "{tally:?}");
}
