//! Accepted tokens, remembered: bounded, and read without a lock.
//!
//! 1. A token is found by all of its bytes; a hash of the last of them, which are its signature's, only says
//!    where to look. So no two tokens share an entry, whatever anybody can compute.
//! 2. Readers wait for nobody. They see an entry whole, or not at all.
//! 3. A new entry waits for no reader: a place is filled once, and the table is renewed when there is none.
//! 4. Entries and bytes are bounded. What is full forgets what is void, then what was not asked for since the last
//!    time, down to half; or an eighth, if all was asked for. What is lost is asked for again.
//! 5. Whether an entry still counts is the reader's question, at each look.
//!
//! The memory is cut into shards, so that little is moved at a time when a table is renewed. A table has buckets
//! of eight places; it begins small, and the next one is larger when a bucket is full.

use std::array;
use std::cmp::Reverse;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

const WAYS: usize = 8;
/// 96 bits of a signature in base64url.
const HASHED_BYTES: usize = 16;
const MAX_SHARDS: usize = 32;
/// What a shard is for, at least.
const SHARD_ENTRIES: usize = 4096;
const SHARD_BYTES: usize = 1 << 20;
/// Of a shard's first table: 2.6 KiB.
const FIRST_BUCKETS: usize = 16;

/// With `WHOLE`, all of the bytes are hashed: for what does not end in a signature.
pub(crate) struct Decisions<V, const WHOLE: bool = false> {
    hasher: RandomState,
    /// A power of two of them.
    shards: Box<[Shard<V>]>,
    bounds: Bounds,
}

/// Of one shard.
#[derive(Clone, Copy)]
struct Bounds {
    entries: usize,
    bytes: usize,
}

struct Shard<V> {
    table: ArcSwapOption<Table<V>>,
    renewal: Mutex<()>,
}

