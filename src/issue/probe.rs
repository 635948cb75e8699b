//! 2bttns' probe, `GET /api/authentication/checkAuthType`: what kind of token is this?

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::http::{READING, is_reading, json as answer, retry_soon, service};
use crate::credential::{Credential, Scheme};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Verify;

/// The kinds of token that an app has.
const KINDS: [&str; 2] = ["api_key_token", "player_token"];

/// Answers a good token of 2bttns with its kind, as one JSON string.
///
/// Any bad one gets the same 400, whose message begins with `Invalid token`: unknown app, wrong signature, wrong
/// claims or none at all. The original tells these apart, and so tells strangers which apps exist. No token
/// is a 401, and what cannot be told now a 503. A clone is the same endpoint.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use http::Request;
/// use serde_json::json;
/// use tower::ServiceExt;
/// use tower_bearer::issue::{AuthTypeEndpoint, JwtSigner};
/// use tower_bearer::verify::{JwtVerifier, Keys};
/// use tower_bearer::{Algorithm, Secret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::ConfigError> {
/// let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// let keys = Keys::by_claim("appId", Algorithm::HS256, move |_: &str| Some(Secret::from(secret)))?;
/// let verifier = JwtVerifier::builder(keys)
///     .insecure_any_issuer()
///     .insecure_any_audience()
///     .insecure_allow_missing_expiry()
///     .build()?;
/// let probe = AuthTypeEndpoint::new(verifier);
///
/// let signer = JwtSigner::hmac(Algorithm::HS256, secret)?;
/// let token = signer.sign_claims("JWT", &json!({ "type": "player_token", "appId": "a", "playerId": "p" }))?;
/// let ask = |token: &str| Request::get("/").header("authorization", format!("Bearer {token}")).body(()).unwrap();
/// assert_eq!(probe.clone().oneshot(ask(&token)).await.unwrap().status(), 200);
/// assert_eq!(probe.oneshot(ask("forged.token.really")).await.unwrap().status(), 400);
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct AuthTypeEndpoint {
    verifier: Arc<dyn Verify>,
}

impl AuthTypeEndpoint {
    /// Tells the kind of what `verifier` accepts.
    pub fn new(verifier: impl Verify) -> Self {
        Self { verifier: Arc::new(verifier) }
    }
}

service!(AuthTypeEndpoint, without a body);

impl AuthTypeEndpoint {
    async fn answer(self, head: Parts) -> Response<Full<Bytes>> {
        if !is_reading(&head.method) {
            return wrong_method();
        }
        let credential = match Credential::from_headers(&head.headers) {
            Ok(Some(credential)) if credential.scheme() == Scheme::Bearer => credential,
            Ok(None) => return unauthorized(),
            Ok(Some(_)) | Err(_) => return invalid(),
        };
        match self.verifier.verify(&credential).await {
            Ok(identity) => {
                let kind = identity.claim("type").and_then(Value::as_str);
                match kind.and_then(|kind| KINDS.into_iter().find(|known| *known == kind)) {
                    Some(kind) => answer(StatusCode::OK, &kind.into()),
                    None => invalid(),
                }
            }
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => unavailable(rejection),
            Err(_) => invalid(),
        }
    }
}

/// The one answer for every bad token.
fn invalid() -> Response<Full<Bytes>> {
    let mut response = error(StatusCode::BAD_REQUEST, "Invalid token", "BAD_REQUEST");
    response.extensions_mut().insert(Rejection::invalid_token());
    response
}

fn unauthorized() -> Response<Full<Bytes>> {
    let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "UNAUTHORIZED");
    // RFC 9110 §15.5.2: the original has none.
    let challenge = HeaderValue::from_static("Bearer realm=\"2bttns\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn wrong_method() -> Response<Full<Bytes>> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Expected GET", "METHOD_NOT_SUPPORTED");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(READING));
    response
}

fn unavailable(rejection: Rejection) -> Response<Full<Bytes>> {
    let message = "The token cannot be checked now";
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, message, "INTERNAL_SERVER_ERROR");
    retry_soon(response.headers_mut());
    response.extensions_mut().insert(rejection);
    response
}

fn error(status: StatusCode, message: &str, code: &str) -> Response<Full<Bytes>> {
    answer(status, &json!({ "message": message, "code": code }))
}

impl fmt::Debug for AuthTypeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthTypeEndpoint")
    }
}
