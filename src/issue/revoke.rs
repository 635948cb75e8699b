//! Token revocation (RFC 7009), for tokens that were issued here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde_json::json;

use super::desk::Desk;
use super::fault::Fault;
use super::http::{json as answer, service};
use crate::clock::Clock;
use crate::contract::ErrorForm;
use crate::error::BoxError;
use crate::identity::Identity;
use crate::store::{
    Client, ClientStore, PersonalToken, RefreshStore, RevocationStore, TokenDigest, TokenStore,
};
use crate::verify::{RevocableVerifier, Verify};

/// How long a revocation is kept of a token that does not say when it ends: longer than anybody's secret
/// should live.
const FOREVER: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// What verifiers allow clocks to differ by, and more.
const LEEWAY: Duration = Duration::from_secs(60 * 60);

/// Lets clients revoke their tokens (RFC 7009).
///
/// - A token that is unknown, malformed or void already is a 200: the client has what it wanted (§2.2).
/// - A token of another client is refused (§2.1).
/// - A refresh token ends with its whole grant, and so do the access tokens that came of it.
/// - When the answer is there, the revocation is durable, and announced to whoever remembers answers.
///
/// See [`issue`](super) for an example. A clone is the same endpoint.
#[derive(Clone)]
#[must_use]
pub struct RevocationEndpoint {
    desk: Arc<Desk>,
    revocations: Arc<dyn RevocationStore>,
    personal: Option<Arc<dyn TokenStore>>,
}

impl RevocationEndpoint {
    /// Lets `clients` revoke what `verifier` accepts as `Bearer`; it is written into `revocations`, where a
    /// [`RevocableVerifier`] looks.
    pub fn new(verifier: impl Verify, clients: impl ClientStore, revocations: impl RevocationStore) -> Self {
        let desk = Arc::new(Desk::new(verifier, clients));
        Self { desk, revocations: Arc::new(revocations), personal: None }
    }

    /// Knows refresh tokens, too.
    pub fn with_refresh_tokens(mut self, store: impl RefreshStore) -> Self {
        Arc::make_mut(&mut self.desk).refresh = Some(Arc::new(store));
        self
    }

    /// Knows personal access tokens, too: those whose owner is the client's subject.
    pub fn with_personal_tokens(mut self, store: impl TokenStore) -> Self {
        self.personal = Some(Arc::new(store));
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

    async fn revoke(&self, client: &Client, token: &str) -> Result<(), Fault> {
        if let Some(store) = &self.desk.refresh {
            let found = store.find(TokenDigest::of(token)?).await.map_err(Fault::Unavailable)?;
            if let Some(grant) = found {
                if !grant.is_of(client) {
                    return Err(Fault::Unauthorized);
                }
                let until = self.desk.clients.now().checked_add(FOREVER).unwrap_or(grant.expires_at);
                return store.end(&grant.grant_id, until).await.map_err(Fault::Unavailable);
            }
        }
        let Some(identity) = self.desk.identify(token).await? else { return Ok(()) };
        if !is_of(client, &identity) {
            return Err(Fault::Unauthorized);
        }
        if let Some(personal) = identity.detail::<PersonalToken>() {
            let Some(store) = &self.personal else { return Err(Fault::Unauthorized) };
            let revoked = store.revoke(&personal.owner, &personal.id).await;
            return revoked.map(drop).map_err(Fault::Unavailable);
        }
        let now = self.desk.clients.now();
        // What cannot be added to is as good as for ever.
        let until = match identity.expires_at() {
            Some(expires) => expires.checked_add(LEEWAY).unwrap_or(expires),
            None => now.checked_add(FOREVER).unwrap_or(now),
        };
        let digest = RevocableVerifier::digest(token)?;
        self.revocations.revoke(digest, until).await.map_err(Fault::Unavailable)
    }
}

/// A token is the client's that it speaks of and was given to, where it says so. Two systems may have a client of
/// one id, which their subjects tell apart.
fn is_of(client: &Client, identity: &Identity) -> bool {
    let named = |name| identity.claim(name).and_then(|id| id.as_str());
    match (named("appId"), named("client_id")) {
        // It speaks of the app.
        (Some(app), _) => {
            app == client.id && client.secret().is_some_and(|own| own.signing_secret().is_some())
        }
        (None, given_to) => given_to.is_none_or(|id| id == client.id) && identity.subject() == client.subject,
    }
}

service!(RevocationEndpoint);

impl RevocationEndpoint {
    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let outcome = async {
            let (client, token) = self.desk.open(&head, body).await?;
            self.revoke(&client, &token).await
        };
        match outcome.await {
            Ok(()) => answer(StatusCode::OK, &json!({})),
            Err(fault) => fault.respond(ErrorForm::OAuth, StatusCode::UNAUTHORIZED),
        }
    }
}

impl fmt::Debug for RevocationEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEndpoint").field("clients", &self.desk.clients).finish_non_exhaustive()
    }
}
