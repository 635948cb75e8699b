//! A tonic service behind the layers, and a client that puts tokens of its own on every call and sees
//! refusals as gRPC statuses.
//!
//! ```text
//! cargo run --example tonic --features full
//! ```

use std::time::Duration;

use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::Layer;
use tower_bearer::attach::Buffered;
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::source::{CachedSource, TokenSource};
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{
    Algorithm, AttachLayer, AuthenticateLayer, Clock, ConfigError, Eventual, Scheme, Scopes, SystemClock,
    Token, TokenError,
};

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
    let check = async |scopes: Option<&'static str>| {
        let request = HealthCheckRequest::default();
        let answer = match scopes {
            Some(scopes) => {
                let source = CachedSource::new(Signed { signer: signer.clone(), scopes });
                let replay = Buffered::up_to(64 * 1024).into_body(tonic::body::Body::new);
                let attach = AttachLayer::to_connection(source).retry_unauthorized(replay).grpc();
                HealthClient::new(attach.layer(channel.clone())).check(request).await
            }
            None => HealthClient::new(channel.clone()).check(request).await,
        };
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    for (scopes, expected) in
        [(Some("read"), Code::Ok), (Some("write"), Code::PermissionDenied), (None, Code::Unauthenticated)]
    {
        let code = check(scopes).await;
        println!("scopes {scopes:?}: {code:?}");
        assert_eq!(code, expected);
    }
    server.abort();
    Ok(())
}

/// Signs its tokens itself, where others would ask a token endpoint.
struct Signed {
    signer: JwtSigner,
    scopes: &'static str,
}

impl Signed {
    fn sign(&self) -> Result<Token, ConfigError> {
        let lifetime = Duration::from_secs(60);
        let scopes =
            Scopes::parse(self.scopes).map_err(|error| ConfigError::new("scopes", error.to_string()))?;
        let token =
            AccessToken::new("https://issuer.example", "alice", "cli", "health", lifetime).scopes(scopes);
        Ok(Token::new(Scheme::Bearer, self.signer.sign(&token)?)?
            .expiring(SystemClock::new().now(), lifetime))
    }
}

impl TokenSource for Signed {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let unsigned = |error| TokenError::permanent("the token could not be signed").with_source(error);
        Eventual::now(self.sign().map_err(unsigned))
    }
}
