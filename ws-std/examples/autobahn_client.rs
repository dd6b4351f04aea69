//! Runs all cases of a fuzzing server of the Autobahn|Testsuite, and has it write its reports.
//!
//! ```text
//! autobahn_client URL [--deflate]
//! ```

#[path = "common/args.rs"]
mod args;
#[path = "common/echo.rs"]
mod echo;

use core::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use ws_std::ClientBuilder;

const AGENT: &str = "ws-std";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => args::fail("autobahn_client", error),
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (url, config) = args::fuzzing_server()?;
    let config = Arc::new(config);
    let count = count(&url).map_err(|error| format!("{url}: {error}"))?;
    for case in 1..=count {
        let mut ws = ClientBuilder::new(&format!("{url}/runCase?case={case}&agent={AGENT}"))
            .config(Arc::clone(&config))
            .connect()
            .map_err(|error| format!("case {case}: {error}"))?;
        // Many cases end in a failure on purpose; the judge is the server.
        let _ = echo::echo(&mut ws);
    }
    let mut ws = ws_std::connect(&format!("{url}/updateReports?agent={AGENT}"))?;
    while ws.read()?.is_some() {}
    Ok(())
}

/// Asks how many cases there are.
fn count(url: &str) -> Result<u32, Box<dyn Error>> {
    let mut ws = ws_std::connect(&format!("{url}/getCaseCount"))?;
    let answer = ws.read()?.ok_or("no case count")?;
    let count =
        answer.as_text().and_then(|text| text.parse().ok()).ok_or("a case count that is no number")?;
    while ws.read()?.is_some() {}
    Ok(count)
}
