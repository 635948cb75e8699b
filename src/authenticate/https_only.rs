use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use http::uri::Scheme;

use crate::request_head::RequestHead;

type Test = Arc<dyn Fn(RequestHead<'_>) -> bool + Send + Sync>;

/// How to tell that a request came over HTTPS; for
/// [`AuthenticateLayer::https_only`](super::AuthenticateLayer::https_only).
///
/// A request passes if any of the named signs says so. By itself, only the scheme of the request's
/// URI counts; a server behind a TLS acceptor or a proxy names what else to believe. The answer to a
/// credential over plain HTTP is a 400, never a redirect: the credential is already on the wire, and
/// whoever sent it has to know (RFC 6750 §5.3).
///
/// ```
/// use http::{HeaderName, Request, Response};
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::authenticate::HttpsOnly;
/// use tower_bearer::verify::verify_fn;
/// use tower_bearer::{AuthenticateLayer, Identity};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// #[derive(Clone)]
/// struct ViaProxy; // the server puts it on connections from the proxy's address
///
/// let anyone = verify_fn(|_| async { Ok(Identity::builder("alice").build()) });
/// let guard = HttpsOnly::new().or_forwarded(HeaderName::from_static("x-forwarded-proto"), |request| {
///     request.extensions.get::<ViaProxy>().is_some()
/// });
/// let service = AuthenticateLayer::new(anyone)
///     .https_only(guard)
///     .layer(tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) }));
///
/// let mut request = Request::builder()
///     .header("authorization", "Bearer abc")
///     .header("x-forwarded-proto", "https")
///     .body(())
///     .unwrap();
/// let refused = service.clone().oneshot(request.clone()).await.unwrap();
/// assert_eq!(refused.status(), 400);
///
/// request.extensions_mut().insert(ViaProxy);
/// assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct HttpsOnly {
    signs: Vec<Test>,
}

impl HttpsOnly {
    /// Believes the scheme of the request's URI alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes an extension of this type as well, put there by the TLS acceptor.
    pub fn or_extension<T: Clone + Send + Sync + 'static>(self) -> Self {
        self.or(|request| request.extensions.get::<T>().is_some())
    }

    /// Believes a header that says `https`, on requests that `from_proxy` knows to come from the
    /// proxy that sets it; anybody else could write it. The header must be there once.
    pub fn or_forwarded(
        self,
        header: HeaderName,
        from_proxy: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.or(move |request| {
            let mut values = request.headers.get_all(&header).iter();
            let once = (values.next(), values.next());
            matches!(once, (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"https"))
                && from_proxy(request)
        })
    }

    fn or(mut self, sign: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.signs.push(Arc::new(sign));
        self
    }

    pub(super) fn allows(&self, request: RequestHead<'_>) -> bool {
        request.uri.scheme() == Some(&Scheme::HTTPS) || self.signs.iter().any(|sign| sign(request))
    }
}

impl fmt::Debug for HttpsOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsOnly").field("signs", &self.signs.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};

    use super::HttpsOnly;

    #[derive(Clone)]
    struct Tls;

    fn allows(guard: &HttpsOnly, request: &Request<()>) -> bool {
        guard.allows(request.into())
    }

    #[test]
    fn each_sign_and_no_other() {
        let proto = HeaderName::from_static("x-forwarded-proto");
        let guard = HttpsOnly::new().or_extension::<Tls>().or_forwarded(proto, |_| true);
        let mut plain = Request::builder().uri("http://a.example/").body(()).unwrap();
        assert!(!allows(&guard, &plain));
        assert!(allows(&guard, &Request::builder().uri("https://a.example/").body(()).unwrap()));

        plain.headers_mut().insert("x-forwarded-proto", "http".parse().unwrap());
        assert!(!allows(&guard, &plain));
        plain.headers_mut().insert("x-forwarded-proto", "HTTPS".parse().unwrap());
        assert!(allows(&guard, &plain));
        assert!(!allows(&HttpsOnly::new(), &plain));
        plain.headers_mut().append("x-forwarded-proto", "https".parse().unwrap());
        assert!(!allows(&guard, &plain));

        plain.extensions_mut().insert(Tls);
        assert!(allows(&guard, &plain));
    }
}
