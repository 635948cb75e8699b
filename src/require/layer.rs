use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::policy::Policy;
use super::service::Require;
use crate::respond::Challenge;

/// Lets through what a policy allows; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct RequireLayer<R = Challenge> {
    policy: Arc<dyn Policy>,
    responder: R,
}

impl RequireLayer {
    /// Asks `policy` about each request.
    pub fn new(policy: impl Policy) -> Self {
        Self { policy: Arc::new(policy), responder: Challenge::new() }
    }
}

impl<R> RequireLayer<R> {
    /// Writes refusals with `responder`.
    pub fn with_responder<R2>(self, responder: R2) -> RequireLayer<R2> {
        RequireLayer { policy: self.policy, responder }
    }
}

impl<S, R: Clone> Layer<S> for RequireLayer<R> {
    type Service = Require<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Require::new(inner, Arc::clone(&self.policy), self.responder.clone())
    }
}

impl<R> fmt::Debug for RequireLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequireLayer")
    }
}
