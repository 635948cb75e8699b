use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::buckets::{Buckets, Peer};
use super::future::ResponseFuture;
use crate::rejection::Rejection;
use crate::request_head::RequestHead;
use crate::respond::{Challenge, Respond, refuse};

/// Sends away a peer whose credentials failed too often; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct LimitFailures<S, R = Challenge> {
    inner: S,
    limiter: Arc<Limiter<R>>,
}

/// What a layer and its services share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) peer: Arc<Ask<Option<IpAddr>>>,
    pub(super) only: Option<Arc<Ask<bool>>>,
    pub(super) buckets: Arc<Buckets>,
}

/// What the head of a request is asked.
type Ask<T> = dyn Fn(RequestHead<'_>) -> T + Send + Sync;

struct Limiter<R> {
    shared: Shared,
    responder: R,
}

/// Whom a failure is charged to.
pub(super) struct Account {
    buckets: Arc<Buckets>,
    peer: Peer,
}

impl<S, R> LimitFailures<S, R> {
    pub(super) fn new(inner: S, shared: Shared, responder: R) -> Self {
        Self { inner, limiter: Arc::new(Limiter { shared, responder }) }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for LimitFailures<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.limiter.shared.open((&request).into()) {
            Ok(account) => ResponseFuture::calling(self.inner.call(request), account),
            Err(rejection) => {
                ResponseFuture::rejected(refuse(&self.limiter.responder, (&request).into(), rejection))
            }
        }
    }
}

impl Shared {
    /// The account of the request's peer, unless it is overdrawn; none where the request is not limited.
    fn open(&self, request: RequestHead<'_>) -> Result<Option<Account>, Rejection> {
        if self.only.as_ref().is_some_and(|only| !only(request)) {
            return Ok(None);
        }
        let peer = Peer::from((self.peer)(request));
        match self.buckets.wait(peer) {
            Some(wait) => Err(Rejection::too_many_failures().with_retry_after(wait)),
            None => Ok(Some(Account { buckets: Arc::clone(&self.buckets), peer })),
        }
    }
}

impl Account {
    pub(super) fn charge(&self) {
        self.buckets.charge(self.peer);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("buckets", &self.buckets)
            .field("only", &self.only.as_ref().map(|_| "<fn>"))
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, R> fmt::Debug for LimitFailures<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFailures")
            .field("inner", &self.inner)
            .field("shared", &self.limiter.shared)
            .finish_non_exhaustive()
    }
}
