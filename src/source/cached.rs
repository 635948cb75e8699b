use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::TokenSource;
use super::published::{Current, Published, Slot};
use super::windows::{Asked, Moment, Stage, Windows, jitter};
use crate::clock::{Clock, SharedClock};
use crate::error::TokenError;
use crate::eventual::Eventual;
use crate::flight::SingleFlight;
use crate::token::Token;

/// How long a refresh may take in all: what callers wait at most.
const BUDGET: Duration = Duration::from_secs(10);
/// Doubled with each failure in a row.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// A mistake somewhere that a second will not mend, and that may be costing log lines elsewhere.
const FIRST_PERMANENT_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// No refused token is replaced sooner after the last one that was.
const COOL_OFF: Duration = Duration::from_secs(10);

/// Keeps a token while it is good, and gets the next one in time; see the [module](super).
///
/// A clone shares the token.
pub struct CachedSource<S> {
    shared: Arc<Shared<S>>,
    flight: Arc<SingleFlight<Outcome>>,
    clock: SharedClock,
}

type Outcome = Result<Token, TokenError>;

struct Shared<S> {
    source: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Read by many who do not hold the lock, written by those who do.
    current: Arc<Slot>,
    failure: Option<Failure>,
    /// The next token takes the place of one that was refused.
    replacing: bool,
    /// When the last such token came.
    replaced: Option<Instant>,
}

struct Failure {
    error: TokenError,
    in_a_row: u32,
    /// No fetch begins sooner.
    until: Instant,
}

/// What there is to give out.
enum Standing {
    Fails(TokenError),
    Good(Token),
    Stale(Token),
    Wanting,
}

impl<S: TokenSource> CachedSource<S> {
    /// Keeps what `source` gives. Nothing is asked for before the first call, and no runtime is needed
    /// until then.
    pub fn new(source: S) -> Self {
        let shared = Shared { source, state: Mutex::default() };
        Self {
            shared: Arc::new(shared),
            flight: Arc::new(SingleFlight::new()),
            clock: SharedClock::default(),
        }
    }

    /// The clock that phases are judged by, next to tokio's timer. Without one it is the system's, which
    /// [`AttachLayer`](crate::AttachLayer) reads coarsely where it can, up to 10 ms behind, and with a timer that
    /// goes on while tokio's is paused.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    fn refresh(&self) -> impl Future<Output = Outcome> + Send + use<S> {
        refresh(Arc::clone(&self.shared), self.clock.clone())
    }

    /// Waits for the refresh, which begins now if there is a runtime, or else when the first one polls.
    fn wait(&self) -> Eventual<Outcome> {
        if Handle::try_current().is_ok() {
            return self.join();
        }
        let this = self.clone();
        Eventual::later(async move { this.join().await })
    }

    fn join(&self) -> Eventual<Outcome> {
        let (shared, clock) = (Arc::clone(&self.shared), self.clock.clone());
        let flight = self.flight.join((), self.refresh());
        Eventual::later(async move {
            let failed = match flight.await {
                Some(Ok(token)) => return Ok(token),
                Some(Err(error)) => error,
                None => shared.end_without_outcome(),
            };
            shared.usable(&clock).ok_or(failed)
        })
    }
}

impl<S: TokenSource> TokenSource for CachedSource<S> {
    fn token(&self) -> Eventual<Outcome> {
        match self.shared.standing(&self.clock) {
            Standing::Good(token) => Eventual::now(Ok(token)),
            Standing::Stale(token) => {
                self.flight.begin((), self.refresh());
                Eventual::now(Ok(token))
            }
            Standing::Fails(error) => Eventual::now(Err(error)),
            Standing::Wanting => self.wait(),
        }
    }

    fn reject(&self, token: &Token) {
        let dropped = self.shared.lock().drop_refused(token);
        if dropped {
            self.shared.source.reject(token);
        }
    }

    fn published(&self) -> Option<Published> {
        let slot = Arc::clone(&self.shared.lock().current);
        Some(Published::new(slot, self.clock.clone()))
    }
}

