//! `huskarl-axum` with the RFC 9068 validator of `huskarl-resource-server`, whose cryptography is in Rust.
//! Its key sets are of public keys, so it has no HS256.

use std::sync::Arc;

use axum::handler::HandlerWithoutStateExt;
use http::StatusCode;
use huskarl_axum::extractors::ValidatedToken;
use huskarl_axum::layers::ValidatorLayer;
use huskarl_axum::resource_server::DefaultJwsVerifierPlatform;
use huskarl_axum::resource_server::core::crypto::verifier::{JwsVerifier, JwsVerifierPlatform};
use huskarl_axum::resource_server::core::platform::MaybeSendBoxFuture;
use huskarl_axum::resource_server::core::{EndpointUrl, Error};
use huskarl_axum::resource_server::validator::rfc9068::{Rfc9068AccessTokenClaims, Rfc9068Validator};
use serde_json::Value;
use tower::Layer;

use super::{BARE_AXUM, look};
use crate::drive::{self, Heads};
use crate::measure::Contestant;
use crate::tokens::{AUDIENCE, Corpus, ISSUER};

async fn handler(token: ValidatedToken<Rfc9068AccessTokenClaims>) -> StatusCode {
    let good = token.sub.as_deref().is_some_and(look);
    if good { StatusCode::OK } else { StatusCode::IM_A_TEAPOT }
}

pub async fn contestants(corpus: &Corpus, heads: &Heads) -> Vec<Contestant> {
    if corpus.algorithm.is_symmetric() {
        return Vec::new();
    }
    let set: Value = serde_json::from_str(&corpus.jwks).expect("a key set");
    let key = serde_json::from_value(set["keys"][0].clone()).expect("a key");
    let platform: Arc<dyn JwsVerifierPlatform> = DefaultJwsVerifierPlatform::default().into();
    let verifier = platform.create_verifier_from_jwk(key).await.expect("a verifier");
    let factory = move |_: Option<&EndpointUrl>,
                        _: Arc<dyn JwsVerifierPlatform>|
          -> MaybeSendBoxFuture<'static, Result<Arc<dyn JwsVerifier>, Error>> {
        let verifier = verifier.clone();
        Box::pin(async move { Ok(verifier) })
    };
    let validator = Rfc9068Validator::builder()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .jws_verifier_factory(factory)
        .jws_verifier_platform(platform)
        .build()
        .await
        .expect("a validator");
    let layer = ValidatorLayer::builder().validator(validator).build().authenticated();
    let service = layer.layer(handler.into_service());
    vec![drive::service::<axum::body::Body, _, _>("huskarl-axum 0.1", Some(BARE_AXUM), heads, move || {
        service.clone()
    })]
}
