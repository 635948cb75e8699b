use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::TokenDigest;

/// More than this in the lifetime of remembered answers is no longer a list worth looking through.
const MAX_RECENT: usize = 10_000;

/// What was revoked lately: told by a store, asked by whoever remembers answers.
///
/// A remembered answer counts only if it was asked for in the present [generation](Self::forget_all) and
/// nothing it depends on was [announced](Self::announce) since the process began. So it does not matter in
/// which order an answer, and the news that it is void, arrive. A clone costs a reference count.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::store::{Revocations, TokenDigest};
///
/// let revocations = Revocations::new();
/// let (a, b) = (TokenDigest::of("a")?, TokenDigest::of("b")?);
/// let asked = revocations.moment();
/// revocations.announce(a);
/// assert!(!revocations.allow(&[a], asked));
/// assert!(revocations.allow(&[b], asked));
///
/// revocations.forget_all();
/// assert!(!revocations.allow(&[b], asked));
/// # }
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Revocations(Arc<Shared>);

#[derive(Default)]
struct Shared {
    generation: AtomicU64,
    /// How often there was news of either kind.
    news: AtomicU64,
    /// How many there are, so that nothing is locked while there are none.
    count: AtomicUsize,
    recent: RwLock<HashSet<TokenDigest>>,
}

/// When an answer was asked for; see [`Revocations::moment`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment(u64);

impl Revocations {
    /// Nothing was revoked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This token, or whatever else this digest stands for, is void from now on.
    pub fn announce(&self, digest: TokenDigest) {
        let full = {
            let mut recent = self.0.recent.write().unwrap_or_else(PoisonError::into_inner);
            recent.insert(digest);
            self.0.count.store(recent.len(), Ordering::SeqCst);
            recent.len() > MAX_RECENT
        };
        self.0.news.fetch_add(1, Ordering::SeqCst);
        if full {
            self.forget_all();
        }
    }

    /// Every answer so far is void: news may have been missed.
    pub fn forget_all(&self) {
        // The generation first: who finds the list empty looks at it afterwards.
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.0.news.fetch_add(1, Ordering::SeqCst);
        let mut recent = self.0.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.clear();
        self.0.count.store(0, Ordering::SeqCst);
    }

    /// To be taken *before* an answer is asked for, and kept with it.
    pub fn moment(&self) -> Moment {
        Moment(self.0.generation.load(Ordering::SeqCst))
    }

    /// How often there was news. Whoever asks must not share an answer that was asked for before the last: it
    /// may be of a time at which the token was still good.
    pub(crate) fn news(&self) -> u64 {
        self.0.news.load(Ordering::SeqCst)
    }

    /// True if an answer that was asked for at that moment, and depends on these digests, still counts.
    pub fn allow(&self, digests: &[TokenDigest], asked: Moment) -> bool {
        let listed = self.0.count.load(Ordering::SeqCst) > 0 && {
            let recent = self.0.recent.read().unwrap_or_else(PoisonError::into_inner);
            digests.iter().any(|digest| recent.contains(digest))
        };
        !listed && self.moment() == asked
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("generation", &self.0.generation.load(Ordering::SeqCst))
            .field("recent", &self.0.count.load(Ordering::SeqCst))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_RECENT, Revocations, TokenDigest};

    fn digest(number: usize) -> TokenDigest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        TokenDigest::from_bytes(bytes)
    }

    #[test]
    fn an_answer_older_than_the_news_is_void_in_either_order() {
        let revocations = Revocations::new();
        let asked = revocations.moment();
        assert!(revocations.allow(&[digest(1), digest(2)], asked));
        revocations.announce(digest(2));
        assert!(!revocations.allow(&[digest(1), digest(2)], asked));
        assert!(!revocations.allow(&[digest(2)], revocations.moment()), "for good, not once");
        assert!(revocations.allow(&[digest(1)], asked));
    }

    #[test]
    fn all_news_count() {
        let revocations = Revocations::new();
        revocations.announce(digest(1));
        revocations.announce(digest(1));
        revocations.forget_all();
        assert_eq!(revocations.news(), 3);
    }

    #[test]
    fn a_flood_voids_everything_and_takes_no_memory() {
        let revocations = Revocations::new();
        let asked = revocations.moment();
        for number in 0..=MAX_RECENT {
            revocations.announce(digest(number));
        }
        assert!(!revocations.allow(&[digest(MAX_RECENT + 1)], asked));
        assert!(revocations.allow(&[digest(MAX_RECENT + 1)], revocations.moment()));
        assert!(format!("{revocations:?}").contains("recent: 0"));
    }
}
