//! The smallest axum service: one route that knows its caller.
//!
//! ```text
//! cargo run --example axum --features full
//! ```

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{Algorithm, AuthenticateLayer, Identity};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An issuer of our own; yours is elsewhere, and publishes its keys.
    let signer = JwtSigner::generate(Algorithm::ES256)?;
    let token =
        AccessToken::new("https://issuer.example", "alice", "example", "orders", Duration::from_secs(3600));

    let verifier = JwtVerifier::builder(Keys::jwks(signer.jwks().as_bytes())?)
        .issuer("https://issuer.example")
        .audience("orders")
        .build()?;
    let app = Router::new().route("/me", get(me)).layer(AuthenticateLayer::new(verifier));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("curl -H 'authorization: Bearer {}' http://{}/me", signer.sign(&token)?, listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn me(identity: Identity) -> String {
    format!("hello {}\n", identity.subject())
}
