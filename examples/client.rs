//! Calls an API with a fresh token on every request, and says what it took.
//!
//! ```text
//! SECRET=… cargo run --example client --features full -- \
//!     --contract client-credentials --token-url https://id.example/token --id shop --secret-env SECRET \
//!     --calls 3 GET https://api.example/orders
//! ```
//!
//! prints a line of JSON for each call, and one of totals; `--help` has the rest.

#[path = "client/calls.rs"]
mod calls;
#[path = "client/flags.rs"]
mod flags;
#[path = "client/network.rs"]
mod network;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::calls::Tally;
use crate::flags::Flags;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", calls::chain(&*error));
            ExitCode::from(2)
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn Error>> {
    let tally = Arc::new(Tally::default());
    let source = flags.source(&tally)?;
    let (calls, concurrency) = (flags.calls, flags.concurrency);
    if flags.grpc {
        let client = network::grpc(&flags, source, &tally)?;
        calls::run(calls, concurrency, tally, move || calls::health(client.clone())).await;
    } else {
        let client = network::http(&flags, source, &tally)?;
        let (method, url) = (flags.method(), flags.url.clone());
        calls::run(calls, concurrency, tally, move || {
            calls::http(client.clone(), method.clone(), url.clone())
        })
        .await;
    }
    Ok(())
}
