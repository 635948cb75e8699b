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

/// The services of an issuer are always ready, take any body, and are called as they are under any layer.
#[cfg(feature = "issue")]
#[tokio::test(start_paused = true)]
async fn services_of_an_issuer_under_layers() {
    use tower_bearer::contract::TokenContract;
    use tower_bearer::issue::{
        AuthTypeEndpoint, IntrospectionEndpoint, JwksEndpoint, JwtSigner, KeyRing, MetadataEndpoint, Mint,
        PatEndpoint, RevocationEndpoint, TokenEndpoint,
    };
    use tower_bearer::pat::PatFormat;
    use tower_bearer::store::MemoryStore;

    async fn statuses<S, B>(service: S) -> Vec<u16>
    where
        S: Service<Request<LocalBody>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: 'static,
    {
        let mut bare = service.clone();
        assert!(std::future::poll_fn(|cx| Poll::Ready(bare.poll_ready(cx))).await.is_ready());
        let mut limited = ServiceBuilder::new()
            .layer(BufferLayer::new(1))
            .layer(ConcurrencyLimitLayer::new(1))
            .service(service);
        let mut statuses = Vec::new();
        for method in ["GET", "POST", "BREW"] {
            let request = Request::builder().method(method).uri("/users/alice/tokens");
            let request = request.body(LocalBody::default()).unwrap();
            let response = limited.ready().await.unwrap().call(request).await.unwrap();
            statuses.push(response.status().as_u16());
        }
        statuses
    }

    let store = MemoryStore::new();
    let signer = JwtSigner::generate(tower_bearer::Algorithm::ES256).unwrap();
    let ring = KeyRing::new("main", tower_bearer::Algorithm::ES256, store.clone());
    let mint = Mint::access_tokens(signer, "https://issuer.example", "orders");
    let tokens = TokenEndpoint::new(TokenContract::client_credentials(), mint, store.clone());
    let pats = PatEndpoint::new(PatFormat::netbird(), store.clone());
    assert_eq!(statuses(tokens).await, [405, 400, 405]);
    assert_eq!(statuses(IntrospectionEndpoint::new(later(), store.clone())).await, [405, 400, 405]);
    assert_eq!(
        statuses(RevocationEndpoint::new(later(), store.clone(), store.clone())).await,
        [405, 400, 405]
    );
    assert_eq!(statuses(AuthTypeEndpoint::new(later())).await, [401, 405, 405]);
    assert_eq!(statuses(JwksEndpoint::new([ring])).await, [200, 405, 405]);
    let metadata = MetadataEndpoint::new("https://issuer.example").unwrap();
    assert_eq!(statuses(metadata).await, [200, 405, 405]);
    assert_eq!(statuses(pats.clone()).await, [401, 401, 401]);

    let behind = AuthenticateLayer::new(later()).layer(ConcurrencyLimitLayer::new(1).layer(pats));
    let calls = (0..50).map(|index| {
        let (service, token) = (behind.clone(), if index % 3 == 0 { "bad" } else { "read" });
        async move {
            let mut request = request(token);
            *request.uri_mut() = "/users/alice/tokens".parse().unwrap();
            service.oneshot(request).await.unwrap().status().as_u16()
        }
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
