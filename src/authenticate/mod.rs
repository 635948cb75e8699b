//! The layer that tells who is calling.
//!
//! What happens to a request, in this order:
//!
//! 1. An [`Identity`](crate::Identity) that is already in its extensions is removed: nothing upstream
//!    may forge one.
//! 2. The `Authorization` header is marked sensitive and read. One credential goes on; none is a bare
//!    401, or passes where the layer is [`optional`](AuthenticateLayer::optional); two or a malformed
//!    one is a 400, optional or not.
//! 3. A scheme that the verifier does not speak is a bare 401. A token beside an `access_token` in the
//!    query is a 400 (RFC 6750 §2), one that is too long an invalid token, whatever is in it.
//! 4. The verifier decides. If it answers at once, nothing is boxed, cloned or allocated for the
//!    future.
//! 5. Accepted: the identity goes into the extensions and the inner service is called, the very one
//!    that was polled ready. Refused: [`Respond`](crate::respond::Respond) writes the answer, and the
//!    [`Rejection`](crate::Rejection) goes into the response's extensions.
//!
//! # Caveat
//!
//! A token is only as secret as the connection it came over: see [`HttpsOnly`].
//!
//! # Examples
//!
//! Required, the default:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity, Rejection};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let verifier = verify_fn(|credential| async move {
//!     match credential.expose() {
//!         "good" => Ok(Identity::builder("alice").build()),
//!         _ => Err(Rejection::invalid_token()),
//!     }
//! });
//! let handler = tower::service_fn(|request: Request<String>| async move {
//!     let identity = request.extensions().get::<Identity>().expect("the layer let it in");
//!     Ok::<_, std::convert::Infallible>(Response::new(format!("hello {}", identity.subject())))
//! });
//! let service = AuthenticateLayer::new(verifier).layer(handler);
//!
//! let with = |value: &str| Request::builder().header("authorization", value).body(String::new()).unwrap();
//! let allowed = service.clone().oneshot(with("Bearer good")).await.unwrap();
//! assert_eq!(allowed.body(), "hello alice");
//!
//! let refused = service.oneshot(with("Bearer bad")).await.unwrap();
//! assert_eq!(refused.status(), 401);
//! # }
//! ```
//!
//! Optional, with a JSON body for refusals:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::respond::{Challenge, Problem};
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity, Rejection};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let nobody = verify_fn(|_| async { Err(Rejection::invalid_token()) });
//! let handler = tower::service_fn(|request: Request<String>| async move {
//!     let known = request.extensions().get::<Identity>().is_some();
//!     Ok::<_, std::convert::Infallible>(Response::new(bytes::Bytes::from(format!("known: {known}"))))
//! });
//! let layer = AuthenticateLayer::new(nobody).optional().with_responder(Problem::new(Challenge::new()));
//! let service = layer.layer(handler);
//!
//! let anonymous = service.clone().oneshot(Request::new(String::new())).await.unwrap();
//! assert_eq!(anonymous.body(), "known: false");
//!
//! let bad = Request::builder().header("authorization", "Bearer bad").body(String::new()).unwrap();
//! let refused = service.oneshot(bad).await.unwrap();
//! assert_eq!(refused.status(), 401);
//! assert_eq!(refused.headers()["content-type"], "application/problem+json");
//! # }
//! ```

mod future;
mod https_only;
mod layer;
mod service;

pub use self::future::ResponseFuture;
pub use self::https_only::HttpsOnly;
pub use self::layer::AuthenticateLayer;
pub use self::service::Authenticate;
