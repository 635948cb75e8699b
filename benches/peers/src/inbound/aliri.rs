//! `aliri_tower`, which verifies with ring, and with OpenSSL for keys on curves. It has no EdDSA.

use aliri::jwt::{Audience, Audiences, CoreClaims, CoreValidator, Issuer, IssuerRef, Subject, SubjectRef};
use aliri::{Jwks, jwa};
use aliri_clock::UnixTime;
use aliri_oauth2::Authority;
use aliri_oauth2::scope::{HasScope, Scope};
use aliri_tower::Oauth2Authorizer;
use http::Request;
use serde::Deserialize;
use tower::Layer;
use tower_bearer::Algorithm;

use super::{BARE, look};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER};

/// The same claims as everybody's, in its types.
#[derive(Clone, Deserialize)]
struct Claims {
    sub: Subject,
    iss: Issuer,
    aud: Audiences,
    exp: UnixTime,
    scope: Scope,
}

impl CoreClaims for Claims {
    fn nbf(&self) -> Option<UnixTime> {
        None
    }

    fn exp(&self) -> Option<UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&IssuerRef> {
        Some(&self.iss)
    }

    fn sub(&self) -> Option<&SubjectRef> {
        Some(&self.sub)
    }
}

impl HasScope for Claims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

pub fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let algorithm = match corpus.algorithm {
        Algorithm::HS256 => jwa::Algorithm::HS256,
        Algorithm::RS256 => jwa::Algorithm::RS256,
        Algorithm::ES256 => jwa::Algorithm::ES256,
        _ => return Vec::new(),
    };
    let keys: Jwks = serde_json::from_str(&corpus.jwks).expect("a key set");
    let validator = CoreValidator::default()
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(Audience::from_static(AUDIENCE))
        .require_issuer(Issuer::from_static(ISSUER))
        .check_expiration();
    let layer = Oauth2Authorizer::new()
        .with_claims::<Claims>()
        .with_terse_error_handler::<Body>()
        .jwt_layer::<Body>(Authority::new(keys, validator));
    let service = layer.layer(drive::handler::<Body, Body>(|request: &Request<Body>| {
        request.extensions().get::<Claims>().is_some_and(|claims| look(claims.sub.as_str()))
    }));
    vec![drive::service::<Body, _, _>("aliri_tower 0.6", Some(BARE), heads, move || service.clone())]
}
