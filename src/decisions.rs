//! Accepted tokens, remembered: bounded, and read without a lock.
//!
//! 1. A token is found by all of its bytes; a hash of the last of them, which are its signature's, only says
//!    where to look. So no two tokens share an entry, whatever anybody can compute.
//! 2. Readers wait for nobody. They see an entry whole, or not at all.
//! 3. Entries and bytes are bounded. What is full forgets something; what is lost is asked for again.
//! 4. Whether an entry still counts is the reader's question, at each look.
//!
//! A table has buckets of eight places. It begins small, and another of twice the size takes over when a bucket
//! is full: what is looked at in turn lies close together.

use std::array;
use std::fmt;
use std::hash::BuildHasher;
use std::ptr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

const WAYS: usize = 8;
/// 96 bits of a signature in base64url.
const HASHED_BYTES: usize = 16;
/// Of a first table: 4,096 places, 40 KiB. Fewer where fewer entries are allowed.
const FIRST_BUCKETS: usize = 512;
/// The last table has half a million buckets: 40 MiB.
const TABLES: usize = 11;

/// With `WHOLE`, all of the bytes are hashed: for what does not end in a signature.
pub(crate) struct Decisions<V, const WHOLE: bool = false> {
    hasher: RandomState,
    /// Those before the current one are empty.
    tables: [OnceLock<Table<V>>; TABLES],
    current: AtomicUsize,
    growing: Mutex<()>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    /// Where the last sweep ended.
    hand: AtomicUsize,
    first_buckets: usize,
    max_entries: usize,
    max_bytes: usize,
}

/// The number of buckets is a power of two.
struct Table<V>(Box<[Bucket<V>]>);

struct Bucket<V> {
    /// A few bits of the hash for each place, so that one look tells which to read. Zero for an empty one.
    tags: [AtomicU16; WAYS],
    places: [ArcSwapOption<V>; WAYS],
}

/// What is remembered of a token, and which that is: one allocation, so that one look finds both.
pub(crate) trait Remembered {
    /// The token. The same at each call.
    fn token(&self) -> &[u8];

    /// About how many bytes it holds. The same at each call.
    fn weight(&self) -> usize;
}

