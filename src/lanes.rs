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
        static LANES: OnceLock<usize> = OnceLock::new();
        let lanes = *LANES.get_or_init(|| {
            let threads = available_parallelism().map_or(1, usize::from);
            (2 * threads).min(MOST).next_power_of_two()
        });
        Self(std::iter::repeat_with(make).take(lanes).collect())
    }

    /// The one of the thread with this number.
    #[inline]
    pub(crate) fn at(&self, number: usize) -> &T {
        // The length is a power of two.
        &self.0[number & (self.0.len() - 1)]
    }
}

/// The number of this thread: 1, 2, 3 and so on, in the order in which they ask.
#[inline]
pub(crate) fn number() -> usize {
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(0) };
    }
    static LAST: AtomicUsize = AtomicUsize::new(0);
    match OWN.get() {
        0 => {
            let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            OWN.set(number);
            number
        }
        number => number,
    }
}

impl<T> fmt::Debug for Lanes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lanes")
    }
}

#[cfg(test)]
mod tests {
    use super::{Lanes, number};

    #[test]
    fn a_thread_keeps_its_own_and_shares_its_number_with_nobody() {
        let mut made = 0..;
        let lanes = Lanes::new(|| made.next());
        assert!(lanes.0.len().is_power_of_two());
        let (own, one) = (lanes.at(number()), number());
        let other = std::thread::spawn(number).join().unwrap();
        assert!(other != one && number() == one && lanes.at(number()) == own);
    }
}
