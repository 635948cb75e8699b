//! What the services of this folder share: a future, the reading of small bodies, JSON that nobody stores.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;

use super::fault::Fault;
use crate::error::BoxError;

/// A form with an assertion in it has about two; a token of the longest kind, sixteen.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;
/// Long enough for a slow line, short enough that a body that never ends holds nothing for long.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The answer of one of the services of [`issue`](super).
#[must_use = "futures do nothing unless awaited"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl ResponseFuture {
    pub(super) fn new(future: impl Future<Output = Response<Full<Bytes>>> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

/// Makes an endpoint a tower service that is always ready. A clone of it answers: `answer(self, request)`, or, where
/// nobody reads a body, `answer(self, head)`.
macro_rules! service {
    ($endpoint:ty) => {
        super::http::service!(
            $endpoint,
            [B: http_body::Body<Data: Send, Error: Into<crate::error::BoxError>> + Send + 'static],
            |request| request
        );
    };
    ($endpoint:ty, without a body) => {
        super::http::service!($endpoint, [B], |request| request.into_parts().0);
    };
    ($endpoint:ty, [$($bounds:tt)*], |$request:ident| $taken:expr) => {
        impl<$($bounds)*> tower_service::Service<http::Request<B>> for $endpoint {
            type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
            type Error = std::convert::Infallible;
            type Future = super::http::ResponseFuture;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, $request: http::Request<B>) -> Self::Future {
                super::http::ResponseFuture::new(self.clone().answer($taken))
            }
        }
    };
}

pub(super) use service;

/// A whole body, within limits of size and time.
pub(super) async fn read<B>(body: B) -> Result<Bytes, Fault>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let body = timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY_BYTES).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Fault::Request("the body could not be read")),
    }
}

/// RFC 6749 §5.1: what has a token in it, or says something about one, is stored nowhere.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    no_store(headers);
    response
}

/// For a 503: soon enough for who waits, late enough for who recovers.
pub(super) fn retry_soon(headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
}

/// The methods that read, as `Allow` has them (RFC 9110 §10.2.1).
pub(super) const READING: &str = "GET, HEAD";

pub(super) fn is_reading(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

pub(super) fn no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}
