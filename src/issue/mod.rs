//! Issuing: signed tokens, the endpoints that give them, and all that belongs to their lives.
//!
//! | to | take |
//! |---|---|
//! | sign access tokens, or any JWT | [`JwtSigner`], [`AccessToken`] |
//! | replace signing keys in time, the same on every machine | [`KeyRing`] |
//! | serve a [`TokenContract`](crate::contract::TokenContract): standard grants, or a system's own way | [`TokenEndpoint`], [`Mint`] |
//! | tell clients about tokens, and let them revoke theirs | [`IntrospectionEndpoint`], [`RevocationEndpoint`] |
//! | let users manage personal access tokens | [`PatEndpoint`] |
//! | publish keys and metadata | [`JwksEndpoint`], [`MetadataEndpoint`] |
//! | verify and probe tokens that apps sign with their own secret | [`AppKeys`], [`AuthTypeEndpoint`] |
//!
//! Each endpoint is a tower service of any body, and rules hold for all of them:
//!
//! 1. An access token is one of RFC 9068: `typ` is `at+jwt` and every claim of §2.2 is there. A key carries one
//!    algorithm; weak keys are refused when the signer is made; only public keys are published.
//! 2. Requests are read strictly: the method of the contract, its encoding, each parameter once (RFC 6749 §3.2),
//!    64 KiB at most within 10 s, and one way of client authentication (§2.3).
//! 3. An unknown client and a wrong secret get one answer, byte for byte, at one cost. Secrets are compared
//!    by digest, in constant time; at most as many password hashes are computed at a time as there are cores.
//! 4. What has a token in it is `no-store`, and a header with one is marked sensitive.
//! 5. What was answered was durable before. A refresh token is good for one use; a second one ends the grant.
//! 6. What cannot be told now is a 503, never a refusal. A refusal of credentials leaves an `InvalidToken` in the
//!    response's extensions, by which [`LimitFailuresLayer`](crate::LimitFailuresLayer) counts it.
//!
//! # Caveat
//!
//! A signed token is a credential: keep it out of logs. So is the URL of an endpoint that takes secrets in the
//! query, as 2bttns' does.
//!
//! # Examples
//!
//! An endpoint, our own client in front of it, and a verifier with what is published behind:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use tower_bearer::contract::{Credentials, TokenContract};
//! use tower_bearer::issue::{JwtSigner, Mint, TokenEndpoint};
//! use tower_bearer::source::{FetchedSource, TokenSource};
//! use tower_bearer::store::{Client, ClientSecret, MemoryStore};
//! use tower_bearer::transport::ServiceTransport;
//! use tower_bearer::verify::{JwtVerifier, Keys, Verify};
//! use tower_bearer::{Algorithm, Credential, Scheme, Scopes, Secret};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let secret = Secret::from("a secret of 32 random bytes or so");
//! let store = MemoryStore::new();
//! let client = Client::new("travel-desk", ClientSecret::random(&secret)?).with_scopes(Scopes::parse("read")?);
//! store.put_client(client).await?;
//!
//! let signer = JwtSigner::generate(Algorithm::ES256)?;
//! let keys = Keys::jwks(signer.jwks().as_bytes())?;
//! let mint = Mint::access_tokens(signer, "https://issuer.example", "orders");
//! let endpoint = ServiceTransport::new(TokenEndpoint::new(TokenContract::spotnana(), mint, store));
//!
//! let url = "https://issuer.example/v2/auth/oauth2-token";
//! let client = Credentials::client("travel-desk", secret);
//! let source = FetchedSource::new(TokenContract::spotnana(), url, client, endpoint)?;
//! let token = source.token().await?;
//!
//! let verifier = JwtVerifier::builder(keys).issuer("https://issuer.example").audience("orders").build()?;
//! let verify = |token: &str| verifier.verify(&Credential::new(Scheme::Bearer, token)).try_now().unwrap();
//! assert!(verify(token.expose())?.scopes().contains("read"));
//! assert!(verify("another.token.altogether").is_err());
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
//!
//! A token of a user's own, made with another one, looked up, and revoked by its management:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use http::{Method, Request};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::issue::PatEndpoint;
//! use tower_bearer::pat::PatFormat;
//! use tower_bearer::store::MemoryStore;
//! use tower_bearer::verify::{PatVerifier, Schemes, Verify, verify_fn};
//! use tower_bearer::{AuthenticateLayer, Credential, Identity, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let store = MemoryStore::new();
//! let personal = PatVerifier::new(PatFormat::netbird(), store.clone());
//! let session = verify_fn(|_| async { Ok(Identity::builder("alice").build()) });
//! let schemes = Schemes::new().bearer(session).token(personal.clone());
//! let endpoint = AuthenticateLayer::new(schemes).layer(PatEndpoint::new(PatFormat::netbird(), store));
//!
//! let send = async |method: Method, path: &str, body: &'static str| {
//!     let request = Request::builder().method(method).uri(path).header("authorization", "Bearer session");
//!     let request = request.body(Full::<bytes::Bytes>::from(body)).unwrap();
//!     let response = endpoint.clone().oneshot(request).await.unwrap();
//!     serde_json::from_slice::<serde_json::Value>(&response.collect().await.unwrap().to_bytes()).unwrap()
//! };
//! let made = send(Method::POST, "/api/users/alice/tokens", r#"{"name":"ci","expires_in":30}"#).await;
//! let token = Credential::new(Scheme::Token, made["plain_token"].as_str().unwrap());
//! assert_eq!(personal.verify(&token).await?.subject(), "alice");
//!
//! let id = made["personal_access_token"]["id"].as_str().unwrap();
//! send(Method::DELETE, &format!("/api/users/alice/tokens/{id}"), "").await;
//! assert!(personal.verify(&token).await.is_err());
//! assert_eq!(send(Method::GET, "/api/users/bob/tokens", "").await["code"], 403);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

mod access_token;
mod app_keys;
mod clients;
mod desk;
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
