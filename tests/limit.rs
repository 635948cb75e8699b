//! Failed credentials are limited for each peer, and nothing but the peer decides (S4-S7, ATK-50).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::{advance, sleep};
use tower::limit::ConcurrencyLimitLayer;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::limit::LimitFailuresLayer;
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::respond::{Challenge, Message};
use tower_bearer::verify::{Schemes, verify_fn};
use tower_bearer::{
    AuthenticateLayer, Credential, Identity, Rejection, RejectionKind, RequestHead, Scheme, Scopes,
};

const SECOND: Duration = Duration::from_secs(1);
const PEER: &str = "192.0.2.1";

/// A limiter in front of a service whose tokens say what becomes of them.
struct World {
    service: BoxCloneService<Request<()>, Response<Bytes>, Infallible>,
    verified: Arc<AtomicUsize>,
}

impl World {
    fn new(limit: LimitFailuresLayer) -> Self {
        let verified = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&verified);
        let verifier = verify_fn(move |credential: Credential<'static>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let identity = Identity::builder("alice");
                match credential.expose() {
                    "good" => Ok(identity.scopes(Scopes::parse("read").unwrap()).build()),
                    "poor" => Ok(identity.build()),
                    "down" => Err(Rejection::unavailable()),
                    _ => Err(Rejection::invalid_token()),
                }
            }
        });
        let service = ServiceBuilder::new()
            .layer(limit.with_responder(Message::new(Challenge::new())))
            .layer(AuthenticateLayer::new(verifier))
            .layer(RequireLayer::new(scope("read")))
            .service_fn(|_: Request<()>| ready(Ok(Response::new(Bytes::new()))));
        Self { service: BoxCloneService::new(service), verified }
    }

    async fn send(&self, request: Request<()>) -> Response<Bytes> {
        self.service.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, peer: &str, authorization: &str) -> u16 {
        self.send(request(peer, authorization)).await.status().as_u16()
    }

    async fn fail(&self, peer: &str, times: usize) {
        for _ in 0..times {
            assert_eq!(self.status(peer, "Bearer bad").await, 401);
        }
    }

    fn verified(&self) -> usize {
        self.verified.load(Ordering::SeqCst)
    }
}

fn limit() -> LimitFailuresLayer {
    LimitFailuresLayer::new(|request| request.extensions.get::<IpAddr>().copied())
}

fn limit_of(burst: u32) -> LimitFailuresLayer {
    limit().with_rate(NonZeroU32::new(burst).unwrap(), SECOND)
}

