use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

/// A quarter of what 64 bits of nanoseconds hold, 146 years: the sums below do not overflow.
const LONGEST: u64 = u64::MAX / 4;

/// The failures of each peer, as a token bucket that is kept as one time (the generic cell rate algorithm of
/// ITU-T I.371): when the peer will have paid for all of them. Times are nanoseconds since the creation.
pub(super) struct Buckets {
    created: Instant,
    burst: u64,
    /// What one failure costs.
    refill: u64,
    capacity: usize,
    paid_at: Cache<Peer, Arc<AtomicU64>>,
}

/// What failures are counted by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Peer {
    Unknown,
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6([u16; 4]),
}

impl Buckets {
    pub(super) fn new(burst: NonZeroU32, refill: Duration, capacity: usize) -> Self {
        let burst = u64::from(burst.get());
        let refill = u64::try_from(refill.as_nanos()).unwrap_or(u64::MAX).min(LONGEST / burst);
        Self::empty(burst, refill, capacity)
    }

    fn empty(burst: u64, refill: u64, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { created: Instant::now(), burst, refill, capacity, paid_at: Cache::new(capacity) }
    }

    /// The same rate, for another number of peers, none of which has failed yet.
    pub(super) fn emptied(&self, capacity: usize) -> Self {
        Self::empty(self.burst, self.refill, capacity)
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How long until the peer may fail again, if it may not now.
    pub(super) fn wait(&self, peer: Peer) -> Option<Duration> {
        let paid_at = self.paid_at.get(&peer)?.load(Ordering::Relaxed);
        let last_free = self.now() + self.refill * (self.burst - 1);
        paid_at.checked_sub(last_free).filter(|wait| *wait > 0).map(Duration::from_nanos)
    }

    /// Charges one failure; what is owed beyond the burst is at most another burst.
    pub(super) fn charge(&self, peer: Peer) {
        let now = self.now();
        let most = now + 2 * self.burst * self.refill;
        let Ok(paid_at) = self.paid_at.get_or_insert_with(&peer, || Ok::<_, Infallible>(Arc::default()));
        let _ = paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| {
            Some((paid_at.max(now) + self.refill).min(most))
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX).min(LONGEST)
    }
}

impl From<Option<IpAddr>> for Peer {
    fn from(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("burst", &self.burst)
            .field("refill", &Duration::from_nanos(self.refill))
            .field("capacity", &self.capacity)
            .field("peers", &self.paid_at.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use tokio::time::advance;

    use super::{Buckets, Peer};

    const SECOND: Duration = Duration::from_secs(1);
    const NANOSECOND: Duration = Duration::from_nanos(1);

    fn buckets(burst: u32, refill: Duration) -> Buckets {
        Buckets::new(NonZeroU32::new(burst).unwrap(), refill, 1000)
    }

    fn peer(address: &str) -> Peer {
        Some(address.parse::<IpAddr>().unwrap()).into()
    }

    fn fail(buckets: &Buckets, peer: Peer, times: usize) {
        (0..times).for_each(|_| buckets.charge(peer));
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_and_not_one_more() {
        let (buckets, peer) = (buckets(3, SECOND), peer("192.0.2.1"));
        for _ in 0..3 {
            assert_eq!(buckets.wait(peer), None);
            buckets.charge(peer);
        }
        assert_eq!(buckets.wait(peer), Some(SECOND));
        advance(SECOND - NANOSECOND).await;
        assert_eq!(buckets.wait(peer), Some(NANOSECOND));
        advance(NANOSECOND).await;
        assert_eq!(buckets.wait(peer), None);
        buckets.charge(peer);
        assert_eq!(buckets.wait(peer), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn time_gives_back_the_burst_and_no_more() {
        let (buckets, peer) = (buckets(3, SECOND), peer("192.0.2.1"));
        fail(&buckets, peer, 3);
        advance(3600 * SECOND).await;
        fail(&buckets, peer, 2);
        assert_eq!(buckets.wait(peer), None);
        buckets.charge(peer);
        assert_eq!(buckets.wait(peer), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_beyond_is_owed_up_to_a_burst() {
        let (buckets, peer) = (buckets(3, SECOND), peer("192.0.2.1"));
        fail(&buckets, peer, 5);
        assert_eq!(buckets.wait(peer), Some(3 * SECOND));
        fail(&buckets, peer, 1000);
        assert_eq!(buckets.wait(peer), Some(4 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_rates_hold_and_none_overflows() {
        let century = Duration::from_secs(100 * 365 * 86_400);
        for burst in [1, 3, u32::MAX] {
            let (buckets, peer) = (buckets(burst, Duration::MAX), peer("192.0.2.1"));
            advance(century).await;
            fail(&buckets, peer, 10);
            assert_eq!(buckets.wait(peer).is_some(), burst <= 10, "{burst}");
            assert!(buckets.wait(peer).is_none_or(|wait| wait > century / 3), "{burst}");
        }
        let (never, peer) = (buckets(1, Duration::ZERO), peer("192.0.2.1"));
        fail(&never, peer, 10);
        assert_eq!(never.wait(peer), None);
    }

    #[test]
    fn who_is_one_peer() {
        let same = |one, other| peer(one) == peer(other);
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert_ne!(peer("::"), Peer::from(None));
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_are_remembered_and_not_too_many_atk_50() {
        let buckets = Buckets::new(NonZeroU32::MIN, SECOND, 100);
        for number in 0..10_000_u32 {
            let peer = Peer::from(Some(IpAddr::from(number.to_be_bytes())));
            assert_eq!(buckets.wait(peer), None);
        }
        assert_eq!(buckets.paid_at.len(), 0);
        for number in 0..10_000_u32 {
            buckets.charge(Some(IpAddr::from(number.to_be_bytes())).into());
        }
        assert!(buckets.paid_at.len() <= 128, "{buckets:?}");

        let single = buckets.emptied(0);
        single.charge(Peer::Unknown);
        assert_eq!(single.wait(Peer::Unknown), Some(SECOND));
    }

    #[test]
    fn failures_at_once_are_all_counted() {
        let (buckets, peer) = (buckets(1000, 3600 * SECOND), peer("192.0.2.1"));
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| fail(&buckets, peer, 249))));
        });
        fail(&buckets, peer, 3);
        assert_eq!(buckets.wait(peer), None);
        buckets.charge(peer);
        assert!(buckets.wait(peer).is_some());
    }
}
