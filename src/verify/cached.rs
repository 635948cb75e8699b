//! Answers remembered for a while, for credentials that only somebody else can judge.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Verify;
use super::digest::{Digest, DigestKey};
use crate::clock::{Clock, LONGEST_AGE, SharedClock};
use crate::credential::{Credential, Scheme};
use crate::error::ConfigError;
use crate::eventual::Eventual;
use crate::flight::Flights;
use crate::identity::Identity;
use crate::rejection::{Rejection, RejectionKind};
use crate::store::{Moment, Revocations, TokenDigest};

/// Long enough to take the weight of a client that tries again at once, short enough that a token made a
/// moment ago is soon known.
const DEFAULT_REFUSAL_AGE: Duration = Duration::from_secs(5);
const DEFAULT_MAX_ENTRIES: usize = 10_000;
/// Of what the identities hold, keys and overhead not counted.
const DEFAULT_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// An entry is never counted for less, so that bytes bound entries too.
const ENTRY_OVERHEAD: u64 = 256;

/// Remembers the answers of another verifier: for opaque tokens and personal access tokens, where each
/// answer is a call to somebody else.
///
/// The age is the revocation lag: a token that is revoked is accepted for as long as its answer is
/// remembered. There is no default for it. An answer is never used past the identity's own expiry, by this
/// verifier's clock; a refusal is remembered for 5 s, an outage not at all. One call at a time is made for
/// one token, in a task of its own, and its answer is everybody's. Tokens are held as digests under a key
/// of this process.
///
/// JWTs need none of this: their verifier decides by itself.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::verify::{CachedVerifier, Verify, verify_fn};
/// use tower_bearer::{Credential, Identity, Rejection, Scheme};
/// # use std::sync::{Arc, atomic::{AtomicUsize, Ordering}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::ConfigError> {
/// let calls = Arc::new(AtomicUsize::new(0));
/// let counted = calls.clone();
/// let directory = verify_fn(move |credential: Credential<'static>| {
///     counted.fetch_add(1, Ordering::SeqCst);
///     async move {
///         match credential.expose() {
///             "good" => Ok(Identity::builder("alice").build()),
///             _ => Err(Rejection::invalid_token()),
///         }
///     }
/// });
/// let verifier = CachedVerifier::new(directory, Duration::from_secs(30))?;
///
/// for _ in 0..3 {
///     assert!(verifier.verify(&Credential::new(Scheme::Bearer, "good")).await.is_ok());
///     assert!(verifier.verify(&Credential::new(Scheme::Bearer, "bad")).await.is_err());
/// }
/// assert_eq!(calls.load(Ordering::SeqCst), 2);
/// # Ok(())
/// # }
/// ```
pub struct CachedVerifier<V> {
    inner: Arc<V>,
    memory: Arc<Memory>,
    /// By what was known to be revoked when they began: who asks after a revocation shares no earlier answer.
    flights: Arc<Flights<(Digest, u64), Result<Identity, Rejection>>>,
}

struct Memory {
    key: DigestKey,
    clock: SharedClock,
    accepted: Cache<Digest, Accepted, ByBytes>,
    refused: Cache<Digest, Instant>,
    revocations: Revocations,
    max_age: Duration,
    refusal_age: Duration,
}

#[derive(Clone)]
struct Accepted {
    identity: Identity,
    until: Instant,
    asked: Moment,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Accepted> for ByBytes {
    fn weight(&self, _: &Digest, accepted: &Accepted) -> u64 {
        ENTRY_OVERHEAD + accepted.identity.known().weight() as u64
    }
}

impl<V: Verify> CachedVerifier<V> {
    /// Remembers what `inner` accepts for at most `max_age`.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn new(inner: V, max_age: Duration) -> Result<Self, ConfigError> {
        let memory = Memory::new(DigestKey::generate()?, max_age, DEFAULT_MAX_ENTRIES, DEFAULT_MAX_BYTES);
        Ok(Self { inner: Arc::new(inner), memory: Arc::new(memory), flights: Arc::new(Flights::new()) })
    }

    /// How long a refusal is remembered; 5 s unless said otherwise, zero for not at all.
    #[must_use]
    pub fn with_refusal_age(self, age: Duration) -> Self {
        self.changed(|memory| Memory { refusal_age: age.min(LONGEST_AGE), ..memory })
    }

    /// How much is remembered: entries, of each kind, and bytes of what accepted identities hold. 10,000
    /// and 16 MiB unless said otherwise.
    #[must_use]
    pub fn with_capacity(self, entries: usize, bytes: usize) -> Self {
        self.changed(|memory| Memory {
            clock: memory.clock,
            revocations: memory.revocations,
            refusal_age: memory.refusal_age,
            ..Memory::new(memory.key, memory.max_age, entries, bytes as u64)
        })
    }

