use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::response::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::contract::Refusal;

/// More than any error message takes.
const PEEK_BYTES: usize = 64 * 1024;

/// In the extensions of an answer that says that the token is bad, whatever its status.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// Looks into answers for a message that says that the token is bad; see
/// [`AttachLayer::refused_when`](super::AttachLayer::refused_when).
#[derive(Clone, Debug)]
pub struct Peek<S> {
    inner: S,
    refusal: Arc<Refusal>,
}

impl<S> Peek<S> {
    pub(super) fn new(inner: S, refusal: Refusal) -> Self {
        Self { inner, refusal: Arc::new(refusal) }
    }
}

impl<S, ReqBody, B> Service<Request<ReqBody>> for Peek<S>
where
    S: Service<Request<ReqBody>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<Peeked<B>>;
    type Error = S::Error;
    type Future = PeekFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        PeekFuture { future: self.inner.call(request), refusal: Arc::clone(&self.refusal), reading: None }
    }
}

pin_project! {
    /// The response of [`Peek`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct PeekFuture<F, B: Body> {
        #[pin]
        future: F,
        refusal: Arc<Refusal>,
        reading: Option<Reading<B>>,
    }
}

struct Reading<B: Body> {
    head: Parts,
    seen: Vec<u8>,
    frames: VecDeque<Result<Frame<Bytes>, B::Error>>,
    rest: Pin<Box<B>>,
}

impl<B: Body> Reading<B> {
    /// Reads until the body is over, fails, or there is enough of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.seen.len() < PEEK_BYTES {
            let Some(frame) = ready!(self.rest.as_mut().poll_frame(cx)) else { break };
            let frame = frame.map(to_bytes);
            if let Ok(data) = frame.as_ref().map(|frame| frame.data_ref()) {
                self.seen.extend(data.into_iter().flatten());
            }
            let failed = frame.is_err();
            self.frames.push_back(frame);
            if failed {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl<F, B, E> Future for PeekFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<Peeked<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.reading.is_none() {
            let mut response = ready!(this.future.poll(cx))?;
            let status = response.status();
            if !this.refusal.needs_body(status) {
                if this.refusal.is_status(status) {
                    response.extensions_mut().insert(Refused);
                }
                let whole = |rest| Peeked { read: VecDeque::new(), rest: Rest::Whole { body: rest } };
                return Poll::Ready(Ok(response.map(whole)));
            }
            let (head, rest) = response.into_parts();
            *this.reading =
                Some(Reading { head, seen: Vec::new(), frames: VecDeque::new(), rest: Box::pin(rest) });
        }
        // It was put there just now, or by an earlier poll.
        ready!(this.reading.as_mut().expect("polled after completion").poll(cx));
        let Reading { mut head, seen, frames, rest } = this.reading.take().expect("polled after completion");
        if this.refusal.is_message(head.status, &seen) {
            head.extensions.insert(Refused);
        }
        Poll::Ready(Ok(Response::from_parts(head, Peeked { read: frames, rest: Rest::Begun { body: rest } })))
    }
}

impl<F, B: Body> fmt::Debug for PeekFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeekFuture")
    }
}

pin_project! {
    /// The body of an answer that was perhaps looked into: the same bytes.
    pub struct Peeked<B: Body> {
        read: VecDeque<Result<Frame<Bytes>, B::Error>>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProjection]
    enum Rest<B> {
        Begun { body: Pin<Box<B>> },
        Whole { #[pin] body: B },
    }
}

impl<B: Body> Body for Peeked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = this.read.pop_front() {
            return Poll::Ready(Some(frame));
        }
        let frame = match this.rest.project() {
            RestProjection::Begun { body } => ready!(body.as_mut().poll_frame(cx)),
            RestProjection::Whole { body } => ready!(body.poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| frame.map(to_bytes)))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty()
            && match &self.rest {
                Rest::Begun { body } => body.is_end_stream(),
                Rest::Whole { body } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Begun { body } => body.size_hint(),
            Rest::Whole { body } => body.size_hint(),
        };
        let read = self.read.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let read = read.fold(0, |sum: u64, data| sum.saturating_add(data.len() as u64));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

fn to_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<B: Body + Default> Default for Peeked<B> {
    fn default() -> Self {
        Self { read: VecDeque::new(), rest: Rest::Whole { body: B::default() } }
    }
}

impl<B: Body> fmt::Debug for Peeked<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peeked")
    }
}