/// One refresh: as many tries as fit into the budget. It runs in a flight, so there is one at a time.
async fn refresh<S: TokenSource>(shared: Arc<Shared<S>>, clock: SharedClock) -> Outcome {
    // Whoever began this looked before it began: another flight may have landed since.
    match shared.standing(&clock) {
        Standing::Good(token) => return Ok(token),
        Standing::Fails(error) => return Err(error),
        Standing::Stale(_) | Standing::Wanting => {}
    }
    let deadline = Instant::now() + BUDGET;
    loop {
        let asked = Asked::now(&clock);
        let late = |_| Err(TokenError::transient("no token came in time"));
        match timeout_at(deadline, shared.source.token()).await.unwrap_or_else(late) {
            Ok(token) => {
                shared.lock().succeed(&token, asked);
                #[cfg(feature = "tracing")]
                tracing::debug!("token refreshed");
                return Ok(token);
            }
            Err(error) => {
                let until = shared.lock().fail(&error);
                #[cfg(feature = "tracing")]
                tracing::warn!(%error, transient = error.is_transient(), "token refresh failed");
                if !error.is_transient() || until >= deadline {
                    return Err(error);
                }
                sleep_until(until).await;
                // A machine that was suspended wakes up late.
                if Instant::now() >= deadline {
                    return Err(error);
                }
            }
        }
    }
}

impl<S> Shared<S> {
    fn standing(&self, clock: &SharedClock) -> Standing {
        let now = Moment::now(clock);
        self.lock().standing(now)
    }

    /// The current token if it has not expired.
    fn usable(&self, clock: &SharedClock) -> Option<Token> {
        let now = Moment::now(clock);
        let current = self.lock().current.get();
        current.filter(|own| own.windows().stage(now) < Stage::Gone).map(|own| own.token().clone())
    }

    /// The source panicked, or there is no runtime. That is a failure like any other, and one for all.
    fn end_without_outcome(&self) -> TokenError {
        let mut state = self.lock();
        match state.failure.as_ref().filter(|failure| failure.until > Instant::now()) {
            Some(failure) => failure.error.clone(),
            None => {
                let error = TokenError::transient("the refresh ended without an outcome");
                state.fail(&error);
                error
            }
        }
    }

    /// A panic elsewhere leaves it whole: each change is one assignment after another that cannot fail.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn standing(&self, now: Moment) -> Standing {
        let failure = self.failure.as_ref().filter(|failure| failure.until > Instant::now());
        let current = self.current.get();
        let current = current.as_ref().map(|own| (own.windows().stage(now), own.token()));
        match (current, failure) {
            (Some((Stage::Fresh, token)), _) | (Some((Stage::Soft | Stage::Hard, token)), Some(_)) => {
                Standing::Good(token.clone())
            }
            (Some((Stage::Soft, token)), None) => Standing::Stale(token.clone()),
            (None | Some((Stage::Gone, _)), Some(failure)) => Standing::Fails(failure.error.clone()),
            (None | Some((Stage::Hard | Stage::Gone, _)), None) => Standing::Wanting,
        }
    }

    fn succeed(&mut self, token: &Token, asked: Asked) {
        self.current.put(Some(Current::new(token.clone(), Windows::new(token, asked))));
        if self.replacing {
            self.replaced = Some(Instant::now());
        }
        (self.failure, self.replacing) = (None, false);
    }

    /// Takes note of a failure; gives the time of the next try.
    fn fail(&mut self, error: &TokenError) -> Instant {
        let in_a_row = self.failure.as_ref().map_or(0, |failure| failure.in_a_row);
        let first = if error.is_transient() { FIRST_BACKOFF } else { FIRST_PERMANENT_BACKOFF };
        let backoff = jitter(first.saturating_mul(1 << in_a_row.min(8)).min(LONGEST_BACKOFF));
        let until = Instant::now() + backoff.max(error.retry_after().unwrap_or_default());
        self.failure = Some(Failure { error: error.clone(), in_a_row: in_a_row.saturating_add(1), until });
        until
    }

    /// Drops the current token if it is the refused one, unless one took another's place just now.
    fn drop_refused(&mut self, token: &Token) -> bool {
        let cooling = self.replaced.is_some_and(|replaced| replaced.elapsed() < COOL_OFF);
        let refused = !cooling && self.current.get().is_some_and(|own| own.token().is_same(token));
        if refused {
            self.current.put(None);
            self.replacing = true;
        }
        refused
    }
}

impl<S> Clone for CachedSource<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), flight: Arc::clone(&self.flight), clock: self.clock.clone() }
    }
}

impl<S: fmt::Debug> fmt::Debug for CachedSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("CachedSource")
            .field("source", &self.shared.source)
            .field("token", &state.current.get().as_ref().map(|own| own.token()))
            .field("failure", &state.failure.as_ref().map(|failure| &failure.error))
            .finish_non_exhaustive()
    }
}
