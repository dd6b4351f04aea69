//! Connects, and sends every message back until the connection is closed.
//!
//! ```text
//! echo_client URL [--subprotocol NAME]... [--origin ORIGIN] [--max-message-len N] [--deflate]
//!     [--proxy URL] [--tls-ca FILE]
//! ```
//!
//! Exit status 0 after a clean close, else 1, with the reason on standard error.

#[path = "common/args.rs"]
mod args;
#[path = "common/echo.rs"]
mod echo;

use core::error::Error;
use std::process::ExitCode;

use ws_smol::ClientBuilder;

fn main() -> ExitCode {
    match smol::block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => args::fail("echo_client", error),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let args::Client { url, subprotocols, origin, config, proxy, trusted } = args::client()?;
    let mut builder = ClientBuilder::new(&url).config(config);
    for name in &subprotocols {
        builder = builder.subprotocol(name);
    }
    if let Some(url) = &proxy {
        builder = builder.proxy(url);
    }
    #[cfg(feature = "tls")]
    if let Some(file) = trusted {
        builder = builder.tls_config(ws_smol::tls::client_config_trusting(file)?);
    }
    #[cfg(not(feature = "tls"))]
    drop(trusted);
    if let Some(origin) = &origin {
        builder = builder.origin(origin);
    }
    let mut ws = builder.connect().await.map_err(|error| format!("{url}: {error}"))?;
    echo::echo(&mut ws).await.map_err(|error| format!("{url}: {error}"))?;
    Ok(())
}
