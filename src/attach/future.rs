use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::AttachError;
use super::replay::Replay;
use super::service::{Supply, is_refusal, stamp};
use crate::error::TokenError;
use crate::eventual::Eventual;
use crate::token::{Token, TokenId};

type Fetch = Eventual<Result<Token, TokenError>>;
type Next<S, P, B> = Result<(State<S, P, B>, Attempt<S, P, B>), Said<S, P, B>>;
type Said<S, P, B> = Result<
    <S as Service<Request<<P as Replay<B>>::Body>>>::Response,
    AttachError<<S as Service<Request<<P as Replay<B>>::Body>>>::Error>,
>;

pin_project! {
    /// The response of [`Attach`](super::Attach).
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, P, B>
    where
        P: Replay<B>,
        S: Service<Request<P::Body>>,
    {
        #[pin]
        state: State<S, P, B>,
        // What is on its way in the first state, if it is one of ours.
        attempt: Option<Attempt<S, P, B>>,
    }
}

pin_project! {
    // What most requests need, and no more: a future is moved before it is pinned.
    #[project = StateProjection]
    enum State<S, P, B>
    where
        P: Replay<B>,
        S: Service<Request<P::Body>>,
    {
        Calling { #[pin] future: S::Future },
        Failed { error: Option<TokenError> },
        Waiting { waiting: Option<Box<Waiting<S, P, B>>> },
    }
}

/// A request that is on its way with a token: what most have is at hand, and the first to be looked at.
pub(super) enum Attempt<S, P: Replay<B>, B> {
    /// It cannot be sent again, and its token was published and can be found while it is.
    Published(Arc<Supply<P>>, TokenId),
    Other(Arc<Supply<P>>, Sent, Option<Box<Spare<S, P, B>>>),
}

/// The token that a request was sent with.
pub(super) enum Sent {
    Own(Token),
    Published(TokenId),
}

/// What a second send is made of. It is used up by it, so there is no third.
pub(super) struct Spare<S, P: Replay<B>, B> {
    head: Request<()>,
    body: P::Spare,
    /// There once the first send is made.
    service: Option<S>,
}

/// A request that has not been sent.
pub(super) struct Pending<S, P: Replay<B>, B> {
    pub(super) service: S,
    pub(super) request: Request<P::Body>,
    pub(super) supply: Arc<Supply<P>>,
    pub(super) spare: Option<Box<Spare<S, P, B>>>,
}

struct Waiting<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    pending: Pending<S, P, B>,
    until: Until<S::Response>,
}

/// What a request waits for.
enum Until<R> {
    Another { token: Fetch, than: TokenId, refused: Option<R> },
    Ready { token: Token },
    Token { token: Fetch },
}

impl<S, P, B> ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// A request that is on its way, and what is known of it if it is one of ours.
    #[inline(always)]
    pub(super) fn calling(future: S::Future, attempt: Option<Attempt<S, P, B>>) -> Self {
        Self { state: State::Calling { future }, attempt }
    }

    pub(super) fn failed(error: TokenError) -> Self {
        Self { state: State::Failed { error: Some(error) }, attempt: None }
    }

    pub(super) fn fetching(token: Fetch, pending: Pending<S, P, B>) -> Self {
        Self { state: State::waiting(pending, Until::Token { token }), attempt: None }
    }
}

impl<S, P, B> State<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    fn waiting(pending: Pending<S, P, B>, until: Until<S::Response>) -> Self {
        Self::Waiting { waiting: Some(Box::new(Waiting { pending, until })) }
    }
}

impl<S, P: Replay<B>, B> Spare<S, P, B> {
    pub(super) fn new(request: &Request<P::Body>, body: P::Spare, service: Option<S>) -> Box<Self> {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        *head.extensions_mut() = request.extensions().clone();
        Box::new(Self { head, body, service })
    }

    pub(super) fn with_service(mut self: Box<Self>, service: S) -> Box<Self> {
        self.service = Some(service);
        self
    }
}

impl<S, P, B> Pending<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// Sends, on a service that is ready.
    fn call(mut self, token: Token) -> (State<S, P, B>, Attempt<S, P, B>) {
        stamp(self.request.headers_mut(), &token);
        let future = self.service.call(self.request);
        let spare = self.spare.map(|spare| spare.with_service(self.service));
        (State::Calling { future }, Attempt::Other(self.supply, Sent::Own(token), spare))
    }
}

