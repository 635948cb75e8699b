//! Keys and tokens that every contestant gets alike.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Request;
use serde_json::json;
use tower_bearer::issue::{AccessToken, JwtSigner};
use tower_bearer::{Algorithm, Scopes};

use crate::drive::Heads;

pub const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "orders";
pub const SECRET: &str = "5f1c0e7ab2d94c3886e1f7a0d35b94621c8ee0f94b7d4a6f9a1d2c3b4e5f6071";
/// Some peers look a key up by its name only.
const KEY_ID: &str = "key-1";
/// How many tokens are sent in turn.
pub const DISTINCT: usize = 1024;
/// About what identity providers issue.
const TOKEN_BYTES: usize = 800;

/// The tokens of one algorithm, and what verifies them.
pub struct Corpus {
    pub algorithm: Algorithm,
    pub tokens: Vec<String>,
    /// As an issuer publishes it; for HS256, the shared secret in the same form.
    pub jwks: String,
    /// The public key as aws-lc-rs takes it; none for HS256.
    pub parsed: Option<ParsedPublicKey>,
    signer: JwtSigner,
}

impl Corpus {
    pub fn new(algorithm: Algorithm) -> Self {
        let (signer, parsed) = key(algorithm);
        let sign = |number| sign(&signer, number, AUDIENCE, Duration::from_secs(6 * 3600));
        let tokens = (0..DISTINCT).map(sign).collect();
        let jwks = match algorithm.is_symmetric() {
            true => json!({ "keys": [{
                "kty": "oct",
                "kid": KEY_ID,
                "alg": algorithm.name(),
                "k": URL_SAFE_NO_PAD.encode(SECRET),
            }] })
            .to_string(),
            false => signer.jwks(),
        };
        Self { algorithm, tokens, jwks, parsed, signer }
    }

    pub fn token_bytes(&self) -> usize {
        self.tokens.iter().map(String::len).sum::<usize>() / self.tokens.len()
    }

    /// Requests with all the tokens, in order.
    pub fn requests(&self) -> Heads {
        self.tokens.iter().map(|token| request(token)).collect()
    }

    /// Requests that no contestant may let through.
    pub fn bad_requests(&self) -> Vec<(&'static str, Heads)> {
        let lifetime = Duration::from_secs(6 * 3600);
        let good = &self.tokens[0];
        let dot = good.rfind('.').expect("a signature");
        // The first character of the signature, since the last one's bits are not all read.
        let other = if good.as_bytes()[dot + 1] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &good[..=dot], &good[dot + 2..]);
        let elsewhere = sign(&self.signer, 0, "elsewhere", lifetime);
        [("a forged signature", forged), ("another audience", elsewhere)]
            .map(|(what, token)| (what, [request(&token)].into_iter().collect()))
            .into()
    }
}

fn request(token: &str) -> Request<()> {
    Request::get("https://api.example/orders")
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request")
}

fn key(algorithm: Algorithm) -> (JwtSigner, Option<ParsedPublicKey>) {
    let expected = "a key";
    let (pkcs8, parsed) = match algorithm {
        Algorithm::HS256 => {
            return (JwtSigner::hmac(algorithm, SECRET).expect(expected).with_key_id(KEY_ID), None);
        }
        Algorithm::RS256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect(expected);
            let public = ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, pair.public_key());
            (pair.as_der().expect(expected).as_ref().to_vec(), public)
        }
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect(expected);
            let public = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key());
            (pair.to_pkcs8v1().expect(expected).as_ref().to_vec(), public)
        }
        _ => {
            let pair = Ed25519KeyPair::generate().expect(expected);
            let public = ParsedPublicKey::new(&signature::ED25519, pair.public_key());
            (pair.to_pkcs8v1().expect(expected).as_ref().to_vec(), public)
        }
    };
    let signer = JwtSigner::pem(algorithm, pem(&pkcs8).as_bytes()).expect(expected).with_key_id(KEY_ID);
    (signer, Some(parsed.expect(expected)))
}

/// PKCS #8 as the text that files have.
pub fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII"));
    let body = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// Twelve claims. Groups are added until the token is long enough.
fn sign(signer: &JwtSigner, number: usize, audience: &str, lifetime: Duration) -> String {
    let with_groups = |groups: usize| {
        let subject = format!("user-{number:08}");
        let token = AccessToken::new(ISSUER, &subject, "web", audience, lifetime)
            .scopes(Scopes::parse("read write profile").expect("scopes"))
            .claim("name", "Alice Example")
            .claim("email", format!("{subject}@example.com"))
            .claim("tenant", "0b7c1a52-6f0e-4c9e-9a6b-0d2f8f1b7f11")
            .claim("groups", (1..=groups).map(|group| format!("group-{group:02}")).collect::<Vec<_>>());
        signer.sign(&token).expect("a signature")
    };
    (1..).map(with_groups).find(|token| token.len() >= TOKEN_BYTES).expect("a long token")
}
