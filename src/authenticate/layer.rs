use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::https_only::HttpsOnly;
use super::service::{Authenticate, Shared};
use crate::credential::SchemeSet;
use crate::respond::Challenge;
use crate::verify::Verify;

/// About what servers allow for one header; every real token is far below.
const DEFAULT_MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Lets in requests with a good credential; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct AuthenticateLayer<R = Challenge> {
    shared: Shared,
    responder: R,
}

impl AuthenticateLayer {
    /// Demands a credential that `verifier` accepts.
    pub fn new(verifier: impl Verify) -> Self {
        let offered = SchemeSet::from_iter(verifier.schemes().iter().copied());
        let shared = Shared {
            verifier: Arc::new(verifier),
            offered,
            optional: false,
            strip: false,
            https_only: None,
            max_token_bytes: DEFAULT_MAX_TOKEN_BYTES,
        };
        Self { shared, responder: Challenge::new() }
    }
}

impl<R> AuthenticateLayer<R> {
    /// Lets requests without any credential pass, without an [`Identity`](crate::Identity). A bad
    /// credential, a malformed one or one of an unknown scheme is refused all the same.
    pub fn optional(mut self) -> Self {
        self.shared.optional = true;
        self
    }

    /// Removes the `Authorization` header before the inner service is called, so that a proxy cannot
    /// pass it on.
    pub fn strip_credential(mut self) -> Self {
        self.shared.strip = true;
        self
    }

    /// The longest token that is handed to the verifier, in bytes; a longer one is an invalid token. 16 KiB
    /// unless said otherwise. A JWT verifier has a limit of its own.
    pub fn with_max_token_bytes(mut self, bytes: usize) -> Self {
        self.shared.max_token_bytes = bytes;
        self
    }

    /// Refuses credentials that came over plain HTTP, with a 400 that says so.
    pub fn https_only(mut self, https_only: HttpsOnly) -> Self {
        self.shared.https_only = Some(https_only);
        self
    }

    /// Writes refusals with `responder`.
    pub fn with_responder<R2>(self, responder: R2) -> AuthenticateLayer<R2> {
        AuthenticateLayer { shared: self.shared, responder }
    }
}

impl<S, R: Clone> Layer<S> for AuthenticateLayer<R> {
    type Service = Authenticate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate::new(inner, self.shared.clone(), self.responder.clone())
    }
}

impl<R> fmt::Debug for AuthenticateLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateLayer").field("shared", &self.shared).finish_non_exhaustive()
    }
}