    /// Whose news void an answer before its age does: an answer about an identity whose
    /// [`detail`](Identity::detail) is a [`TokenDigest`] counts only until that digest is announced.
    #[must_use]
    pub fn with_revocations(self, revocations: Revocations) -> Self {
        self.changed(|memory| Memory { revocations, ..memory })
    }

    /// The clock that expiry is judged by.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.changed(|memory| Memory { clock: SharedClock::new(clock), ..memory })
    }

    /// Nothing is remembered yet, and nobody else holds the memory.
    fn changed(self, change: impl FnOnce(Memory) -> Memory) -> Self {
        let memory = Arc::into_inner(self.memory).map(change);
        Self { memory: Arc::new(memory.expect("a verifier under construction is alone")), ..self }
    }
}

impl Memory {
    fn new(key: DigestKey, max_age: Duration, entries: usize, bytes: u64) -> Self {
        Self {
            key,
            clock: SharedClock::default(),
            accepted: Cache::with_weighter(entries, bytes, ByBytes),
            refused: Cache::new(entries),
            revocations: Revocations::new(),
            max_age: max_age.min(LONGEST_AGE),
            refusal_age: DEFAULT_REFUSAL_AGE,
        }
    }

    fn recall(&self, digest: &Digest) -> Option<Result<Identity, Rejection>> {
        let now = Instant::now();
        if let Some(accepted) = self.accepted.get(digest) {
            if accepted.until > now && self.is_current(&accepted) {
                return Some(Ok(accepted.identity));
            }
            self.accepted.remove(digest);
        }
        let until = self.refused.get(digest)?;
        (until > now).then(|| Err(Rejection::invalid_token().with_source("refused a moment ago")))
    }

    /// RFC 7662 §4: an answer must not outlive the token. Nor may it outlive its revocation.
    fn is_current(&self, accepted: &Accepted) -> bool {
        let digest = accepted.identity.detail::<TokenDigest>();
        let expires = accepted.identity.expires_at();
        self.revocations.allow(digest.map_or(&[], std::slice::from_ref), accepted.asked)
            && expires.is_none_or(|at| self.clock.now() < at)
    }

    /// The age counts from the question: what is answered slowly may be as old as that.
    fn remember(&self, digest: Digest, began: Instant, asked: Moment, verdict: &Result<Identity, Rejection>) {
        match verdict {
            Ok(identity) if !self.max_age.is_zero() => {
                let accepted = Accepted { identity: identity.clone(), until: began + self.max_age, asked };
                self.accepted.insert(digest, accepted);
            }
            Err(rejection)
                if rejection.kind() == RejectionKind::InvalidToken && !self.refusal_age.is_zero() =>
            {
                self.refused.insert(digest, Instant::now() + self.refusal_age);
            }
            _ => {}
        }
    }
}

impl<V: Verify> Verify for CachedVerifier<V> {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        let digest = match self.memory.key.digest(credential) {
            Ok(digest) => digest,
            Err(error) => return Eventual::now(Err(Rejection::unavailable().with_source(error))),
        };
        if let Some(verdict) = self.memory.recall(&digest) {
            return Eventual::now(verdict);
        }
        let (inner, memory) = (Arc::clone(&self.inner), Arc::clone(&self.memory));
        let credential = credential.clone().into_owned();
        let landing = self.flights.join((digest, memory.revocations.news()), async move {
            // Another flight may have landed since.
            if let Some(verdict) = memory.recall(&digest) {
                return verdict;
            }
            let (began, asked) = (Instant::now(), memory.revocations.moment());
            let verdict = inner.verify(&credential).await;
            memory.remember(digest, began, asked, &verdict);
            verdict
        });
        // The flights stay for as long as somebody waits.
        let flights = Arc::clone(&self.flights);
        Eventual::later(async move {
            let verdict = landing.await;
            drop(flights);
            verdict.unwrap_or_else(|| Err(Rejection::unavailable().with_source("the call was given up")))
        })
    }

    fn schemes(&self) -> &[Scheme] {
        self.inner.schemes()
    }
}

impl<V: fmt::Debug> fmt::Debug for CachedVerifier<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedVerifier")
            .field("inner", &self.inner)
            .field("max_age", &self.memory.max_age)
            .field("refusal_age", &self.memory.refusal_age)
            .finish_non_exhaustive()
    }
}