impl<V: Remembered, const WHOLE: bool> Decisions<V, WHOLE> {
    /// With zero of either, nothing is remembered.
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            tables: [const { OnceLock::new() }; TABLES],
            current: AtomicUsize::new(0),
            growing: Mutex::new(()),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            first_buckets: max_entries.clamp(1, FIRST_BUCKETS).next_power_of_two(),
            max_entries,
            max_bytes,
        }
    }

    /// True if nothing is remembered at all.
    pub(crate) fn is_off(&self) -> bool {
        self.max_entries == 0 || self.max_bytes == 0
    }

    /// What `read` makes of the entry of this token, if there is one.
    pub(crate) fn get<R>(&self, token: &[u8], read: impl FnOnce(&Arc<V>) -> Option<R>) -> Option<R> {
        let table = self.tables[self.current.load(Ordering::Acquire)].get()?;
        let hash = self.hash(token);
        let bucket = table.bucket(hash);
        for (place, tag) in bucket.places.iter().zip(&bucket.tags) {
            if tag.load(Ordering::Relaxed) == tag_of(hash)
                && let Some(entry) = &*place.load()
                && entry.token() == token
            {
                return read(entry);
            }
        }
        None
    }

    /// Remembers a token. An entry that `is_void` gives way first.
    pub(crate) fn insert(&self, entry: Arc<V>, is_void: impl Fn(&V) -> bool) {
        if self.is_off() || entry.weight() > self.max_bytes {
            return;
        }
        let hash = self.hash(entry.token());
        let mut index = self.current.load(Ordering::SeqCst);
        let mut bucket = self.table(index).bucket(hash);
        let mut place = bucket.place_for(hash, entry.token(), &is_void);
        if place.is_none() && self.may_grow(index) {
            self.grow(index);
            index = self.current.load(Ordering::SeqCst);
            bucket = self.table(index).bucket(hash);
            place = bucket.place_for(hash, entry.token(), &is_void);
        }
        // Of those that are good, any: by bits that neither the bucket nor the tag is chosen by.
        let place = place.unwrap_or((hash >> 40) as usize % WAYS);
        self.put(bucket, place, Some((tag_of(hash), entry)));
        if self.current.load(Ordering::SeqCst) != index {
            // Another table took over meanwhile, and nobody will look here.
            self.put(bucket, place, None);
        }
        if self.is_over() {
            self.sweep(&bucket.places[place]);
        }
    }

    fn table(&self, index: usize) -> &Table<V> {
        self.tables[index].get_or_init(|| Table::new(self.buckets(index)))
    }

    fn buckets(&self, index: usize) -> usize {
        self.first_buckets << index
    }

    /// Where buckets are crowded by chance, and not because the table is small for what is in it, more of them
    /// would not help for long.
    fn may_grow(&self, index: usize) -> bool {
        let places = self.buckets(index) * WAYS;
        index + 1 < TABLES
            && places < self.max_entries.saturating_mul(8)
            && self.entries.load(Ordering::Relaxed) > places / 16
    }

    /// Good signatures of two contents differ, so the rest need not be looked at to spread them.
    fn hash(&self, token: &[u8]) -> u64 {
        let tail = token.last_chunk::<HASHED_BYTES>().filter(|_| !WHOLE);
        tail.map_or_else(|| self.hasher.hash_one(token), |tail| self.hasher.hash_one(tail))
    }

    fn put(&self, bucket: &Bucket<V>, place: usize, entry: Option<(u16, Arc<V>)>) {
        let (tag, entry) = entry.unzip();
        if let Some(entry) = &entry {
            self.entries.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(entry.weight(), Ordering::Relaxed);
        }
        if let Some(old) = bucket.places[place].swap(entry) {
            self.forgot(&old);
        }
        bucket.tags[place].store(tag.unwrap_or(0), Ordering::Relaxed);
    }

    fn forgot(&self, entry: &V) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(entry.weight(), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.entries.load(Ordering::Relaxed) > self.max_entries
            || self.bytes.load(Ordering::Relaxed) > self.max_bytes
    }

    /// Forgets something else than what is at `kept`, bucket after bucket, until the bounds hold again.
    fn sweep(&self, kept: &ArcSwapOption<V>) {
        let buckets = &self.table(self.current.load(Ordering::SeqCst)).0;
        // A table is larger than another only if it is not all but empty, so this seldom takes many.
        for _ in 0..buckets.len() {
            let bucket = &buckets[self.hand.fetch_add(1, Ordering::Relaxed) % buckets.len()];
            for place in 0..WAYS {
                if !self.is_over() {
                    return;
                }
                // The tags may be behind, if two write at a time.
                let entry = &bucket.places[place];
                if !ptr::eq(entry, kept) && entry.load().is_some() {
                    self.put(bucket, place, None);
                }
            }
        }
    }

    /// Moves all to a table of twice the size.
    fn grow(&self, index: usize) {
        let Ok(_alone) = self.growing.try_lock() else { return };
        if self.current.load(Ordering::SeqCst) != index {
            return;
        }
        let old = self.table(index);
        let mut buckets: Vec<_> = (0..self.buckets(index + 1)).map(|_| [const { None }; WAYS]).collect();
        let count = buckets.len();
        for entry in old.take(|tag, _| tag != 0) {
            let hash = self.hash(entry.token());
            let bucket = &mut buckets[bucket_of(hash, count)];
            match bucket.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some((tag_of(hash), entry)),
                None => self.forgot(&entry),
            }
        }
        // Only who grows makes another than the first, and nobody does so twice.
        let _ = self.tables[index + 1].set(Table(buckets.into_iter().map(Bucket::of).collect()));
        self.current.store(index + 1, Ordering::SeqCst);
        // What came into the old one since it was emptied, with its tag or without it yet; what still comes is
        // taken back by whoever puts it.
        old.take(|_, place| place.load().is_some()).for_each(|entry| self.forgot(&entry));
    }
}

impl<V: Remembered> Table<V> {
    fn new(buckets: usize) -> Self {
        Self((0..buckets).map(|_| Bucket::of([const { None }; WAYS])).collect())
    }

    fn bucket(&self, hash: u64) -> &Bucket<V> {
        &self.0[bucket_of(hash, self.0.len())]
    }

