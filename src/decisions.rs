//! Accepted tokens, remembered: bounded, and read without a lock.
//!
//! 1. A token is found by all of its bytes; a hash of the last of them, which are its signature's, only says
//!    where to look. So no two tokens share an entry, whatever anybody can compute.
//! 2. Readers wait for nobody. They see an entry whole, or not at all.
//! 3. Entries and bytes are bounded. What is full forgets something; what is lost is asked for again.
//! 4. Whether an entry still counts is the reader's question, at each look.
//!
//! A table has buckets of eight places. It begins small, and grows when one is full.

use std::array;
use std::fmt;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use zeroize::Zeroizing;

const WAYS: usize = 8;
/// 96 bits of a signature in base64url.
const HASHED_BYTES: usize = 16;
/// 1,024 places: 80 KiB.
const FIRST_BUCKETS: usize = 128;
/// How many buckets are looked through for something to forget, for one entry that is too much.
const MAX_SWEEP: usize = 64;

pub(crate) struct Decisions<V> {
    hasher: RandomState,
    table: ArcSwap<Table<V>>,
    growing: Mutex<()>,
    /// Where the last sweep ended.
    hand: AtomicUsize,
    max_entries: usize,
    max_bytes: usize,
}

struct Table<V> {
    buckets: Box<[Bucket<V>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

struct Bucket<V> {
    /// A few bits of the hash for each place, so that one look tells which to read. Zero for an empty one.
    tags: [AtomicU16; WAYS],
    places: [ArcSwapOption<Entry<V>>; WAYS],
}

struct Entry<V> {
    hash: u64,
    token: Zeroizing<Box<[u8]>>,
    value: V,
    weight: usize,
}

impl<V> Decisions<V> {
    /// With zero of either, nothing is remembered.
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let first = match max_entries.min(max_bytes) {
            0 => 0,
            _ => max_entries
                .div_ceil(2)
                .checked_next_power_of_two()
                .map_or(FIRST_BUCKETS, |few| few.min(FIRST_BUCKETS)),
        };
        Self {
            hasher: RandomState::default(),
            table: ArcSwap::from_pointee(Table::new(first)),
            growing: Mutex::new(()),
            hand: AtomicUsize::new(0),
            max_entries,
            max_bytes,
        }
    }

    /// What `read` makes of the entry of this token, if there is one.
    pub(crate) fn get<R>(&self, token: &[u8], read: impl FnOnce(&V) -> Option<R>) -> Option<R> {
        let table = self.table.load();
        if table.entries.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let hash = self.hash(token);
        let bucket = table.bucket(hash)?;
        for (place, tag) in bucket.places.iter().zip(&bucket.tags) {
            if tag.load(Ordering::Relaxed) == tag_of(hash)
                && let Some(entry) = &*place.load()
                && entry.hash == hash
                && **entry.token == *token
            {
                return read(&entry.value);
            }
        }
        None
    }

    /// Remembers a token; `weight` is what the value holds besides, in bytes. An entry that `is_void` gives way
    /// first.
    pub(crate) fn insert(&self, token: &[u8], value: V, weight: usize, is_void: impl Fn(&V) -> bool) {
        let weight = weight.saturating_add(token.len()).saturating_add(size_of::<Entry<V>>());
        if weight > self.max_bytes || self.max_entries == 0 {
            return;
        }
        let hash = self.hash(token);
        let entry = Arc::new(Entry { hash, token: Zeroizing::new(token.into()), value, weight });
        let mut table = self.table.load();
        let Some(mut bucket) = table.bucket(hash) else { return };
        let mut place = bucket.place_for(hash, token, &is_void);
        if place.is_none() && self.may_grow(&table) {
            self.grow(&table);
            table = self.table.load();
            let Some(other) = table.bucket(hash) else { return };
            bucket = other;
            place = bucket.place_for(hash, token, &is_void);
        }
        // Of those that are good, any: by bits that neither the bucket nor the tag is chosen by.
        table.put(bucket, place.unwrap_or((hash >> 40) as usize % WAYS), Some(entry));
        if self.is_over(&table) {
            self.sweep(&table);
        }
    }

    /// Where buckets are crowded by chance, and not because the table is small for what is in it, more of them
    /// would not help for long.
    fn may_grow(&self, table: &Table<V>) -> bool {
        let places = table.buckets.len() * WAYS;
        places < self.max_entries.saturating_mul(8) && table.entries.load(Ordering::Relaxed) > places / 16
    }

    /// Good signatures of two contents differ, so the rest need not be looked at to spread them.
    fn hash(&self, token: &[u8]) -> u64 {
        let tail = token.last_chunk::<HASHED_BYTES>();
        tail.map_or_else(|| self.hasher.hash_one(token), |tail| self.hasher.hash_one(tail))
    }

    fn is_over(&self, table: &Table<V>) -> bool {
        table.entries.load(Ordering::Relaxed) > self.max_entries
            || table.bytes.load(Ordering::Relaxed) > self.max_bytes
    }

    /// Forgets something, bucket after bucket, until the bounds hold again.
    fn sweep(&self, table: &Table<V>) {
        for _ in 0..MAX_SWEEP {
            let bucket = &table.buckets[self.hand.fetch_add(1, Ordering::Relaxed) % table.buckets.len()];
            for place in 0..WAYS {
                if !self.is_over(table) {
                    return;
                }
                if bucket.tags[place].load(Ordering::Relaxed) != 0 {
                    table.put(bucket, place, None);
                }
            }
        }
    }

    /// Twice as many places, with what is in the old ones. What another puts there meanwhile may be lost.
    fn grow(&self, old: &Table<V>) {
        let Ok(_alone) = self.growing.try_lock() else { return };
        if self.table.load().buckets.len() != old.buckets.len() {
            return;
        }
        let mut buckets: Vec<_> = (0..old.buckets.len() * 2).map(|_| [const { None }; WAYS]).collect();
        let taken = |(tag, place): (&AtomicU16, &ArcSwapOption<Entry<V>>)| {
            (tag.load(Ordering::Relaxed) != 0).then(|| place.load_full()).flatten()
        };
        for bucket in &old.buckets {
            for entry in bucket.tags.iter().zip(&bucket.places).filter_map(taken) {
                let bucket = &mut buckets[index(entry.hash, old.buckets.len() * 2)];
                if let Some(place) = bucket.iter_mut().find(|place| place.is_none()) {
                    *place = Some(entry);
                }
            }
        }
        self.table.store(Arc::new(Table::of(buckets)));
    }
}

impl<V> Table<V> {
    fn new(buckets: usize) -> Self {
        Self::of((0..buckets).map(|_| [const { None }; WAYS]).collect())
    }

