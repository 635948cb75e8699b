use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use tower_service::Service;

use super::error::AttachError;
use super::future::{Attempt, ResponseFuture, Spare};
use super::origins::Origins;
use super::peek::Refused;
use super::replay::{NoReplay, Replay};
use crate::source::TokenSource;
use crate::token::Token;

/// gRPC's `UNAUTHENTICATED`.
const GRPC_UNAUTHENTICATED: &str = "16";

/// Puts a token on requests; see the [module](super).
#[derive(Clone)]
pub struct Attach<S, P = NoReplay> {
    inner: S,
    gate: Arc<Gate<P>>,
}

/// What a layer and its services share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) source: Arc<dyn TokenSource>,
    /// `None`: requests without a host.
    pub(super) origins: Option<Origins>,
    pub(super) replace_existing: bool,
}

/// Everything but the inner service: one `Arc`, since stacks are cloned for each request.
pub(super) struct Gate<P> {
    pub(super) shared: Shared,
    pub(super) replay: P,
}

impl<S, P> Attach<S, P> {
    pub(super) fn new(inner: S, shared: Shared, replay: P) -> Self {
        Self { inner, gate: Arc::new(Gate { shared, replay }) }
    }
}

impl<S, P, B, ResBody> Service<Request<B>> for Attach<S, P>
where
    S: Service<Request<P::Body>, Response = Response<ResBody>> + Clone,
    P: Replay<B>,
{
    type Response = S::Response;
    type Error = AttachError<S::Error>;
    type Future = ResponseFuture<S, P, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(AttachError::Inner)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let (body, spare) = self.gate.replay.first(body);
        if !self.gate.shared.concerns(&head.uri, &head.headers) {
            return ResponseFuture::passing(self.inner.call(Request::from_parts(head, body)));
        }
        let spare = spare.map(|body| Spare { head: head.clone(), body });
        let mut request = Request::from_parts(head, body);
        let token = self.gate.shared.source.token();
        let gate = Arc::clone(&self.gate);
        match token.try_now() {
            Ok(Err(error)) => ResponseFuture::failed(error),
            Ok(Ok(token)) => {
                stamp(request.headers_mut(), &token);
                // A second send is made by a service that was polled ready for it, whichever that is.
                let service = spare.is_some().then(|| self.inner.clone());
                let future = self.inner.call(request);
                ResponseFuture::calling(future, Attempt { gate, service, token, spare })
            }
            Err(later) => {
                // The service that was polled ready goes with the request; its clone was not.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::fetching(later, ready, request, gate, spare)
            }
        }
    }
}

impl Shared {
    /// True if a request like this gets a token.
    fn concerns(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let ours = match &self.origins {
            Some(origins) => origins.contain(uri),
            None => uri.authority().is_none(),
        };
        ours && (self.replace_existing || !headers.contains_key(AUTHORIZATION))
    }
}

/// Puts the token on, in place of any other.
pub(super) fn stamp(headers: &mut HeaderMap, token: &Token) {
    headers.insert(AUTHORIZATION, token.header_value().clone());
}

/// True if an answer says that the token is bad: 401, the gRPC status of the same meaning in an answer that
/// is nothing but headers, or what [`Peek`](super::Peek) found.
pub(super) fn is_refusal<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    response.status() == StatusCode::UNAUTHORIZED
        || headers.get("grpc-status").is_some_and(|status| status == GRPC_UNAUTHENTICATED)
        || response.extensions().get::<Refused>().is_some()
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("origins", &self.origins)
            .field("replace_existing", &self.replace_existing)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Attach<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attach")
            .field("inner", &self.inner)
            .field("shared", &self.gate.shared)
            .finish_non_exhaustive()
    }
}
