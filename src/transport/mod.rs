//! The one door to the network, and the policy of whoever goes through it.
//!
//! 1. `https` only; plain `http` only to a loopback address, and only where the transport says so.
//! 2. One request, one answer: redirects are refused, so that no secret goes where nobody sent it.
//! 3. An answer comes within the deadline or not at all, and its body within the size limit.
//! 4. Nothing is decompressed: an answer that is encoded is refused.
//!
//! The policy is applied to every request of this crate, whatever the transport behind it.

#[cfg(any(feature = "client", feature = "remote"))]
mod door;
#[cfg(any(feature = "client", feature = "remote"))]
mod retry_after;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
#[cfg(feature = "remote")]
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

#[cfg(any(feature = "client", feature = "remote"))]
pub(crate) use self::door::{Door, Failed};
#[cfg(any(feature = "client", feature = "remote"))]
pub(crate) use self::retry_after::retry_after;
use crate::error::BoxError;
use crate::eventual::Eventual;

/// Sends one request and reads the whole answer.
///
/// Timeouts, size limits and the checks of scheme and status are the caller's, in this crate: a
/// transport follows no redirect, adds no credential, and may leave the rest. It must be cancel-safe:
/// dropping the answer ends the request.
///
/// [`ServiceTransport`] makes one of any tower service.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request. A transport that reads the answer piece by piece stops at the [`BodyLimit`] in
    /// the request's extensions; the limit is checked again afterwards.
    fn send(&self, request: Request<Bytes>) -> Eventual<Result<Response<Bytes>, BoxError>>;

    /// True if plain `http` to a loopback address is allowed, for tests and sidecars.
    fn allows_http_loopback(&self) -> bool {
        false
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: Request<Bytes>) -> Eventual<Result<Response<Bytes>, BoxError>> {
        (**self).send(request)
    }

    fn allows_http_loopback(&self) -> bool {
        (**self).allows_http_loopback()
    }
}

/// The largest body that the sender of a request will take, in bytes; found in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(usize);

impl BodyLimit {
    /// The limit in bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

/// A [`Transport`] made of any tower service that speaks HTTP: a hyper client, or one under timeouts,
/// limits and traces of its own.
///
/// ```
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower_bearer::transport::{ServiceTransport, Transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = tower::service_fn(|request: Request<Full<bytes::Bytes>>| async move {
///     match request.uri().path() {
///         "/up" => Ok(Response::new(Full::<bytes::Bytes>::from("hello"))),
///         _ => Err(std::io::Error::other("nothing there")),
///     }
/// });
/// let transport = ServiceTransport::new(service);
///
/// let get = |path: &str| Request::get(format!("https://a.example{path}")).body(bytes::Bytes::new()).unwrap();
/// assert_eq!(transport.send(get("/up")).await.unwrap().body(), "hello");
/// assert!(transport.send(get("/down")).await.is_err());
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceTransport<S> {
    service: S,
    http_loopback: bool,
}

impl<S> ServiceTransport<S> {
    /// Sends through clones of `service`, each polled until it is ready.
    pub fn new(service: S) -> Self {
        Self { service, http_loopback: false }
    }

    /// Allows plain `http` to loopback addresses and `localhost`: for tests, and for sidecars on the
    /// same machine.
    #[must_use]
    pub fn insecure_allow_http_loopback(mut self) -> Self {
        self.http_loopback = true;
        self
    }
}

impl<S, B> Transport for ServiceTransport<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Bytes>) -> Eventual<Result<Response<Bytes>, BoxError>> {
        let mut service = self.service.clone();
        Eventual::later(async move {
            let limit = request.extensions().get::<BodyLimit>().map_or(usize::MAX, |limit| limit.bytes());
            std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            let (head, body) = service.call(request.map(Full::from)).await.map_err(Into::into)?.into_parts();
            let body = Limited::new(body, limit).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        })
    }

    fn allows_http_loopback(&self) -> bool {
        self.http_loopback
    }
}

impl<S> fmt::Debug for ServiceTransport<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTransport").field("http_loopback", &self.http_loopback).finish_non_exhaustive()
    }
}

/// True if the media type is one of those, whatever its parameters.
#[cfg(feature = "remote")]
pub(crate) fn has_content_type(headers: &HeaderMap, expected: &[&str]) -> bool {
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    expected.iter().any(|name| media_type.eq_ignore_ascii_case(name.as_bytes()))
}

/// `Transport` stays dyn-safe.
const _: fn(&dyn Transport) = |_| {};

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::{CONTENT_TYPE, HeaderMap, has_content_type};

    #[test]
    fn content_types() {
        let with = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        let json = ["application/json"];
        assert!(has_content_type(&with("Application/JSON; charset=utf-8"), &json));
        for other in ["text/html", "application/jsonp", "text/json", ""] {
            assert!(!has_content_type(&with(other), &json), "{other}");
        }
        assert!(!has_content_type(&HeaderMap::new(), &json));
    }
}
