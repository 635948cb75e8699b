//! Verifying a token on the way in, one contestant to a file.

mod aliri;
mod axum_jwt_auth;
mod by_hand;
mod huskarl;
mod jwt_authorizer;
mod ours;
mod raw;
mod resource_server;

use std::hint::black_box;

use axum::handler::HandlerWithoutStateExt;
use http::{Request, StatusCode};
use serde::Deserialize;

use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens::Corpus;

/// The name of the bare service that most are measured over.
pub const BARE: &str = "bare service";
/// The name of the bare service of peers that need axum.
pub const BARE_AXUM: &str = "bare axum handler";
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

/// All that support the algorithm, checked to refuse what is bad.
pub async fn contestants(corpus: &Corpus) -> Vec<Contestant> {
    for (what, heads) in corpus.bad_requests() {
        for mut contestant in guarded(corpus, &heads).await {
            let name = contestant.name;
            assert_eq!((contestant.prepare)()(), 0, "{name} lets {what} through");
        }
    }
    let good = corpus.requests();
    let bare = drive::service(BARE, None, &good, || drive::handler::<Body, Body>(|_: &Request<Body>| true));
    let bare_axum = drive::service::<axum::body::Body, _, _>(BARE_AXUM, None, &good, || {
        async fn handler() -> StatusCode {
            StatusCode::OK
        }
        handler.into_service()
    });
    let mut all = vec![bare, bare_axum, raw::contestant(corpus)];
    all.extend(guarded(corpus, &good).await);
    all
}

/// Whoever must refuse a bad token.
async fn guarded(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let mut all = ours::contestants(corpus, heads);
    all.extend(by_hand::contestants(corpus, heads));
    all.extend(resource_server::contestants(corpus, heads).await);
    all.extend(jwt_authorizer::contestants(corpus, heads).await);
    all.extend(axum_jwt_auth::contestants(corpus, heads));
    all.extend(aliri::contestants(corpus, heads));
    all.extend(huskarl::contestants(corpus, heads).await);
    all
}
