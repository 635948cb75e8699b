use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

/// The body of a `MockIssuer`'s answer: whole, in pieces, slow, or never ending.
pub struct MockBody {
    pieces: VecDeque<Bytes>,
    pause: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Break,
    Hang,
    Whole,
}

impl MockBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new([bytes.into()], None, End::Whole)
    }

    pub(super) fn hanging(bytes: Bytes) -> Self {
        Self::new([bytes], None, End::Hang)
    }

    pub(super) fn breaking(bytes: Bytes) -> Self {
        Self::new([bytes], None, End::Break)
    }

    pub(super) fn dripping(bytes: &Bytes, pause: Duration) -> Self {
        Self::new((0..bytes.len()).map(|at| bytes.slice(at..=at)), Some(pause), End::Whole)
    }

    /// Many times the same piece, without holding it more than once.
    pub(super) fn repeated(piece: &Bytes, times: usize) -> Self {
        Self::new((0..times).map(|_| piece.clone()), None, End::Whole)
    }

    fn new(pieces: impl IntoIterator<Item = Bytes>, pause: Option<Duration>, end: End) -> Self {
        Self { pieces: pieces.into_iter().collect(), pause, waiting: None, end }
    }
}

impl Body for MockBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(pause) = self.pause {
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        match (self.pieces.pop_front(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Whole) => Poll::Ready(None),
            (None, End::Hang) => Poll::Pending,
            (None, End::Break) => {
                self.end = End::Whole;
                Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
            }
        }
    }
}

impl fmt::Debug for MockBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockBody")
    }
}
