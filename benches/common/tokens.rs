//! The tokens that are measured: access tokens of about 800 bytes with twelve claims, and personal ones.

use std::time::Duration;

use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::pat::PatFormat;
use tower_bearer::store::{MemoryStore, PersonalToken, TokenDigest, TokenStore};
use tower_bearer::{Clock, Scopes, SystemClock};

use crate::common::Lines;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const SECRET: &str = "5f1c0e7ab2d94c3886e1f7a0d35b94621c8ee0f94b7d4a6f9a1d2c3b4e5f6071";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Of the user with this number.
pub(crate) fn sign(signer: &JwtSigner, number: usize) -> String {
    let subject = format!("user-{number:08}");
    let groups: Vec<_> = (1..=15).map(|group| format!("group-{group:02}")).collect();
    let token = AccessToken::new(ISSUER, &subject, "web", "orders", DAY)
        .scopes(Scopes::parse("read write profile").expect("scopes"))
        .claim("name", "Alice Example")
        .claim("email", format!("{subject}@example.com"))
        .claim("tenant", "0b7c1a52-6f0e-4c9e-9a6b-0d2f8f1b7f11")
        .claim("groups", groups);
    signer.sign(&token).expect("a signature")
}

/// So many personal tokens, and a store that has them.
pub(crate) fn personal(count: usize) -> (MemoryStore, Lines) {
    let (store, format) = (MemoryStore::new(), PatFormat::netbird());
    let now = SystemClock::new().now();
    let make = |number: usize| {
        let token = format.generate().expect("random numbers");
        let token = std::str::from_utf8(token.expose()).expect("ASCII").to_owned();
        let row = PersonalToken::new(number.to_string(), "alice", "ci", now, now + DAY);
        let digest = TokenDigest::of(&token).expect("a digest");
        store.insert(digest, row).try_now().expect("at once").expect("a new token");
        Some(format!("Token {token}"))
    };
    let lines = (0..count).map(make).collect();
    (store, lines)
}
