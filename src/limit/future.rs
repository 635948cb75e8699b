use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Extensions, Response};
use pin_project_lite::pin_project;

use super::service::Account;
use crate::rejection::{Rejection, RejectionKind};

pin_project! {
    /// The response of [`LimitFailures`](super::LimitFailures).
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Calling { #[pin] future: F, account: Option<Account> },
        Rejected { response: Option<Response<B>> },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn calling(future: F, account: Option<Account>) -> Self {
        Self { state: State::Calling { future, account } }
    }

    pub(super) fn rejected(response: Response<B>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Calling { future, account } => {
                let response = ready!(future.poll(cx))?;
                if let Some(account) = account.take_if(|_| is_failure(response.extensions())) {
                    account.charge();
                }
                Poll::Ready(Ok(response))
            }
            // Taken once; polling again breaks the contract of `Future`.
            StateProjection::Rejected { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

fn is_failure(extensions: &Extensions) -> bool {
    let rejection = extensions.get::<Rejection>();
    rejection.is_some_and(|rejection| rejection.kind() == RejectionKind::InvalidToken)
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
