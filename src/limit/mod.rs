//! The layer that sends away a peer whose credentials failed too often.
//!
//! 1. A peer is an IP address that your closure reads from the request's extensions, where the server put
//!    it. No header and no token has a say in it. An IPv6 peer is its /64, since the
//!    other half of the address is the host's to choose (RFC 8981); an IPv4 address mapped into IPv6 is the
//!    IPv4 address.
//! 2. A failure is a response with a [`Rejection`](crate::Rejection) of the kind
//!    [`InvalidToken`](crate::RejectionKind::InvalidToken). A good credential, a missing or malformed one, a
//!    403, a 503, an error of the inner service: none of them costs anything.
//! 3. A peer may fail [so often in quick succession](LimitFailuresLayer::with_rate), 100 times, and once more
//!    for each second that passed. Beyond that the answer is 429 with `Retry-After`, or gRPC's
//!    `RESOURCE_EXHAUSTED`, without a look at the credential, and that costs nothing either.
//! 4. Requests without a known peer share the limit of one peer.
//! 5. Only a failure is remembered, of 65,536 peers and no more; a success costs one lookup. The clones of a
//!    layer share what they remember.
//!
//! # Why these numbers
//!
//! NetBird allows 5 failures for an address and one more in 12 s, for machines that have an address each.
//! Many users share one behind a carrier's or an office's NAT, and an expired token is a failure, too:
//! hence 100, and one each second. A personal access token has 178 random bits, which nobody guesses at any
//! rate: what is bounded here is the work that bad credentials make, and their noise in the logs.
//!
//! # Caveat
//!
//! - Put it outside of the authenticating layer: in axum, `.layer(LimitFailuresLayer::new(…))` *after*
//!   `.layer(AuthenticateLayer::new(…))`.
//! - Behind a proxy or a translator of addresses, all callers are one peer: the proxy. Read the caller from a
//!   header only if your proxy overwrites that header in every request; what a caller can write, a caller can
//!   change with each attempt, or set to somebody else's address.
//! - It looks first and charges later: of requests that are in the air together, each may fail. What goes
//!   beyond the limit is owed, up to the whole burst again. A caller that hangs up before its answer is not
//!   charged.
//! - Somebody with a large network is many peers, and can push others out of the memory.
//!
//! # Examples
//!
//! Under axum, with the address that `into_make_service_with_connect_info` puts into the extensions:
//!
//! ```
//! use std::net::SocketAddr;
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//!
//! use axum::extract::ConnectInfo;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity, LimitFailuresLayer, Rejection};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let limit = LimitFailuresLayer::new(|request| {
//!     request.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
//! });
//! let verifier = verify_fn(|credential| async move {
//!     match credential.expose() {
//!         "good" => Ok(Identity::builder("alice").build()),
//!         _ => Err(Rejection::invalid_token()),
//!     }
//! });
//! let service = ServiceBuilder::new()
//!     .layer(limit.with_rate(NonZeroU32::new(2).unwrap(), Duration::from_secs(60)))
//!     .layer(AuthenticateLayer::new(verifier))
//!     .service_fn(|_: Request<()>| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
//!
//! let status = async |address: [u8; 4], token: &str| {
//!     let request = Request::builder()
//!         .header("authorization", format!("Bearer {token}"))
//!         .extension(ConnectInfo(SocketAddr::from((address, 50_000))))
//!         .body(())
//!         .unwrap();
//!     service.clone().oneshot(request).await.unwrap().status().as_u16()
//! };
//! assert_eq!(status([192, 0, 2, 1], "good").await, 200);
//! assert_eq!(status([192, 0, 2, 1], "bad").await, 401);
//! assert_eq!(status([192, 0, 2, 1], "bad").await, 401);
//! assert_eq!(status([192, 0, 2, 1], "good").await, 429);
//! assert_eq!(status([192, 0, 2, 2], "good").await, 200);
//! # }
//! ```
//!
//! For personal access tokens alone, so that a limited peer's JWTs go on:
//!
//! ```
//! use std::net::IpAddr;
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::verify::{Schemes, verify_fn};
//! use tower_bearer::{AuthenticateLayer, Credential, LimitFailuresLayer, Rejection, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let limit = LimitFailuresLayer::new(|request| request.extensions.get::<IpAddr>().copied())
//!     .with_rate(NonZeroU32::MIN, Duration::from_secs(60))
//!     .only(|request| {
//!         let credential = Credential::from_headers(request.headers).ok().flatten();
//!         credential.is_some_and(|credential| credential.scheme() == Scheme::Token)
//!     });
//! let nobody = verify_fn(|_| async { Err(Rejection::invalid_token()) });
//! let service = ServiceBuilder::new()
//!     .layer(limit)
//!     .layer(AuthenticateLayer::new(Schemes::new().token(nobody.clone()).bearer(nobody)))
//!     .service_fn(|_: Request<()>| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
//!
//! let answer = async |authorization: &str| {
//!     let request = Request::builder().header("authorization", authorization).body(()).unwrap();
//!     service.clone().oneshot(request).await.unwrap()
//! };
//! assert_eq!(answer("Token unknown").await.status(), 401);
//! let limited = answer("Token unknown").await;
//! assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"60".parse().unwrap()));
//! assert_eq!(answer("Bearer expired").await.status(), 401);
//! # }
//! ```

mod buckets;
mod future;
mod layer;
mod service;

pub use self::future::ResponseFuture;
pub use self::layer::LimitFailuresLayer;
pub use self::service::LimitFailures;