impl<S, P, B> Attempt<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// The token was refused. Gives what to wait for, if the request can be made again, or else the refusal.
    fn refused(self, refused: S::Response) -> Result<State<S, P, B>, S::Response> {
        let (supply, sent, spare) = match self {
            Self::Published(supply, id) => (supply, Sent::Published(id), None),
            Self::Other(supply, sent, spare) => (supply, sent, spare),
        };
        let tokens = &supply.tokens;
        let than = match &sent {
            Sent::Own(token) => {
                tokens.source.reject(token);
                token.id()
            }
            // One that is not at hand any more was replaced or dropped: nothing is left to reject.
            Sent::Published(id) => {
                let token = tokens.published.as_ref().and_then(|published| published.find(*id));
                token.iter().for_each(|token| tokens.source.reject(token));
                *id
            }
        };
        let Some(Spare { head, body, service: Some(service) }) = spare.map(|spare| *spare) else {
            return Err(refused);
        };
        let Some(body) = supply.replay.again(body) else { return Err(refused) };
        let token = tokens.source.token();
        let pending = Pending { service, request: head.map(|()| body), supply, spare: None };
        Ok(State::waiting(pending, Until::Another { token, than, refused: Some(refused) }))
    }
}

impl<S, P, B, ResBody> Future for ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>, Response = Response<ResBody>>,
{
    type Output = Result<S::Response, AttachError<S::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        let StateProjection::Calling { future } = this.state.project() else { return self.poll_others(cx) };
        match future.poll(cx) {
            Poll::Ready(Ok(response)) if is_refusal(&response) => self.refused(response, cx),
            outcome => outcome.map_err(AttachError::Inner),
        }
    }
}

impl<S, P, B, ResBody> ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>, Response = Response<ResBody>>,
{
    /// What most requests do not need.
    #[cold]
    #[inline(never)]
    fn refused(
        mut self: Pin<&mut Self>,
        response: S::Response,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, AttachError<S::Error>>> {
        let mut this = self.as_mut().project();
        let Some(attempt) = this.attempt.take() else { return Poll::Ready(Ok(response)) };
        match attempt.refused(response) {
            Ok(waiting) => this.state.set(waiting),
            Err(response) => return Poll::Ready(Ok(response)),
        }
        self.poll_others(cx)
    }

    #[cold]
    #[inline(never)]
    fn poll_others(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, AttachError<S::Error>>> {
        let mut this = self.as_mut().project();
        match this.state.as_mut().project() {
            // Taken once; polling again breaks the contract of `Future`.
            StateProjection::Failed { error } => {
                return Poll::Ready(Err(AttachError::Token(error.take().expect("polled after completion"))));
            }
            StateProjection::Waiting { waiting } => match ready!(Waiting::poll(waiting, cx)) {
                Ok((calling, attempt)) => {
                    this.state.set(calling);
                    *this.attempt = Some(attempt);
                }
                Err(said) => return Poll::Ready(said),
            },
            StateProjection::Calling { .. } => {}
        }
        self.poll(cx)
    }
}

impl<S, P, B> Waiting<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// The request on its way, or else what there is to say.
    #[cold]
    fn poll(waiting: &mut Option<Box<Self>>, cx: &mut Context<'_>) -> Poll<Next<S, P, B>> {
        loop {
            // Taken with what is given; polling again breaks the contract of `Future`.
            let this = waiting.as_mut().expect("polled after completion");
            match &mut this.until {
                Until::Token { token } => match ready!(Pin::new(token).poll(cx)) {
                    Ok(token) => this.until = Until::Ready { token },
                    Err(error) => return Poll::Ready(Err(Err(AttachError::Token(error)))),
                },
                Until::Another { token, than, refused } => match ready!(Pin::new(token).poll(cx)) {
                    Ok(token) if token.id() != *than => this.until = Until::Ready { token },
                    // Nothing better to send: the answer stands.
                    _ => return Poll::Ready(Err(Ok(refused.take().expect("polled after completion")))),
                },
                Until::Ready { token } => {
                    let ready = ready!(this.pending.service.poll_ready(cx)).map_err(AttachError::Inner);
                    let token = token.clone();
                    let pending = waiting.take().expect("polled after completion").pending;
                    return Poll::Ready(ready.map(|()| pending.call(token)).map_err(Err));
                }
            }
        }
    }
}

impl<S, P, B> fmt::Debug for ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Calling { .. } => "Calling",
            State::Failed { .. } => "Failed",
            State::Waiting { .. } => "Waiting",
        })
    }
}
