use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response, Uri};
use tower_service::Service;

use super::future::ResponseFuture;
use super::https_only::HttpsOnly;
use crate::credential::{self, Anonymous, Credential, Scheme, SchemeSet};
use crate::eventual::Eventual;
use crate::identity::Identity;
use crate::rejection::{Rejection, RejectionKind};
use crate::respond::{Challenge, Respond, refuse};
use crate::verify::Verify;

/// Lets in requests with a good credential; see the [module](super).
#[derive(Clone)]
pub struct Authenticate<S, R = Challenge> {
    inner: S,
    gate: Arc<Gate<R>>,
}

/// What a layer and its services share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) verifier: Arc<dyn Verify>,
    pub(super) offered: SchemeSet,
    pub(super) optional: bool,
    pub(super) strip: bool,
    pub(super) https_only: Option<HttpsOnly>,
    pub(super) max_token_bytes: usize,
}

/// Everything but the inner service: one `Arc`, since stacks are cloned for each request.
pub(super) struct Gate<R> {
    shared: Shared,
    responder: R,
}

impl<S, R> Authenticate<S, R> {
    pub(super) fn new(inner: S, shared: Shared, responder: R) -> Self {
        Self { inner, gate: Arc::new(Gate { shared, responder }) }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Authenticate<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    R: Respond<ResBody>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        request.extensions_mut().remove::<Identity>();
        let shared = &self.gate.shared;
        let (scheme, verdict) = match shared.examine(&mut request) {
            Ok(Some(presented)) => (presented.scheme, shared.verify(presented)),
            Ok(None) => {
                request.extensions_mut().insert(Anonymous { offered: shared.offered });
                return ResponseFuture::calling(self.inner.call(request));
            }
            Err(rejection) => return ResponseFuture::rejected(self.gate.refuse(&request, None, rejection)),
        };
        // Looked into where it is: what is known at once is not moved before.
        match verdict.try_now() {
            Ok(Ok(identity)) => {
                self.gate.admit(&mut request, scheme, identity);
                ResponseFuture::calling(self.inner.call(request))
            }
            Ok(Err(rejection)) => ResponseFuture::rejected(self.gate.turn_away(&request, scheme, rejection)),
            Err(later) => {
                // The service that was polled ready goes with the request; its clone was not.
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::verifying(later, scheme, request, ready, Arc::clone(&self.gate))
            }
        }
    }
}

impl Shared {
    /// Reads what is presented, and marks it sensitive. `None` if that is nothing, and nothing is demanded.
    fn examine<'r, B>(
        &self,
        request: &'r mut Request<B>,
    ) -> Result<Option<credential::Presented<'r>>, Rejection> {
        let is_safe = self.https_only.as_ref().is_none_or(|guard| is_safe(guard, request));
        let is_in_query = has_query_token(request.uri());
        let Some(presented) = credential::Presented::from_headers_mut(request.headers_mut())? else {
            return if self.optional { Ok(None) } else { Err(Rejection::missing_credential()) };
        };
        if !is_safe {
            return Err(Rejection::malformed_credential().with_description("credentials need HTTPS"));
        }
        let scheme = presented.scheme;
        if !self.offered.contains(scheme) {
            return Err(Credential::refusal_of(scheme, presented.token, Rejection::unsupported_scheme()));
        }
        if is_in_query {
            return Err(Rejection::malformed_credential().with_description("two ways of presenting a token"));
        }
        Ok(Some(presented))
    }

    #[inline]
    fn verify(&self, presented: credential::Presented<'_>) -> Eventual<Result<Identity, Rejection>> {
        if presented.token.len() > self.max_token_bytes {
            // Not even its form is looked at: a stranger chooses how long it is.
            return Eventual::now(Err(Rejection::invalid_token().with_source("the token is too long")));
        }
        self.verifier.verify_bytes(presented.scheme, presented.token)
    }
}

impl<R> Gate<R> {
    /// Prepares the request for the inner service.
    pub(super) fn admit<B>(&self, request: &mut Request<B>, scheme: Scheme, identity: Identity) {
        if self.shared.strip {
            request.headers_mut().remove(AUTHORIZATION);
        }
        request.extensions_mut().insert(identity.presented_as(scheme));
    }

    /// The answer to a credential that is not good.
    pub(super) fn turn_away<ReqBody, ResBody>(
        &self,
        request: &Request<ReqBody>,
        scheme: Scheme,
        rejection: Rejection,
    ) -> Response<ResBody>
    where
        R: Respond<ResBody>,
    {
        // What has no form is no token of that scheme; a verifier may call one malformed that has.
        let is_formed = rejection.kind() != RejectionKind::MalformedCredential
            || Credential::from_headers(request.headers()).is_ok();
        self.refuse(request, is_formed.then_some(scheme), rejection)
    }

    fn refuse<ReqBody, ResBody>(
        &self,
        request: &Request<ReqBody>,
        scheme: Option<Scheme>,
        rejection: Rejection,
    ) -> Response<ResBody>
    where
        R: Respond<ResBody>,
    {
        let rejection = rejection.presented_as(scheme).offering(self.shared.offered);
        refuse(&self.responder, request.into(), rejection)
    }
}

/// RFC 6750 §2: one method for each request. The query's is not read here, but beside a header it is one
/// too many (§3.1).
fn has_query_token(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token=")))
}

/// What is presented may come this way; whoever looks finds it marked.
fn is_safe<B>(guard: &HttpsOnly, request: &mut Request<B>) -> bool {
    credential::mark_sensitive(request.headers_mut()).is_none() || guard.allows((&*request).into())
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("schemes", &self.offered.iter().collect::<Vec<_>>())
            .field("optional", &self.optional)
            .field("strip_credential", &self.strip)
            .field("https_only", &self.https_only)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Authenticate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate")
            .field("inner", &self.inner)
            .field("shared", &self.gate.shared)
            .finish_non_exhaustive()
    }
}
