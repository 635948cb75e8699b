use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::buckets::Buckets;
use super::service::{LimitFailures, Shared};
use crate::request_head::RequestHead;
use crate::respond::Challenge;

/// Enough for the users behind one address; see the [module](super).
const DEFAULT_BURST: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
const DEFAULT_REFILL: Duration = Duration::from_secs(1);
/// Some MiB when full.
const DEFAULT_CAPACITY: usize = 65_536;

/// Sends away a peer whose credentials failed too often; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct LimitFailuresLayer<R = Challenge> {
    shared: Shared,
    responder: R,
}

impl LimitFailuresLayer {
    /// Counts failures by what `peer` reads from the request's extensions, where the server put it. Never from
    /// a header, unless your proxy overwrites it. Requests for which it is `None` share one limit.
    pub fn new(peer: impl Fn(RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        let buckets = Arc::new(Buckets::new(DEFAULT_BURST, DEFAULT_REFILL, DEFAULT_CAPACITY));
        let shared = Shared { peer: Arc::new(peer), only: None, buckets };
        Self { shared, responder: Challenge::new() }
    }
}

impl<R> LimitFailuresLayer<R> {
    /// Limits and counts the requests for which `predicate` is true, and leaves the others alone. Clones of one
    /// layer may have a predicate each and count together.
    pub fn only(mut self, predicate: impl Fn(RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.shared.only = Some(Arc::new(predicate));
        self
    }

    /// A peer may fail `burst` times in quick succession, and once more for each `refill`: 100 and 1 s unless
    /// said otherwise. A `refill` of zero forgets at once, and so limits nothing; one for which the whole burst
    /// takes more than a century is shortened to that.
    ///
    /// Counts on its own from here, apart from the layer's earlier clones.
    pub fn with_rate(mut self, burst: NonZeroU32, refill: Duration) -> Self {
        self.shared.buckets = Arc::new(Buckets::new(burst, refill, self.shared.buckets.capacity()));
        self
    }

    /// How many peers are remembered, at least one: 65,536 unless said otherwise. Of more, those seen
    /// least are forgotten.
    ///
    /// Counts on its own from here, apart from the layer's earlier clones.
    pub fn with_capacity(mut self, peers: usize) -> Self {
        self.shared.buckets = Arc::new(self.shared.buckets.emptied(peers));
        self
    }

    /// Writes refusals with `responder`.
    pub fn with_responder<R2>(self, responder: R2) -> LimitFailuresLayer<R2> {
        LimitFailuresLayer { shared: self.shared, responder }
    }
}

impl<S, R: Clone> Layer<S> for LimitFailuresLayer<R> {
    type Service = LimitFailures<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitFailures::new(inner, self.shared.clone(), self.responder.clone())
    }
}

impl<R> fmt::Debug for LimitFailuresLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFailuresLayer").field("shared", &self.shared).finish_non_exhaustive()
    }
}
