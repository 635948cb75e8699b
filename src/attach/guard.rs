use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use http::header::AUTHORIZATION;
use tower_layer::Layer;
use tower_service::Service;

use super::origins::{IntoOrigins, Origins};
use crate::error::ConfigError;

/// Takes the `Authorization` header off requests that leave the origins. Its place is next to the network,
/// inside of whatever sends requests on: a redirect follower that forgets on the second hop that the first
/// one left the origin, or a proxy.
///
/// ```
/// use http::Request;
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::attach::GuardLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = tower::service_fn(|request: Request<()>| async move {
///     Ok::<_, std::convert::Infallible>(request.headers().contains_key("authorization"))
/// });
/// let guarded = GuardLayer::new(["https://api.example"])?.layer(client);
///
/// let get = |uri: &str| Request::get(uri).header("authorization", "Bearer abc").body(()).unwrap();
/// assert!(guarded.clone().oneshot(get("https://api.example/")).await?);
/// assert!(!guarded.oneshot(get("https://elsewhere.example/")).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct GuardLayer {
    origins: Arc<Origins>,
}

impl GuardLayer {
    /// Lets the header through to these origins.
    ///
    /// # Errors
    ///
    /// When one of them is no origin, or is plain `http`.
    pub fn new(origins: impl IntoOrigins) -> Result<Self, ConfigError> {
        Ok(Self { origins: Arc::new(origins.into_origins()?) })
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, origins: Arc::clone(&self.origins) }
    }
}

/// Takes the `Authorization` header off requests that leave the origins; see [`GuardLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    origins: Arc<Origins>,
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if !self.origins.contain(request.uri()) {
            request.headers_mut().remove(AUTHORIZATION);
        }
        self.inner.call(request)
    }
}
