//! Sends every message back. One task per connection, all on one thread.
//!
//! ```text
//! echo_server --listen ADDR [--max-message-len N] [--max-fragments N] [--max-message-chunks N]
//!     [--handshake-timeout-ms N] [--message-timeout-ms N] [--idle-timeout-ms N] [--send-timeout-ms N]
//!     [--ping-interval-ms N] [--subprotocol NAME]... [--require-origin] [--allow-origin ORIGIN]... [--deflate]
//!     [--tls-cert FILE --tls-key FILE]
//! ```
//!
//! With port 0 the system chooses one. The address is printed first.

#[path = "common/args.rs"]
mod args;
#[path = "common/echo.rs"]
mod echo;

use core::convert::Infallible;
use core::error::Error;
use core::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use futures_io::{AsyncRead, AsyncWrite};
use smol::LocalExecutor;
use ws_smol::{AcceptError, Listener, WebSocket};

fn main() -> ExitCode {
    match run() {
        Err(error) => args::fail("echo_server", error),
    }
}

fn run() -> Result<Infallible, Box<dyn Error>> {
    let args::Server { listen, config, tls } = args::server()?;
    let listener = Listener::bind(&*listen)
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?
        .on_fault(|error| eprintln!("accept: {error}"));
    println!("{}", listener.local_addr()?);
    let config = Arc::new(config);
    #[cfg(feature = "tls")]
    let tls = match tls {
        Some((certificate, key)) => Some(ws_smol::tls::server_config(certificate, key)?),
        None => None,
    };
    #[cfg(not(feature = "tls"))]
    drop(tls);
    let executor = Rc::new(LocalExecutor::new());
    // A task of its own: what `run` is given directly is polled again whenever any task is woken.
    let accepting = executor.spawn({
        let executor = Rc::clone(&executor);
        async move {
            loop {
                let (stream, peer) = listener.accept().await?;
                let config = Arc::clone(&config);
                #[cfg(feature = "tls")]
                if let Some(tls) = tls.clone() {
                    executor
                        .spawn(async move {
                            serve(ws_smol::accept_tls(stream, &tls, &config).await, peer).await;
                        })
                        .detach();
                    continue;
                }
                executor
                    .spawn(async move { serve(ws_smol::accept(stream, &config).await, peer).await })
                    .detach();
            }
        }
    });
    smol::block_on(executor.run(accepting))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    accepted: Result<WebSocket<S>, AcceptError>,
    peer: SocketAddr,
) {
    let ended = match accepted {
        Ok(mut ws) => {
            // Nobody looks at the heads here, so they need not be kept.
            ws.take_opened();
            echo::echo(&mut ws).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = ended {
        eprintln!("{peer}: {error}");
    }
}
