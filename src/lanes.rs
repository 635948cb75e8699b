//! One value for each thread, or nearly: threads that count references in one place wait for each other.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

/// Each value takes memory.
const MOST: usize = 32;

/// Twice as many values as threads run at once, up to 32. Threads that share one all the same are slower for it,
/// and no worse.
pub(crate) struct Lanes<T>(Box<[T]>);

impl<T> Lanes<T> {
    /// The values are as good as each other.
    pub(crate) fn new(make: impl FnMut() -> T) -> Self {
        Self(std::iter::repeat_with(make).take(count()).collect())
    }

    #[inline]
    pub(crate) fn at(&self, lane: Lane) -> &T {
        &self.0[lane.0]
    }
}

/// The place of a thread's value in all lanes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lane(usize);

impl Lane {
    /// This thread's: threads take turns, in the order in which they ask first.
    #[inline]
    pub(crate) fn own() -> Self {
        thread_local! {
            static OWN: Cell<Option<Lane>> = const { Cell::new(None) };
        }
        OWN.get().unwrap_or_else(|| {
            let own = Self::next();
            OWN.set(Some(own));
            own
        })
    }

    #[cold]
    fn next() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed) % count())
    }
}

/// Of each row of lanes.
fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| available_parallelism().map_or(1, usize::from).saturating_mul(2).min(MOST))
}

impl<T> fmt::Debug for Lanes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lanes")
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Lanes, count};

    #[test]
    fn a_thread_keeps_its_own_and_the_next_has_another() {
        let mut made = 0..;
        let lanes = Lanes::new(|| made.next());
        let (own, one) = (lanes.at(Lane::own()), Lane::own());
        let others = || std::thread::spawn(Lane::own).join().unwrap();
        let others: Vec<_> = (0..count()).map(|_| others()).collect();
        assert!(count() >= 2 && others.iter().any(|other| *other != one));
        assert!(others.iter().all(|other| lanes.at(*other).is_some()));
        assert!(Lane::own() == one && lanes.at(one) == own);
    }
}
