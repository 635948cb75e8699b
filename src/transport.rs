//! The one door to the network, and the policy of whoever goes through it.
//!
//! 1. `https` only; plain `http` only to a loopback address, and only where the transport says so.
//! 2. One request, one answer: redirects are refused, so that no secret goes where nobody sent it.
//! 3. An answer comes within the deadline or not at all, and its body within the size limit.
//! 4. Nothing is decompressed: an answer that is encoded is refused.
//!
//! The policy is applied to every request of this crate, whatever the transport behind it.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::error::{BoxError, ConfigError};
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

/// A transport under this crate's policy: what every engine sends through.
#[derive(Clone)]
pub(crate) struct Door {
    transport: Arc<dyn Transport>,
    deadline: Duration,
    max_body: usize,
}

/// Why there is no usable answer. Holds no URL, since some have a secret in them.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Encoded,
    Redirect(StatusCode),
    TooLarge,
    TimedOut,
    Transport(Arc<dyn Error + Send + Sync>),
}

impl Door {
    pub(crate) fn new(transport: impl Transport, deadline: Duration, max_body: usize) -> Self {
        Self { transport: Arc::new(transport), deadline, max_body }
    }

    /// Reads a URL that requests may go to. `field` names the setting it stands in.
    pub(crate) fn url(&self, field: &'static str, url: &str) -> Result<Uri, ConfigError> {
        let plain = self.transport.allows_http_loopback();
        let wanted = || {
            let also = if plain { ", or http to a loopback address" } else { "" };
            ConfigError::new(field, format!("expected an absolute https URL without user information{also}"))
        };
        let uri: Uri = url.parse().map_err(|error| wanted().with_source(error))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wanted)?;
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let scheme = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => plain && is_loopback(host),
            _ => false,
        };
        if scheme && !has_user && !url.contains('#') { Ok(uri) } else { Err(wanted()) }
    }

    /// Sends one request; gives any status but a redirect.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Failed> {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.extensions_mut().insert(BodyLimit(self.max_body));
        let answer = tokio::time::timeout(self.deadline, self.transport.send(request)).await;
        let response = answer.map_err(|_| Failed::TimedOut)?.map_err(Failed::from)?;
        let encoding = response.headers().get(CONTENT_ENCODING);
        if response.status().is_redirection() {
            Err(Failed::Redirect(response.status()))
        } else if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            Err(Failed::Encoded)
        } else if response.body().len() > self.max_body {
            Err(Failed::TooLarge)
        } else {
            Ok(response)
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address
        .parse::<IpAddr>()
        .map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

impl From<BoxError> for Failed {
    fn from(error: BoxError) -> Self {
        if error.is::<LengthLimitError>() { Self::TooLarge } else { Self::Transport(error.into()) }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoded => "the answer has a content encoding",
            Self::Redirect(status) => return write!(f, "the answer is a redirect ({})", status.as_u16()),
            Self::TooLarge => "the answer is too large",
            Self::TimedOut => "no answer came in time",
            Self::Transport(_) => "the request failed",
        })
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("deadline", &self.deadline)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}

/// `Transport` stays dyn-safe.
const _: fn(&dyn Transport) = |_| {};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;

    use super::{BoxError, Door, Failed, ServiceTransport};

    fn door(http_loopback: bool, answer: fn() -> Response<Full<Bytes>>) -> Door {
        let service = tower::service_fn(move |_| async move { Ok::<_, BoxError>(answer()) });
        let transport = ServiceTransport::new(service);
        let transport = if http_loopback { transport.insecure_allow_http_loopback() } else { transport };
        Door::new(transport, Duration::from_secs(3), 10)
    }

    async fn send(answer: fn() -> Response<Full<Bytes>>) -> Result<Response<Bytes>, Failed> {
        door(false, answer).send(Request::get("https://a.example/").body(Bytes::new()).unwrap()).await
    }

    fn ok() -> Response<Full<Bytes>> {
        Response::new(Full::from("0123456789"))
    }

    #[test]
    fn https_or_a_loopback_that_was_asked_for_atk_55() {
        let (strict, loose) = (door(false, ok), door(true, ok));
        for url in ["https://a.example", "https://a.example:8443/x?y=z", "https://127.0.0.1/"] {
            assert!(strict.url("url", url).is_ok() && loose.url("url", url).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1/", "http://127.9.9.9:1/x", "http://[::1]:80/", "http://localhost:3000/"]
        {
            assert!(strict.url("url", url).is_err() && loose.url("url", url).is_ok(), "{url}");
        }
        for url in [
            "",
            "/x",
            "a.example",
            "http://a.example/",
            "http://127.0.0.1.example/",
            "http://10.0.0.1/",
            "ftp://a.example/",
            "https://user@a.example/",
            "https://user:pass@a.example/",
            "https:///x",
            "https://a.example/#x",
            "https://a.example/ x",
            "http://localhost.example/",
        ] {
            assert!(strict.url("url", url).is_err() && loose.url("url", url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_no_answer() {
        assert_eq!(send(ok).await.unwrap().body(), "0123456789");
        let large = send(|| Response::new(Full::from("0123456789a"))).await;
        assert!(matches!(large, Err(Failed::TooLarge)));
        let redirect = send(|| Response::builder().status(307).body(Full::default()).unwrap()).await;
        assert!(matches!(redirect, Err(Failed::Redirect(status)) if status == 307));
        let encoded =
            send(|| Response::builder().header("content-encoding", "gzip").body(Full::default()).unwrap())
                .await;
        assert!(matches!(encoded, Err(Failed::Encoded)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_covers_all_of_it() {
        let service =
            tower::service_fn(|_| std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>());
        let door = Door::new(ServiceTransport::new(service), Duration::from_secs(3), 10);
        let before = tokio::time::Instant::now();
        let answer = door.send(Request::get("https://a.example/").body(Bytes::new()).unwrap()).await;
        assert!(matches!(answer, Err(Failed::TimedOut)));
        assert_eq!(before.elapsed(), Duration::from_secs(3));
    }
}
