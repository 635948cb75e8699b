//! `axum-jwt-auth`: an extractor, in a handler of axum.
//!
//! It brings jsonwebtoken 10 with the backend in Rust. Here it is given the one over aws-lc-rs, which its
//! user would have to know of.

use std::sync::Arc;

use axum::handler::Handler;
use axum_jwt_auth::{Claims as Extracted, Decoder, LocalDecoder};
use http::StatusCode;
use jsonwebtoken10::jwk::JwkSet;
use jsonwebtoken10::{Algorithm, DecodingKey, Validation};

use super::{BARE_AXUM, Claims};
use crate::drive::{self, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER};

async fn handler(user: Extracted<Claims>) -> StatusCode {
    if user.claims.look() { StatusCode::OK } else { StatusCode::IM_A_TEAPOT }
}

pub fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    let algorithm: Algorithm = corpus.algorithm.name().parse().expect("a known algorithm");
    let set: JwkSet = serde_json::from_str(&corpus.jwks).expect("a key set");
    let keys = vec![DecodingKey::from_jwk(&set.keys[0]).expect("a key")];
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let decoder: Decoder<Claims> = Arc::new(LocalDecoder::new(keys, validation).expect("a decoder"));
    let service = handler.with_state(decoder);
    vec![drive::service::<axum::body::Body, _, _>("axum-jwt-auth 0.7", Some(BARE_AXUM), heads, move || {
        service.clone()
    })]
}
