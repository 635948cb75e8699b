//! The layer that says whether a known caller may make this request.
//!
//! 1. It reads the [`Identity`](crate::Identity) that [`authenticate`](crate::authenticate) put into
//!    the extensions. Without one the answer is a bare 401, whatever the policy.
//! 2. The policy sees the identity and the head of the request as it was routed. No forwarded header
//!    has a say in which rule applies.
//! 3. A refusal is final and written by [`Respond`](crate::respond::Respond): 403 with the scopes that
//!    would have been enough, if scopes were the matter.
//! 4. A policy made of nothing refuses: an empty [`all`], an empty [`any`], a path that no rule of
//!    [`ByPath`] names.
//!
//! # Caveat
//!
//! Put this layer inside of the authenticating one: in axum, `.layer(RequireLayer::new(…))` *before*
//! `.layer(AuthenticateLayer::new(…))`, since the last layer added is the first to run.
//!
//! # Examples
//!
//! One scope for a whole service:
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::require::{RequireLayer, scope};
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity, Scopes};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // The token is the list of scopes: fine for an example.
//! let verifier = verify_fn(|credential| async move {
//!     Ok(Identity::builder("alice").scopes(Scopes::parse(credential.expose()).unwrap()).build())
//! });
//! let service = ServiceBuilder::new()
//!     .layer(AuthenticateLayer::new(verifier))
//!     .layer(RequireLayer::new(scope("read")))
//!     .service_fn(|_: Request<()>| async { Ok::<_, std::convert::Infallible>(Response::new(String::new())) });
//!
//! let with = |value: &str| Request::builder().header("authorization", value).body(()).unwrap();
//! assert_eq!(service.clone().oneshot(with("Bearer read")).await.unwrap().status(), 200);
//!
//! let refused = service.oneshot(with("Bearer write")).await.unwrap();
//! assert_eq!(refused.status(), 403);
//! assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains(r#"scope="read""#));
//! # }
//! ```
//!
//! A rule for each gRPC method, and one of your own:
//!
//! ```
//! use http::Request;
//! use tower_bearer::require::{ByPath, Policy, all, claim, scope};
//! use tower_bearer::{Identity, Rejection, RejectionKind, RequestHead};
//!
//! let own_tenant = |identity: &Identity, request: RequestHead<'_>| {
//!     let tenant = request.headers.get("x-tenant").and_then(|tenant| tenant.to_str().ok());
//!     match tenant == identity.claim("tenant").and_then(|tenant| tenant.as_str()) {
//!         true => Ok(()),
//!         false => Err(Rejection::forbidden()),
//!     }
//! };
//! let policy = ByPath::new()
//!     .exact("/orders.Orders/List", own_tenant)
//!     .exact("/orders.Orders/Purge", all([claim("role", "admin").boxed(), scope("purge").boxed()]));
//!
//! let alice = Identity::builder("alice").claim("tenant", "acme").build();
//! let check = |path: &str| {
//!     let request = Request::builder().uri(path).header("x-tenant", "acme").body(()).unwrap();
//!     policy.check(&alice, (&request).into()).map_err(|rejection| rejection.kind())
//! };
//! assert_eq!(check("/orders.Orders/List"), Ok(()));
//! assert_eq!(check("/orders.Orders/Purge"), Err(RejectionKind::Forbidden));
//! assert_eq!(check("/orders.Orders/Unheard"), Err(RejectionKind::Forbidden));
//! ```

mod future;
mod layer;
mod policy;
mod service;

pub use self::future::ResponseFuture;
pub use self::layer::RequireLayer;
pub use self::policy::{
    All, Any, ByPath, Claim, Deny, Policy, Scope, all, all_scopes, any, any_scope, claim, deny, scope,
};
pub use self::service::Require;
