//! Tower middleware for requests that carry a token: one layer tells good credentials from bad on the
//! way in, another says what the caller may do, a third puts fresh tokens on what goes out.
//!
//! # The story
//!
//! A request brings a [`Credential`]: a scheme and a secret. A verifier ([`verify::Verify`]) turns it
//! into an [`Identity`], proof of who is calling, or into a [`Rejection`]. [`AuthenticateLayer`] runs the
//! verifier and puts the identity into the request's extensions; [`RequireLayer`] asks a
//! [`Policy`](require::Policy) whether that identity may make that request; a responder
//! ([`respond::Respond`]) writes refusals, as HTTP or as gRPC, whichever the request speaks.
//!
//! On the way out (feature `client`) a `source::TokenSource` yields a `Token`, and an `AttachLayer` puts it on
//! requests to the origins it is bound to.
//!
//! The layers know nothing of axum, tonic or hyper: they work over any tower service of `http` requests,
//! whatever its bodies and errors.
//!
//! # Start here
//!
//! ```
//! # #[cfg(all(feature = "issue", feature = "axum", feature = "aws-lc-rs"))] {
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_bearer::verify::{JwtVerifier, Keys};
//! use tower_bearer::{AuthenticateLayer, Identity};
//! # use tower_bearer::{Algorithm, issue::{AccessToken, JwtSigner}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::ConfigError> {
//! # let signer = JwtSigner::generate(Algorithm::ES256)?;
//! # let jwks = signer.jwks();
//! # let lifetime = std::time::Duration::from_secs(60);
//! # let token = signer.sign(&AccessToken::new("https://issuer.example", "alice", "web", "orders", lifetime))?;
//! let verifier = JwtVerifier::builder(Keys::jwks(jwks.as_bytes())?)
//!     .issuer("https://issuer.example")
//!     .audience("orders")
//!     .build()?;
//! let app = Router::new()
//!     .route("/me", get(|me: Identity| async move { me.subject().to_owned() }))
//!     .layer(AuthenticateLayer::new(verifier));
//!
//! let get_me = |token: &str| {
//!     Request::get("/me").header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
//! };
//! assert_eq!(app.clone().oneshot(get_me(&token)).await.unwrap().status(), 200);
//! assert_eq!(app.oneshot(get_me("forged.token.really")).await.unwrap().status(), 401);
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```
//!
//! The same layers under tonic, where a refusal is a gRPC status:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::require::{ByPath, RequireLayer, scope};
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity, Rejection, Scopes};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let verifier = verify_fn(|credential| async move {
//!     let scopes = Scopes::parse(credential.expose()).map_err(|_| Rejection::invalid_token())?;
//!     Ok(Identity::builder("alice").scopes(scopes).build())
//! });
//! let service = ServiceBuilder::new()
//!     .layer(AuthenticateLayer::new(verifier))
//!     .layer(RequireLayer::new(ByPath::new().exact("/shop.Orders/List", scope("read"))))
//!     .service_fn(|_: Request<String>| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
//!
//! let call = |token: &str| {
//!     Request::post("/shop.Orders/List")
//!         .header("content-type", "application/grpc")
//!         .header("authorization", format!("Bearer {token}"))
//!         .body(String::new())
//!         .unwrap()
//! };
//! let allowed = service.clone().oneshot(call("read")).await.unwrap();
//! assert!(!allowed.headers().contains_key("grpc-status"));
//!
//! let refused = service.oneshot(call("write")).await.unwrap();
//! assert_eq!((refused.status().as_u16(), &refused.headers()["grpc-status"]), (200, &"7".parse().unwrap()));
//! # }
//! ```
//!
//! # Where things are
//!
//! | to | look in |
//! |---|---|
//! | verify JWTs, several issuers, several schemes, or your own tokens | [`verify`] |
//! | understand what happens to a request | [`authenticate`] |
//! | fetch keys by URL or discovery, or ask about opaque tokens (feature `remote`) | [`verify`], `transport` |
//! | demand scopes or claims, for each path or gRPC method | [`require`] |
//! | send away a peer whose credentials failed too often (feature `pat`) | `limit` |
//! | change what a refusal looks like | [`respond`] |
//! | take the caller as an axum extractor | [`integrations`] |
//! | issue: token endpoints, introspection, revocation, signing keys (feature `issue`) | `issue` |
//! | make and verify personal access tokens (feature `pat`) | `pat` |
//! | keep tokens, clients and keys (features `pat`, `sqlite`, `postgres`) | `store` |
//! | put tokens on outgoing requests (feature `client`) | `attach`, `source` |
//! | describe a token endpoint (feature `client`) | `contract` |
//! | read why a server refused (feature `client`) | `challenge` |
//! | test with a clock or a provider of your own, on good days and bad (feature `test-util`) | `test_util` |
//! | know every default and its reason, and every attack and its answer | [`manual`] |
//!
//! # Features
//!
//! | feature | default | gives |
//! |---|---|---|
//! | `jwt` | yes | [`JwtVerifier`](verify::JwtVerifier), [`Keys`](verify::Keys), [`Issuers`](verify::Issuers) |
//! | `aws-lc-rs` | yes | the crypto backend; HS256 is checked with `hmac` and `sha2` where the processor is x86-64 with SHA instructions and the build is not FIPS |
//! | `rust-crypto` | | the other backend; `aws-lc-rs` wins if both are on. It needs no C compiler, with `default-features = false` and without `https`, `sqlite` and `postgres` |
//! | `remote` | yes | `RemoteKeys`, `Introspection`, `CachedVerifier` |
//! | `https` | yes | a ready-made transport over TLS, `JwtVerifier::discover` |
//! | `pat` | | personal access tokens: `PatFormat`, `PatVerifier`, stores in memory; `LimitFailuresLayer` |
//! | `issue` | | `JwtSigner`, `TokenEndpoint` and what belongs to it |
//! | `axum` | | extractors |
//! | `client` | yes | `AttachLayer`, the token sources, `TokenContract` |
//! | `reqwest` | | a reqwest client under the layer, or as a transport |
//! | `sqlite`, `postgres` | | `SqlStore`: in a file, or shared by many machines |
//! | `tracing` | | one event for each refusal and each refresh, with its reason and without secrets |
//! | `test-util` | | `ManualClock`, `StubTransport`, `MockIssuer` |
//! | `full` | | all but the backends and `test-util` |
//!
//! Features only add. gRPC needs none: it is headers.

