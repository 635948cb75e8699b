//! The wall clock, as a value: the only file that reads the system's.

#[cfg(any(feature = "client", feature = "jwt"))]
use std::fmt;
#[cfg(any(feature = "client", feature = "jwt"))]
use std::sync::Arc;
#[cfg(any(feature = "pat", feature = "remote"))]
use std::time::Duration;
use std::time::SystemTime;
#[cfg(feature = "jwt")]
use std::time::UNIX_EPOCH;

/// Tells the time that `exp`, `nbf` and `iat` are judged by.
///
/// Any `Fn() -> SystemTime` is a clock. [`SystemClock`] is the default everywhere; tests use
/// `ManualClock` (feature `test-util`).
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> SystemTime;
}

impl<F> Clock for F
where
    F: Fn() -> SystemTime + Send + Sync + 'static,
{
    fn now(&self) -> SystemTime {
        self()
    }
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The system's wall clock.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A shared clock, cheap to clone, that can stand in a `Debug` struct: the system's, until another is given.
#[cfg(any(feature = "client", feature = "jwt"))]
#[derive(Clone, Default)]
pub(crate) struct SharedClock(Option<Arc<dyn Clock>>);

#[cfg(any(feature = "client", feature = "jwt"))]
impl SharedClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self(Some(Arc::new(clock)))
    }

    pub(crate) fn now(&self) -> SystemTime {
        match &self.0 {
            Some(clock) => clock.now(),
            None => SystemClock.now(),
        }
    }

    /// Nanoseconds since the Unix epoch.
    #[cfg(feature = "jwt")]
    pub(crate) fn unix_nanos(&self) -> i128 {
        unix_nanos(self.now())
    }

    /// True until another is given.
    #[inline]
    pub(crate) fn is_system(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(any(feature = "client", feature = "jwt"))]
impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// From the first moment at which something is good up to the one at which it is not any more, in nanoseconds since
/// the Unix epoch, as far as 64 bits reach: from 1677 to 2262.
#[cfg(feature = "jwt")]
pub(crate) struct Window {
    begin: i64,
    end: i64,
}

#[cfg(feature = "jwt")]
impl Window {
    /// What lies beyond is left out.
    pub(crate) fn new(begin: i128, end: i128) -> Self {
        let nanos = |at: i128| i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX });
        Self { begin: nanos(begin), end: nanos(end) }
    }

    pub(crate) fn contains(&self, now: i128) -> bool {
        i128::from(self.begin) <= now && now < i128::from(self.end)
    }

    /// True if this is so now; as cheaply as can be where the next second does not matter.
    pub(crate) fn is_open(&self, clock: &SharedClock) -> bool {
        let is_long = |behind: i64| self.begin <= behind && behind.saturating_add(1_000_000_000) < self.end;
        if clock.is_system() && coarse::wall().is_some_and(is_long) {
            return true;
        }
        self.contains(clock.unix_nanos())
    }
}

/// The system's clocks as of the last tick of its timer: up to 10 ms behind, and read in 3 ns where a precise one
/// takes 25. In nanoseconds; `None` where there are no such clocks.
#[cfg(any(feature = "client", feature = "jwt"))]
pub(crate) mod coarse {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};

    /// Since the Unix epoch.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[inline]
    pub(crate) fn wall() -> Option<i64> {
        read(ClockId::RealtimeCoarse)
    }

    /// Since the machine started, without the time that it was suspended.
    #[cfg(all(feature = "client", any(target_os = "android", target_os = "linux")))]
    #[inline]
    pub(crate) fn running() -> Option<i64> {
        read(ClockId::MonotonicCoarse)
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[inline]
    fn read(clock: ClockId) -> Option<i64> {
        // Unlike the plain function, this one does not panic on a kernel without the clock.
        let time = clock_gettime_dynamic(DynamicClockId::Known(clock)).ok()?;
        Some(time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec))
    }

    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    pub(crate) fn wall() -> Option<i64> {
        None
    }

    #[cfg(all(feature = "client", not(any(target_os = "android", target_os = "linux"))))]
    pub(crate) fn running() -> Option<i64> {
        None
    }
}

/// Ages are no longer: it is more than anything runs, and little enough to be added to any time.
#[cfg(any(feature = "pat", feature = "remote"))]
pub(crate) const LONGEST_AGE: Duration = Duration::from_secs(u32::MAX as u64);

/// Whole seconds since the Unix epoch, zero before it.
#[cfg(feature = "pat")]
pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Nanoseconds since the Unix epoch, negative before it. Wide enough for every `SystemTime`.
#[cfg(feature = "jwt")]
pub(crate) fn unix_nanos(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |n| -n),
    }
}

#[cfg(all(test, feature = "jwt"))]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Clock, SharedClock, SystemClock, Window, unix_nanos};

    #[test]
    fn a_window_is_judged_to_the_nanosecond() {
        let at = |nanos: u64| SharedClock::new(move || UNIX_EPOCH + Duration::from_nanos(nanos));
        let window = Window::new(1_000, 2_000);
        let open = [999, 1_000, 1_999, 2_000].map(|now| window.is_open(&at(now)));
        assert_eq!(open, [false, true, true, false]);
    }

    #[test]
    fn the_end_of_a_window_is_not_seen_late() {
        // The system's clock goes on, so only what has passed is certain.
        let now = unix_nanos(SystemClock.now());
        let clock = SharedClock::default();
        assert!(!Window::new(i128::MIN, now).is_open(&clock));
        assert!(Window::new(now, i128::MAX).is_open(&clock));
        assert!(!Window::new(now + 3_600_000_000_000, i128::MAX).is_open(&clock));
    }

    #[test]
    fn both_sides_of_the_epoch() {
        assert_eq!(unix_nanos(UNIX_EPOCH), 0);
        assert_eq!(unix_nanos(UNIX_EPOCH + Duration::from_millis(1500)), 1_500_000_000);
        assert_eq!(unix_nanos(UNIX_EPOCH - Duration::from_secs(2)), -2_000_000_000);
    }
}
