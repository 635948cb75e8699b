use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::service::Gate;
use crate::credential::Scheme;
use crate::eventual::Eventual;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::respond::Respond;

pin_project! {
    /// The response of [`Authenticate`](super::Authenticate).
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, R, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, R, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, R, B>
    where
        S: Service<Request<B>>,
    {
        Calling { #[pin] future: S::Future },
        Rejected { response: Option<S::Response> },
        Verifying {
            verdict: Eventual<Result<Identity, Rejection>>,
            scheme: Scheme,
            waiting: Option<Waiting<S, R, B>>,
        },
    }
}

/// What goes on once the verdict is there.
struct Waiting<S, R, B> {
    request: Request<B>,
    ready: S,
    gate: Arc<Gate<R>>,
}

impl<S, R, B> ResponseFuture<S, R, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn calling(future: S::Future) -> Self {
        Self { state: State::Calling { future } }
    }

    pub(super) fn rejected(response: S::Response) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }

    pub(super) fn verifying(
        verdict: Eventual<Result<Identity, Rejection>>,
        scheme: Scheme,
        request: Request<B>,
        ready: S,
        gate: Arc<Gate<R>>,
    ) -> Self {
        Self { state: State::Verifying { verdict, scheme, waiting: Some(Waiting { request, ready, gate }) } }
    }
}

impl<S, R, B, ResBody> Future for ResponseFuture<S, R, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    R: Respond<ResBody>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::Calling { future } => return future.poll(cx),
                StateProjection::Rejected { response } => {
                    // Taken once; polling again breaks the contract of `Future`.
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                StateProjection::Verifying { verdict, scheme, waiting } => {
                    let verdict = ready!(Pin::new(verdict).poll(cx));
                    // The state is left right after, so this is there.
                    let Waiting { mut request, mut ready, gate } =
                        waiting.take().expect("polled after completion");
                    match verdict {
                        Ok(identity) => {
                            gate.admit(&mut request, *scheme, identity);
                            State::Calling { future: ready.call(request) }
                        }
                        Err(rejection) => {
                            let response = gate.turn_away(&request, *scheme, rejection);
                            State::Rejected { response: Some(response) }
                        }
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, R, B> fmt::Debug for ResponseFuture<S, R, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
