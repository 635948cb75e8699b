//! Accepted tokens, remembered: bounded, and read without a lock.
//!
//! 1. A token is found by all of its bytes; a hash of the last of them, which are its signature's, only says
//!    where to look. So no two tokens share an entry, whatever anybody can compute.
//! 2. Readers wait for nobody. They see an entry whole, or not at all.
//! 3. A new entry waits for no reader: a place is filled once, and the table is renewed when there is none.
//! 4. Entries and bytes are bounded. What is full forgets what is void, then what was not asked for lately, down to
//!    half; or an eighth, if all was asked for. Among equals it is chance that decides: were it age, a set a little
//!    too large that is asked for in turn would not be found at all. What is lost is asked for again.
//! 5. Whether an entry still counts is the reader's question, at each look.
//!
//! The memory is cut into shards, so that little is moved at a time when a table is renewed. A table has buckets
//! of eight places; it begins small, and the next one is larger when a bucket is full. No table that
//! need not grow is renewed before an eighth of it is new, so that a new entry pays for eight others at most.

use std::array;
use std::cmp::Reverse;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

const WAYS: usize = 8;
/// 96 bits of a signature in base64url.
const HASHED_BYTES: usize = 16;
const MAX_SHARDS: usize = 32;
/// What a shard is for, at least.
const SHARD_ENTRIES: usize = 4096;
const SHARD_BYTES: usize = 1 << 20;
/// Of a shard's first table: 3.6 KiB.
const FIRST_BUCKETS: usize = 16;

pub(crate) struct Decisions<V> {
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
    /// Counts renewals.
    turn: u32,
    /// How many of the entries were in the table before.
    renewed: usize,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

struct Bucket<V> {
    /// A part of the hash for each place that is taken, so that one look tells which to read; zero for the others,
    /// and for a moment for one that is being filled.
    tags: [AtomicU32; WAYS],
    /// See [`ASKED`].
    standings: [AtomicU8; WAYS],
    places: [OnceLock<V>; WAYS],
}

/// How an entry stands: what it has gained in the tables before, and this if it was asked for in this one.
const ASKED: u8 = 8;
const MOST_GAINED: u8 = 7;

/// What it has gained in the next table. Whoever asks once in four is not forgotten between.
fn gained(standing: u8) -> u8 {
    let before = standing & MOST_GAINED;
    if standing & ASKED == 0 { before.saturating_sub(1) } else { (before + 4).min(MOST_GAINED) }
}

/// What is remembered of a token, and which that is. A clone costs a reference count.
pub(crate) trait Remembered: Clone {
    /// The token. The same at each call.
    fn token(&self) -> &[u8];

    /// About how many bytes it holds. The same at each call.
    fn weight(&self) -> usize;
}

impl<V: Remembered> Decisions<V> {
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
        if self.is_off() {
            return None;
        }
        let hash = self.hash(token);
        let table = self.shard(hash).table.load();
        table.as_ref()?.bucket(tag_of(hash)).get(tag_of(hash), token, read)
    }

    /// Remembers a token, unless there is an entry of it that is not void.
    pub(crate) fn insert(&self, entry: V, is_void: impl Fn(&V) -> bool) {
        let (hash, weight) = (self.hash(entry.token()), entry.weight());
        if self.is_off() || weight > self.bounds.bytes {
            return;
        }
        let (shard, new) = (self.shard(hash), New { tag: tag_of(hash), standing: 0, weight, entry });
        let put = |table: Option<&Table<V>>, new| match table {
            Some(table) => table.put(new, self.bounds, &is_void),
            None => Put::Full(new),
        };
        let (Put::Crowded(new) | Put::Full(new)) = put(shard.table.load().as_deref(), new) else { return };
        // Whoever finds another at it does without.
        let Some(_alone) = shard.begin_renewal() else { return };
        let table = shard.table.load();
        let table = table.as_deref();
        // It may have been renewed just before.
        let (new, is_full) = match put(table, new) {
            Put::Full(new) => (new, true),
            Put::Crowded(new) if table.is_none_or(Table::is_worth_renewing) => (new, false),
            Put::Crowded(_) | Put::Done | Put::Known => return,
        };
        let turn = table.map_or(0, |table| table.turn.wrapping_add(1));
        let mut others = table.map_or_else(Vec::new, |table| table.others(&is_void));
        let is_trimmed = is_full && trim(&mut others, new.weight, self.bounds, turn);
        // What was full will be again: it does not grow anew each time.
        let least = table.filter(|_| is_trimmed).map_or(FIRST_BUCKETS, |table| table.buckets.len());
        let table = Table::new(turn, others.len(), least);
        // Seldom, a bucket of those is full, too.
        let all = [new].into_iter().chain(others);
        all.for_each(|new| drop(table.put(new, self.bounds, &is_void)));
        shard.table.store(Some(Arc::new(table)));
    }

