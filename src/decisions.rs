//! Accepted tokens, remembered: bounded, and read without a lock.
//!
//! 1. A token is found by all of its bytes; a hash of the last of them, which are its signature's, only says
//!    where to look. So no two tokens share an entry, whatever anybody can compute.
//! 2. Readers wait for nobody. They see an entry whole, or not at all.
//! 3. Entries and bytes are bounded. What is full forgets something; what is lost is asked for again.
//! 4. Whether an entry still counts is the reader's question, at each look.
//!
//! A table has buckets of eight places. It begins small, and grows when one is full.

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
        let first = if max_entries == 0 || max_bytes == 0 { 0 } else { FIRST_BUCKETS };
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
        let table = self.table.load();
        let Some(bucket) = table.bucket(hash) else { return };
        let place = bucket.place_for(hash, token, is_void);
        let crowded = place.is_none();
        // Of those that are good, any: by bits that neither the bucket nor the tag is chosen by.
        table.put(bucket, place.unwrap_or((hash >> 40) as usize % WAYS), Some(entry));
        if self.is_over(&table) {
            self.sweep(&table);
        } else if crowded && self.may_grow(&table) {
            self.grow(&table);
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
                table.put(bucket, place, None);
            }
        }
    }

    /// Twice as many places, with what is in the old ones. What another puts there meanwhile may be lost.
    fn grow(&self, old: &Table<V>) {
        let Ok(_alone) = self.growing.try_lock() else { return };
        if self.table.load().buckets.len() != old.buckets.len() {
            return;
        }
        let new = Table::new(old.buckets.len() * 2);
        for entry in old.buckets.iter().flat_map(|bucket| &bucket.places).filter_map(ArcSwapOption::load_full)
        {
            let Some(bucket) = new.bucket(entry.hash) else { continue };
            if let Some(place) = bucket.tags.iter().position(|tag| tag.load(Ordering::Relaxed) == 0) {
                new.put(bucket, place, Some(entry));
            }
        }
        self.table.store(Arc::new(new));
    }
}

impl<V> Table<V> {
    fn new(buckets: usize) -> Self {
        let buckets = (0..buckets).map(|_| Bucket::new()).collect();
        Self { buckets, entries: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
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
        // The number of buckets is a power of two; the tag has the bits at the other end.
        let mask = (self.buckets.len() as u64).wrapping_sub(1);
        #[expect(clippy::cast_possible_truncation, reason = "masked by a length")]
        self.buckets.get((hash & mask) as usize)
    }
}

impl<V> Bucket<V> {
    fn new() -> Self {
        Self {
            tags: [const { AtomicU16::new(0) }; WAYS],
            places: [const { ArcSwapOption::const_empty() }; WAYS],
        }
    }

    /// The place of this very token, or an empty one, or that of an entry that is void.
    fn place_for(&self, hash: u64, token: &[u8], is_void: impl Fn(&V) -> bool) -> Option<usize> {
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
