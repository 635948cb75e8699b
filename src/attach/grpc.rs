use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::error::AttachError;

/// gRPC's `UNAVAILABLE`: of the statuses that a client may make up for its own credentials (gRFC A54), the
/// one that says that trying later may help.
const GRPC_UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// Answers a gRPC request for which there is no token; see
/// [`AttachLayer::grpc`](super::AttachLayer::grpc).
#[derive(Clone, Debug)]
pub struct AnswerGrpc<S> {
    inner: S,
}

impl<S> AnswerGrpc<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B, ResBody, E> Service<Request<B>> for AnswerGrpc<S>
where
    S: Service<Request<B>, Response = Response<ResBody>, Error = AttachError<E>>,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AnswerGrpcFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let content_type = request.headers().get(CONTENT_TYPE);
        let grpc = content_type.filter(|own| own.as_bytes().starts_with(b"application/grpc")).cloned();
        AnswerGrpcFuture { future: self.inner.call(request), grpc }
    }
}

pin_project! {
    /// The response of [`AnswerGrpc`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct AnswerGrpcFuture<F> {
        #[pin]
        future: F,
        grpc: Option<HeaderValue>,
    }
}

impl<F, B, E> Future for AnswerGrpcFuture<F>
where
    F: Future<Output = Result<Response<B>, AttachError<E>>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        match (&result, this.grpc.take()) {
            (Err(AttachError::Token(_)), Some(content_type)) => {
                let mut response = Response::new(B::default());
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, content_type);
                headers.insert("grpc-status", GRPC_UNAVAILABLE);
                headers.insert("grpc-message", HeaderValue::from_static("there is no token for the request"));
                Poll::Ready(Ok(response))
            }
            _ => Poll::Ready(result),
        }
    }
}

impl<F> fmt::Debug for AnswerGrpcFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerGrpcFuture")
    }
}
