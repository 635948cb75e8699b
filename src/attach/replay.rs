use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// Says which bodies can be sent a second time.
pub trait Replay<B> {
    /// The body that the inner service is called with.
    type Body;
    /// What is kept to make it again.
    type Spare;

    /// The body for the first send, and what to keep, if there may be a second.
    fn first(&self, body: B) -> (Self::Body, Option<Self::Spare>);

    /// The same body again, if it is whole.
    fn again(&self, spare: Self::Spare) -> Option<Self::Body>;

    /// The request for the first send, and what to keep of its body: [`first`](Self::first), unless there is
    /// a way that does not take the request apart.
    #[inline]
    fn start(&self, request: Request<B>) -> (Request<Self::Body>, Option<Self::Spare>) {
        let (head, body) = request.into_parts();
        let (body, spare) = self.first(body);
        (Request::from_parts(head, body), spare)
    }
}

/// No request is sent twice: the default.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as a value")]
pub struct NoReplay;

impl<B> Replay<B> for NoReplay {
    type Body = B;
    type Spare = ();

    fn first(&self, body: B) -> (B, Option<()>) {
        (body, None)
    }

    fn again(&self, (): ()) -> Option<B> {
        None
    }

    #[inline]
    fn start(&self, request: Request<B>) -> (Request<B>, Option<()>) {
        (request, None)
    }
}

/// Bodies that are clones of each other, such as `Full<Bytes>` and `String`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit that is written as a value")]
pub struct CloneBody;

impl<B: Clone> Replay<B> for CloneBody {
    type Body = B;
    type Spare = B;

    fn first(&self, body: B) -> (B, Option<B>) {
        let spare = body.clone();
        (body, Some(spare))
    }

    fn again(&self, spare: B) -> Option<B> {
        Some(spare)
    }
}

/// Any body, written down while it is sent, up to a number of bytes.
///
/// Nothing is held back: the body goes out as it comes, and a body that is larger, has trailers, or is not
/// over when the answer comes is not sent again. The inner service is called with a [`Recorded`] body; one
/// that wants another type gets it by [`into_body`](Self::into_body):
///
/// ```
/// use tower_bearer::attach::Buffered;
///
/// // For a tonic channel, whose bodies are boxed.
/// let replay = Buffered::up_to(64 * 1024).into_body(tonic::body::Body::new);
/// # fn is_replay<P: tower_bearer::attach::Replay<tonic::body::Body, Body = tonic::body::Body>>(_: P) {}
/// is_replay(replay);
/// ```
#[derive(Clone, Copy)]
pub struct Buffered<F = AsIs> {
    limit: usize,
    into_body: F,
}

/// The [`Recorded`] body is the one that the inner service takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AsIs;

impl Buffered {
    /// Keeps up to this many bytes of each body.
    pub fn up_to(bytes: usize) -> Self {
        Self { limit: bytes, into_body: AsIs }
    }

    /// Makes the inner service's kind of body of the recorded one.
    pub fn into_body<F>(self, into_body: F) -> Buffered<F> {
        Buffered { limit: self.limit, into_body }
    }
}

impl<B: Body> Replay<B> for Buffered {
    type Body = Recorded<B>;
    type Spare = Recording;

    fn first(&self, body: B) -> (Recorded<B>, Option<Recording>) {
        Recorded::first(body, self.limit)
    }

    fn again(&self, spare: Recording) -> Option<Recorded<B>> {
        Recorded::again(&spare)
    }
}

impl<B, F, B2> Replay<B> for Buffered<F>
where
    B: Body,
    F: Fn(Recorded<B>) -> B2,
{
    type Body = B2;
    type Spare = Recording;

    fn first(&self, body: B) -> (B2, Option<Recording>) {
        let (body, recording) = Recorded::first(body, self.limit);
        ((self.into_body)(body), recording)
    }

    fn again(&self, spare: Recording) -> Option<B2> {
        Recorded::again(&spare).map(&self.into_body)
    }
}

impl<F> fmt::Debug for Buffered<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What was sent of a body.
pub struct Recording(Arc<Mutex<Tape>>);

struct Tape {
    bytes: BytesMut,
    state: TapeState,
    limit: usize,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum TapeState {
    Running,
    Whole,
    Useless,
}

impl Recording {
    /// A panic elsewhere leaves it whole, or running, and then it is not used.
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        let mut tape = self.lock();
        if tape.state == TapeState::Running {
            tape.state = TapeState::Whole;
        }
    }

    fn give_up(&self) {
        let mut tape = self.lock();
        (tape.bytes, tape.state) = (BytesMut::new(), TapeState::Useless);
    }

