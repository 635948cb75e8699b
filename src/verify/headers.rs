//! The headers of tokens, read once: those of one key are all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::jose::Header;

/// Few, since a stranger cannot add one: it takes a good signature.
const MAX_HEADERS: usize = 16;
/// Longer ones are read each time.
const MAX_BYTES: usize = 1024;
/// Where each token has a header of its own, one in so many is learned.
const TURNS: usize = 64;

/// The headers of tokens that were accepted, as they are encoded.
#[derive(Default)]
pub(super) struct Headers {
    /// The youngest last. Found one after the other, which is less than hashing them where there are one or two.
    known: ArcSwap<Vec<Arc<KnownHeader>>>,
    /// Counts those that were not known when there was no room.
    turn: AtomicUsize,
}

struct KnownHeader {
    encoded: Box<[u8]>,
    header: Header<'static>,
}

/// What is known just now.
pub(super) struct KnownHeaders(Guard<Arc<Vec<Arc<KnownHeader>>>>);

impl Headers {
    pub(super) fn look(&self) -> KnownHeaders {
        KnownHeaders(self.known.load())
    }

    /// One that comes at the same time as another may be lost, and is learned the next time.
    pub(super) fn learn(&self, encoded: &[u8], header: &Header<'_>) {
        let before = self.look();
        if encoded.len() > MAX_BYTES || before.of(encoded).is_some() {
            return;
        }
        let is_full = before.0.len() == MAX_HEADERS;
        if is_full && !self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(TURNS) {
            return;
        }
        let mut known: Vec<_> = before.0.iter().skip(usize::from(is_full)).cloned().collect();
        known.push(Arc::new(KnownHeader { encoded: encoded.into(), header: header.to_owned() }));
        self.known.store(Arc::new(known));
    }
}

impl KnownHeaders {
    pub(super) fn of(&self, encoded: &[u8]) -> Option<&Header<'static>> {
        self.0.iter().find(|known| *known.encoded == *encoded).map(|known| &known.header)
    }
}

#[cfg(test)]
mod tests {
    use super::{Headers, MAX_HEADERS, TURNS};
    use crate::jose::Header;

    #[test]
    fn the_youngest_are_known_and_no_more_than_a_few() {
        let headers = Headers::default();
        let header = Header::parse(r#"{"alg":"ES256","kid":"a"}"#).unwrap();
        let learn = |number: usize| headers.learn(format!("header {number}").as_bytes(), &header);
        let is_known = |number: usize| headers.look().of(format!("header {number}").as_bytes()).is_some();
        (0..MAX_HEADERS).for_each(learn);
        assert!((0..MAX_HEADERS).all(is_known) && !is_known(MAX_HEADERS));
        // All have one of their own.
        (100..100 + 3 * TURNS).for_each(learn);
        assert_eq!((100..100 + 3 * TURNS).filter(|number| is_known(*number)).count(), 3);
        assert_eq!((0..MAX_HEADERS).filter(|number| is_known(*number)).count(), MAX_HEADERS - 3);
        headers.learn(&[b'a'; 2_000], &header);
        assert!(headers.look().of(&[b'a'; 2_000]).is_none());
    }
}
