//! Signing keys that are replaced in time, the same on every machine.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::signer::JwtSigner;
use crate::algorithm::Algorithm;
use crate::clock::{Clock, SharedClock};
use crate::error::{BoxError, ConfigError};
use crate::flight::{SingleFlight, blocking};
use crate::jose::SigningKey;
use crate::store::{KeyStore, StoredKey};

/// A quarter of a year: often enough that everybody's rotation works.
const DEFAULT_PERIOD: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// As long as anybody may keep a key set without asking again (`RemoteKeys` keeps one for a day at most).
const DEFAULT_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that a token of [`Mint`](super::Mint)'s defaults is good, twice.
const DEFAULT_LONGEST_LIFETIME: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// What verifiers allow clocks to differ by, twice.
const LEEWAY: Duration = Duration::from_secs(60);
/// How often a ring looks for keys that other machines made.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// How often it looks when somebody asks for the key set, who may have met a key that is new.
const CHECK_AT_MOST: Duration = Duration::from_secs(1);
/// How long somebody waits for the store who has keys that would do.
const PATIENCE: Duration = Duration::from_secs(1);
/// For how long nobody asks a store that could not answer, as long as there are keys that would do.
const RESPITE: Duration = Duration::from_secs(5);
/// A look that hangs must not keep later ones from being taken. Making an RSA key may take seconds.
const LOAD_DEADLINE: Duration = Duration::from_secs(60);

/// The signing keys of one name and algorithm in a [`KeyStore`].
///
/// 1. A key is published before it signs: for as long as verifiers may keep a key set without asking again.
/// 2. When it has signed for the period, the next one does.
/// 3. It stays published until the last token that it signed has expired; then it is removed.
///
/// Keys are numbered, and of two machines that make the next one at a time, one wins. Nothing runs in the
/// background: use drives it. A clone is the same ring.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use std::time::Duration;
/// use tower_bearer::issue::KeyRing;
/// use tower_bearer::store::MemoryStore;
/// use tower_bearer::test_util::ManualClock;
/// use tower_bearer::Algorithm;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let (store, clock) = (MemoryStore::new(), ManualClock::at(1_700_000_000));
/// let day = Duration::from_secs(24 * 60 * 60);
/// let ring = KeyRing::new("main", Algorithm::ES256, store)
///     .with_period(30 * day)
///     .published_ahead(day)
///     .with_clock(clock.clone());
/// ring.refresh().await?;
/// let first = ring.signer()?.key_id().unwrap().to_owned();
///
/// clock.advance(29 * day);
/// ring.refresh().await?;
/// assert_eq!(ring.jwks().matches("kid").count(), 2);
/// assert_eq!(ring.signer()?.key_id(), Some(&*first));
///
/// clock.advance(day);
/// assert_ne!(ring.signer()?.key_id(), Some(&*first));
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    rules: Rules,
    keys: Arc<RwLock<Loaded>>,
    flight: SingleFlight<Result<(), Arc<str>>>,
}

#[derive(Clone)]
struct Rules {
    name: String,
    algorithm: Algorithm,
    store: Arc<dyn KeyStore>,
    period: Duration,
    ahead: Duration,
    longest_lifetime: Duration,
    clock: SharedClock,
}

#[derive(Clone, Default)]
struct Loaded {
    keys: Vec<RingKey>,
    at: Option<Instant>,
    /// When the store last could not answer, since then.
    failed: Option<Instant>,
}

#[derive(Clone)]
struct RingKey {
    number: u32,
    signs_from: SystemTime,
    signer: JwtSigner,
}

impl KeyRing {
    /// The keys of this name in `store`. A ring that has none makes one when it is first used.
    pub fn new(name: impl Into<String>, algorithm: Algorithm, store: impl KeyStore) -> Self {
        Self::from_rules(Rules {
            name: name.into(),
            algorithm,
            store: Arc::new(store),
            period: DEFAULT_PERIOD,
            ahead: DEFAULT_AHEAD,
            longest_lifetime: DEFAULT_LONGEST_LIFETIME,
            clock: SharedClock::default(),
        })
    }

    fn from_rules(rules: Rules) -> Self {
        Self(Arc::new(Inner { rules, keys: Arc::default(), flight: SingleFlight::new() }))
    }

    /// How long a key signs. 90 days unless said otherwise.
    pub fn with_period(self, period: Duration) -> Self {
        self.changed(|rules| rules.period = period)
    }

    /// For how long a key is published before it signs. A day unless said otherwise.
    pub fn published_ahead(self, ahead: Duration) -> Self {
        self.changed(|rules| rules.ahead = ahead)
    }

    /// The longest that a token may be good which a key signs: so long the key stays published after it signs
    /// no more. Two days unless said otherwise.
    pub fn with_longest_lifetime(self, lifetime: Duration) -> Self {
        self.changed(|rules| rules.longest_lifetime = lifetime)
    }