fn request(peer: &str, authorization: &str) -> Request<()> {
    let request = Request::builder().extension(peer.parse::<IpAddr>().unwrap());
    request.header("authorization", authorization).body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_failures_and_then_a_429_s4_s7() {
    let world = World::new(limit());
    world.fail(PEER, 100).await;
    assert_eq!(world.verified(), 100);

    let limited = world.send(request(PEER, "Bearer bad")).await;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "1");
    assert!(!limited.headers().contains_key("www-authenticate"));
    assert_eq!(limited.body(), r#"{"code":429,"message":"too many failed attempts"}"#);
    let rejection = limited.extensions().get::<Rejection>().unwrap();
    assert_eq!((rejection.kind(), rejection.retry_after()), (RejectionKind::TooManyFailures, Some(SECOND)));

    assert_eq!(world.status(PEER, "Bearer good").await, 429);
    assert_eq!(world.verified(), 100, "nothing is asked about a limited peer");
}

#[tokio::test(start_paused = true)]
async fn one_more_for_each_second_s4_s7() {
    let world = World::new(limit());
    world.fail(PEER, 100).await;
    for _ in 0..1000 {
        assert_eq!(world.status(PEER, "Bearer bad").await, 429, "and costs nothing");
    }
    advance(SECOND).await;
    world.fail(PEER, 1).await;
    assert_eq!(world.status(PEER, "Bearer good").await, 429);
    advance(SECOND).await;
    assert_eq!(world.status(PEER, "Bearer good").await, 200);
    advance(99 * SECOND).await;
    world.fail(PEER, 100).await;
    assert_eq!(world.status(PEER, "Bearer good").await, 429);
}

#[tokio::test(start_paused = true)]
async fn no_header_has_a_say_atk_50() {
    let world = World::new(limit_of(10));
    let spoofed = |attempt: usize| {
        let mut request = request(PEER, &format!("Bearer bad{attempt}"));
        for (name, value) in [
            ("user-agent", format!("terraform-provider/{attempt}")),
            ("x-forwarded-for", format!("198.51.100.{attempt}")),
            ("x-real-ip", format!("198.51.100.{attempt}")),
            ("forwarded", format!("for=198.51.100.{attempt}")),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    for attempt in 0..20 {
        let status = world.send(spoofed(attempt)).await.status();
        assert_eq!(status, if attempt < 10 { 401 } else { 429 }, "{attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_answers_for_itself_alone_s4_s7() {
    let world = World::new(limit_of(3));
    world.fail(PEER, 3).await;
    world.fail("2001:db8::1", 2).await;
    world.fail("2001:db8::2", 1).await;
    assert_eq!(world.status("2001:db8::3", "Bearer good").await, 429, "one /64 is one peer");
    assert_eq!(world.status("::ffff:192.0.2.1", "Bearer good").await, 429, "the same address");
    assert_eq!(world.status("192.0.2.2", "Bearer good").await, 200);
    assert_eq!(world.status("2001:db8:0:1::1", "Bearer good").await, 200);
}

#[tokio::test(start_paused = true)]
async fn only_a_bad_credential_is_charged_s4_s7() {
    let world = World::new(limit_of(2));
    for (authorization, status) in [
        ("Bearer good", 200),
        ("Bearer poor", 403),
        ("Bearer down", 503),
        ("Bearer", 400),
        ("Basic YWJj", 401),
    ] {
        for _ in 0..5 {
            assert_eq!(world.status(PEER, authorization).await, status, "{authorization}");
        }
    }
    let missing = || Request::builder().extension(PEER.parse::<IpAddr>().unwrap()).body(()).unwrap();
    for _ in 0..5 {
        assert_eq!(world.send(missing()).await.status(), 401);
    }
    world.fail(PEER, 2).await;
    assert_eq!(world.send(missing()).await.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn unknown_peers_share_one_limit_atk_50() {
    let world = World::new(limit_of(2));
    let unknown =
        |token: &str| Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    for status in [401, 401, 429] {
        assert_eq!(world.send(unknown("bad")).await.status(), status);
    }
    assert_eq!(world.send(unknown("good")).await.status(), 429);
    assert_eq!(world.status(PEER, "Bearer good").await, 200);
}

#[tokio::test(start_paused = true)]
async fn others_are_left_alone() {
    let is_token = |request: RequestHead<'_>| {
        let credential = Credential::from_headers(request.headers).ok().flatten();
        credential.is_some_and(|credential| credential.scheme() == Scheme::Token)
    };
    let verifier = verify_fn(|credential: Credential<'static>| async move {
        if credential.expose() == "good" {
            Ok(Identity::builder("alice").build())
        } else {
            Err(Rejection::invalid_token())
        }
    });
    let service = ServiceBuilder::new()
        .layer(limit_of(2).only(is_token))
        .layer(AuthenticateLayer::new(Schemes::new().token(verifier).bearer(verifier)))
        .service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    for (authorization, status) in [
        ("Bearer bad", 401),
        ("Bearer bad", 401),
        ("Bearer bad", 401),
        ("Token bad", 401),
        ("Token bad", 401),
        ("Token good", 429),
        ("Bearer good", 200),
        ("Bearer bad", 401),
    ] {
        let response = service.clone().oneshot(request(PEER, authorization)).await.unwrap();
        assert_eq!(response.status(), status, "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn clones_count_together_and_a_new_rate_alone() {
    let layer = limit_of(2);
    let (one, other) = (World::new(layer.clone()), World::new(layer.clone().only(|_| true)));
    let apart = World::new(layer.with_capacity(10));
    one.fail(PEER, 1).await;
    other.fail(PEER, 1).await;
    assert_eq!(one.status(PEER, "Bearer good").await, 429);
    assert_eq!(other.status(PEER, "Bearer good").await, 429);
    assert_eq!(apart.status(PEER, "Bearer good").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_limited_grpc_call_is_exhausted_m_grpc_1() {
    let world = World::new(limit_of(1));
    let call = || {
        let mut call = request(PEER, "Bearer bad");
        call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        call
    };
    assert_eq!(world.send(call()).await.headers()["grpc-status"], "16");
    let limited = world.send(call()).await;
    assert_eq!((limited.status().as_u16(), &limited.headers()["grpc-status"]), (200, &"8".parse().unwrap()));
    assert_eq!(limited.headers()["grpc-message"], "too many failed attempts");
    assert!(limited.body().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_in_the_air_is_owed() {
    let slow = verify_fn(|_| async {
        sleep(SECOND).await;
        Err(Rejection::invalid_token())
    });
    let service = ServiceBuilder::new()
        .layer(limit_of(10))
        .layer(AuthenticateLayer::new(slow))
        .service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    let together = (0..15).map(|_| service.clone().oneshot(request(PEER, "Bearer bad")));
    for response in futures_util::future::join_all(together).await {
        assert_eq!(response.unwrap().status(), 401);
    }
    let limited = service.oneshot(request(PEER, "Bearer bad")).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"6".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn over_a_concurrency_limit_of_one() {
    let verifier = verify_fn(|credential: Credential<'static>| async move {
        sleep(Duration::from_millis(1)).await;
        if credential.expose() == "good" {
            Ok(Identity::builder("alice").build())
        } else {
            Err(Rejection::invalid_token())
        }
    });
    let mut service = ServiceBuilder::new()
        .layer(limit().with_rate(NonZeroU32::MIN, 3600 * SECOND))
        .layer(AuthenticateLayer::new(verifier))
        .layer(ConcurrencyLimitLayer::new(1))
        .service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(String::new()))));
    for (peer, token, status) in [
        (PEER, "good", 200),
        (PEER, "bad", 401),
        (PEER, "good", 429),
        ("192.0.2.2", "good", 200),
        (PEER, "bad", 429),
        ("192.0.2.2", "bad", 401),
        ("192.0.2.3", "good", 200),
    ] {
        let request = request(peer, &format!("Bearer {token}"));
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), status, "{peer} {token}");
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let (inner, mut handle) = tower_test::mock::pair::<Request<()>, Response<String>>();
    let mut service = tower_test::mock::Spawn::new(limit().layer(inner));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    handle.send_error("gone");
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(_))));
}

#[tokio::test]
async fn an_error_of_the_inner_service_comes_through_and_costs_nothing() {
    let failing = tower::service_fn(|_: Request<()>| async { Err::<Response<String>, _>("inner failed") });
    let service = limit_of(1).layer(failing);
    for _ in 0..3 {
        let error = service.clone().oneshot(request(PEER, "Bearer bad")).await.unwrap_err();
        assert_eq!(error, "inner failed");
    }
}

#[tokio::test]
async fn a_success_allocates_nothing() {
    fn handler(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
        ready(Ok(Response::new(())))
    }
    let mut service = limit().layer(tower::service_fn(handler));
    for _ in 0..3 {
        let request = request(PEER, "Bearer good");
        let own = allocation_counter::measure(|| {
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(service.call(request)).poll());
        });
        let idle = allocation_counter::measure(|| {
            tokio_test::assert_ready_ok!(tokio_test::task::spawn(handler(Request::new(()))).poll());
        });
        assert_eq!(own.count_total, idle.count_total);
    }
}

#[test]
fn what_is_printed() {
    let layer = limit_of(5).only(|_| true);
    let printed = format!("{layer:?} {:?}", layer.layer(()));
    assert_eq!(printed.matches("burst: 5, refill: 1s, capacity: 65536, peers: 0").count(), 2, "{printed}");
}
