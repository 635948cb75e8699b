use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::grpc::AnswerGrpc;
use super::origins::{IntoOrigins, Origins};
use super::peek::Peek;
use super::replay::NoReplay;
use super::service::{Attach, Rules, Tokens};
use crate::contract::Refusal;
use crate::error::ConfigError;
use crate::source::TokenSource;

/// Puts a token on requests; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct AttachLayer<P = NoReplay, M = Plain> {
    rules: Rules,
    tokens: Tokens,
    replay: P,
    mode: M,
}

/// A 401 says that the token is bad; a missing token is an error.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Plain;

/// A missing token is answered with the gRPC status `UNAVAILABLE`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Grpc;

impl AttachLayer {
    /// Puts tokens of `source` on requests to these origins, and on no others. For loopback addresses, in tests,
    /// see [`Origins::insecure_http_loopback`](super::Origins::insecure_http_loopback).
    ///
    /// # Errors
    ///
    /// When one of them is no origin, or is plain `http`.
    pub fn to(origins: impl IntoOrigins, source: impl TokenSource) -> Result<Self, ConfigError> {
        Ok(Self::new(Some(origins.into_origins()?), source))
    }

    /// Puts tokens of `source` on requests whose URI is relative: for clients that have the host in the
    /// connection, such as a tonic channel. Whoever made the connection answers for where it leads, and for
    /// TLS. A request with an absolute URI gets no token.
    pub fn to_connection(source: impl TokenSource) -> Self {
        Self::new(None, source)
    }

    fn new(origins: Option<Origins>, source: impl TokenSource) -> Self {
        let rules = Rules { origins, replace_existing: false };
        let published = source.published();
        let tokens = Tokens { source: Arc::new(source), published };
        Self { rules, tokens, replay: NoReplay, mode: Plain }
    }
}

impl<P, M> AttachLayer<P, M> {
    /// Sends a request again, once, when its token was refused and `replay` can make its body again.
    pub fn retry_unauthorized<P2>(self, replay: P2) -> AttachLayer<P2, M> {
        AttachLayer { rules: self.rules, tokens: self.tokens, replay, mode: self.mode }
    }

    /// Takes the place of an `Authorization` header that is already there. Otherwise such a request passes
    /// as it is.
    pub fn replace_existing(mut self) -> Self {
        self.rules.replace_existing = true;
        self
    }

    /// Also takes these answers as saying that the token is bad. Where that needs the body, the first
    /// 64 KiB of answers with such a status are read before they are passed on.
    pub fn refused_when(self, refusal: Refusal) -> AttachLayer<P, Refusal> {
        AttachLayer { rules: self.rules, tokens: self.tokens, replay: self.replay, mode: refusal }
    }

    /// Answers a gRPC request for which there is no token with the status `UNAVAILABLE`, instead of an
    /// error that generated clients would report as `UNKNOWN`.
    pub fn grpc(self) -> AttachLayer<P, Grpc> {
        AttachLayer { rules: self.rules, tokens: self.tokens, replay: self.replay, mode: Grpc }
    }
}

impl<S, P: Clone> Layer<S> for AttachLayer<P, Plain> {
    type Service = Attach<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Attach::new(inner, self.rules.clone(), &self.tokens, &self.replay)
    }
}

impl<S, P: Clone> Layer<S> for AttachLayer<P, Refusal> {
    type Service = Attach<Peek<S>, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Attach::new(Peek::new(inner, self.mode.clone()), self.rules.clone(), &self.tokens, &self.replay)
    }
}

impl<S, P: Clone> Layer<S> for AttachLayer<P, Grpc> {
    type Service = AnswerGrpc<Attach<S, P>>;

    fn layer(&self, inner: S) -> Self::Service {
        AnswerGrpc::new(Attach::new(inner, self.rules.clone(), &self.tokens, &self.replay))
    }
}

impl<P, M: fmt::Debug> fmt::Debug for AttachLayer<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachLayer")
            .field("rules", &self.rules)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
