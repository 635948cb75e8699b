//! Signed tokens that may be revoked before they expire.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Verify;
use crate::clock::LONGEST_AGE;
use crate::credential::{Credential, Scheme};
use crate::error::{BoxError, ConfigError};
use crate::eventual::Eventual;
use crate::flight::Flights;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::store::{Moment, RefreshGrant, RevocationStore, TokenDigest};

const DEFAULT_MAX_ENTRIES: usize = 100_000;

/// Asks a [`RevocationStore`] whether a token that another verifier accepts was revoked.
///
/// - The other verifier judges every request anew; only the answer "not revoked" is remembered, for
///   [`max_age`](Self::new): the time for which a token that was revoked may still be accepted by a machine that
///   does not hear of it. One that does hears at once.
/// - What was signed names a token, not its signature: of one signature, some algorithms allow two forms.
/// - A store that cannot answer is an outage (503), never the caller's fault.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::store::{MemoryStore, RevocationStore};
/// use tower_bearer::verify::{RevocableVerifier, Verify, verify_fn};
/// use tower_bearer::{Credential, Identity, Scheme};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let store = MemoryStore::new();
/// let anybody = verify_fn(|_| async { Ok(Identity::builder("alice").build()) });
/// let verifier = RevocableVerifier::new(anybody, store.clone(), Duration::from_secs(30));
/// let token = Credential::new(Scheme::Bearer, "header.payload.signature");
/// assert!(verifier.verify(&token).await.is_ok());
///
/// let until = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
/// store.revoke(RevocableVerifier::digest("header.payload.signature")?, until).await?;
/// assert!(verifier.verify(&token).await.is_err());
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RevocableVerifier {
    inner: Arc<dyn Verify>,
    memory: Arc<Memory>,
    /// By what was known to be revoked when they began: who asks after a revocation shares no earlier answer.
    flights: Arc<Flights<(TokenDigest, u64), Answer>>,
}

/// Whether a token was revoked; the reason where that cannot be told is shared by all who asked.
type Answer = Result<bool, Arc<str>>;

struct Memory {
    store: Arc<dyn RevocationStore>,
    /// The tokens that were not revoked.
    fine: Cache<TokenDigest, Fine>,
    max_age: Duration,
}

#[derive(Clone, Copy)]
struct Fine {
    /// The token, and the grant that it came of or the token again: claims are read once.
    digests: [TokenDigest; 2],
    until: Instant,
    asked: Moment,
}

impl RevocableVerifier {
    /// What `inner` accepts and `store` has not as revoked. An answer of the store counts for `max_age`;
    /// with zero, each request asks.
    pub fn new(inner: impl Verify, store: impl RevocationStore, max_age: Duration) -> Self {
        let (store, fine) = (Arc::new(store), Cache::new(DEFAULT_MAX_ENTRIES));
        let memory = Memory { store, fine, max_age: max_age.min(LONGEST_AGE) };
        Self { inner: Arc::new(inner), memory: Arc::new(memory), flights: Arc::new(Flights::new()) }
    }

    /// What stands for a signed token where it is revoked: the digest of all but its signature.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled.
    pub fn digest(token: &str) -> Result<TokenDigest, ConfigError> {
        TokenDigest::of(token.rsplit_once('.').map_or(token, |(signed, _)| signed))
    }

    fn ask(&self, identity: Identity, token: &str) -> Eventual<Result<Identity, Rejection>> {
        let own = match Self::digest(token) {
            Ok(own) => own,
            Err(error) => return Eventual::now(Err(outage(error))),
        };
        if self.memory.knows(own) {
            return Eventual::now(Ok(identity));
        }
        let digests = match digests(own, &identity) {
            Ok(digests) => digests,
            Err(error) => return Eventual::now(Err(outage(error))),
        };
        let memory = Arc::clone(&self.memory);
        if self.memory.max_age.is_zero() {
            // Each request asks: no answer is older than the question.
            return Eventual::later(async move { judged(Some(memory.ask(digests).await), identity) });
        }
        let key = (own, memory.store.revocations().news());
        let landing = self.flights.join(key, async move { memory.ask(digests).await });
        // The flights stay for as long as somebody waits.
        let flights = Arc::clone(&self.flights);
        Eventual::later(async move {
            let revoked = landing.await;
            drop(flights);
            judged(revoked, identity)
        })
    }
}

fn judged(revoked: Option<Answer>, identity: Identity) -> Result<Identity, Rejection> {
    match revoked {
        Some(Ok(false)) => Ok(identity),
        Some(Ok(true)) => Err(Rejection::invalid_token().with_source("the token was revoked")),
        Some(Err(reason)) => Err(outage(&*reason)),
        None => Err(outage("the call was given up")),
    }
}

/// The token itself first, then the grant it came of.
fn digests(own: TokenDigest, identity: &Identity) -> Result<Vec<TokenDigest>, ConfigError> {
    let grant = identity.claim(RefreshGrant::CLAIM).and_then(|grant| grant.as_str());
    let grant = grant.map(RefreshGrant::digest_of).transpose()?;
    Ok([own].into_iter().chain(grant).collect())
}

impl Memory {
    fn knows(&self, own: TokenDigest) -> bool {
        self.fine.get(&own).is_some_and(|fine| {
            fine.until > Instant::now() && self.store.revocations().allow(&fine.digests, fine.asked)
        })
    }

    async fn ask(&self, digests: Vec<TokenDigest>) -> Answer {
        // The age counts from the question: what is answered slowly may be as old as that.
        let (own, last) = (digests[0], digests[digests.len() - 1]);
        let (began, asked) = (Instant::now(), self.store.revocations().moment());
        let revoked = self.store.is_revoked(digests).await.map_err(|error| Arc::from(error.to_string()))?;
        if !revoked && !self.max_age.is_zero() {
            self.fine.insert(own, Fine { digests: [own, last], until: began + self.max_age, asked });
        }
        Ok(revoked)
    }
}

impl Verify for RevocableVerifier {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        match self.inner.verify(credential).try_now() {
            Ok(Ok(identity)) => self.ask(identity, credential.expose()),
            Ok(Err(rejection)) => Eventual::now(Err(rejection)),
            Err(later) => {
                let (verifier, credential) = (self.clone(), credential.clone().into_owned());
                Eventual::later(async move { verifier.ask(later.await?, credential.expose()).await })
            }
        }
    }

    fn schemes(&self) -> &[Scheme] {
        self.inner.schemes()
    }
}

fn outage(reason: impl Into<BoxError>) -> Rejection {
    Rejection::unavailable().with_source(reason)
}

impl fmt::Debug for RevocableVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocableVerifier").field("max_age", &self.memory.max_age).finish_non_exhaustive()
    }
}
