//! Extractors for axum handlers (feature `axum`).
//!
//! 1. [`Identity`] is the caller. Without one the answer is a bare 401, the same as the layers give.
//! 2. `Option<Identity>` is `None` only if the request had no credential: an
//!    [`optional`](crate::AuthenticateLayer::optional) layer refuses bad ones before.
//! 3. [`Claims<T>`](Claims) is the caller's claims as a type of yours; a token without that shape is
//!    refused as an invalid token.
//!
//! # Caveat
//!
//! The extractors read what an [`AuthenticateLayer`](crate::AuthenticateLayer) left. On a route that none
//! ran before, every request is a 401, and the event says so (feature `tracing`).
//!
//! Refusals by extractors are written by the default [`Challenge`]: the
//! responder of a layer is the layer's.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tower::ServiceExt;
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
//! let app = Router::new()
//!     .route("/me", get(|me: Identity| async move { me.subject().to_owned() }))
//!     .layer(AuthenticateLayer::new(verifier));
//!
//! let with = |value: &str| Request::get("/me").header("authorization", value).body(Body::empty()).unwrap();
//! assert_eq!(app.clone().oneshot(with("Bearer good")).await.unwrap().status(), 200);
//! assert_eq!(app.oneshot(with("Bearer bad")).await.unwrap().status(), 401);
//! # }
//! ```
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_bearer::integrations::axum::Claims;
//! use tower_bearer::verify::verify_fn;
//! use tower_bearer::{AuthenticateLayer, Identity};
//!
//! #[derive(serde::Deserialize)]
//! struct Plan { plan: String }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let verifier = verify_fn(|credential| async move {
//!     Ok(Identity::builder("alice").claim(credential.expose(), "gold").build())
//! });
//! let app = Router::new()
//!     .route("/plan", get(|Claims(plan): Claims<Plan>| async move { plan.plan }))
//!     .layer(AuthenticateLayer::new(verifier));
//!
//! let with = |value: &str| Request::get("/plan").header("authorization", value).body(Body::empty()).unwrap();
//! assert_eq!(app.clone().oneshot(with("Bearer plan")).await.unwrap().status(), 200);
//! assert_eq!(app.oneshot(with("Bearer other")).await.unwrap().status(), 401);
//! # }
//! ```

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::credential::Anonymous;
use crate::identity::Identity;
use crate::rejection::Rejection;
use crate::request_head::RequestHead;
use crate::respond::{Challenge, refuse};

/// A refusal by an extractor, ready to be answered with.
#[derive(Debug)]
pub struct ExtractRejection(Response);

impl ExtractRejection {
    fn new(parts: &Parts, rejection: Rejection) -> Self {
        let head = RequestHead::from(parts);
        Self(refuse::<Body>(&Challenge::new(), head, rejection))
    }

    fn missing(parts: &Parts) -> Self {
        Self::new(parts, Anonymous::rejection(&parts.extensions))
    }
}

impl IntoResponse for ExtractRejection {
    fn into_response(self) -> Response {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ExtractRejection::missing(parts))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ExtractRejection> {
        match parts.extensions.get::<Self>() {
            Some(identity) => Ok(Some(identity.clone())),
            None if parts.extensions.get::<Anonymous>().is_some() => Ok(None),
            None => Err(ExtractRejection::missing(parts)),
        }
    }
}

/// The caller's claims, read into a `T`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "made to be taken apart in a handler's arguments")]
pub struct Claims<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Claims<T> {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ExtractRejection> {
        let identity = parts.extensions.get::<Identity>().ok_or_else(|| ExtractRejection::missing(parts))?;
        // The reader's own words would repeat a claim's value.
        identity.claims_as().map(Self).map_err(|_| {
            let rejection = Rejection::invalid_token()
                .presented_as(identity.scheme())
                .with_source("the claims do not have the demanded shape");
            ExtractRejection::new(parts, rejection)
        })
    }
}
