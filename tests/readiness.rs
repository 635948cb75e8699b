//! The service that was polled ready is the one that is called.

use std::cell::Cell;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::require::{RequireLayer, scope};
use tower_bearer::verify::{Verify, verify_fn};
use tower_bearer::{AuthenticateLayer, Credential, Eventual, Identity, Rejection, Scopes};

fn verdict(token: &str) -> Result<Identity, Rejection> {
    let scopes = Scopes::parse(token).map_err(|_| Rejection::invalid_token())?;
    if token == "bad" {
        Err(Rejection::invalid_token())
    } else {
        Ok(Identity::builder("alice").scopes(scopes).build())
    }
}

struct AtOnce;

impl Verify for AtOnce {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        Eventual::now(verdict(credential.expose()))
    }
}

fn later() -> impl Verify + Clone {
    verify_fn(|credential: Credential<'static>| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        verdict(credential.expose())
    })
}

/// A body that is not `Sync`, as some servers' are.
#[derive(Default)]
struct LocalBody(PhantomData<Cell<()>>);

impl http_body::Body for LocalBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

async fn handler(_: Request<LocalBody>) -> Result<Response<LocalBody>, Infallible> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(Response::new(LocalBody::default()))
}

fn request(token: &str) -> Request<LocalBody> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(LocalBody::default()).unwrap()
}

/// Calls one handle again and again: a permit that was lost or doubled shows at once, since
/// `ConcurrencyLimit` panics when it is called without one.
async fn runs_through<S>(mut service: S)
where
    S: Service<Request<LocalBody>, Response = Response<LocalBody>>,
    S::Error: std::fmt::Debug,
{
    for (token, status) in
        [("read", 200), ("bad", 401), ("write", 403), ("read", 200), ("bad", 401), ("read", 200)]
    {
        let response = service.ready().await.unwrap().call(request(token)).await.unwrap();
        assert_eq!(response.status(), status, "{token}");
    }
}

/// The two layers over `inner`, with a verifier that answers at once and with one that waits.
async fn each_layer_over<S>(inner: S)
where
    S: Service<Request<LocalBody>, Response = Response<LocalBody>> + Clone,
    S::Error: std::fmt::Debug,
{
    let guarded = RequireLayer::new(scope("read")).layer(inner);
    runs_through(AuthenticateLayer::new(AtOnce).layer(guarded.clone())).await;
    runs_through(AuthenticateLayer::new(later()).layer(guarded)).await;
}

#[tokio::test(start_paused = true)]
async fn over_a_concurrency_limit_of_one() {
    each_layer_over(ConcurrencyLimitLayer::new(1).layer(tower::service_fn(handler))).await;
}

#[tokio::test(start_paused = true)]
async fn over_load_shed_and_a_limit() {
    each_layer_over(
        ServiceBuilder::new()
            .layer(LoadShedLayer::new())
            .layer(ConcurrencyLimitLayer::new(1))
            .service(tower::service_fn(handler)),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn over_a_buffer() {
    each_layer_over(
        ServiceBuilder::new()
            .layer(BufferLayer::new(1))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(tower::service_fn(handler)),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_requests_share_one_slot() {
    let inner = ConcurrencyLimitLayer::new(1).layer(tower::service_fn(handler));
    let service = AuthenticateLayer::new(later()).layer(RequireLayer::new(scope("read")).layer(inner));
    let calls = (0..50).map(|index| {
        let (service, token) = (service.clone(), if index % 3 == 0 { "bad" } else { "read" });
        async move { service.oneshot(request(token)).await.unwrap().status().as_u16() }
    });
    let statuses = futures_util::future::join_all(calls).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 33);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 17);
}

#[tokio::test]
async fn an_error_of_the_inner_service_comes_through() {
    let failing = tower::service_fn(|_: Request<()>| async { Err::<Response<String>, _>("inner failed") });
    let service = AuthenticateLayer::new(AtOnce).layer(failing);
    let request = Request::builder().header("authorization", "Bearer read").body(()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap_err(), "inner failed");
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let (inner, mut handle) = tower_test::mock::pair::<Request<()>, Response<String>>();
    let mut service = tower_test::mock::Spawn::new(AuthenticateLayer::new(AtOnce).layer(inner));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    handle.send_error("gone");
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(_))));
}
