//! What the handles of a source and the task of its fetch share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::FETCH_DEADLINE;
use super::fetch::{self, Fault, Location};
use super::schedule::{FIRST_BACKOFF, LAST_KNOWN_GOOD, State};
use crate::algorithm::Algorithm;
use crate::jose::KeySet;
use crate::rejection::Rejection;
use crate::transport::Door;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) location: Location,
    pub(super) door: Door,
    pub(super) rsa: Vec<Algorithm>,
    pub(super) last_known_good: Duration,
}

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) state: ArcSwap<State>,
    /// A refresh in the background was begun: others need not even look whether it runs.
    refreshing: AtomicBool,
}

/// The one refresh in the background. Whatever becomes of it, the next may begin.
pub(super) struct Refreshing(Arc<Shared>);

impl Refreshing {
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let first = !shared.refreshing.swap(true, Ordering::AcqRel);
        first.then(|| Self(Arc::clone(shared)))
    }

    pub(super) async fn fetch(self) -> Result<(), Fault> {
        Arc::clone(&self.0).fetch().await
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}

impl Config {
    pub(super) fn new(location: Location, door: Door) -> Self {
        Self { location, door, rsa: vec![Algorithm::RS256], last_known_good: LAST_KNOWN_GOOD }
    }
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let state = ArcSwap::from_pointee(State::default());
        Self { config, state, refreshing: AtomicBool::new(false) }
    }

    /// The set, unless it went unconfirmed for too long.
    pub(super) fn usable<'s>(&self, state: &'s State, now: Instant) -> Option<&'s Arc<KeySet>> {
        let loaded = state.loaded.as_ref()?;
        loaded.is_usable(now, self.config.last_known_good).then_some(&loaded.set)
    }

    /// Fetches once and keeps what came of it.
    pub(super) async fn fetch(self: Arc<Self>) -> Result<(), Fault> {
        let before = self.state.load_full();
        let Config { location, door, rsa, .. } = &self.config;
        let etag = before.loaded.as_ref().and_then(|loaded| loaded.etag.as_ref());
        let fetched = tokio::time::timeout(FETCH_DEADLINE, fetch::fetch(location, door, rsa, etag)).await;
        let fetched = fetched.unwrap_or(Err(Fault::TimedOut));
        let now = Instant::now();
        let (after, outcome) = match fetched {
            Ok(fetched) => (before.succeeded(fetched, now), Ok(())),
            Err(fault) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(reason = %fault.reason(), "key set not refreshed");
                // Of what is there by now: somebody may have put a snapshot there.
                (self.state.load().failed(&fault, now), Err(fault))
            }
        };
        self.state.store(Arc::new(after));
        outcome
    }

    pub(super) fn unavailable(&self, after: Duration) -> Rejection {
        let state = self.state.load();
        let after =
            if after.is_zero() { state.backoff(Instant::now()).unwrap_or(FIRST_BACKOFF) } else { after };
        let rejection = Rejection::unavailable().with_retry_after(after);
        match &state.last_error {
            Some(error) => rejection.with_source(&**error),
            None => rejection,
        }
    }
}
