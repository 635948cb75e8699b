//! Issuing: signed access tokens, and the published keys that verify them.
//!
//! 1. An access token is one of RFC 9068: `typ` is `at+jwt` and every claim of §2.2 is there.
//! 2. A key carries one algorithm; weak keys are refused when the signer is made.
//! 3. Only public keys are published. A signer with a secret publishes an empty set.
//!
//! # Caveat
//!
//! A signed token is a credential: keep it out of logs.
//!
//! # Examples
//!
//! Sign with a key made at start, and verify with what is published:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use std::time::Duration;
//! use tower_bearer::issue::{AccessToken, JwtSigner};
//! use tower_bearer::verify::{JwtVerifier, Keys, Verify};
//! use tower_bearer::{Algorithm, Credential, Scheme, Scopes};
//!
//! let signer = JwtSigner::generate(Algorithm::ES256)?;
//! let verifier = JwtVerifier::builder(Keys::jwks(signer.jwks().as_bytes())?)
//!     .issuer("https://issuer.example")
//!     .audience("orders")
//!     .access_token_profile()
//!     .build()?;
//! let verify = |token: String| verifier.verify(&Credential::new(Scheme::Bearer, token)).try_now().unwrap();
//!
//! let token = AccessToken::new("https://issuer.example", "alice", "web", "orders", Duration::from_secs(300))
//!     .scopes(Scopes::parse("read").unwrap());
//! assert!(verify(signer.sign(&token)?).unwrap().scopes().contains("read"));
//!
//! let stranger = JwtSigner::generate(Algorithm::ES256)?;
//! assert!(verify(stranger.sign(&token)?).is_err());
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! Another kind of JWT, such as the app tokens of systems with one secret for each app:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use serde_json::json;
//! use tower_bearer::issue::JwtSigner;
//! use tower_bearer::verify::{JwtVerifier, Keys, Verify};
//! use tower_bearer::{Algorithm, Credential, Scheme, Secret};
//!
//! let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
//! let keys = Keys::by_claim("appId", Algorithm::HS256, move |app: &str| {
//!     (app == "example-app").then(|| Secret::from(secret))
//! })?;
//! let verifier = JwtVerifier::builder(keys)
//!     .insecure_any_issuer()
//!     .insecure_any_audience()
//!     .insecure_allow_missing_expiry()
//!     .with_claim("type", "api_key_token")
//!     .with_subject_claim("appId")
//!     .build()?;
//! let verify = |token: String| verifier.verify(&Credential::new(Scheme::Bearer, token)).try_now().unwrap();
//!
//! let signer = JwtSigner::hmac(Algorithm::HS256, secret)?;
//! let token = signer.sign_claims("JWT", &json!({ "type": "api_key_token", "appId": "example-app" }))?;
//! assert_eq!(verify(token).unwrap().subject(), "example-app");
//!
//! let unknown = signer.sign_claims("JWT", &json!({ "type": "api_key_token", "appId": "another" }))?;
//! assert!(verify(unknown).is_err());
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```

mod access_token;
mod app_keys;
mod clients;
mod endpoint;
mod fault;
mod form;
mod http;
mod introspect;
mod keyring;
mod mint;
mod personal;
mod probe;
mod published;
mod revoke;
mod signer;

pub use self::access_token::AccessToken;
pub use self::app_keys::AppKeys;
pub use self::endpoint::TokenEndpoint;
pub use self::http::ResponseFuture;
pub use self::introspect::IntrospectionEndpoint;
pub use self::keyring::KeyRing;
pub use self::mint::{Mint, SigningKeys};
pub use self::personal::PatEndpoint;
pub use self::probe::AuthTypeEndpoint;
pub use self::published::{JwksEndpoint, MetadataEndpoint};
pub use self::revoke::RevocationEndpoint;
pub use self::signer::JwtSigner;
