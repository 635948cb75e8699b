//! Single flight: many callers, one piece of work, and its outcome for all of them.
//!
//! 1. The work runs in a task of its own: whoever began it may go away, the others still get the
//!    outcome.
//! 2. While it runs, everybody who asks for the same key waits for the same outcome.
//! 3. A task never outlives the flights it belongs to: dropping them ends it.
//! 4. No lock is held while anything is waited for.
//!
//! This is the one place that spawns.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Work in the air, one piece for each key.
pub(crate) struct Flights<K, T> {
    running: Arc<Mutex<HashMap<K, Flight<T>>>>,
}

/// Work in the air, one piece at a time.
#[cfg(any(feature = "client", feature = "remote", test))]
pub(crate) type SingleFlight<T> = Flights<(), T>;

struct Flight<T> {
    outcome: watch::Receiver<Option<T>>,
    task: AbortHandle,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Self { running: Arc::default() }
    }

    /// Joins the work for `key`, or begins it with `work`, which is dropped if there is some. The outcome
    /// is `None` if the work ended without one: it panicked, or there is no runtime to run it.
    pub(crate) fn join<F>(&self, key: K, work: F) -> impl Future<Output = Option<T>> + Send + use<K, T, F>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let outcome = self.outcome(key, work);
        async move { landed(outcome?).await }
    }

    /// Joins the work for `key`, if there is some.
    #[cfg(feature = "remote")]
    pub(crate) fn running(&self, key: &K) -> Option<impl Future<Output = Option<T>> + Send + use<K, T>> {
        let running = lock(&self.running);
        running.get(key).filter(|flight| flight.is_alive()).map(|flight| landed(flight.outcome.clone()))
    }

    /// Begins the work for `key`, unless it is running; nobody waits for it.
    pub(crate) fn begin<F>(&self, key: K, work: F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        drop(self.outcome(key, work));
    }

    /// How many pieces of work are in the air.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.running).len()
    }

    fn outcome<F>(&self, key: K, work: F) -> Option<watch::Receiver<Option<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = Handle::try_current().ok()?;
        let mut running = lock(&self.running);
        // A flight whose task is gone without an outcome is replaced.
        if let Some(flight) = running.get(&key).filter(|flight| flight.is_alive()) {
            return Some(flight.outcome.clone());
        }
        let (sender, outcome) = watch::channel(None);
        let (shared, own_key) = (Arc::downgrade(&self.running), key.clone());
        let task = runtime.spawn(async move {
            let value = work.await;
            if let Some(running) = shared.upgrade() {
                lock(&running).remove(&own_key);
            }
            sender.send_replace(Some(value));
        });
        running.insert(key, Flight { outcome: outcome.clone(), task: task.abort_handle() });
        Some(outcome)
    }
}

/// Work that goes on in a task of its own when nobody waits for it any more: what a store writes is written
/// whole. `None` if it panicked, or there is no runtime.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn detached<F>(work: F) -> impl Future<Output = Option<F::Output>> + Send
where
    F: Future<Output: Send> + Send + 'static,
{
    let task = Handle::try_current().ok().map(|runtime| runtime.spawn(work));
    async move { task?.await.ok() }
}

/// Work that goes on until this handle is dropped.
#[cfg(feature = "postgres")]
pub(crate) struct Background(AbortHandle);

#[cfg(feature = "postgres")]
impl Background {
    /// `None` if there is no runtime.
    pub(crate) fn begin(work: impl Future<Output = ()> + Send + 'static) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        Some(Self(runtime.spawn(work).abort_handle()))
    }
}

#[cfg(feature = "postgres")]
impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Work that keeps a core busy, on a thread of its own. `None` if it panicked, or there is no runtime.
#[cfg(feature = "issue")]
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let task = Handle::try_current().ok().map(|runtime| runtime.spawn_blocking(work));
    async move { task?.await.ok() }
}

/// The outcome, once it is there.
async fn landed<T: Clone>(mut outcome: watch::Receiver<Option<T>>) -> Option<T> {
    // Fails only if the task went away without an outcome.
    outcome.wait_for(Option::is_some).await.ok()?.clone()
}

/// A panic elsewhere leaves the map whole: each change of it is one call.
fn lock<K, T>(running: &Mutex<HashMap<K, Flight<T>>>) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Flight<T> {
    fn is_alive(&self) -> bool {
        self.outcome.has_changed().is_ok()
    }
}

impl<T> Drop for Flight<T> {
    /// Harmless for a task that is done, and for the task that is just taking itself off the map: it
    /// does not wait any more.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::SingleFlight;

    struct Story {
        flight: SingleFlight<usize>,
        started: Arc<AtomicUsize>,
        land: Arc<Notify>,
    }

    impl Story {
        fn new() -> Self {
            Self { flight: SingleFlight::new(), started: Arc::default(), land: Arc::default() }
        }

        fn join(&self) -> impl Future<Output = Option<usize>> + Send + use<> {
            let (started, land) = (Arc::clone(&self.started), Arc::clone(&self.land));
            self.flight.join((), async move {
                let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                land.notified().await;
                number
            })
        }
    }

    #[tokio::test]
    async fn a_thousand_callers_share_one_flight() {
        let story = Story::new();
        let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(story.join())).collect();
        tokio::task::yield_now().await;
        story.land.notify_one();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Some(1));
        }
        assert_eq!(story.started.load(Ordering::SeqCst), 1);
        assert_eq!(story.flight.len(), 0);
    }

    #[tokio::test]
    async fn whoever_began_may_go_away() {
        let story = Story::new();
        drop(story.join());
        let second = story.join();
        story.land.notify_one();
        assert_eq!(second.await, Some(1));
    }

    #[tokio::test]
    async fn the_next_flight_is_another() {
        let story = Story::new();
        for expected in 1..=3 {
            let flight = story.join();
            story.land.notify_one();
            assert_eq!(flight.await, Some(expected));
        }
    }

    #[tokio::test]
    async fn a_panic_is_no_outcome_and_leaves_room_for_the_next() {
        let flight = SingleFlight::<usize>::new();
        let outcome = flight.join((), async { panic!("on purpose") }).await;
        assert_eq!(outcome, None);
        assert_eq!(flight.join((), async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn dropping_the_flights_ends_the_task() {
        let story = Story::new();
        let waiting = story.join();
        tokio::task::yield_now().await;
        drop(story.flight);
        assert_eq!(waiting.await, None);
    }

    #[test]
    fn without_a_runtime_there_is_no_outcome() {
        let flight = SingleFlight::<usize>::new();
        let waiting = flight.join((), async { 7 });
        assert_eq!(tokio_test::block_on(waiting), None);
    }
}