    /// Empties the places that are said to be taken.
    fn take(&self, is_taken: impl Fn(u16, &ArcSwapOption<V>) -> bool) -> impl Iterator<Item = Arc<V>> {
        let places = self.0.iter().flat_map(|bucket| bucket.tags.iter().zip(&bucket.places));
        places.filter_map(move |(tag, place)| {
            is_taken(tag.load(Ordering::Relaxed), place).then(|| place.swap(None)).flatten()
        })
    }
}

impl<V: Remembered> Bucket<V> {
    fn of(entries: [Option<(u16, Arc<V>)>; WAYS]) -> Self {
        let tag = |place: usize| entries[place].as_ref().map_or(0, |(tag, _)| *tag);
        Self {
            tags: array::from_fn(|place| AtomicU16::new(tag(place))),
            places: entries.map(|entry| ArcSwapOption::new(entry.map(|(_, entry)| entry))),
        }
    }

    /// The place of this very token, or an empty one, or that of an entry that is void.
    fn place_for(&self, hash: u64, token: &[u8], is_void: &impl Fn(&V) -> bool) -> Option<usize> {
        let tags = || self.tags.iter().map(|tag| tag.load(Ordering::Relaxed));
        let holds = |index: usize, test: &dyn Fn(&V) -> bool| {
            self.places[index].load().as_ref().is_some_and(|entry| test(entry))
        };
        let own = tags()
            .enumerate()
            .position(|(index, tag)| tag == tag_of(hash) && holds(index, &|entry| entry.token() == token));
        let void = || (0..WAYS).find(|index| holds(*index, &is_void));
        own.or_else(|| tags().position(|tag| tag == 0)).or_else(void)
    }
}

/// Of so many, a power of two. The tag has the bits at the other end.
const fn bucket_of(hash: u64, buckets: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "masked by a length")]
    let index = hash as usize & (buckets - 1);
    index
}

/// Never zero: that is an empty place.
const fn tag_of(hash: u64) -> u16 {
    ((hash >> 48) as u16) | 1
}

