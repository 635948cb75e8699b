//! What attaching a token costs: one at hand, one to be fetched, and from two threads.

mod common;

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tokio::runtime::Builder;
use tower::{Layer, Service};
use tower_bearer::attach::CloneBody;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, SystemClock, Token, TokenError};
use tower_http::auth::AddAuthorizationLayer;

use common::{BATCH, Contestant, Round, driven, measure, round, two_threads};

/// Where each serves one request.
const SERVICES: usize = 64;

struct Hour;

impl TokenSource for Hour {
    fn token(&self) -> Eventual<Result<Token, TokenError>> {
        let token = Token::new(Scheme::Bearer, secret()).expect("a token");
        Eventual::now(Ok(token.expiring(SystemClock::new().now(), Duration::from_secs(3600))))
    }
}

fn secret() -> String {
    "a".repeat(800)
}

fn cached() -> AttachLayer {
    warm(CachedSource::new(Hour))
}

fn warm(source: CachedSource<Hour>) -> AttachLayer {
    tokio_test::block_on(source.token()).expect("a token");
    AttachLayer::to("https://api.example", source).expect("an origin")
}

fn request() -> Request<()> {
    Request::get("https://api.example/orders").body(()).expect("a request")
}

fn bare() -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone + Send {
    tower::service_fn(|request: Request<()>| {
        // As the client would that sends it.
        black_box(request.headers().get(AUTHORIZATION));
        ready(Ok(Response::new(())))
    })
}

/// As many requests as there are to a batch, none with a header.
fn sent<S>(service: S) -> Round
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + Clone + Send + 'static,
{
    driven(&vec![None; BATCH], StatusCode::OK, move || service.clone())
}

/// The first is the bare service, and the second what the others are compared with.
fn contestants<const N: usize>(all: [(&str, Round); N], most: Option<f64>) -> Vec<Contestant> {
    let of = |(index, (name, round)): (usize, (&str, Round))| match index {
        0 => Contestant::new(name, round),
        1 => Contestant::new(name, round).over(0),
        _ => Contestant::new(name, round).over(0).at_most(most, 1),
    };
    all.into_iter().enumerate().map(of).collect()
}

fn attach(c: &mut Criterion) {
    let fixed = StaticToken::new(Scheme::Bearer, secret()).expect("a token");
    let fixed = AttachLayer::to("https://api.example", fixed).expect("an origin");
    let template = cached().layer(bare());
    let all = [
        ("bare", sent(bare())),
        ("AddAuthorizationLayer", sent(AddAuthorizationLayer::bearer(&secret()).layer(bare()))),
        ("static", sent(fixed.layer(bare()))),
        ("cached", sent(cached().layer(bare()))),
        ("cached, with a spare", sent(cached().retry_unauthorized(CloneBody).layer(bare()))),
        ("cached, clone + call", sent(tower::service_fn(move |request| template.clone().call(request)))),
    ];
    measure(c, "attach", BATCH, contestants(all, Some(1.6)));
}

/// One call on each of many services.
fn calls<S>(mut service: impl FnMut() -> S + Send + 'static) -> Round
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let call = move |service: &mut S| {
        let answer = runtime.block_on(service.call(request())).expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    };
    let ready = move || (0..SERVICES).map(|_| service()).collect::<Vec<_>>();
    round(ready, move |services| services.iter_mut().for_each(&call))
}

fn refresh(c: &mut Criterion) {
    let refused = || {
        let first = Arc::new(AtomicBool::new(true));
        let api = tower::service_fn(move |_: Request<()>| {
            let status = if first.swap(false, Relaxed) { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            ready(Response::builder().status(status).body(()))
        });
        cached().retry_unauthorized(CloneBody).layer(api)
    };
    let stale = || {
        let passed = Arc::new(AtomicU64::new(0));
        let seconds = Arc::clone(&passed);
        let clock = move || SystemClock::new().now() + Duration::from_secs(seconds.load(Relaxed));
        let layer = warm(CachedSource::new(Hour).with_clock(clock));
        // The last five minutes have begun.
        passed.store(3400, Relaxed);
        layer.layer(bare())
    };
    let all = [
        ("bare", calls(bare)),
        ("at hand", calls(|| cached().layer(bare()))),
        ("refused, and another fetched", calls(refused)),
        ("stale, and its refresh begins", calls(stale)),
    ];
    measure(c, "refresh", SERVICES, contestants(all, None));
}

fn threads(_: &mut Criterion) {
    let layer = cached();
    two_threads("cached", || sent(bare()), || sent(layer.layer(bare())));
}

criterion_group!(benches, attach, refresh, threads);
criterion_main!(benches);
