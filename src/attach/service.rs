use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use tower_service::Service;

use super::error::AttachError;
use super::future::{Attempt, Pending, ResponseFuture, Sent, Spare};
use super::origins::Origins;
use super::peek::Refused;
use super::replay::{NoReplay, Replay};
use crate::lanes::{Lane, Lanes};
use crate::source::{Held, Published, TokenSource};
use crate::token::Token;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// gRPC's `UNAUTHENTICATED`.
const GRPC_UNAUTHENTICATED: &str = "16";

/// Puts a token on requests; see the [module](super).
#[derive(Clone)]
pub struct Attach<S, P = NoReplay> {
    inner: S,
    gate: Arc<Gate<P>>,
    /// What the source had at hand for the last request.
    held: Held,
}

/// Everything but the inner service: one `Arc`, since stacks are cloned for each request.
struct Gate<P> {
    rules: Rules,
    /// The same for all, but for its count.
    supply: Lanes<Arc<Supply<P>>>,
}

/// Which requests get a token.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// `None`: requests without a host.
    pub(super) origins: Option<Origins>,
    pub(super) replace_existing: bool,
}

/// Where the tokens come from.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) published: Option<Published>,
}

/// What a request may need once it has its answer. The count in front of it has a cache line for itself.
#[repr(align(64))]
pub(super) struct Supply<P> {
    pub(super) tokens: Tokens,
    pub(super) replay: P,
}

impl<S, P: Clone> Attach<S, P> {
    pub(super) fn new(inner: S, rules: Rules, tokens: &Tokens, replay: &P) -> Self {
        let supply = || Arc::new(Supply { tokens: tokens.clone(), replay: replay.clone() });
        Self { inner, gate: Arc::new(Gate { rules, supply: Lanes::new(supply) }), held: Held::default() }
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

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(AttachError::Inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let lane = Lane::own();
        let supply = self.gate.supply.at(lane);
        if !self.gate.rules.concern(request.uri(), request.headers()) {
            return self.pass(request);
        }
        let published = supply.tokens.published.as_ref();
        let Some(mut at_hand) = published.and_then(|published| published.look(&mut self.held)) else {
            return self.ask(request);
        };
        let id = at_hand.id();
        // Before the clocks are read: what a clone wrote cannot be moved on at once without waiting for it. And both
        // next to each other, since the second would wait for what is written in between.
        let header = at_hand.header_value(lane);
        let kept = Arc::clone(supply);
        if !at_hand.is_fresh() {
            return self.ask(request);
        }
        // Before anything moves the request, which then moves once.
        request.headers_mut().insert(AUTHORIZATION, header);
        let (request, spare) = supply.replay.start(request);
        let attempt = match spare {
            None => Attempt::Published(kept, id),
            // A second send is made by a service that was polled ready for it, whichever that is.
            Some(body) => {
                let spare = Spare::new(&request, body, Some(self.inner.clone()));
                Attempt::Other(kept, Sent::Published(id), Some(spare))
            }
        };
        ResponseFuture::calling(self.inner.call(request), Some(attempt))
    }
}

impl<S, P> Attach<S, P> {
    /// None of ours. Apart, so that the others need not make way for it.
    #[cold]
    #[inline(never)]
    fn pass<B, ResBody>(&mut self, request: Request<B>) -> ResponseFuture<S, P, B>
    where
        S: Service<Request<P::Body>, Response = Response<ResBody>> + Clone,
        P: Replay<B>,
    {
        let replay = &self.gate.supply.at(Lane::own()).replay;
        ResponseFuture::calling(self.inner.call(replay.start(request).0), None)
    }

    /// Asks the source, which has none at hand that anybody may take.
    #[cold]
    fn ask<B, ResBody>(&mut self, request: Request<B>) -> ResponseFuture<S, P, B>
    where
        S: Service<Request<P::Body>, Response = Response<ResBody>> + Clone,
        P: Replay<B>,
    {
        let supply = Arc::clone(self.gate.supply.at(Lane::own()));
        let (mut request, spare) = supply.replay.start(request);
        let spare = spare.map(|body| Spare::new(&request, body, None));
        match supply.tokens.source.token().try_now() {
            Ok(Err(error)) => ResponseFuture::failed(error),
            Ok(Ok(token)) => {
                stamp(request.headers_mut(), &token);
                let spare = spare.map(|spare| spare.with_service(self.inner.clone()));
                let attempt = Attempt::Other(supply, Sent::Own(token), spare);
                ResponseFuture::calling(self.inner.call(request), Some(attempt))
            }
            Err(later) => {
                // The service that was polled ready goes with the request; its clone was not.
                let clone = self.inner.clone();
                let service = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::fetching(later, Pending { service, request, supply, spare })
            }
        }
    }
}

impl Rules {
    /// True if a request like this gets a token.
    #[inline]
    fn concern(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let ours = match &self.origins {
            Some(origins) => origins.contain(uri),
            None => uri.authority().is_none(),
        };
        ours && (self.replace_existing || headers.is_empty() || !headers.contains_key(AUTHORIZATION))
    }
}

/// Puts the token on, in place of any other.
pub(super) fn stamp(headers: &mut HeaderMap, token: &Token) {
    headers.insert(AUTHORIZATION, token.header_value().clone());
}

/// True if an answer says that the token is bad: 401, the gRPC status of the same meaning in an answer that
/// is nothing but headers, or what [`Peek`](super::Peek) found.
#[inline]
pub(super) fn is_refusal<B>(response: &Response<B>) -> bool {
    let (headers, extensions) = (response.headers(), response.extensions());
    response.status() == StatusCode::UNAUTHORIZED
        || (!headers.is_empty() && headers.get(&GRPC_STATUS).is_some_and(is_unauthenticated))
        || (!extensions.is_empty() && is_marked(extensions))
}

fn is_unauthenticated(status: &HeaderValue) -> bool {
    status == GRPC_UNAUTHENTICATED
}

fn is_marked(extensions: &Extensions) -> bool {
    extensions.get::<Refused>().is_some()
}

impl<S: fmt::Debug, P> fmt::Debug for Attach<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attach")
            .field("inner", &self.inner)
            .field("rules", &self.gate.rules)
            .finish_non_exhaustive()
    }
}
