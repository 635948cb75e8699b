//! What several test files share: a fixed time, a secret, tokens made by hand.

#![allow(dead_code, reason = "each test file uses its own part")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tower_bearer::test_util::ManualClock;
use tower_bearer::verify::{JwtVerifier, JwtVerifierBuilder, Keys, Verify};
use tower_bearer::{Algorithm, Credential, Identity, Rejection, Scheme};

pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "orders";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// A token of any header and payload, signed with HS256 whatever the header says.
pub(crate) fn raw(header: &str, payload: &str) -> String {
    raw_with(SECRET.as_bytes(), header, payload)
}

pub(crate) fn raw_with(secret: &[u8], header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

pub(crate) fn good_claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "iat": NOW, "scope": "read" })
}

/// The good claims with one of them replaced, or removed.
pub(crate) fn claims_with(name: &str, value: Option<Value>) -> String {
    let mut claims = good_claims();
    let claims = claims.as_object_mut().unwrap();
    match value {
        Some(value) => drop(claims.insert(name.to_owned(), value)),
        None => drop(claims.remove(name)),
    }
    json!(claims).to_string()
}

pub(crate) fn token_with(name: &str, value: Value) -> String {
    raw(HEADER, &claims_with(name, Some(value)))
}

pub(crate) fn good_token() -> String {
    raw(HEADER, &good_claims().to_string())
}

pub(crate) fn rules() -> JwtVerifierBuilder {
    rules_over(Keys::hmac(Algorithm::HS256, SECRET).unwrap())
}

pub(crate) fn rules_over(keys: Keys) -> JwtVerifierBuilder {
    JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).with_clock(ManualClock::at(NOW))
}

/// The verdict of a verifier that has its keys at hand.
pub(crate) fn verify(verifier: &impl Verify, token: impl Into<String>) -> Result<Identity, Rejection> {
    verifier.verify(&Credential::new(Scheme::Bearer, token.into())).try_now().expect("no waiting")
}

/// The reason behind a refusal.
pub(crate) fn reason(rejection: &Rejection) -> String {
    std::error::Error::source(rejection).map_or_else(String::new, ToString::to_string)
}