#![forbid(unsafe_code)]
#![warn(missing_docs, clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod algorithm;
#[cfg(feature = "client")]
pub mod attach;
pub mod authenticate;
#[cfg(feature = "client")]
pub mod challenge;
mod clock;
#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub mod contract;
mod credential;
#[cfg(feature = "jwt")]
mod decisions;
mod error;
mod eventual;
#[cfg(any(feature = "client", feature = "pat", feature = "remote"))]
mod flight;
mod identity;
pub mod integrations;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(feature = "jwt")]
mod jose;
#[cfg(feature = "client")]
mod lanes;
#[cfg(feature = "pat")]
pub mod limit;
pub mod manual;
#[cfg(feature = "pat")]
pub mod pat;
mod rejection;
mod request_head;
pub mod require;
pub mod respond;
mod scope;
mod secret;
#[cfg(feature = "client")]
pub mod source;
#[cfg(any(feature = "pat", feature = "remote"))]
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
#[cfg(feature = "client")]
mod token;
#[cfg(any(feature = "client", feature = "https", feature = "remote"))]
pub mod transport;
pub mod verify;

pub use self::algorithm::Algorithm;
#[cfg(feature = "client")]
pub use self::attach::AttachLayer;
pub use self::authenticate::AuthenticateLayer;
pub use self::clock::{Clock, SystemClock};
pub use self::credential::{Credential, Scheme};
pub use self::error::ConfigError;
#[cfg(feature = "client")]
pub use self::error::TokenError;
pub use self::eventual::Eventual;
pub use self::identity::{Identity, IdentityBuilder};
#[cfg(feature = "pat")]
pub use self::limit::LimitFailuresLayer;
pub use self::rejection::{Rejection, RejectionKind};
pub use self::request_head::RequestHead;
pub use self::require::RequireLayer;
pub use self::scope::{InvalidScope, Scopes};
pub use self::secret::Secret;
#[cfg(feature = "client")]
pub use self::token::{Phase, Token};

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;