    /// The clock that decides which key signs.
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.changed(|rules| rules.clock = SharedClock::new(clock))
    }

    fn changed(self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = self.0.rules.clone();
        change(&mut rules);
        Self::from_rules(rules)
    }

    /// Reads the keys, makes the next one if it is time, and removes those that nothing depends on any more.
    ///
    /// # Errors
    ///
    /// When the store cannot answer, or no key can be made; what was known before stays.
    pub async fn refresh(&self) -> Result<(), BoxError> {
        let (rules, known) = (self.0.rules.clone(), Arc::clone(&self.0.keys));
        let landing = self.0.flight.join((), async move {
            let began = Instant::now();
            let outcome = match timeout(LOAD_DEADLINE, rules.load()).await {
                Ok(outcome) => outcome.map_err(|error| Arc::from(error.to_string())),
                Err(_) => Err("no answer came in time".into()),
            };
            // Here, in the order of the looks, whoever waits for them.
            let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(keys) => *known = Loaded { keys, at: Some(began), failed: None },
                Err(reason) => {
                    known.failed = Some(Instant::now());
                    return Err(reason);
                }
            }
            Ok(())
        });
        match landing.await {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(BoxError::from(&*reason)),
            None => Err("the keys were not read".into()),
        }
    }

    /// The keys are known, and not older than a minute where the store can be reached.
    pub(super) async fn ready(&self) -> Result<(), BoxError> {
        self.refreshed_within(CHECK_EVERY).await
    }

    /// As [`jwks`](Self::jwks), with what other machines made up to a second ago.
    pub(super) async fn published(&self) -> Result<Vec<Value>, BoxError> {
        self.refreshed_within(CHECK_AT_MOST).await?;
        Ok(self.public_keys())
    }

    async fn refreshed_within(&self, age: Duration) -> Result<(), BoxError> {
        let loaded = self.loaded();
        if loaded.at.is_some_and(|at| at.elapsed() < age) && !self.0.rules.is_due(&loaded.keys) {
            return Ok(());
        }
        if loaded.keys.is_empty() {
            return self.refresh().await;
        }
        // Keys that are known go on signing while the store is away, and it is not asked for each request.
        if loaded.failed.is_none_or(|at| at.elapsed() >= RESPITE)
            && timeout(PATIENCE, self.refresh()).await.is_err()
        {
            self.0.keys.write().unwrap_or_else(PoisonError::into_inner).failed = Some(Instant::now());
        }
        Ok(())
    }

    /// What signs now.
    ///
    /// # Errors
    ///
    /// When the keys were never read.
    pub fn signer(&self) -> Result<JwtSigner, ConfigError> {
        let now = self.0.rules.clock.now();
        let loaded = self.loaded();
        let signing = loaded.keys.iter().rev().find(|key| key.signs_from <= now).or(loaded.keys.first());
        let signing =
            signing.ok_or_else(|| ConfigError::new("keys", "expected a ring that was refreshed"))?;
        Ok(signing.signer.clone())
    }

    /// The published keys, as a JSON Web Key set; none before the first [`refresh`](Self::refresh). A verifier
    /// that is made of this text knows no key that comes later: give it a [`JwksEndpoint`](super::JwksEndpoint).
    pub fn jwks(&self) -> String {
        json!({ "keys": self.public_keys() }).to_string()
    }

    fn public_keys(&self) -> Vec<Value> {
        self.loaded().keys.iter().filter_map(|key| key.signer.public_jwk()).collect()
    }

    fn loaded(&self) -> Loaded {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Rules {
    async fn load(&self) -> Result<Vec<RingKey>, BoxError> {
        let mut stored = self.store.keys(&self.name).await?;
        if let Some((number, signs_from)) = self.next(stored.last().map(|key| (key.number, key.signs_from))) {
            let algorithm = self.algorithm;
            let pem = blocking(move || SigningKey::generate_pem(algorithm)).await;
            let pem = pem.ok_or("no key could be made")??;
            // Whoever was faster, its key is read next.
            self.store.add_key(StoredKey::new(&self.name, number, algorithm, pem, signs_from)).await?;
            stored = self.store.keys(&self.name).await?;
        }
        if let Some(oldest) = self.oldest_needed(&stored)
            && stored.first().is_some_and(|key| key.number < oldest)
        {
            self.store.remove_keys_below(&self.name, oldest).await?;
            stored.retain(|key| key.number >= oldest);
        }
        stored.iter().map(RingKey::read).collect()
    }

    /// The number of the key to be made now, and from when on it signs.
    fn next(&self, newest: Option<(u32, SystemTime)>) -> Option<(u32, SystemTime)> {
        let now = self.clock.now();
        let Some((number, signs_from)) = newest else { return Some((1, now)) };
        let switch = signs_from.checked_add(self.period)?;
        let soonest = now.checked_add(self.ahead)?;
        (switch <= soonest).then(|| (number.saturating_add(1), switch.max(soonest)))
    }

    fn is_due(&self, keys: &[RingKey]) -> bool {
        self.next(keys.last().map(|key| (key.number, key.signs_from))).is_some()
    }

    /// A key is needed until the last token that it signed, before its successor did, has expired.
    fn oldest_needed(&self, stored: &[StoredKey]) -> Option<u32> {
        let (now, kept) = (self.clock.now(), self.longest_lifetime.saturating_add(LEEWAY));
        let over = |successor: &&StoredKey| {
            let end = successor.signs_from.checked_add(kept);
            end.is_some_and(|end| end <= now)
        };
        stored.iter().rev().find(over).map(|successor| successor.number)
    }
}

impl RingKey {
    fn read(stored: &StoredKey) -> Result<Self, BoxError> {
        let signer = JwtSigner::pem(stored.algorithm, stored.pem.expose())?;
        Ok(Self { number: stored.number, signs_from: stored.signs_from, signer })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("name", &self.0.rules.name)
            .field("algorithm", &self.0.rules.algorithm)
            .field("period", &self.0.rules.period)
            .finish_non_exhaustive()
    }
}
