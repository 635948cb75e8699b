//! Personal access tokens, looked up in a store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{sleep, timeout};

use super::{CachedVerifier, Verify};
use crate::clock::{Clock, SharedClock, unix_seconds};
use crate::credential::{Credential, Scheme};
use crate::error::ConfigError;
use crate::eventual::Eventual;
use crate::flight::Flights;
use crate::identity::Identity;
use crate::pat::PatFormat;
use crate::rejection::Rejection;
use crate::store::{LAST_USED_RESOLUTION, PersonalToken, TokenDigest, TokenStore};

/// A use that cannot be written down is tried again after 1 s, 2 s, 4 s … for about two minutes in all.
const TOUCH_TRIES: u32 = 7;
/// A try that hangs must not keep later ones from being made.
const TOUCH_DEADLINE: Duration = Duration::from_secs(10);

/// Verifies personal access tokens of one [format](PatFormat) against a [`TokenStore`].
///
/// - A token of another form is refused before anybody is asked.
/// - Malformed, unknown, expired and revoked tokens are refused alike; which it was is for logs.
/// - A store that cannot answer is an outage (503), never the caller's fault.
/// - The last use is written down once a minute at most, in the background: no request waits for that or
///   fails by it.
///
/// It speaks the scheme `Token`. To take the same tokens as `Bearer`, give it to
/// [`Schemes::bearer_prefixed`](super::Schemes::bearer_prefixed) with the format's prefix. The identity has the
/// scopes of the token, and the [`PersonalToken`] as its [`detail`](Identity::detail). See
/// [`pat`](crate::pat) for examples. A clone is the same verifier.
#[derive(Clone)]
#[must_use]
pub struct PatVerifier {
    format: PatFormat,
    lookup: Lookup,
    cached: Option<Arc<CachedVerifier<Lookup>>>,
    max_age: Duration,
}

/// Asks the store, each time.
#[derive(Clone)]
struct Lookup {
    store: Arc<dyn TokenStore>,
    clock: SharedClock,
    touches: Arc<Flights<String, ()>>,
}

/// When the use of a token was last news, in seconds since the epoch; beside the row, in an identity that may be
/// remembered for longer than a minute.
struct LastUse(AtomicU64);

impl LastUse {
    fn new(at: SystemTime) -> Self {
        Self(AtomicU64::new(unix_seconds(at)))
    }

    /// True for one caller of those who use it at this time, if that is to be written down.
    fn is_news(&self, at: SystemTime) -> bool {
        let (last, now) = (self.0.load(Ordering::Relaxed), unix_seconds(at));
        now >= last.saturating_add(LAST_USED_RESOLUTION.as_secs())
            && self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl PatVerifier {
    /// Asks `store` about each token.
    pub fn new(format: PatFormat, store: impl TokenStore) -> Self {
        let lookup = Lookup {
            store: Arc::new(store),
            clock: SharedClock::default(),
            touches: Arc::new(Flights::new()),
        };
        Self { format, lookup, cached: None, max_age: Duration::ZERO }
    }

    /// Remembers an answer for so long: the time for which a token that was revoked may still be accepted by
    /// a machine that does not hear of it. One that does hears at once.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn cached(mut self, max_age: Duration) -> Result<Self, ConfigError> {
        self.max_age = max_age;
        self.remember()
    }

    /// The clock that expiry is judged by.
    ///
    /// # Errors
    ///
    /// As [`cached`](Self::cached).
    pub fn with_clock(mut self, clock: impl Clock) -> Result<Self, ConfigError> {
        self.lookup.clock = SharedClock::new(clock);
        self.remember()
    }

    fn remember(mut self) -> Result<Self, ConfigError> {
        if !self.max_age.is_zero() {
            let clock = self.lookup.clock.clone();
            let cached = CachedVerifier::new(self.lookup.clone(), self.max_age)?
                .with_clock(move || clock.now())
                .with_revocations(self.lookup.store.revocations());
            self.cached = Some(Arc::new(cached));
        }
        Ok(self)
    }
}

impl Verify for PatVerifier {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        if !self.format.is_wellformed(credential.expose()) {
            return Eventual::now(Err(refused("not the form of a personal access token")));
        }
        let Some(cached) = &self.cached else { return self.lookup.verify(credential) };
        match cached.verify(credential).try_now() {
            Ok(verdict) => {
                verdict.iter().for_each(|identity| self.lookup.note(identity));
                Eventual::now(verdict)
            }
            Err(later) => later,
        }
    }

    fn schemes(&self) -> &[Scheme] {
        &[Scheme::Token]
    }
}

impl Verify for Lookup {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        let digest = match TokenDigest::of(credential.expose()) {
            Ok(digest) => digest,
            Err(error) => return Eventual::now(Err(Rejection::unavailable().with_source(error))),
        };
        let lookup = self.clone();
        match self.store.find(digest).try_now() {
            Ok(found) => Eventual::now(found.map_err(outage).and_then(|token| lookup.judge(digest, token))),
            Err(later) => Eventual::later(async move { lookup.judge(digest, later.await.map_err(outage)?) }),
        }
    }

    fn schemes(&self) -> &[Scheme] {
        &[Scheme::Token]
    }
}

impl Lookup {
    fn judge(&self, digest: TokenDigest, token: Option<PersonalToken>) -> Result<Identity, Rejection> {
        let token = token.ok_or_else(|| refused("unknown, or revoked"))?;
        let now = self.clock.now();
        if token.expires_at <= now {
            return Err(refused("expired"));
        }
        if token.is_use_news(now) {
            self.touch(token.id.clone(), now);
        }
        let last_use = token.last_used.filter(|_| !token.is_use_news(now)).unwrap_or(now);
        let identity = Identity::builder(token.owner.clone())
            .scopes(token.scopes.clone())
            .expires_at(token.expires_at)
            .detail(digest)
            .detail(LastUse::new(last_use))
            .detail(token);
        Ok(identity.build())
    }

    /// A use of a token whose row was not asked for.
    fn note(&self, identity: &Identity) {
        let now = self.clock.now();
        let news = identity.detail::<LastUse>().is_some_and(|last| last.is_news(now));
        if let Some(token) = identity.detail::<PersonalToken>().filter(|_| news) {
            self.touch(token.id.clone(), now);
        }
    }

    fn touch(&self, id: String, at: SystemTime) {
        let store = Arc::clone(&self.store);
        self.touches.begin(id.clone(), async move {
            for tried in 0..TOUCH_TRIES {
                if let Ok(Ok(())) = timeout(TOUCH_DEADLINE, store.touch(&id, at)).await {
                    return;
                }
                sleep(Duration::from_secs(1 << tried)).await;
            }
        });
    }
}

/// One answer for every bad token.
fn refused(reason: &'static str) -> Rejection {
    Rejection::invalid_token().with_source(reason)
}

fn outage(error: crate::error::BoxError) -> Rejection {
    Rejection::unavailable().with_source(error)
}

impl fmt::Debug for PatVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatVerifier")
            .field("format", &self.format)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
