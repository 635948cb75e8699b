//! `AuthenticateLayer` over a `JwtVerifier`.

use http::Request;
use tower::Layer;
use tower_bearer::verify::{JwtVerifier, Keys};
use tower_bearer::{AuthenticateLayer, Identity};

use super::{BARE, look};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER, SECRET};

pub const FRESH: &str = "tower-bearer, a token never seen before";
pub const FORGETFUL: &str = "tower-bearer, nothing remembered";
pub const SEEN: &str = "tower-bearer, a token seen before";

pub fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let keys = match corpus.algorithm.is_symmetric() {
        true => Keys::hmac(corpus.algorithm, SECRET),
        false => Keys::jwks(corpus.jwks.as_bytes()),
    };
    let keys = keys.expect("keys");
    let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE);
    let forgetful = rules.clone().with_remembered(0, 0).build().expect("a verifier");
    let forgetful = AuthenticateLayer::new(forgetful);
    let layer = move || AuthenticateLayer::new(rules.clone().build().expect("a verifier"));
    let handler = || {
        drive::handler::<Body, Body>(|request: &Request<Body>| {
            request.extensions().get::<Identity>().is_some_and(|identity| look(identity.subject()))
        })
    };
    let seen = layer().layer(handler());
    vec![
        // A new verifier to each batch, which has each token once: whatever it remembers, it saw none.
        drive::service::<Body, _, _>(FRESH, Some(BARE), heads, move || layer().layer(handler())),
        drive::service::<Body, _, _>(FORGETFUL, Some(BARE), heads, move || forgetful.layer(handler())),
        // The same verifier all along; the first batches, which are not measured, are the first sight.
        drive::service::<Body, _, _>(SEEN, Some(BARE), heads, move || seen.clone()),
    ]
}
