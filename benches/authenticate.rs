//! What the layer costs over the bare service: a token never seen before, and refusals.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{Algorithm, AuthenticateLayer, Scopes};

const ISSUER: &str = "https://issuer.example";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn token(signer: &JwtSigner) -> String {
    let token = AccessToken::new(ISSUER, "alice", "web", "orders", Duration::from_secs(3600))
        .scopes(Scopes::parse("read write profile").expect("scopes"))
        .claim("name", "Alice Example")
        .claim("email", "alice@example.com")
        .claim("tenant", "0b7c1a52-6f0e-4c9e-9a6b-0d2f8f1b7f11")
        .claim("groups", vec!["a", "b", "c"]);
    signer.sign(&token).expect("a signature")
}

fn request(token: &str) -> Request<()> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request")
}

async fn handler(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("fresh");
    for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (signer, keys) = if algorithm.is_symmetric() {
            (JwtSigner::hmac(algorithm, SECRET).expect("a signer"), Keys::hmac(algorithm, SECRET))
        } else {
            let signer = JwtSigner::generate(algorithm).expect("a signer");
            let keys = Keys::jwks(signer.jwks().as_bytes());
            (signer, keys)
        };
        let verifier = JwtVerifier::builder(keys.expect("keys")).issuer(ISSUER).audience("orders").build();
        let mut service =
            AuthenticateLayer::new(verifier.expect("a verifier")).layer(tower::service_fn(handler));
        let request = request(&token(&signer));
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| runtime.block_on(service.call(black_box(request.clone()))).expect("infallible"));
        });
    }
    group.finish();

    let mut group = c.benchmark_group("refused");
    let verifier = JwtVerifier::builder(Keys::hmac(Algorithm::HS256, SECRET).expect("keys"));
    let verifier = verifier.issuer(ISSUER).audience("orders").build().expect("a verifier");
    let mut service = AuthenticateLayer::new(verifier).layer(tower::service_fn(handler));
    for (name, request) in [("missing", Request::new(())), ("malformed", request("not-a-jwt"))] {
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(service.call(black_box(request.clone()))).expect("infallible"));
        });
    }
    group.finish();
}

criterion_group!(authenticate, benches);
criterion_main!(authenticate);
