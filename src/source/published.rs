use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::windows::{Tick, Windows};
use crate::clock::SharedClock;
use crate::lanes::{Lane, Lanes};
use crate::token::{Token, TokenId};

/// The token that a source has at hand, where it is read without asking the source; see
/// [`TokenSource::published`](super::TokenSource::published).
#[derive(Clone)]
pub struct Published {
    slot: Arc<Slot>,
    clock: SharedClock,
}

/// Where a source puts its token. One writer at a time; readers wait for nobody.
#[derive(Default)]
pub(super) struct Slot {
    current: ArcSwapOption<Current>,
    /// Counts what was put.
    version: AtomicUsize,
}

/// A token at hand.
pub(super) struct Current {
    token: Token,
    /// The token's, one step nearer.
    id: TokenId,
    windows: Windows,
    /// The same value in memory of its own: each request counts itself in and out.
    headers: Lanes<HeaderValue>,
}

/// What a reader saw last. Reading it again costs no locked operation while nothing else was put.
#[derive(Clone, Default)]
pub(crate) struct Held {
    current: Option<Arc<Current>>,
    version: usize,
    tick: Tick,
}

/// What is at hand just now.
pub(crate) struct AtHand<'a> {
    current: &'a Current,
    clock: &'a SharedClock,
    tick: &'a mut Tick,
}

impl Published {
    pub(super) fn new(slot: Arc<Slot>, clock: SharedClock) -> Self {
        Self { slot, clock }
    }

    /// What is at hand, fresh or not.
    #[inline]
    pub(crate) fn look<'a>(&'a self, held: &'a mut Held) -> Option<AtHand<'a>> {
        // The version first: what is loaded after it is as new, or newer.
        let version = self.slot.version.load(Ordering::Acquire);
        if held.version != version {
            *held = Held { current: self.slot.get(), version, tick: None };
        }
        let Held { current, tick, .. } = held;
        Some(AtHand { current: current.as_deref()?, clock: &self.clock, tick })
    }

    /// The token of this id, if it is still the one at hand.
    pub(crate) fn find(&self, id: TokenId) -> Option<Token> {
        self.slot.get().filter(|current| current.token.id() == id).map(|current| current.token.clone())
    }
}

impl AtHand<'_> {
    /// True if the token may be sent without asking the source.
    #[inline]
    pub(crate) fn is_fresh(&mut self) -> bool {
        self.current.windows.are_fresh(self.clock, self.tick)
    }

    #[inline]
    pub(crate) fn id(&self) -> TokenId {
        self.current.id
    }

    /// The value for the `Authorization` header, for the thread of this lane.
    #[inline]
    pub(crate) fn header_value(&self, lane: Lane) -> HeaderValue {
        self.current.headers.at(lane).clone()
    }
}

impl Slot {
    pub(super) fn get(&self) -> Option<Arc<Current>> {
        self.current.load_full()
    }

    pub(super) fn put(&self, current: Option<Current>) {
        self.current.store(current.map(Arc::new));
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Current {
    pub(super) fn new(token: Token, windows: Windows) -> Self {
        let headers = Lanes::new(|| token.copy_header_value());
        Self { id: token.id(), token, windows, headers }
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.slot.get();
        f.debug_struct("Published")
            .field("token", &current.as_ref().map(|own| &own.token))
            .finish_non_exhaustive()
    }
}