    fn write<D: Buf>(&self, mut data: D) -> Bytes {
        let bytes = data.copy_to_bytes(data.remaining());
        let mut tape = self.lock();
        if tape.state == TapeState::Running {
            if tape.bytes.len().saturating_add(bytes.len()) <= tape.limit {
                tape.bytes.put_slice(&bytes);
            } else {
                drop(tape);
                self.give_up();
            }
        }
        bytes
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

pin_project! {
    /// A body that is written down as it goes out, or one that was and goes out again.
    pub struct Recorded<B> {
        #[pin]
        live: Option<B>,
        recording: Option<Recording>,
        again: Option<Bytes>,
    }
}

impl<B: Body> Recorded<B> {
    fn first(body: B, limit: usize) -> (Self, Option<Recording>) {
        if usize::try_from(body.size_hint().lower()).map_or(true, |lower| lower > limit) {
            return (Self { live: Some(body), recording: None, again: None }, None);
        }
        let state = if body.is_end_stream() { TapeState::Whole } else { TapeState::Running };
        let tape = Arc::new(Mutex::new(Tape { bytes: BytesMut::new(), state, limit }));
        let recorded = Self { live: Some(body), recording: Some(Recording(Arc::clone(&tape))), again: None };
        (recorded, Some(Recording(tape)))
    }

    fn again(recording: &Recording) -> Option<Self> {
        let mut tape = recording.lock();
        let whole = tape.state == TapeState::Whole;
        whole.then(|| Self { live: None, recording: None, again: Some(tape.bytes.split().freeze()) })
    }
}

impl<B: Body> Body for Recorded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(mut live) = this.live.as_mut().as_pin_mut() else {
            let bytes = this.again.take().filter(|bytes| !bytes.is_empty());
            return Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))));
        };
        let frame = ready!(live.as_mut().poll_frame(cx));
        let ended = live.is_end_stream() || live.size_hint().exact() == Some(0);
        let recording = this.recording.as_ref();
        let note = |change: fn(&Recording)| recording.into_iter().for_each(change);
        let frame = match frame {
            None => {
                note(Recording::finish);
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                note(Recording::give_up);
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(frame)) => frame,
        };
        let frame = match frame.into_data() {
            Ok(mut data) => Frame::data(match recording {
                Some(recording) => recording.write(data),
                None => data.copy_to_bytes(data.remaining()),
            }),
            Err(other) => {
                note(Recording::give_up);
                // It is no data, so there is nothing to convert.
                other.map_data(|_| Bytes::new())
            }
        };
        if ended {
            note(Recording::finish);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.live {
            Some(live) => live.is_end_stream(),
            None => self.again.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.live {
            Some(live) => live.size_hint(),
            None => SizeHint::with_exact(self.again.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for Recorded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorded")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::HeaderMap;
    use http_body::{Body, Frame};
    use http_body_util::{BodyExt, Empty, Full};

    use super::{Buffered, Replay};

    struct Frames(VecDeque<Frame<Bytes>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn frames(parts: &[&'static str]) -> Frames {
        Frames(parts.iter().map(|part| Frame::data(Bytes::from_static(part.as_bytes()))).collect())
    }

    async fn twice<B: Body<Error = Infallible>>(limit: usize, body: B) -> (Bytes, Option<Bytes>) {
        let buffered = Buffered::up_to(limit);
        let (body, spare) = buffered.first(body);
        let sent = body.collect().await.unwrap().to_bytes();
        let again = match spare.and_then(|spare| Replay::<B>::again(&buffered, spare)) {
            Some(again) => Some(again.collect().await.unwrap().to_bytes()),
            None => None,
        };
        (sent, again)
    }

    #[tokio::test]
    async fn a_body_within_the_limit_goes_out_twice() {
        let hello = Bytes::from_static(b"hello");
        assert_eq!(twice(5, Full::new(hello.clone())).await, (hello.clone(), Some(hello.clone())));
        assert_eq!(twice(5, frames(&["he", "", "llo"])).await, (hello.clone(), Some(hello.clone())));
        assert_eq!(twice(4, Full::new(hello.clone())).await, (hello.clone(), None));
        assert_eq!(twice(4, frames(&["he", "llo"])).await, (hello, None));
        assert_eq!(twice(0, Empty::<Bytes>::new()).await, (Bytes::new(), Some(Bytes::new())));
    }

    #[tokio::test]
    async fn a_body_that_is_not_over_or_has_trailers_does_not_atk_58() {
        let buffered = Buffered::up_to(10);
        let (mut body, spare) = buffered.first(frames(&["he", "llo"]));
        body.frame().await.unwrap().unwrap();
        assert!(Replay::<Frames>::again(&buffered, spare.unwrap()).is_none());

        let mut trailed = frames(&["hello"]);
        trailed.0.push_back(Frame::trailers(HeaderMap::new()));
        let (sent, again) = twice(10, trailed).await;
        assert_eq!((&sent[..], again), (&b"hello"[..], None));
    }
}
