use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::AttachError;
use super::replay::Replay;
use super::service::{Gate, is_refusal, stamp};
use crate::error::TokenError;
use crate::eventual::Eventual;
use crate::token::Token;

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
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, P, B>
    where
        P: Replay<B>,
        S: Service<Request<P::Body>>,
    {
        Calling { #[pin] future: S::Future, attempt: Option<Attempt<S, P, B>> },
        Failed { error: Option<TokenError> },
        Fetching { token: Eventual<Result<Token, TokenError>>, waiting: Option<Waiting<S, P, B>> },
        Readying { token: Option<Token>, waiting: Option<Waiting<S, P, B>> },
        Replacing { token: Eventual<Result<Token, TokenError>>, refused: Option<(S::Response, Token, Waiting<S, P, B>)> },
    }
}

/// A request that is on its way with a token.
pub(super) struct Attempt<S, P: Replay<B>, B> {
    pub(super) gate: Arc<Gate<P>>,
    /// For the second send; there if the spare is.
    pub(super) service: Option<S>,
    pub(super) token: Token,
    pub(super) spare: Option<Spare<P, B>>,
}

/// What a second send is made of. It is used up by it, so there is no third.
pub(super) struct Spare<P: Replay<B>, B> {
    pub(super) head: Parts,
    pub(super) body: P::Spare,
}

/// A request that waits for a token, or for the service.
struct Waiting<S, P: Replay<B>, B> {
    service: S,
    request: Request<P::Body>,
    gate: Arc<Gate<P>>,
    spare: Option<Spare<P, B>>,
}

impl<S, P, B> ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// A request that is none of ours.
    pub(super) fn passing(future: S::Future) -> Self {
        Self { state: State::Calling { future, attempt: None } }
    }

    pub(super) fn failed(error: TokenError) -> Self {
        Self { state: State::Failed { error: Some(error) } }
    }

    pub(super) fn calling(future: S::Future, attempt: Attempt<S, P, B>) -> Self {
        Self { state: State::Calling { future, attempt: Some(attempt) } }
    }

    pub(super) fn fetching(
        token: Eventual<Result<Token, TokenError>>,
        service: S,
        request: Request<P::Body>,
        gate: Arc<Gate<P>>,
        spare: Option<Spare<P, B>>,
    ) -> Self {
        Self { state: State::Fetching { token, waiting: Some(Waiting { service, request, gate, spare }) } }
    }
}

impl<S, P, B> Waiting<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// Sends, on a service that is ready.
    fn call(mut self, token: Token) -> State<S, P, B> {
        stamp(self.request.headers_mut(), &token);
        let future = self.service.call(self.request);
        let (gate, service, spare) = (self.gate, Some(self.service), self.spare);
        State::Calling { future, attempt: Some(Attempt { gate, service, token, spare }) }
    }
}

impl<S, P, B> Attempt<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>>,
{
    /// The token was refused. Gives what to send next, if the request can be made again.
    fn refused(self) -> Option<(Token, Waiting<S, P, B>)> {
        let Self { gate, service, token, spare } = self;
        gate.shared.source.reject(&token);
        let (spare, service) = (spare?, service?);
        let request = Request::from_parts(spare.head, gate.replay.again(spare.body)?);
        Some((token, Waiting { service, request, gate, spare: None }))
    }
}

impl<S, P, B, ResBody> Future for ResponseFuture<S, P, B>
where
    P: Replay<B>,
    S: Service<Request<P::Body>, Response = Response<ResBody>>,
{
    type Output = Result<S::Response, AttachError<S::Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::Calling { future, attempt } => {
                    let response = ready!(future.poll(cx)).map_err(AttachError::Inner)?;
                    let attempt = attempt.take().filter(|_| is_refusal(&response));
                    let Some(attempt) = attempt else { return Poll::Ready(Ok(response)) };
                    let source = Arc::clone(&attempt.gate.shared.source);
                    let Some((token, waiting)) = attempt.refused() else { return Poll::Ready(Ok(response)) };
                    State::Replacing { token: source.token(), refused: Some((response, token, waiting)) }
                }
                StateProjection::Failed { error } => {
                    // Taken once; polling again breaks the contract of `Future`.
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(AttachError::Token(error)));
                }
                StateProjection::Fetching { token, waiting } => {
                    let token = ready!(Pin::new(token).poll(cx)).map_err(AttachError::Token)?;
                    State::Readying { token: Some(token), waiting: waiting.take() }
                }
                StateProjection::Readying { token, waiting } => {
                    // The state is left right after these two are taken.
                    let service = &mut waiting.as_mut().expect("polled after completion").service;
                    ready!(service.poll_ready(cx)).map_err(AttachError::Inner)?;
                    let (waiting, token) = (waiting.take(), token.take());
                    waiting
                        .zip(token)
                        .map(|(waiting, token)| waiting.call(token))
                        .expect("polled after completion")
                }
                StateProjection::Replacing { token, refused } => {
                    let token = ready!(Pin::new(token).poll(cx));
                    // The state is left right after, or the response given.
                    let (response, old, waiting) = refused.take().expect("polled after completion");
                    match token {
                        Ok(token) if !token.is_same(&old) => {
                            State::Readying { token: Some(token), waiting: Some(waiting) }
                        }
                        // Nothing better to send: the answer stands.
                        _ => return Poll::Ready(Ok(response)),
                    }
                }
            };
            this.state.set(next);
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
            State::Fetching { .. } => "Fetching",
            State::Readying { .. } => "Readying",
            State::Replacing { .. } => "Replacing",
        })
    }
}
