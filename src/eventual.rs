//! A value that is here now, or comes later: the return type of every asynchronous seam.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A value now, or a boxed future of it.
///
/// Traits that may have to wait ([`Verify`](crate::verify::Verify) for one) return this instead of a
/// boxed future, so that they stay dyn-safe and the answer that is already known costs no
/// allocation. The future owns its data: an implementor that must wait moves an
/// [`Arc`](std::sync::Arc) of itself into it.
///
/// ```
/// use tower_bearer::Eventual;
///
/// assert_eq!(Eventual::now(7).try_now().ok(), Some(7));
/// assert!(Eventual::later(async { 7 }).try_now().is_err());
/// ```
#[must_use = "an eventual value does nothing unless taken or awaited"]
pub struct Eventual<T>(Inner<T>);

enum Inner<T> {
    Now(Option<T>),
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Eventual<T> {
    /// The value is already known.
    #[inline]
    pub fn now(value: T) -> Self {
        Self(Inner::Now(Some(value)))
    }

    /// The value is what this future resolves to.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Inner::Later(Box::pin(future)))
    }

    /// The value, if it is here without waiting.
    ///
    /// # Errors
    ///
    /// Gives itself back, to be awaited, when the value is not here yet (or was taken before).
    #[inline]
    pub fn try_now(self) -> Result<T, Self> {
        match self.0 {
            Inner::Now(Some(value)) => Ok(value),
            other => Err(Self(other)),
        }
    }
}

/// The value is never pinned, whatever it is.
impl<T> Unpin for Eventual<T> {}

impl<T> Future for Eventual<T> {
    type Output = T;

    /// # Panics
    ///
    /// Panics when polled again after it gave its value, as async functions do.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            // Only a caller that breaks the contract of `Future` gets here a second time.
            Inner::Now(value) => Poll::Ready(value.take().expect("polled after completion")),
            Inner::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Eventual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Now(_) => "Eventual::Now",
            Inner::Later(_) => "Eventual::Later",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Eventual;

    #[tokio::test]
    async fn both_kinds_can_be_awaited() {
        assert_eq!(Eventual::now(1).await, 1);
        assert_eq!(Eventual::later(async { 1 }).await, 1);
    }

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Eventual::now("secret")), "Eventual::Now");
    }
}
