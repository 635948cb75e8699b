//! The layer that puts a token on requests.
//!
//! What happens to a request, in this order:
//!
//! 1. Its URI is compared with the [`Origins`] that the layer was made with: scheme, host and port. A
//!    request to anywhere else passes as it is, without a token. So does one that has an `Authorization`
//!    header already, unless the layer is told to [replace it](AttachLayer::replace_existing).
//! 2. A fresh token is taken where the source [published](crate::source::TokenSource::published) it; for any
//!    other, the source is asked. If it has one at once, nothing is boxed or allocated for it, and no lock is
//!    taken for one that was published. If it has none, nothing is sent: [`AttachError::Token`].
//! 3. The header is set, marked sensitive, and the inner service is called, once it is ready.
//! 4. An answer that says that the token is bad makes the source [reject](crate::source::TokenSource::reject)
//!    that very token, unless another took its place meanwhile: a 401, gRPC's `UNAUTHENTICATED` in an answer without a body, or what
//!    [`refused_when`](AttachLayer::refused_when) adds.
//! 5. If the body can be sent again ([`Replay`]) and the source has another token, the request is sent
//!    again, once. What comes then is the answer, whatever it is. Otherwise the refusal is.
//!
//! # Caveat
//!
//! A redirect follower outside of this layer brings each new URI here, to rule 1. One between this layer and
//! the network sends the header on as it sees fit: put a [`GuardLayer`] inside of it.
//!
//! # Examples
//!
//! Bound to an origin:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::source::StaticToken;
//! use tower_bearer::{AttachLayer, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In place of a hyper client: shows what it was sent.
//! let client = tower::service_fn(|request: Request<String>| async move {
//!     let sent = request.headers().get("authorization").map_or("nothing", |value| value.to_str().unwrap());
//!     Ok::<_, std::convert::Infallible>(Response::new(sent.to_owned()))
//! });
//! let source = StaticToken::new(Scheme::Bearer, "abc")?;
//! let service = AttachLayer::to(["https://api.example"], source)?.layer(client);
//!
//! let get = |uri: &str| Request::get(uri).body(String::new()).unwrap();
//! let inside = service.clone().oneshot(get("https://api.example/orders")).await?;
//! assert_eq!(inside.body(), "Bearer abc");
//! let outside = service.oneshot(get("https://elsewhere.example/orders")).await?;
//! assert_eq!(outside.body(), "nothing");
//!
//! let source = StaticToken::new(Scheme::Bearer, "abc")?;
//! assert!(AttachLayer::to(["http://api.example"], source).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! Sent again after a refusal, for an API that refuses with a message of its own:
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::attach::CloneBody;
//! use tower_bearer::contract::TokenContract;
//! use tower_bearer::source::{CachedSource, TokenSource};
//! use tower_bearer::{AttachLayer, Eventual, Scheme, Token, TokenError};
//!
//! // Gives 1, 2, 3 and so on.
//! struct Counter(AtomicUsize);
//! impl TokenSource for Counter {
//!     fn token(&self) -> Eventual<Result<Token, TokenError>> {
//!         let number = self.0.fetch_add(1, SeqCst) + 1;
//!         let token = Token::new(Scheme::Bearer, number.to_string());
//!         Eventual::now(token.map_err(|_| TokenError::permanent("the number is no token")))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = tower::service_fn(|request: Request<String>| async move {
//!     let good = request.headers()["authorization"] == "Bearer 2" && request.body() == "hello";
//!     let (status, body) = if good { (200, "{}") } else { (400, r#"{"message":"Invalid token"}"#) };
//!     Response::builder().status(status).body(Full::<bytes::Bytes>::from(body))
//! });
//! let layer = |source| AttachLayer::to("https://api.example", source).map(|layer| layer.retry_unauthorized(CloneBody));
//! let hello = || Request::post("https://api.example/").body("hello".to_owned()).unwrap();
//!
//! let told = layer(CachedSource::new(Counter(AtomicUsize::new(0))))?
//!     .refused_when(TokenContract::two_bttns().refusal().clone());
//! assert_eq!(told.layer(client).oneshot(hello()).await?.status(), 200);
//!
//! let untold = layer(CachedSource::new(Counter(AtomicUsize::new(0))))?;
//! assert_eq!(untold.layer(client).oneshot(hello()).await?.status(), 400);
//! # Ok(())
//! # }
//! ```

mod error;
mod future;
mod grpc;
mod guard;
mod layer;
mod origins;
mod peek;
mod replay;
mod service;

pub use self::error::AttachError;
pub use self::future::ResponseFuture;
pub use self::grpc::{AnswerGrpc, AnswerGrpcFuture};
pub use self::guard::{Guard, GuardLayer};
pub use self::layer::{AttachLayer, Grpc, Plain};
pub use self::origins::{IntoOrigins, Origins};
pub use self::peek::{Peek, PeekFuture, Peeked};
pub use self::replay::{AsIs, Buffered, CloneBody, NoReplay, Recorded, Recording, Replay};
pub use self::service::Attach;
