//! What one writes without a crate for it: tower-http's `ValidateRequestHeaderLayer`, and `jsonwebtoken`.

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use tower::Layer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use super::{BARE, Claims};
use crate::drive::{self, Body, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER, SECRET};

pub fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let algorithm: Algorithm = corpus.algorithm.name().parse().expect("a known algorithm");
    let key = match algorithm {
        Algorithm::HS256 => DecodingKey::from_secret(SECRET.as_bytes()),
        _ => {
            let set: JwkSet = serde_json::from_str(&corpus.jwks).expect("a key set");
            DecodingKey::from_jwk(&set.keys[0]).expect("a key")
        }
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let check = move |request: &mut Request<Body>| {
        let claims = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "))
            .and_then(|token| decode::<Claims>(token, &key, &validation).ok());
        match claims {
            Some(token) => {
                request.extensions_mut().insert(token.claims);
                Ok(())
            }
            None => {
                let mut refusal = Response::new(Body::default());
                *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                Err(refusal)
            }
        }
    };
    let service = ValidateRequestHeaderLayer::custom(check).layer(drive::handler::<Body, Body>(
        |request: &Request<Body>| request.extensions().get::<Claims>().is_some_and(Claims::look),
    ));
    vec![drive::service::<Body, _, _>(
        "tower-http 0.7 + jsonwebtoken 11, by hand",
        Some(BARE),
        heads,
        move || service.clone(),
    )]
}
