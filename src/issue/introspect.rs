//! Token introspection (RFC 7662), for tokens that were issued here.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::clients::Clients;
use super::fault::Fault;
use super::form::Form;
use super::http::{json as answer, read, service};
use crate::clock::{Clock, SharedClock};
use crate::contract::{Encoding, ErrorForm};
use crate::credential::{Credential, Scheme};
use crate::error::BoxError;
use crate::identity::Identity;
use crate::rejection::{Rejection, RejectionKind};
use crate::store::{Client, ClientStore, PersonalToken, RefreshStore, RevocationStore, TokenDigest};
use crate::verify::Verify;

/// What both services here need: who asks, and what a token is.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) clients: Clients,
    pub(super) verifier: Arc<dyn Verify>,
    pub(super) refresh: Option<Arc<dyn RefreshStore>>,
    pub(super) clock: SharedClock,
}

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
        Arc::make_mut(&mut self.desk).with_clock(clock);
        self
    }
}

impl Desk {
    pub(super) fn new(verifier: impl Verify, clients: impl ClientStore) -> Self {
        Self {
            clients: Clients::new(Arc::new(clients)),
            verifier: Arc::new(verifier),
            refresh: None,
            clock: SharedClock::default(),
        }
    }

    pub(super) fn with_clock(&mut self, clock: impl Clock) {
        self.clock = SharedClock::new(clock);
        let shared = self.clock.clone();
        self.clients.with_clock(move || shared.now());
    }

    /// The client that asks, and the token that it asks about.
    pub(super) async fn open<B>(&self, head: &Parts, body: B) -> Result<(Client, Form), Fault>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if head.method != Method::POST {
            return Err(Fault::Method("POST"));
        }
        let only_forms = |encoding| encoding == Encoding::Form;
        let form = Form::read(&head.headers, read(body).await?, only_forms).await?;
        let client = self.clients.authenticate(&head.headers, &form).await?;
        if form.get("token").is_none() {
            return Err(Fault::Parameter("token".to_owned()));
        }
        Ok((client, form))
    }

    /// What a token proves. `None` if it proves nothing.
    pub(super) async fn identify(&self, token: &str) -> Result<Option<Identity>, Fault> {
        match self.verifier.verify(&Credential::new(Scheme::Bearer, token)).await {
            Ok(identity) => Ok(Some(identity)),
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => Err(unavailable(&rejection)),
            Err(_) => Ok(None),
        }
    }

    async fn introspect(&self, token: &str) -> Result<Value, Fault> {
        if let Some(identity) = self.identify(token).await? {
            return Ok(active(&identity));
        }
        if let Some(store) = &self.refresh {
            let found = store.find(TokenDigest::of(token)?).await.map_err(Fault::Unavailable)?;
            if let Some(grant) = found.filter(|grant| grant.expires_at > self.clock.now() && !grant.spent) {
                return Ok(json!({
                    "active": true,
                    "client_id": grant.client_id,
                    "sub": grant.subject,
                    "scope": grant.scopes.to_string(),
                    "exp": seconds(grant.expires_at),
                    "token_type": "refresh_token",
                }));
            }
        }
        Ok(json!({ "active": false }))
    }
}

fn unavailable(rejection: &Rejection) -> Fault {
    let source = std::error::Error::source(rejection).map(ToString::to_string);
    Fault::Unavailable(source.unwrap_or_else(|| rejection.to_string()).into())
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
        set("exp", seconds(expires).into());
    }
    if !identity.scopes().is_empty() {
        set("scope", identity.scopes().to_string().into());
    }
    if let Some(token) = identity.detail::<PersonalToken>() {
        set("iat", seconds(token.created_at).into());
        set("jti", token.id.as_str().into());
    }
    Value::Object(answer)
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
            let (_, form) = self.desk.open(&head, body).await?;
            self.desk.introspect(form.get("token").unwrap_or_default()).await
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
