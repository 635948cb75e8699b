//! Token introspection (RFC 7662), for tokens that were issued here.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::fault::Fault;
use super::http::{json as answer, service};
use crate::clock::{Clock, unix_seconds};
use crate::contract::ErrorForm;
use crate::error::BoxError;
use crate::identity::Identity;
use crate::store::{ClientStore, PersonalToken, RefreshStore, RevocationStore, TokenDigest};
use crate::verify::Verify;

/// Tells clients about tokens (RFC 7662).
///
/// - Any client that proves who it is may ask about any token (§2.1). One that does not gets a 401, and what
///   cannot be told now is a 503: neither says anything about the token.
/// - A token that is unknown, malformed, expired, revoked or somebody else's is `{"active":false}`, and nothing
///   else (§2.2).
/// - The verifier decides. It is asked for every request; give it one that remembers nothing, so that no
///   answer is older than the question.
///
/// See [`issue`](super) for an example. A clone is the same endpoint.
#[derive(Clone)]
#[must_use]
pub struct IntrospectionEndpoint {
    desk: Arc<Desk>,
}

impl IntrospectionEndpoint {
    /// Tells `clients` what `verifier` makes of a token that comes as `Bearer`.
    pub fn new(verifier: impl Verify, clients: impl ClientStore) -> Self {
        Self { desk: Arc::new(Desk::new(verifier, clients)) }
    }

    /// Knows refresh tokens, too.
    pub fn with_refresh_tokens(mut self, store: impl RefreshStore) -> Self {
        Arc::make_mut(&mut self.desk).refresh = Some(Arc::new(store));
        self
    }

    /// Takes assertions; see
    /// [`TokenEndpoint::accept_assertions`](super::TokenEndpoint::accept_assertions).
    pub fn accept_assertions(
        mut self,
        audiences: impl IntoIterator<Item = impl Into<String>>,
        store: impl RevocationStore,
    ) -> Self {
        Arc::make_mut(&mut self.desk).clients.accept_assertions(audiences, Arc::new(store));
        self
    }

    /// The clock that refresh tokens and assertions are judged by.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        Arc::make_mut(&mut self.desk).clients.with_clock(clock);
        self
    }
}

impl IntrospectionEndpoint {
    async fn introspect(&self, token: &str) -> Result<Value, Fault> {
        if let Some(identity) = self.desk.identify(token).await? {
            return Ok(active(&identity));
        }
        if let Some(store) = &self.desk.refresh {
            let found = store.find(TokenDigest::of(token)?).await.map_err(Fault::Unavailable)?;
            if let Some(grant) =
                found.filter(|grant| grant.expires_at > self.desk.clients.now() && !grant.spent)
            {
                return Ok(json!({
                    "active": true,
                    "client_id": grant.client_id,
                    "sub": grant.subject,
                    "scope": grant.scopes.to_string(),
                    "exp": unix_seconds(grant.expires_at),
                    "token_type": "refresh_token",
                }));
            }
        }
        Ok(json!({ "active": false }))
    }
}

/// RFC 7662 §2.2, as far as the token says.
fn active(identity: &Identity) -> Value {
    let mut answer = Map::new();
    for name in ["aud", "client_id", "iat", "jti", "nbf"] {
        if let Some(value) = identity.claim(name) {
            answer.insert(name.to_owned(), value.clone());
        }
    }
    let mut set = |name: &str, value: Value| answer.insert(name.to_owned(), value);
    set("active", true.into());
    set("sub", identity.subject().into());
    set("token_type", "Bearer".into());
    if let Some(issuer) = identity.issuer() {
        set("iss", issuer.into());
    }
    if let Some(expires) = identity.expires_at() {
        set("exp", unix_seconds(expires).into());
    }
    if !identity.scopes().is_empty() {
        set("scope", identity.scopes().to_string().into());
    }
    if let Some(token) = identity.detail::<PersonalToken>() {
        set("iat", unix_seconds(token.created_at).into());
        set("jti", token.id.as_str().into());
    }
    Value::Object(answer)
}

service!(IntrospectionEndpoint);

impl IntrospectionEndpoint {
    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let outcome = async {
            let (_, token) = self.desk.open(&head, body).await?;
            self.introspect(&token).await
        };
        match outcome.await {
            Ok(body) => answer(StatusCode::OK, &body),
            Err(fault) => fault.respond(ErrorForm::OAuth, StatusCode::UNAUTHORIZED),
        }
    }
}

impl fmt::Debug for IntrospectionEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionEndpoint").field("clients", &self.desk.clients).finish_non_exhaustive()
    }
}
