//! Sends every message back. One thread per connection.
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

use core::error::Error;
use core::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use ws_std::{AcceptError, Listener, Transport, WebSocket};

fn main() -> ExitCode {
    match run() {
        Err(error) => args::fail("echo_server", error),
    }
}

fn run() -> Result<core::convert::Infallible, Box<dyn Error>> {
    let args::Server { listen, config, tls } = args::server()?;
    let listener = Listener::bind(&*listen)
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?
        .on_fault(|error| eprintln!("accept: {error}"));
    println!("{}", listener.local_addr()?);
    let config = Arc::new(config);
    #[cfg(feature = "tls")]
    if let Some((certificate, key)) = tls {
        let tls = ws_std::tls::server_config(certificate, key)?;
        return Ok(listener.serve_tls(&tls, &config, serve)?);
    }
    #[cfg(not(feature = "tls"))]
    drop(tls);
    Ok(listener.serve(&config, serve)?)
}

fn serve<S: Transport>(accepted: Result<WebSocket<S>, AcceptError>, peer: SocketAddr) {
    let ended = match accepted {
        Ok(mut ws) => {
            // Nobody looks at the heads here, so they need not be kept.
            ws.take_opened();
            echo::echo(&mut ws).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = ended {
        eprintln!("{peer}: {error}");
    }
}