impl<V, const WHOLE: bool> fmt::Debug for Decisions<V, WHOLE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions")
            .field("entries", &self.entries.load(Ordering::Relaxed))
            .field("bytes", &self.bytes.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use proptest::prelude::*;

    use super::{Decisions, Remembered};

    struct Entry {
        token: Vec<u8>,
        value: usize,
        weight: usize,
    }

    impl Remembered for Entry {
        fn token(&self) -> &[u8] {
            &self.token
        }

        fn weight(&self) -> usize {
            self.weight
        }
    }

    fn entry(token: impl Into<Vec<u8>>, value: usize) -> Arc<Entry> {
        Arc::new(Entry { token: token.into(), value, weight: 250 })
    }

    fn token(number: usize) -> Vec<u8> {
        // Signatures are spread; so is this.
        format!("token.{:020}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
    }

    fn get<const WHOLE: bool>(decisions: &Decisions<Entry, WHOLE>, token: &[u8]) -> Option<usize> {
        decisions.get(token, |entry| Some(entry.value))
    }

    fn fill(decisions: &Decisions<Entry>, numbers: std::ops::Range<usize>) {
        for number in numbers {
            decisions.insert(entry(token(number), number), |_| false);
        }
    }

    fn found(decisions: &Decisions<Entry>, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| get(decisions, &token(*number)) == Some(*number)).count()
    }

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let decisions = Decisions::<Entry>::new(100_000, usize::MAX);
        fill(&decisions, 0..20_000);
        // It grows before it forgets; now and then eight of a crowd stay together when it does.
        assert!(found(&decisions, 0..20_000) >= 19_990);
        assert_eq!(found(&decisions, 20_000..21_000), 0);
        let value = decisions.get(&token(7), |entry| (entry.value != 7).then_some(()));
        assert_eq!(value, None, "the reader decides");
    }

    #[test]
    fn one_tail_is_not_one_token_atk_36() {
        let decisions = Decisions::<Entry>::new(100, usize::MAX);
        let tail = "0123456789abcdef0123456789abcdef";
        for number in 0..6_usize {
            decisions.insert(entry(format!("{number}.{tail}"), number), |_| false);
        }
        for number in 0..6_usize {
            let token = format!("{number}.{tail}");
            assert_eq!(get(&decisions, token.as_bytes()), Some(number));
        }
        assert_eq!(get(&decisions, format!("7.{tail}").as_bytes()), None);
        assert_eq!(get(&decisions, b"short"), None);
    }

    #[test]
    fn entries_and_bytes_are_bounded() {
        for (max_entries, max_bytes) in [(1_000, usize::MAX), (usize::MAX / 16, 200_000)] {
            let decisions = Decisions::<Entry>::new(max_entries, max_bytes);
            for number in 0..20_000 {
                decisions.insert(entry(token(number), number), |_| false);
                assert!(decisions.entries.load(Ordering::Relaxed) <= max_entries);
                assert!(decisions.bytes.load(Ordering::Relaxed) <= max_bytes);
            }
            assert!(found(&decisions, 0..20_000) > 500, "and it goes on remembering");
        }
    }

    #[test]
    fn what_was_put_in_last_is_found_however_few_there_may_be() {
        for most in 1..5 {
            let decisions = Decisions::<Entry>::new(most, usize::MAX);
            for number in 0..500 {
                decisions.insert(entry(token(number), number), |_| false);
                assert_eq!(found(&decisions, number..number + 1), 1, "{number} of {most}");
                assert!(decisions.entries.load(Ordering::Relaxed) <= most);
            }
        }
    }

    #[test]
    fn what_ends_alike_is_spread_by_all_of_its_bytes() {
        let decisions = Decisions::<Entry, true>::new(16, usize::MAX);
        let header = |number: usize| format!("header {number} and the same end of all");
        (0..16).for_each(|number| decisions.insert(entry(header(number), number), |_| false));
        let found = (0..16).filter(|number| get(&decisions, header(*number).as_bytes()).is_some());
        assert_eq!(found.count(), 16);
    }

    #[test]
    fn zero_of_either_remembers_nothing() {
        for (max_entries, max_bytes) in [(0, 100_000), (100, 0), (100, 50)] {
            let decisions = Decisions::<Entry>::new(max_entries, max_bytes);
            fill(&decisions, 0..10);
            assert_eq!(found(&decisions, 0..10), 0);
        }
    }

    #[test]
    fn a_token_takes_its_own_place_and_that_of_a_void_one() {
        let decisions = Decisions::<Entry>::new(8, usize::MAX);
        for value in 0..10 {
            decisions.insert(entry(token(1), value), |_| false);
        }
        assert_eq!(decisions.entries.load(Ordering::Relaxed), 1);
        assert_eq!(get(&decisions, &token(1)), Some(9));
    }

    #[test]
    fn many_threads_at_a_time_see_whole_entries() {
        let decisions = Decisions::<Entry>::new(2_000, 400_000);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let decisions = &decisions;
                scope.spawn(move || {
                    for number in (0..20_000).map(|number| (number * 7 + thread * 13) % 3_000) {
                        decisions.insert(entry(token(number), number), |_| number % 3 == 0);
                        if let Some(value) = get(decisions, &token(number)) {
                            assert_eq!(value, number);
                        }
                    }
                });
            }
        });
        let buckets = || decisions.tables.iter().filter_map(|table| table.get()).flat_map(|table| &table.0);
        let held = || buckets().flat_map(|bucket| &bucket.places).filter_map(|place| place.load_full());
        assert_eq!(decisions.entries.load(Ordering::Relaxed), held().count(), "all is counted");
        let bytes: usize = held().map(|entry| entry.weight).sum();
        assert_eq!(decisions.bytes.load(Ordering::Relaxed), bytes, "and weighed");
    }

    proptest! {
        #[test]
        fn a_map_that_may_forget(steps in prop::collection::vec((0_usize..40, any::<bool>()), 0..200)) {
            let decisions = Decisions::<Entry>::new(16, usize::MAX);
            let mut map = std::collections::HashMap::new();
            for (step, (number, put)) in steps.into_iter().enumerate() {
                if put {
                    decisions.insert(entry(token(number), step), |_| false);
                    map.insert(number, step);
                } else if let Some(value) = get(&decisions, &token(number)) {
                    prop_assert_eq!(map.get(&number), Some(&value));
                }
            }
        }
    }
}
