use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use crate::error::{BoxError, TokenError};

/// Why a request has no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AttachError<E> {
    /// The inner service failed.
    Inner(E),
    /// There was no token, so nothing was sent.
    Token(TokenError),
}

impl<E: Into<BoxError>> AttachError<E> {
    /// This error as any error, for stacks whose inner error is a box already, which is no `Error` itself.
    pub fn into_boxed(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Inner(error) => error.into(),
            Self::Token(error) => Box::new(AttachError::<Infallible>::Token(error)),
        }
    }
}

impl<E> fmt::Display for AttachError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner(_) => "the request failed",
            Self::Token(_) => "there is no token for the request",
        })
    }
}

impl<E: Error + 'static> Error for AttachError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Token(error) => Some(error),
        }
    }
}