struct Table<V> {
    /// A power of two of them.
    buckets: Box<[Bucket<V>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

struct Bucket<V> {
    /// A part of the hash for each place that is taken, so that one look tells which to read; zero for the others.
    /// Whoever sets it fills the place.
    tags: [AtomicU32; WAYS],
    /// True for what was asked for.
    asked: [AtomicBool; WAYS],
    places: [OnceLock<V>; WAYS],
}

/// What is remembered of a token, and which that is. A clone costs a reference count.
pub(crate) trait Remembered: Clone {
    /// The token. The same at each call.
    fn token(&self) -> &[u8];

    /// About how many bytes it holds. The same at each call.
    fn weight(&self) -> usize;
}

impl<V: Remembered, const WHOLE: bool> Decisions<V, WHOLE> {
    /// With zero of either, nothing is remembered.
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let shards = (max_entries / SHARD_ENTRIES).min(max_bytes / SHARD_BYTES).clamp(1, MAX_SHARDS);
        let shards = 1 << shards.ilog2();
        Self {
            hasher: RandomState::default(),
            shards: (0..shards).map(|_| Shard { table: None.into(), renewal: Mutex::new(()) }).collect(),
            bounds: Bounds { entries: max_entries / shards, bytes: max_bytes / shards },
        }
    }

    /// True if nothing is remembered at all.
    pub(crate) fn is_off(&self) -> bool {
        self.bounds.entries == 0 || self.bounds.bytes == 0
    }

    /// What `read` makes of an entry of this token, if there is one of which it makes anything.
    pub(crate) fn get<R>(&self, token: &[u8], read: impl Fn(&V) -> Option<R>) -> Option<R> {
        let hash = self.hash(token);
        let table = self.shard(hash).table.load();
        table.as_ref()?.bucket(tag_of(hash)).get(tag_of(hash), token, read)
    }

    /// Remembers a token, unless there is an entry of it that is not void.
    pub(crate) fn insert(&self, entry: V, is_void: impl Fn(&V) -> bool) {
        if self.is_off() || entry.weight() > self.bounds.bytes {
            return;
        }
        let hash = self.hash(entry.token());
        let (shard, tag) = (self.shard(hash), tag_of(hash));
        let put = |table: Option<&Table<V>>, entry| match table {
            Some(table) => table.put(tag, entry, self.bounds, &is_void),
            None => Err(entry),
        };
        let Err(entry) = put(shard.table.load().as_deref(), entry) else { return };
        // Whoever finds another at it does without.
        let Ok(_alone) = shard.renewal.try_lock() else { return };
        let table = shard.table.load();
        // It may have been renewed just before.
        let Err(entry) = put(table.as_deref(), entry) else { return };
        let renewed = Table::renewed(table.as_deref(), tag, entry, self.bounds, &is_void);
        shard.table.store(Some(Arc::new(renewed)));
    }

    fn shard(&self, hash: u64) -> &Shard<V> {
        // By bits that the tag does not have.
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }

    /// Good signatures of two contents differ, so the rest need not be looked at to spread them.
    fn hash(&self, token: &[u8]) -> u64 {
        let tail = token.last_chunk::<HASHED_BYTES>().filter(|_| !WHOLE);
        tail.map_or_else(|| self.hasher.hash_one(token), |tail| self.hasher.hash_one(tail))
    }
}

impl<V: Remembered> Table<V> {
    fn new(buckets: usize) -> Self {
        Self {
            buckets: (0..buckets).map(|_| Bucket::new()).collect(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// With this entry, and those of another table that are not void, if there is room for them.
    fn renewed(
        old: Option<&Self>,
        tag: u32,
        entry: V,
        bounds: Bounds,
        is_void: &impl Fn(&V) -> bool,
    ) -> Self {
        let taken = old.into_iter().flat_map(|old| &*old.buckets).flat_map(Bucket::taken);
        let mut others: Vec<_> = taken.filter(|(.., other)| !is_void(other)).collect();
        let bytes: usize = others.iter().map(|(.., other)| other.weight()).sum();
        let room = bounds.bytes - entry.weight();
        if others.len() >= bounds.entries || bytes > room {
            others.sort_unstable_by_key(|(standing, ..)| Reverse(*standing));
            let mut bytes = 0;
            let fits = |(kept, (standing, _, other)): &(usize, &(Standing, u32, V))| {
                let share = |all: usize| if standing.is_asked { all - all.div_ceil(8) } else { all / 2 };
                bytes += other.weight();
                *kept < share(bounds.entries) && bytes <= share(room)
            };
            others.truncate(others.iter().enumerate().take_while(fits).count());
        }
        let table = Self::new((others.len() + 1).next_power_of_two().max(FIRST_BUCKETS));
        // The best are the youngest again.
        let others = others.into_iter().rev().map(|(_, tag, other)| (tag, other));
        let all = [(tag, entry)].into_iter().chain(others);
        // Seldom, a bucket of those is full, too.
        all.for_each(|(tag, entry)| drop(table.put(tag, entry, bounds, is_void)));
        table
    }

    fn bucket(&self, tag: u32) -> &Bucket<V> {
        &self.buckets[tag as usize & (self.buckets.len() - 1)]
    }

    /// Gives the entry back if there is no room for it.
    fn put(&self, tag: u32, entry: V, bounds: Bounds, is_void: &impl Fn(&V) -> bool) -> Result<(), V> {
        let weight = entry.weight();
        // Counted first, so that the bounds hold at any time.
        let entries = self.entries.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(weight, Ordering::Relaxed);
        let put = if entries < bounds.entries && bytes + weight <= bounds.bytes {
            self.bucket(tag).put(tag, entry, is_void)
        } else {
            Put::NoRoom(entry)
        };
        if !matches!(put, Put::Done) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
        }
        match put {
            Put::Done | Put::Known => Ok(()),
            Put::NoRoom(entry) => Err(entry),
        }
    }
}

enum Put<V> {
    Done,
    Known,
    NoRoom(V),
}

impl<V: Remembered> Bucket<V> {
    fn new() -> Self {
        Self {
            tags: array::from_fn(|_| AtomicU32::new(0)),
            asked: array::from_fn(|_| AtomicBool::new(false)),
            places: array::from_fn(|_| OnceLock::new()),
        }
    }

    fn get<R>(&self, tag: u32, token: &[u8], read: impl Fn(&V) -> Option<R>) -> Option<R> {
        for (index, other) in self.tags.iter().enumerate() {
            if other.load(Ordering::Relaxed) == tag
                && let Some(entry) = self.places[index].get()
                && entry.token() == token
                && let Some(found) = read(entry)
            {
                // Not written by each reader.
                if !self.asked[index].load(Ordering::Relaxed) {
                    self.asked[index].store(true, Ordering::Relaxed);
                }
                return Some(found);
            }
        }
        None
    }

    fn put(&self, tag: u32, entry: V, is_void: &impl Fn(&V) -> bool) -> Put<V> {
        for (other, place) in self.tags.iter().zip(&self.places) {
            let is_free = other.load(Ordering::Relaxed) == 0
                && other.compare_exchange(0, tag, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if is_free {
                // Nobody else fills it.
                let _ = place.set(entry);
                return Put::Done;
            }
            let is_own = |other: &&V| other.token() == entry.token() && !is_void(other);
            if other.load(Ordering::Relaxed) == tag && place.get().filter(is_own).is_some() {
                return Put::Known;
            }
        }
        Put::NoRoom(entry)
    }

    /// All entries, how they stand, and their tags.
    fn taken(&self) -> impl Iterator<Item = (Standing, u32, V)> {
        let count = self.places.iter().filter(|place| place.get().is_some()).count();
        self.places.iter().enumerate().filter_map(move |(index, place)| {
            let entry = place.get()?;
            let is_asked = self.asked[index].load(Ordering::Relaxed);
            let standing = Standing { is_asked, younger: Reverse(count.saturating_sub(index)) };
            Some((standing, self.tags[index].load(Ordering::Relaxed), entry.clone()))
        })
    }
}

/// The order in which entries are kept.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Standing {
    is_asked: bool,
    /// How many of its bucket came no earlier. Each bucket keeps about as many as another, or some would be full
    /// all the time.
    younger: Reverse<usize>,
}

/// Never zero: that is a place that is free.
const fn tag_of(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "one half of it")]
    let half = hash as u32;
    half | 1 << 31
}

impl<V, const WHOLE: bool> fmt::Debug for Decisions<V, WHOLE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decisions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use proptest::prelude::*;

