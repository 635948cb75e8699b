//! Keys and answers from elsewhere, against a provider on a loopback socket: what a request costs while
//! the provider is well and while it hangs, and how often it is asked under load.
//!
//! Prints ratios of one run; `--test` makes it short.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::{Layer, Service};
use tower_bearer::contract::{ClientAuth, Credentials};
use tower_bearer::integrations::https::https;
use tower_bearer::test_util::{Misbehaviour, MockIssuer};
use tower_bearer::verify::{CachedVerifier, Introspection, JwtVerifier, Keys, RemoteKeys, Verify};
use tower_bearer::{AuthenticateLayer, Credential, Scheme};

const AUDIENCE: &str = "orders";

/// A provider on a socket, and keys that come from it.
struct World {
    issuer: MockIssuer,
    keys: RemoteKeys,
    verifier: JwtVerifier,
    address: SocketAddr,
}

impl World {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let issuer = MockIssuer::new(&format!("http://{address}"));
        let service = TowerToHyperService::new(issuer.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let transport = https().expect("certificates").insecure_allow_http_loopback();
        let keys = Keys::discover(issuer.name(), transport).expect("an issuer");
        let verifier = JwtVerifier::builder(keys.clone()).issuer(issuer.name()).audience(AUDIENCE).build();
        Self { issuer, keys, verifier: verifier.expect("a verifier"), address }
    }

    async fn warm() -> Self {
        let world = Self::start().await;
        world.keys.ready().await.expect("keys");
        world
    }

    /// Durations of requests with one good token through the layer.
    async fn requests(&self, count: usize, durations: &mut Vec<Duration>) {
        let handler = tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        let mut service = AuthenticateLayer::new(self.verifier.clone()).layer(handler);
        let value = format!("Bearer {}", self.issuer.token("alice", AUDIENCE, "read"));
        for _ in 0..count {
            let request = Request::builder().header("authorization", &value).body(()).expect("a request");
            let before = Instant::now();
            let response: Result<Response<()>, Infallible> = service.call(request).await;
            durations.push(before.elapsed());
            assert_eq!(response.expect("infallible").status(), 200);
        }
    }
}

fn p99(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations[durations.len() * 99 / 100]
}

async fn hanging_or_well(rounds: usize) {
    let (well, hanging) = (World::warm().await, World::warm().await);
    let stranger = MockIssuer::new(hanging.issuer.name()).token("alice", AUDIENCE, "read");
    hanging.issuer.misbehave(Misbehaviour::HangBeforeHeaders);
    let (mut of_well, mut of_hanging) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Somebody always waits for the provider that hangs.
        let (verifier, token) = (hanging.verifier.clone(), stranger.clone());
        let waiting = tokio::spawn(async move {
            let credential = Credential::new(Scheme::Bearer, token);
            verifier.verify(&credential).await.is_err()
        });
        well.requests(500, &mut of_well).await;
        hanging.requests(500, &mut of_hanging).await;
        waiting.abort();
    }
    let (well, hanging) = (p99(&mut of_well), p99(&mut of_hanging));
    let ratio = hanging.as_secs_f64() / well.as_secs_f64();
    println!("p99 with known keys: {well:?} well, {hanging:?} hanging, ratio {ratio:.2}");
}

async fn first_requests() {
    let world = World::start().await;
    let token = world.issuer.token("alice", AUDIENCE, "read");
    let credential = Credential::new(Scheme::Bearer, token);
    let verdicts = join_all((0..1000).map(|_| world.verifier.verify(&credential))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    println!("1,000 first requests: {} fetch of keys", world.issuer.requests_to("/jwks"));
}

async fn strangers(count: usize) {
    let world = World::warm().await;
    let before = Instant::now();
    let stranger = MockIssuer::new(world.issuer.name());
    for _ in 0..count {
        let token = stranger.token("alice", AUDIENCE, "read");
        assert!(world.verifier.verify(&Credential::new(Scheme::Bearer, token)).await.is_err());
    }
    let windows = before.elapsed().as_secs() / 10 + 1;
    let fetches = world.issuer.requests_to("/jwks") - 1;
    println!("{count} tokens of unknown keys: {fetches} fetches in {windows} windows of 10 s");
}

async fn one_opaque_token() {
    let world = World::start().await;
    let transport = https().expect("certificates").insecure_allow_http_loopback();
    let url = format!("http://{}/introspect", world.address);
    let introspection = Introspection::builder(url, transport)
        .client(ClientAuth::Basic, Credentials::client("bench", "secret"))
        .audience(AUDIENCE)
        .build()
        .expect("a verifier");
    let verifier = CachedVerifier::new(introspection, Duration::from_secs(30)).expect("random numbers");
    let credential = Credential::new(Scheme::Bearer, world.issuer.opaque_token("alice", AUDIENCE, "read"));
    let verdicts = join_all((0..1000).map(|_| verifier.verify(&credential))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    println!("1,000 requests with one opaque token: {} call", world.issuer.requests_to("/introspect"));
}

#[tokio::main]
async fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    hanging_or_well(if short { 2 } else { 40 }).await;
    first_requests().await;
    strangers(if short { 100 } else { 20_000 }).await;
    one_opaque_token().await;
}
