//! What attaching a token costs. Each group ends with ratios, of rounds in turn: a slow moment hits all alike.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tokio::runtime::Builder;
use tower::{Layer, Service};
use tower_bearer::attach::CloneBody;
use tower_bearer::source::{CachedSource, StaticToken, TokenSource};
use tower_bearer::{AttachLayer, Clock, Eventual, Scheme, SystemClock, Token, TokenError};
use tower_http::auth::AddAuthorizationLayer;

/// Requests to a batch, and services where each serves one.
const BATCH: usize = 1024;
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

/// A batch, made ready and taken down outside of the clock.
type Round = Box<dyn FnMut() -> Duration + Send>;

fn round<T>(
    mut ready: impl FnMut() -> T + Send + 'static,
    mut run: impl FnMut(&mut T) + Send + 'static,
) -> Round {
    Box::new(move || {
        let mut batch = ready();
        let start = WallTime.start();
        run(&mut batch);
        WallTime.end(start)
    })
}

/// Calls by hand: there is no runtime, and nothing to wait for.
fn driven<S>(mut service: S) -> Round
where
    S: Service<Request<()>, Response = Response<()>, Error: Debug> + Send + 'static,
{
    let mut call = move |request| {
        let mut context = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut context).is_ready(), "the service is ready");
        match pin!(service.call(request)).poll(&mut context) {
            Poll::Ready(answer) => assert_eq!(answer.expect("an answer").status(), StatusCode::OK),
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    };
    round(|| vec![request(); BATCH], move |requests| requests.drain(..).for_each(&mut call))
}

/// The median of each, in nanoseconds, of rounds in turn. As a test, one round is enough.
fn medians<const N: usize>(mut contestants: [&mut dyn FnMut() -> Duration; N]) -> [f64; N] {
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { 501 };
    let mut times = [const { Vec::new() }; N];
    (0..rounds)
        .for_each(|_| times.iter_mut().zip(&mut contestants).for_each(|(times, round)| times.push(round())));
    times.map(|mut times| {
        times.sort();
        times[rounds / 2].as_nanos() as f64
    })
}

/// Measures each for `criterion`, then what they cost over the first, beside what the second does.
fn measure<const N: usize>(c: &mut Criterion, group: &str, size: usize, mut contestants: [(&str, Round); N]) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(size as u64));
    for (name, round) in &mut contestants {
        group.bench_function(*name, |b| b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum()));
    }
    group.finish();
    let names = contestants.each_ref().map(|own| own.0);
    let times = medians(contestants.each_mut().map(|(_, round)| round as _)).map(|time| time / size as f64);
    for (name, time) in names.iter().zip(&times).skip(1) {
        let (net, reference) = (time - times[0], times[1] - times[0]);
        println!("{name}: {net:.1} ns over bare, {:.2} × {}", net / reference, names[1]);
    }
}

fn attach(c: &mut Criterion) {
    let fixed = StaticToken::new(Scheme::Bearer, secret()).expect("a token");
    let fixed = AttachLayer::to("https://api.example", fixed).expect("an origin");
    let template = cached().layer(bare());
    let contestants = [
        ("bare", driven(bare())),
        ("AddAuthorizationLayer", driven(AddAuthorizationLayer::bearer(&secret()).layer(bare()))),
        ("static", driven(fixed.layer(bare()))),
        ("cached", driven(cached().layer(bare()))),
        ("cached, with a spare", driven(cached().retry_unauthorized(CloneBody).layer(bare()))),
        ("cached, clone + call", driven(tower::service_fn(move |request| template.clone().call(request)))),
    ];
    measure(c, "attach", BATCH, contestants);
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
    let contestants = [
        ("bare", calls(bare)),
        ("at hand", calls(|| cached().layer(bare()))),
        ("refused, and another fetched", calls(refused)),
        ("stale, and its refresh begins", calls(stale)),
    ];
    measure(c, "refresh", SERVICES, contestants);
}

/// How much more two threads do than one, each with a stack of its own.
fn gain(stack: impl Fn() -> Round + Sync) -> f64 {
    let rate = |threads: usize| -> f64 {
        let (barrier, stack) = (Barrier::new(threads), &stack);
        let run = || {
            let mut round = stack();
            1.0 / medians([&mut || (barrier.wait(), round()).1])[0]
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a rate")).sum()
        })
    };
    rate(2) / rate(1)
}

fn two_threads(_: &mut Criterion) {
    let (layer, reference) = (cached(), gain(|| driven(bare())));
    let gain = gain(|| driven(layer.clone().layer(bare())));
    println!("two threads, cached: {gain:.2} × one, {:.2} × what bare gains", gain / reference);
}

criterion_group!(benches, attach, refresh, two_threads);
criterion_main!(benches);