    fn shard(&self, hash: u64) -> &Shard<V> {
        // By bits that the tag does not have.
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }

    /// Good signatures of two contents differ, so the rest need not be looked at to spread them.
    fn hash(&self, token: &[u8]) -> u64 {
        let tail = token.last_chunk::<HASHED_BYTES>();
        tail.map_or_else(|| self.hasher.hash_one(token), |tail| self.hasher.hash_one(tail))
    }
}

impl<V> Shard<V> {
    /// `None` while another is at it. A clock that panicked in the middle of one left the old table.
    fn begin_renewal(&self) -> Option<MutexGuard<'_, ()>> {
        match self.renewal.try_lock() {
            Ok(alone) => Some(alone),
            Err(TryLockError::Poisoned(alone)) => Some(alone.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<V: Remembered> Table<V> {
    /// Empty, with room for as many entries again.
    fn new(turn: u32, entries: usize, least: usize) -> Self {
        Self {
            buckets: (0..Self::buckets_for(entries).max(least)).map(|_| Bucket::new()).collect(),
            turn,
            renewed: entries,
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    fn buckets_for(entries: usize) -> usize {
        (entries + 1).next_power_of_two()
    }

    /// One bucket is full: true if the next table is larger, or half of this one is new.
    fn is_worth_renewing(&self) -> bool {
        let entries = self.entries.load(Ordering::Relaxed);
        Self::buckets_for(entries) > self.buckets.len()
            || entries.saturating_sub(self.renewed) >= entries.div_ceil(2)
    }

    /// What is not void, for the next table.
    fn others(&self, is_void: &impl Fn(&V) -> bool) -> Vec<New<V>> {
        self.buckets.iter().flat_map(Bucket::taken).filter(|new| !is_void(&new.entry)).collect()
    }

    fn bucket(&self, tag: u32) -> &Bucket<V> {
        &self.buckets[tag as usize & (self.buckets.len() - 1)]
    }

    fn put(&self, new: New<V>, bounds: Bounds, is_void: &impl Fn(&V) -> bool) -> Put<V> {
        let weight = new.weight;
        // Counted first, so that the bounds hold at any time.
        let entries = self.entries.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(weight, Ordering::Relaxed);
        let put = if entries < bounds.entries && bytes + weight <= bounds.bytes {
            self.bucket(new.tag).put(new, is_void)
        } else {
            Put::Full(new)
        };
        if !matches!(put, Put::Done) {
            self.entries.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
        }
        put
    }
}

/// An entry on its way into a table.
struct New<V> {
    tag: u32,
    standing: u8,
    weight: usize,
    entry: V,
}

/// Keeps the best, so that an entry of this weight fits, and some more. True if that is not all of them.
fn trim<V>(others: &mut Vec<New<V>>, weight: usize, bounds: Bounds, turn: u32) -> bool {
    let (room, most) = (bounds.bytes - weight, |all: usize| all - all.div_ceil(8));
    let bytes: usize = others.iter().map(|other| other.weight).sum();
    if others.len() <= most(bounds.entries) && bytes <= most(room) {
        return false;
    }
    // Chance: other bits of the hash are the upper ones in each turn.
    others.sort_unstable_by_key(|other| Reverse((other.standing, other.tag.rotate_left(turn))));
    let mut bytes = 0;
    let fits = |(count, other): &(usize, &New<V>)| {
        bytes += other.weight;
        let share = |all: usize| if other.standing == 0 { all / 2 } else { most(all) };
        *count < share(bounds.entries) && bytes <= share(room)
    };
    others.truncate(others.iter().enumerate().take_while(fits).count());
    true
}

/// What became of an entry, or the entry, if there is no room for it.
enum Put<V> {
    Done,
    Known,
    /// The bucket is full.
    Crowded(New<V>),
    /// As much is there as may be.
    Full(New<V>),
}

impl<V: Remembered> Bucket<V> {
    fn new() -> Self {
        Self {
            tags: array::from_fn(|_| AtomicU32::new(0)),
            standings: array::from_fn(|_| AtomicU8::new(0)),
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
                let standing = self.standings[index].load(Ordering::Relaxed);
                if standing & ASKED == 0 {
                    self.standings[index].store(standing | ASKED, Ordering::Relaxed);
                }
                return Some(found);
            }
        }
        None
    }

    fn put(&self, mut new: New<V>, is_void: &impl Fn(&V) -> bool) -> Put<V> {
        for (index, place) in self.places.iter().enumerate() {
            let tag = &self.tags[index];
            if tag.load(Ordering::Relaxed) == 0 {
                match place.set(new.entry) {
                    Ok(()) => {
                        self.standings[index].store(new.standing, Ordering::Relaxed);
                        tag.store(new.tag, Ordering::Relaxed);
                        return Put::Done;
                    }
                    // Another was first.
                    Err(entry) => new.entry = entry,
                }
            }
            let is_own = |other: &&V| other.token() == new.entry.token() && !is_void(other);
            if tag.load(Ordering::Relaxed) == new.tag && place.get().filter(is_own).is_some() {
                return Put::Known;
            }
        }
        Put::Crowded(new)
    }

    /// All entries, as they will stand in the next table.
    fn taken(&self) -> impl Iterator<Item = New<V>> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let tag = self.tags[index].load(Ordering::Relaxed);
            let entry = place.get().filter(|_| tag != 0)?.clone();
            let standing = gained(self.standings[index].load(Ordering::Relaxed));
            Some(New { tag, standing, weight: entry.weight(), entry })
        })
    }
}

/// Never zero: that is a place that is free.
const fn tag_of(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "one half of it")]
    let half = hash as u32;
    half | 1 << 31
}

