//! Calls to paste into a shell, with tokens that were signed just now.

use std::net::SocketAddr;
use std::time::Duration;

use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::{Clock, ConfigError, Scopes};

use crate::flags::Setup;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// Prints calls, each under a line that says what it does.
pub(crate) fn print(
    address: SocketAddr,
    setup: &Setup,
    signer: &JwtSigner,
    clock: impl Clock,
) -> Result<(), ConfigError> {
    let read = Scopes::parse("read").map_err(|error| ConfigError::new("scopes", error.to_string()))?;
    let token = |lifetime| {
        AccessToken::new(&setup.issuer, "alice", "example-client", &setup.audience, lifetime)
            .scopes(read.clone())
    };
    let good = signer.sign(&token(DAY))?;
    let yesterday = clock.now() - DAY;
    let expired = signer.clone().with_clock(move || yesterday).sign(&token(MINUTE))?;

    let call = |what: &str, method: &str, path: &str, token: &str| {
        println!("\n# {what}");
        println!("curl -i -X {method} -H 'authorization: Bearer {token}' http://{address}{path}");
    };
    call("A good token: 200, and who you are", "GET", "/me", &good);
    call("A forged token: 401 invalid_token", "GET", "/me", &forge(&good));
    call("A missing scope: 403 insufficient_scope", "POST", "/orders", &good);
    call("An expired token: 401 invalid_token, and a sentence that says so", "GET", "/me", &expired);
    println!("\n# gRPC: SERVING");
    println!("grpcurl -plaintext -H 'authorization: Bearer {good}' {address} grpc.health.v1.Health/Check");
    Ok(())
}

/// The same token under a signature whose first character is another.
fn forge(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
}