    use super::{Bucket, Decisions, Remembered, Table};

    struct Content {
        token: Vec<u8>,
        value: usize,
        weight: usize,
    }

    type Entry = Arc<Content>;

    impl Remembered for Entry {
        fn token(&self) -> &[u8] {
            &self.token
        }

        fn weight(&self) -> usize {
            self.weight
        }
    }

    fn entry(token: impl Into<Vec<u8>>, value: usize) -> Entry {
        Arc::new(Content { token: token.into(), value, weight: 250 })
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

    fn tables<const WHOLE: bool>(
        decisions: &Decisions<Entry, WHOLE>,
    ) -> impl Iterator<Item = Arc<Table<Entry>>> {
        decisions.shards.iter().filter_map(|shard| shard.table.load_full())
    }

    /// Entries and bytes.
    fn held<const WHOLE: bool>(decisions: &Decisions<Entry, WHOLE>) -> (usize, usize) {
        let of = |table: Arc<Table<Entry>>| {
            (table.entries.load(Ordering::Relaxed), table.bytes.load(Ordering::Relaxed))
        };
        tables(decisions).map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
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
        for (max_entries, max_bytes) in [(1_000, usize::MAX), (usize::MAX, 250_000), (5_000, 5_000_000)] {
            let decisions = Decisions::<Entry>::new(max_entries, max_bytes);
            for number in 0..20_000 {
                decisions.insert(entry(token(number), number), |_| false);
                let (entries, bytes) = held(&decisions);
                assert!(entries <= max_entries && bytes <= max_bytes);
            }
            assert!(found(&decisions, 0..20_000) >= 500, "and it goes on remembering");
        }
    }

    #[test]
    fn what_was_put_in_last_is_found_however_few_there_may_be() {
        for most in 1..5 {
            let decisions = Decisions::<Entry>::new(most, usize::MAX);
            for number in 0..500 {
                decisions.insert(entry(token(number), number), |_| false);
                assert_eq!(found(&decisions, number..number + 1), 1, "{number} of {most}");
                assert!(held(&decisions).0 <= most);
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
    fn a_token_is_remembered_once_and_again_when_that_is_void() {
        let decisions = Decisions::<Entry>::new(8, usize::MAX);
        for value in 0..10 {
            decisions.insert(entry(token(1), value), |_| false);
        }
        assert_eq!((get(&decisions, &token(1)), held(&decisions).0), (Some(0), 1));
        for value in 1..100 {
            decisions.insert(entry(token(1), value), |other| other.value < value);
            let value_now = decisions.get(&token(1), |entry| (entry.value >= value).then_some(entry.value));
            assert_eq!(value_now, Some(value));
            assert!(held(&decisions).0 <= 8, "those that are void make room");
        }
    }

    #[test]
    fn what_is_full_forgets_what_is_void_and_then_what_was_not_asked_for() {
        let decisions = Decisions::<Entry>::new(80, usize::MAX);
        fill(&decisions, 0..80);
        assert_eq!((held(&decisions).0, found(&decisions, 30..80)), (80, 50));
        fill(&decisions, 80..81);
        assert_eq!((held(&decisions).0, found(&decisions, 30..81)), (51, 51));
        fill(&decisions, 81..110);
        assert_eq!(held(&decisions).0, 80);
        decisions.insert(entry(token(110), 110), |other| other.value < 60);
        assert_eq!((held(&decisions).0, found(&decisions, 60..111)), (51, 51));
        fill(&decisions, 111..140);
        assert_eq!((held(&decisions).0, found(&decisions, 60..140)), (80, 80));
        fill(&decisions, 140..141);
        assert_eq!(held(&decisions).0, 71, "an eighth of what was asked for");
    }

    #[test]
    fn a_flood_renews_a_table_no_more_often_than_half_of_it_is_new() {
        for most in [1, 10, 100, 1_000, 4_096] {
            let decisions = Decisions::<Entry>::new(most, usize::MAX);
            let (mut renewals, mut last) = (0, 0);
            for number in 0..20 * most {
                fill(&decisions, number..number + 1);
                let table = Arc::as_ptr(tables(&decisions).next().as_ref().unwrap()).addr();
                renewals += usize::from(table != last);
                last = table;
            }
            // Twenty times two halves, what it takes to grow, and a bucket that is full by chance.
            assert!(renewals <= 40 + 10, "{renewals} of {most}");
        }
    }

    #[test]
    fn what_is_asked_for_stays_while_others_come_and_go() {
        let decisions = Decisions::<Entry>::new(100, usize::MAX);
        fill(&decisions, 0..60);
        for number in 60..2_000 {
            fill(&decisions, number..number + 1);
            assert_eq!(found(&decisions, 0..60), 60, "{number}");
        }
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
        for table in tables(&decisions) {
            let held: Vec<_> = table.buckets.iter().flat_map(Bucket::taken).collect();
            assert_eq!(table.entries.load(Ordering::Relaxed), held.len(), "all is counted");
            let bytes: usize = held.iter().map(|(.., entry)| entry.weight).sum();
            assert_eq!(table.bytes.load(Ordering::Relaxed), bytes, "and weighed");
        }
    }

    proptest! {
        #[test]
        fn a_map_that_may_forget(steps in prop::collection::vec((0_usize..40, any::<bool>()), 0..200)) {
            let decisions = Decisions::<Entry>::new(16, usize::MAX);
            let mut map = std::collections::HashMap::new();
            for (step, (number, put)) in steps.into_iter().enumerate() {
                if put {
                    decisions.insert(entry(token(number), step), |_| false);
                    // What was forgotten is remembered anew.
                    map.entry(number).or_insert_with(Vec::new).push(step);
                } else if let Some(value) = get(&decisions, &token(number)) {
                    prop_assert!(map[&number].contains(&value));
                }
            }
        }
    }
}