impl<V> fmt::Debug for Decisions<V> {
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

    fn get(decisions: &Decisions<Entry>, token: &[u8]) -> Option<usize> {
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

    fn tables(decisions: &Decisions<Entry>) -> impl Iterator<Item = Arc<Table<Entry>>> {
        decisions.shards.iter().filter_map(|shard| shard.table.load_full())
    }

    /// Entries and bytes.
    fn held(decisions: &Decisions<Entry>) -> (usize, usize) {
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
            let each = (0..20 * most).map(|number| entry(token(number), number));
            let renewals = renewals(&decisions, each, usize::MAX / 2);
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
    fn what_is_used_now_and_then_outlives_a_flood() {
        let decisions = Decisions::<Entry>::new(4_096, usize::MAX);
        let mut strangers = 1_000_000..;
        let mut found_last = 0;
        for _ in 0..20 {
            found_last = 0;
            for number in 0..1_000 {
                // Again after three thousand looks, of which two thousand are for what comes once.
                found_last += found(&decisions, number..number + 1);
                fill(&decisions, number..number + 1);
                strangers.by_ref().take(2).for_each(|one| fill(&decisions, one..one + 1));
            }
        }
        assert!(found_last >= 950, "{found_last}");
    }

    #[test]
    fn a_set_that_is_asked_for_in_turn_is_found_if_it_fits_and_in_part_if_it_does_not() {
        let found_of = |set: usize| {
            let decisions = Decisions::<Entry>::new(4_096, usize::MAX);
            let mut found_last = 0;
            for _ in 0..20 {
                let ask = |number: usize| {
                    let is_found = found(&decisions, number..number + 1);
                    fill(&decisions, number..number + 1);
                    is_found
                };
                found_last = (0..set).map(ask).sum();
            }
            found_last
        };
        assert!(found_of(4_000) >= 3_990 && found_of(4_200) >= 1_500 && found_of(6_000) >= 500);
    }

    /// How often a table takes the place of the one before, while these come.
    fn renewals(
        decisions: &Decisions<Entry>,
        entries: impl Iterator<Item = Entry>,
        lifetime: usize,
    ) -> usize {
        let table = || tables(decisions).next().map(|table| Arc::as_ptr(&table).addr());
        let is_renewed = |entry: Entry| {
            let (before, now) = (table(), entry.value);
            decisions.insert(entry, |other| other.value + lifetime <= now);
            before != table()
        };
        entries.map(is_renewed).filter(|is_renewed| *is_renewed).count()
    }

    #[test]
    fn a_crowd_in_one_bucket_renews_nothing_for_itself() {
        let decisions = Decisions::<Entry>::new(4_096, usize::MAX);
        fill(&decisions, 0..2_000);
        let crowd = (0..2_000).map(|number| entry(format!("{}.0123456789abcdef", number % 50), number));
        assert!(renewals(&decisions, crowd, usize::MAX / 2) <= 1, "once if half is new");
    }

    #[test]
    fn one_that_becomes_void_at_a_time_does_not_renew_each_time() {
        let decisions = Decisions::<Entry>::new(1_000, usize::MAX);
        fill(&decisions, 0..1_000);
        let each = (1_000..2_000).map(|number| entry(token(number), number));
        assert!(renewals(&decisions, each, 1_000) <= 10);
    }

    #[test]
    fn a_panic_in_a_renewal_does_not_end_the_memory() {
        let decisions = Decisions::<Entry>::new(10, usize::MAX);
        fill(&decisions, 0..10);
        let renewal = || decisions.insert(entry(token(10), 10), |_| panic!("of a clock"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(renewal)).is_err());
        fill(&decisions, 10..11);
        assert_eq!(found(&decisions, 10..11), 1);
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
            let bytes: usize = held.iter().map(|new| new.entry.weight).sum();
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
