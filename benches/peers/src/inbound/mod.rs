//! Verifying a token on the way in, one contestant to a file.

mod by_hand;
mod ours;
mod raw;

use std::hint::black_box;

use http::Request;
use serde::Deserialize;

use crate::drive::{self, Body, Heads};
use crate::measure::{Contestant, Cost, interleaved};
use crate::tokens::{Corpus, DISTINCT};

/// The name of the bare service that most are measured over.
pub const BARE: &str = "bare service";
/// The name of the raw limit.
pub const RAW: &str = "signature check alone (aws-lc-rs)";

/// What a handler wants to know: as much as `Identity` has at hand. Peers are spared the other claims.
#[derive(Clone, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub iss: String,
    pub aud: String,
    pub exp: u64,
    pub scope: String,
}

impl Claims {
    /// What every handler does with them.
    pub fn look(&self) -> bool {
        look(&self.sub)
    }
}

/// What every handler does with the subject.
pub fn look(subject: &str) -> bool {
    !black_box(subject).is_empty()
}

/// Measures all that support the algorithm.
pub fn measure(corpus: &Corpus, rounds: usize) -> Vec<Cost> {
    let good = corpus.requests();
    for (what, heads) in corpus.bad_requests() {
        for mut contestant in guarded(corpus, &heads) {
            let name = contestant.name;
            assert_eq!((contestant.prepare)()(), 0, "{name} lets {what} through");
        }
    }
    let bare = drive::service(BARE, None, &good, || drive::handler::<Body, Body>(|_: &Request<Body>| true));
    let mut all = vec![bare, raw::contestant(corpus)];
    all.extend(guarded(corpus, &good));
    interleaved(&mut all, DISTINCT, rounds)
}

/// Whoever must refuse a bad token.
fn guarded(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let mut all = ours::contestants(corpus, heads);
    all.extend(by_hand::contestants(corpus, heads));
    all
}
