//! What the layer costs over the bare service, with a token at hand.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_bearer::attach::CloneBody;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, SystemClock, Token, TokenError};

struct Hour;

impl TokenSource for Hour {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let now = SystemClock::new().now();
        let token = Token::new(Scheme::Bearer, "a".repeat(800)).expect("a token");
        Eventual::now(Ok(token.expiring(now, Duration::from_secs(3600))))
    }
}

async fn handler(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn request() -> Request<()> {
    Request::get("https://api.example/orders").body(()).expect("a request")
}

fn benches(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut group = c.benchmark_group("attach");
    let cached = CachedSource::new(Hour);
    runtime.block_on(cached.token()).expect("a token");
    let fixed = StaticToken::new(Scheme::Bearer, "a".repeat(800)).expect("a token");
    let to =
        |source: Arc<dyn TokenSource>| AttachLayer::to("https://api.example", source).expect("an origin");

    let mut bare = tower::service_fn(handler);
    group.bench_function("bare", |b| {
        b.iter(|| runtime.block_on(bare.call(black_box(request()))).expect("infallible"));
    });
    for (name, source) in
        [("static", Arc::new(fixed.clone()) as Arc<dyn TokenSource>), ("cached", Arc::new(cached))]
    {
        let mut service = to(source).layer(tower::service_fn(handler));
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(service.call(black_box(request()))).expect("a token"));
        });
    }
    let mut service = to(Arc::new(fixed)).retry_unauthorized(CloneBody).layer(tower::service_fn(handler));
    group.bench_function("static, with a spare", |b| {
        b.iter(|| runtime.block_on(service.call(black_box(request()))).expect("a token"));
    });
    group.finish();
}

criterion_group!(attach, benches);
criterion_main!(attach);
