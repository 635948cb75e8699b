//! A tonic service behind the layers, and a client that sees its refusals as gRPC statuses.
//!
//! ```text
//! cargo run --example tonic --features full
//! ```

use std::time::Duration;

use tokio::net::TcpListener;
use tonic::metadata::MetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{Algorithm, AuthenticateLayer, Scopes};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let signer = JwtSigner::generate(Algorithm::EdDSA)?;
    let verifier = JwtVerifier::builder(Keys::jwks(signer.jwks().as_bytes())?)
        .issuer("https://issuer.example")
        .audience("health")
        .build()?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .layer(AuthenticateLayer::new(verifier))
        .layer(RequireLayer::new(scope("read")))
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(server);

    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let check = async |scopes: Option<&str>| {
        let mut request = Request::new(HealthCheckRequest::default());
        if let Some(scopes) = scopes {
            let token =
                AccessToken::new("https://issuer.example", "alice", "cli", "health", Duration::from_secs(60));
            let token = signer.sign(&token.scopes(Scopes::parse(scopes)?))?;
            request
                .metadata_mut()
                .insert("authorization", MetadataValue::try_from(format!("Bearer {token}"))?);
        }
        let answer = HealthClient::new(channel.clone()).check(request).await;
        Ok::<_, Box<dyn std::error::Error>>(answer.map_or_else(|status| status.code(), |_| Code::Ok))
    };
    for (scopes, expected) in
        [(Some("read"), Code::Ok), (Some("write"), Code::PermissionDenied), (None, Code::Unauthenticated)]
    {
        let code = check(scopes).await?;
        println!("scopes {scopes:?}: {code:?}");
        assert_eq!(code, expected);
    }
    server.abort();
    Ok(())
}
