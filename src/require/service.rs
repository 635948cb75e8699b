use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use super::policy::Policy;
use crate::credential::Anonymous;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::respond::{Challenge, Respond, refuse};

/// Lets through what a policy allows; see the [module](super).
#[derive(Clone)]
pub struct Require<S, R = Challenge> {
    inner: S,
    rule: Arc<Rule<R>>,
}

struct Rule<R> {
    policy: Arc<dyn Policy>,
    responder: R,
}

impl<S, R> Require<S, R> {
    pub(super) fn new(inner: S, policy: Arc<dyn Policy>, responder: R) -> Self {
        Self { inner, rule: Arc::new(Rule { policy, responder }) }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Require<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match check(&*self.rule.policy, &request) {
            Ok(()) => ResponseFuture::calling(self.inner.call(request)),
            Err(rejection) => {
                ResponseFuture::rejected(refuse(&self.rule.responder, (&request).into(), rejection))
            }
        }
    }
}

fn check<B>(policy: &dyn Policy, request: &Request<B>) -> Result<(), Rejection> {
    let extensions = request.extensions();
    match extensions.get::<Identity>() {
        Some(identity) => policy
            .check(identity, request.into())
            .map_err(|rejection| rejection.presented_as(identity.scheme())),
        None => Err(Anonymous::rejection(extensions)),
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Require<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Require").field("inner", &self.inner).finish_non_exhaustive()
    }
}
