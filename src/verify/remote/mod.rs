//! Keys from elsewhere, kept so that neither an outage nor a stranger can turn them against us.
//!
//! 1. Reading the current set takes no lock, and no request waits for anything while its key is in it.
//! 2. One fetch at a time, in a task of its own: whoever began it may go away.
//! 3. A set is refreshed in the background at 80 % of its lifetime, more or less a tenth of that.
//! 4. An unknown key id causes at most one fetch in ten seconds, whether that succeeds or fails; until
//!    then tokens with unknown ids are refused at once, or, if the fetch failed, cannot be judged.
//! 5. A failed fetch is tried again after 1 s, then 2 s, and so on up to 60 s; the set stays as it is, for
//!    up to a day.
//! 6. A new set is checked before it replaces the old one, whole. Keys that are weak, malformed or secret
//!    are dropped one by one; a set without any good key replaces nothing.
//! 7. What is fetched never depends on a token.

mod fetch;
mod health;
mod schedule;
mod shared;
mod unknown;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::fetch::{Fault, Location, parse_document};
pub use self::health::KeysHealth;
use self::schedule::State;
use self::shared::{Config, Refreshing, Shared};
use self::unknown::Unknown;
use super::keys::{ChosenKey, Keys, Source, rsa_algorithms};
use super::rules::Refused;
use crate::algorithm::Algorithm;
use crate::error::ConfigError;
use crate::eventual::Eventual;
use crate::flight::SingleFlight;
use crate::jose::{Header, KeySet, NoKey};
use crate::rejection::Rejection;
use crate::transport::{Door, Transport};

/// From the first byte of the first request to the last of the last; a cold request waits no longer.
const FETCH_DEADLINE: Duration = Duration::from_secs(3);
/// A set of 100 RSA keys with certificates is smaller.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// A key set from elsewhere. A clone shares it.
///
/// Made by [`Keys::remote`] and [`Keys::discover`]. Making one does no I/O and needs no runtime; the
/// first request that needs a key fetches the set, or [`ready`](Self::ready) does. While a provider is
/// out of reach, tokens whose key is known are verified as ever; what cannot be decided is
/// [`Unavailable`](crate::RejectionKind::Unavailable).
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use tower_bearer::test_util::StubTransport;
/// use tower_bearer::verify::Keys;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let down = StubTransport::new(|_| Err("no route".into()));
/// let keys = Keys::remote("https://issuer.example/jwks", down).unwrap();
/// assert!(keys.ready().await.is_err());
/// assert_eq!(keys.health().generation(), 0);
/// assert!(Keys::remote("http://issuer.example/jwks", StubTransport::new(|_| Err("".into()))).is_err());
/// # }
/// # main();
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteKeys {
    shared: Arc<Shared>,
    /// Apart from what the task of a flight holds, so that dropping the last handle ends the task.
    flight: Arc<SingleFlight<Result<(), Fault>>>,
    unknown: Arc<Mutex<Unknown>>,
}

type Landing = Pin<Box<dyn Future<Output = Option<Result<(), Fault>>> + Send>>;

/// What to do about a key that is not at hand.
enum Course {
    /// A fetch that landed meanwhile brought it.
    Found(ChosenKey),
    Refuse,
    Unavailable(Duration),
    /// Wait for a fetch; `new` if it begins now, so that what it brings is newer than the token.
    Wait {
        landing: Landing,
        new: bool,
    },
}

impl RemoteKeys {
    pub(super) fn at(url: &str, transport: impl Transport) -> Result<Self, ConfigError> {
        let door = Door::new(transport, FETCH_DEADLINE, MAX_DOCUMENT_BYTES);
        let location = Location::url(&door, url)?;
        Ok(Self::new(Config::new(location, door)))
    }

    pub(super) fn discovered(issuer: &str, transport: impl Transport) -> Result<Self, ConfigError> {
        let door = Door::new(transport, FETCH_DEADLINE, MAX_DOCUMENT_BYTES);
        let location = Location::issuer(&door, issuer)?;
        Ok(Self::new(Config::new(location, door)))
    }