    fn of(buckets: Vec<[Option<Arc<Entry<V>>>; WAYS]>) -> Self {
        let entries = || buckets.iter().flatten().flatten();
        Self {
            entries: AtomicUsize::new(entries().count()),
            bytes: AtomicUsize::new(entries().map(|entry| entry.weight).sum()),
            buckets: buckets.into_iter().map(Bucket::of).collect(),
        }
    }

    fn put(&self, bucket: &Bucket<V>, place: usize, entry: Option<Arc<Entry<V>>>) {
        bucket.tags[place].store(entry.as_ref().map_or(0, |entry| tag_of(entry.hash)), Ordering::Relaxed);
        if let Some(entry) = &entry {
            self.entries.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(entry.weight, Ordering::Relaxed);
        }
        if let Some(old) = bucket.places[place].swap(entry) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(old.weight, Ordering::Relaxed);
        }
    }

    /// `None` where nothing is ever remembered.
    fn bucket(&self, hash: u64) -> Option<&Bucket<V>> {
        self.buckets.get(index(hash, self.buckets.len()))
    }
}

impl<V> Bucket<V> {
    fn of(entries: [Option<Arc<Entry<V>>>; WAYS]) -> Self {
        let tag = |place: usize| entries[place].as_ref().map_or(0, |entry| tag_of(entry.hash));
        Self {
            tags: array::from_fn(|place| AtomicU16::new(tag(place))),
            places: entries.map(ArcSwapOption::new),
        }
    }

    /// The place of this very token, or an empty one, or that of an entry that is void.
    fn place_for(&self, hash: u64, token: &[u8], is_void: &impl Fn(&V) -> bool) -> Option<usize> {
        let tags = || self.tags.iter().map(|tag| tag.load(Ordering::Relaxed)).enumerate();
        let holds = |index: usize, test: &dyn Fn(&Entry<V>) -> bool| {
            self.places[index].load().as_ref().is_some_and(|entry| test(entry))
        };
        let same = |entry: &Entry<V>| entry.hash == hash && **entry.token == *token;
        let own = tags().find(|(index, tag)| *tag == tag_of(hash) && holds(*index, &same));
        let empty = || tags().find(|(_, tag)| *tag == 0);
        let void = || tags().find(|(index, _)| holds(*index, &|entry| is_void(&entry.value)));
        own.or_else(empty).or_else(void).map(|(index, _)| index)
    }
}

/// Of so many buckets, a power of two. The tag has the bits at the other end.
const fn index(hash: u64, buckets: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "masked by a length")]
    let index = hash as usize & buckets.wrapping_sub(1);
    index
}

/// Never zero: that is an empty place.
const fn tag_of(hash: u64) -> u16 {
    ((hash >> 48) as u16) | 1
}

