//! When a set is refreshed, how long it may be used, and when a failed fetch is tried again: pure
//! functions of a state and a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::fetch::{Etag, Fault, Fetched};
use crate::jose::{KeySet, random};

/// Ten minutes is what most verifiers use; see the manual for a table of them.
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A provider may not make us ask more often than once in a minute, nor less than once in a day.
pub(super) const MIN_LIFETIME: Duration = Duration::from_secs(60);
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a set is used without being confirmed, unless the user says otherwise.
pub(super) const LAST_KNOWN_GOOD: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two fetches that unknown key ids cause.
pub(super) const UNKNOWN_KEY_COOLDOWN: Duration = Duration::from_secs(10);
pub(super) const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// A set and what is known of it.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) set: Arc<KeySet>,
    pub(super) document: Bytes,
    pub(super) etag: Option<Etag>,
    confirmed_at: Instant,
    lifetime: Duration,
}

impl Loaded {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.confirmed_at)
    }

    /// True while it may be used: within its lifetime, or for as long as the user lets it be kept.
    pub(super) fn is_usable(&self, now: Instant, last_known_good: Duration) -> bool {
        self.age(now) <= self.lifetime.max(last_known_good)
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.age(now) > self.lifetime
    }
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) loaded: Option<Loaded>,
    pub(super) generation: u64,
    pub(super) last_error: Option<Arc<str>>,
    refresh_at: Option<Instant>,
    failures: u32,
    retry_at: Option<Instant>,
}

impl State {
    /// A set of unknown age: good to use, and overdue.
    pub(super) fn from_snapshot(set: KeySet, document: Bytes, now: Instant) -> Self {
        let set = Arc::new(set);
        let loaded = Loaded { set, document, etag: None, confirmed_at: now, lifetime: Duration::ZERO };
        Self { loaded: Some(loaded), generation: 1, refresh_at: Some(now), ..Self::default() }
    }

    pub(super) fn succeeded(&self, fetched: Fetched, now: Instant) -> Self {
        let known = self.loaded.as_ref().map(|loaded| loaded.lifetime).filter(|_| fetched.set.is_none());
        let known = known.filter(|lifetime| !lifetime.is_zero());
        let lifetime = fetched.lifetime.or(known).unwrap_or(DEFAULT_LIFETIME);
        let (loaded, is_new) = match (fetched.set, &self.loaded) {
            // Not changed, by the provider's word or byte for byte: the old set with a new age.
            (None, Some(old)) => (Loaded { confirmed_at: now, lifetime, ..old.clone() }, false),
            (Some((_, document)), Some(old)) if old.document == document => {
                (Loaded { etag: fetched.etag, confirmed_at: now, lifetime, ..old.clone() }, false)
            }
            (Some((set, document)), _) => {
                let set = Arc::new(set);
                (Loaded { set, document, etag: fetched.etag, confirmed_at: now, lifetime }, true)
            }
            // "Not changed" to a question that was not asked; `fetch` refuses that.
            (None, None) => return self.clone(),
        };
        Self {
            loaded: Some(loaded),
            generation: self.generation + u64::from(is_new),
            refresh_at: Some(now + lifetime.mul_f64(0.8 * jitter())),
            ..Self::default()
        }
    }

    pub(super) fn failed(&self, fault: &Fault, now: Instant) -> Self {
        let failures = self.failures.saturating_add(1);
        let backoff = FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(6)).min(MAX_BACKOFF);
        Self {
            failures,
            retry_at: Some(now + backoff),
            last_error: Some(fault.reason().into()),
            ..self.clone()
        }
    }

    /// What is left until a fetch may be tried again.
    pub(super) fn backoff(&self, now: Instant) -> Option<Duration> {
        self.retry_at.map(|at| at.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    pub(super) fn wants_refresh(&self, now: Instant) -> bool {
        self.refresh_at.is_some_and(|at| at <= now) && self.backoff(now).is_none()
    }
}

/// 0.9 to 1.1, so that a fleet does not refresh in step.
fn jitter() -> f64 {
    let mut byte = [128];
    // Without random numbers there is no jitter, and nothing else is lost.
    let _ = random(&mut byte);
    0.9 + 0.2 * f64::from(byte[0]) / 255.0
}