    fn new(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
            flight: Arc::new(SingleFlight::new()),
            unknown: Arc::default(),
        }
    }

    /// The algorithms of RSA keys that do not say; RS256 unless said otherwise.
    ///
    /// # Errors
    ///
    /// When one of them is not an RSA algorithm.
    pub fn with_rsa_algorithms(
        self,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, ConfigError> {
        let rsa = rsa_algorithms(algorithms)?;
        Ok(Self::new(Config { rsa, ..self.shared.config.clone() }))
    }

    /// How long a set may be used without being confirmed. A day unless said otherwise.
    #[must_use]
    pub fn with_last_known_good(self, at_most: Duration) -> Self {
        Self::new(Config { last_known_good: at_most, ..self.shared.config.clone() })
    }

    /// Starts from a set that was saved before ([`snapshot`](Self::snapshot)): it is used at once, and
    /// refreshed as soon as somebody asks for a key.
    ///
    /// # Errors
    ///
    /// When the document is not a set with a good key in it.
    pub fn with_snapshot(self, document: &[u8]) -> Result<Self, ConfigError> {
        let set = parse_document(document, &self.shared.config.rsa)
            .map_err(|fault| ConfigError::new("snapshot", "expected a key set").with_source(fault))?;
        let state = State::from_snapshot(set, Bytes::copy_from_slice(document), Instant::now());
        self.shared.state.store(Arc::new(state));
        Ok(self)
    }

    /// Waits for the first set, fetching it if nobody does. At once if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be had now; the source tells why. Later requests try again.
    pub async fn ready(&self) -> Result<(), ConfigError> {
        if self.shared.usable(&self.shared.state.load(), Instant::now()).is_some() {
            return Ok(());
        }
        let failed = ConfigError::new("keys", "no key set could be fetched");
        match self.flight.join((), Arc::clone(&self.shared).fetch()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(fault)) => Err(failed.with_source(fault)),
            None => Err(failed.with_source("the fetch was given up")),
        }
    }

    /// The current set's document, to be saved for [`with_snapshot`](Self::with_snapshot).
    pub fn snapshot(&self) -> Option<Bytes> {
        self.shared.state.load().loaded.as_ref().map(|loaded| loaded.document.clone())
    }

    /// How the keys are doing.
    pub fn health(&self) -> KeysHealth {
        let now = Instant::now();
        let state = self.shared.state.load();
        let loaded = state.loaded.as_ref();
        KeysHealth {
            generation: state.generation,
            age: loaded.map(|loaded| loaded.age(now)),
            keys: loaded.map_or(0, |loaded| loaded.set.keys().len()),
            last_error: state.last_error.as_deref().map(str::to_owned),
            last_known_good: loaded.is_some_and(|loaded| loaded.is_overdue(now)),
        }
    }

    /// True if a set may be used, and `is_same` says that it is the one; refreshed in time as when a key is looked
    /// for.
    pub(super) fn are_current(&self, is_same: impl FnOnce(&Arc<KeySet>) -> bool) -> bool {
        let now = Instant::now();
        let state = self.shared.state.load();
        let Some(set) = self.shared.usable(&state, now) else { return false };
        self.refresh_in_time(&state, now);
        is_same(set)
    }

    fn refresh_in_time(&self, state: &State, now: Instant) {
        if state.wants_refresh(now)
            && let Some(refreshing) = Refreshing::begin(&self.shared)
        {
            self.flight.begin((), refreshing.fetch());
        }
    }

    /// The key for a token: now, if it is in the set or there is no use in waiting for it.
    pub(super) fn find(&self, header: &Header<'_>) -> Eventual<Result<ChosenKey, Rejection>> {
        let (algorithm, key_id) = (header.algorithm, header.key_id.as_deref());
        // A published set holds no secrets, so nothing is fetched for a token that needs one.
        if algorithm.is_symmetric() {
            return Eventual::now(Err(Refused::NoKey(NoKey::Unknown).into()));
        }
        let now = Instant::now();
        let state = self.shared.state.load();
        let usable = self.shared.usable(&state, now);
        if let Some(set) = usable {
            self.refresh_in_time(&state, now);
            match ChosenKey::select(set, algorithm, key_id) {
                Ok(key) => return Eventual::now(Ok(key)),
                Err(NoKey::Unknown) if key_id.is_some() => {}
                Err(none) => return Eventual::now(Err(Refused::NoKey(none).into())),
            }
        }
        match self.course(usable.is_none(), algorithm, key_id, now) {
            Course::Found(key) => Eventual::now(Ok(key)),
            Course::Refuse => Eventual::now(Err(Refused::NoKey(NoKey::Unknown).into())),
            Course::Unavailable(after) => Eventual::now(Err(self.shared.unavailable(after))),
            Course::Wait { landing, new } => {
                let (keys, key_id) = (self.clone(), key_id.map(Box::from));
                Eventual::later(async move {
                    if Handle::try_current().is_err() {
                        return Err(keys.shared.unavailable(Duration::ZERO));
                    }
                    let answer = keys.wait(landing, new, algorithm, key_id);
                    let late = |_| Err(keys.shared.unavailable(Duration::ZERO));
                    tokio::time::timeout(FETCH_DEADLINE, answer).await.unwrap_or_else(late)
                })
            }
        }
    }

    /// Waits for a fetch and judges by what it brought. One that was running when the token came may
    /// have seen the keys of before; then another is asked for, if one is allowed.
    async fn wait(
        &self,
        mut landing: Landing,
        mut new: bool,
        algorithm: Algorithm,
        key_id: Option<Box<str>>,
    ) -> Result<ChosenKey, Rejection> {
        loop {
            if !matches!(landing.await, Some(Ok(()))) {
                return Err(self.shared.unavailable(Duration::ZERO));
            }
            let now = Instant::now();
            let chosen = {
                let state = self.shared.state.load();
                let set = self.shared.usable(&state, now);
                set.map(|set| ChosenKey::select(set, algorithm, key_id.as_deref()))
            };
            let none = match chosen {
                None => return Err(self.shared.unavailable(Duration::ZERO)),
                Some(Ok(key)) => return Ok(key),
                Some(Err(none)) => none,
            };
            let key_id = match &key_id {
                Some(key_id) if none == NoKey::Unknown => key_id,
                _ => return Err(Refused::NoKey(none).into()),
            };
            if new {
                self.unknown.lock().unwrap_or_else(PoisonError::into_inner).remember(key_id.clone(), now);
                return Err(Refused::NoKey(none).into());
            }
            match self.course(false, algorithm, Some(key_id), now) {
                Course::Found(key) => return Ok(key),
                Course::Refuse => return Err(Refused::NoKey(NoKey::Unknown).into()),
                Course::Unavailable(after) => return Err(self.shared.unavailable(after)),
                Course::Wait { landing: next, .. } => (landing, new) = (next, true),
            }
        }
    }

    /// Decides, and begins a fetch if that is the decision, in one step: of many requests with unknown
    /// ids, one begins.
    fn course(&self, cold: bool, algorithm: Algorithm, key_id: Option<&str>, now: Instant) -> Course {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if !cold && key_id.is_some_and(|key_id| unknown.is_absent(key_id, now)) {
            return Course::Refuse;
        }
        if let Some(landing) = self.flight.running(&()) {
            return Course::Wait { landing: Box::pin(landing), new: false };
        }
        // Nothing is in the air, so that what the last fetch brought is in the state.
        let state = self.shared.state.load();
        if let Some(set) = self.shared.usable(&state, now)
            && let Ok(key) = ChosenKey::select(set, algorithm, key_id)
        {
            return Course::Found(key);
        }
        if let Some(left) = unknown.cooldown(now).filter(|_| !cold) {
            // Whoever asks while the provider cannot be reached is not told that the key is unknown.
            return if state.last_error.is_some() { Course::Unavailable(left) } else { Course::Refuse };
        }
        if let Some(after) = state.backoff(now) {
            return Course::Unavailable(after);
        }
        if !cold {
            unknown.start_cooldown(now);
        }
        let landing = self.flight.join((), Arc::clone(&self.shared).fetch());
        Course::Wait { landing: Box::pin(landing), new: true }
    }
}

impl From<RemoteKeys> for Keys {
    fn from(keys: RemoteKeys) -> Self {
        Self(Source::Remote(keys))
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("location", &self.shared.config.location)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