impl<V> fmt::Debug for Decisions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.load();
        f.debug_struct("Decisions")
            .field("entries", &table.entries.load(Ordering::Relaxed))
            .field("bytes", &table.bytes.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use proptest::prelude::*;

    use super::Decisions;

    fn token(number: usize) -> Vec<u8> {
        // Signatures are spread; so is this.
        format!("token.{:020}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
    }

    fn fill(decisions: &Decisions<usize>, numbers: std::ops::Range<usize>) {
        for number in numbers {
            decisions.insert(&token(number), number, 100, |_| false);
        }
    }

    fn found(decisions: &Decisions<usize>, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| decisions.get(&token(*number), |value| Some(*value)) == Some(*number)).count()
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let decisions = Decisions::new(100_000, usize::MAX);
        fill(&decisions, 0..20_000);
        // It grows before it forgets; now and then nine of a crowd stay together when it does.
        assert!(found(&decisions, 0..20_000) >= 19_990);
        assert_eq!(found(&decisions, 20_000..21_000), 0);
        let value = decisions.get(&token(7), |value| (*value != 7).then_some(()));
        assert_eq!(value, None, "the reader decides");
    }

    #[test]
    fn one_tail_is_not_one_token_atk_36() {
        let decisions = Decisions::new(100, usize::MAX);
        let tail = "0123456789abcdef0123456789abcdef";
        for number in 0..6_usize {
            decisions.insert(format!("{number}.{tail}").as_bytes(), number, 0, |_| false);
        }
        for number in 0..6_usize {
            let token = format!("{number}.{tail}");
            assert_eq!(decisions.get(token.as_bytes(), |value| Some(*value)), Some(number));
        }
        assert_eq!(decisions.get(format!("7.{tail}").as_bytes(), |value| Some(*value)), None);
        assert_eq!(decisions.get(b"short", |value| Some(*value)), None);
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        for (max_entries, max_bytes) in [(1_000, usize::MAX), (usize::MAX / 16, 200_000)] {
            let decisions = Decisions::new(max_entries, max_bytes);
            for number in 0..20_000 {
                decisions.insert(&token(number), number, 100, |_| false);
                let table = decisions.table.load();
                assert!(table.entries.load(Ordering::Relaxed) <= max_entries);
                assert!(table.bytes.load(Ordering::Relaxed) <= max_bytes);
            }
            assert!(found(&decisions, 0..20_000) > 500, "and it goes on remembering");
        }
    }

    #[test]
    fn zero_of_either_remembers_nothing() {
        for (max_entries, max_bytes) in [(0, 100_000), (100, 0), (100, 50)] {
            let decisions = Decisions::new(max_entries, max_bytes);
            fill(&decisions, 0..10);
            assert_eq!(found(&decisions, 0..10), 0);
        }
    }

    #[test]
    fn a_token_takes_its_own_place_and_that_of_a_void_one() {
        let decisions = Decisions::new(8, usize::MAX);
        for value in 0..10 {
            decisions.insert(&token(1), value, 100, |_| false);
        }
        assert_eq!(decisions.table.load().entries.load(Ordering::Relaxed), 1);
        assert_eq!(decisions.get(&token(1), |value| Some(*value)), Some(9));
    }

    #[test]
    fn many_threads_at_a_time_see_whole_entries() {
        let decisions = Decisions::new(2_000, 400_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let decisions = &decisions;
                scope.spawn(move || {
                    for number in (0..20_000).map(|number| (number * 7 + thread * 13) % 3_000) {
                        decisions.insert(&token(number), number, 100, |_| number % 3 == 0);
                        if let Some(value) = decisions.get(&token(number), |value| Some(*value)) {
                            assert_eq!(value, number);
                        }
                    }
                });
            }
        });
        let table = decisions.table.load();
        let held: usize = table
            .buckets
            .iter()
            .flat_map(|bucket| &bucket.places)
            .filter(|place| place.load().is_some())
            .count();
        assert_eq!(table.entries.load(Ordering::Relaxed), held, "all is counted");
    }

    proptest! {
        #[test]
        fn a_map_that_may_forget(steps in prop::collection::vec((0_usize..40, any::<bool>()), 0..200)) {
            let decisions = Decisions::new(16, usize::MAX);
            let mut map = std::collections::HashMap::new();
            for (step, (number, put)) in steps.into_iter().enumerate() {
                if put {
                    decisions.insert(&token(number), step, 0, |_| false);
                    map.insert(number, step);
                } else if let Some(value) = decisions.get(&token(number), |value| Some(*value)) {
                    prop_assert_eq!(map.get(&number), Some(&value));
                }
            }
        }
    }
}
