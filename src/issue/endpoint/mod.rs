//! The token endpoint: what a contract describes, served.

mod answer;
mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Full;

use self::request::Asked;
use super::clients::Clients;
use super::fault::Fault;
use super::http::{read, service};
use super::mint::{Mint, Order};
use crate::clock::Clock;
use crate::contract::TokenContract;
use crate::error::BoxError;
use crate::jose::{base64url, random};
use crate::scope::Scopes;
use crate::store::{Client, ClientStore, RefreshGrant, RefreshStore, RevocationStore, Rotation, TokenDigest};

/// A scope that asks for a refresh token, where the client may have it (the word is OpenID Connect's, Core
/// §11).
const OFFLINE_ACCESS: &str = "offline_access";
/// How long a refresh token may lie unused: long enough for a holiday.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest lifetime that a client may ask for: a year of 366 days.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A service that gives tokens as a [`TokenContract`] says: the very value that a client reads.
///
/// See [`issue`](super) for the rules and examples. A clone is the same endpoint.
#[derive(Clone)]
#[must_use]
pub struct TokenEndpoint {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    /// One for each grant; the first one's form is the form of refusals.
    contracts: Vec<TokenContract>,
    mint: Mint,
    clients: Clients,
    refresh: Option<Arc<dyn RefreshStore>>,
}

impl TokenEndpoint {
    /// Gives `mint`'s tokens to `clients`, as `contract` says.
    pub fn new(contract: TokenContract, mint: Mint, clients: impl ClientStore) -> Self {
        let clients = Clients::new(Arc::new(clients));
        Self { inner: Arc::new(Inner { contracts: vec![contract], mint, clients, refresh: None }) }
    }

    /// Serves another grant at the same place: of several contracts, the `grant_type` chooses.
    pub fn also(self, contract: TokenContract) -> Self {
        self.changed(|inner| inner.contracts.push(contract))
    }

    /// Knows the clients of these [systems](Client::system) alone.
    pub fn for_systems(self, systems: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.changed(|inner| inner.clients.of_systems(systems))
    }

    /// Gives refresh tokens to clients that ask for the scope `offline_access` and may have it, and takes
    /// them with [`TokenContract::refresh_token`]. Each is good for one use within 30 days; a second use ends
    /// the grant (RFC 9700 §4.14.2).
    pub fn with_refresh_tokens(self, store: impl RefreshStore) -> Self {
        self.changed(|inner| inner.refresh = Some(Arc::new(store)))
    }

    /// Takes assertions (RFC 7523 §2.2) for one of these audiences: the issuer, or the URL of this
    /// endpoint. In `store` it is written down which were used.
    pub fn accept_assertions(
        self,
        audiences: impl IntoIterator<Item = impl Into<String>>,
        store: impl RevocationStore,
    ) -> Self {
        self.changed(|inner| inner.clients.accept_assertions(audiences, Arc::new(store)))
    }

    /// The clock that assertions and refresh tokens are judged by. The mint has its own.
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.changed(|inner| inner.clients.with_clock(clock))
    }

    fn changed(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }
}

service!(TokenEndpoint);

impl TokenEndpoint {
    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let contract = &self.inner.contracts[0];
        match self.inner.serve(&head, body).await {
            Ok(response) => response,
            Err(fault) => fault.respond(contract.errors, contract.refused),
        }
    }
}

impl Inner {
    async fn serve<B>(&self, head: &Parts, body: B) -> Result<Response<Full<Bytes>>, Fault>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        self.check_method(&head.method)?;
        // A method without a body may bring one all the same: it is not read.
        let body =
            if self.contracts.iter().any(request::has_body) { read(body).await? } else { Bytes::new() };
        let asked = Asked::read(&self.contracts, head, body).await?;
        self.mint.ready().await.map_err(Fault::Unavailable)?;
        if asked.contract.refresh_token_at.is_some() && request::is_by_refresh_token(asked.contract) {
            return match asked.refresh_token_alone()? {
                Some(secret) => self.give_again(&asked, secret).await,
                None => self.rotate(&asked, head).await,
            };
        }
        let client = match asked.id_and_secret()? {
            Some((id, secret)) => self.clients.by_secret(id, secret).await?,
            None => self.clients.authenticate(&head.headers, &asked.form).await?,
        };
        let scopes = asked.scopes(&client.scopes)?;
        let lifetime = self.lifetime(&asked)?;
        let grant = match &self.refresh {
            Some(store) if asked.wants(OFFLINE_ACCESS) && scopes.contains(OFFLINE_ACCESS) => {
                Some(self.begin(&**store, &client, &scopes).await?)
            }
            _ => None,
        };
        let (grant_id, refresh_token) = grant.unzip();
        let grant_id = grant_id.as_deref();
        let order = Order { client: &client, subject: &client.subject, scopes: &scopes, lifetime, grant_id };
        answer::success(asked.contract, &self.mint, &order, refresh_token, asked.says_scope(&scopes))
    }

    fn check_method(&self, method: &Method) -> Result<(), Fault> {
        let contract = &self.contracts[0];
        if *method == contract.method || (contract.or_post && *method == Method::POST) {
            return Ok(());
        }
        Err(Fault::Method(match (contract.method == Method::GET, contract.or_post) {
            (true, true) => "GET, POST",
            (true, false) => "GET",
            (false, _) => "POST",
        }))
    }

    fn lifetime(&self, asked: &Asked<'_>) -> Result<Duration, Fault> {
        let ceiling = ceiling(asked.contract);
        match asked.lifetime()? {
            None => Ok(self.mint.lifetime().min(ceiling)),
            Some(lifetime) if lifetime > ceiling => Err(Fault::Lifetime("\"expiresIn\" is too long")),
            Some(lifetime) => Ok(lifetime),
        }
    }

    /// Systems that take a refresh token for all proof, and give it back.
    async fn give_again(&self, asked: &Asked<'_>, secret: &str) -> Result<Response<Full<Bytes>>, Fault> {
        let client = self.clients.by_secret_alone(secret).await?;
        let (scopes, lifetime) = (&client.scopes, self.lifetime(asked)?);
        let order = Order { client: &client, subject: &client.subject, scopes, lifetime, grant_id: None };
        answer::success(asked.contract, &self.mint, &order, Some(secret.to_owned()), false)
    }

    /// RFC 6749 §6, with a new refresh token each time.
    async fn rotate(&self, asked: &Asked<'_>, head: &Parts) -> Result<Response<Full<Bytes>>, Fault> {
        let store = self.refresh.as_ref().ok_or(Fault::GrantType)?;
        let client = self.clients.authenticate(&head.headers, &asked.form).await?;
        let spent = TokenDigest::of(asked.refresh_token()?)?;
        let grant = store.find(spent).await.map_err(Fault::Unavailable)?.ok_or(Fault::Grant)?;
        let now = self.clients.now();
        if !grant.is_of(&client) || grant.expires_at <= now {
            return Err(Fault::Grant);
        }
        // RFC 6749 §6: not more than was granted; RFC 9700: nor more than the client may have by now.
        let scopes = asked.scopes(&grant.scopes)?;
        let allowed = scopes.iter().filter(|scope| client.scopes.contains(scope));
        let (scopes, lifetime) = (Scopes::from_values(allowed), self.lifetime(asked)?);
        let successor = secret()?;
        let expires_at = now.checked_add(REFRESH_LIFETIME).unwrap_or(now);
        let void_until = self.void_until();
        let turned = store.rotate(spent, TokenDigest::of(&successor)?, expires_at, void_until).await;
        match turned.map_err(Fault::Unavailable)? {
            Rotation::Rotated => {
                let grant_id = Some(grant.grant_id.as_str());
                let order =
                    Order { client: &client, subject: &grant.subject, scopes: &scopes, lifetime, grant_id };
                let says_scope = asked.says_scope(&scopes);
                answer::success(asked.contract, &self.mint, &order, Some(successor), says_scope)
            }
            Rotation::Reused | Rotation::Unknown => Err(Fault::Grant),
        }
    }

    /// The first refresh token of a grant, with the grant's id.
    async fn begin(
        &self,
        store: &dyn RefreshStore,
        client: &Client,
        scopes: &Scopes,
    ) -> Result<(String, String), Fault> {
        let (grant_id, token, now) = (secret()?, secret()?, self.clients.now());
        let expires_at = now.checked_add(REFRESH_LIFETIME).unwrap_or(now);
        let grant = RefreshGrant::new(&grant_id, &client.id, &client.subject, expires_at)
            .of_system(&client.system)
            .with_scopes(scopes.clone());
        store.begin(TokenDigest::of(&token)?, grant).await.map_err(Fault::Unavailable)?;
        Ok((grant_id, token))
    }

    /// When the last access token of a grant that ends now will have expired anyway.
    fn void_until(&self) -> std::time::SystemTime {
        let lifetimes = self.contracts.iter().map(|contract| match contract.lifetime_parameter {
            Some(_) => ceiling(contract),
            None => self.mint.lifetime().min(ceiling(contract)),
        });
        // What verifiers allow clocks to differ by, and more.
        let longest = lifetimes.max().unwrap_or(MAX_LIFETIME) + Duration::from_secs(60 * 60);
        let now = self.clients.now();
        now.checked_add(longest).unwrap_or(now)
    }
}

/// The longest lifetime that this contract gives.
fn ceiling(contract: &TokenContract) -> Duration {
    contract.max_lifetime.unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME)
}

/// 256 random bits.
fn secret() -> Result<String, Fault> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    Ok(base64url(&bytes))
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("contracts", &self.inner.contracts)
            .field("mint", &self.inner.mint)
            .field("clients", &self.inner.clients)
            .finish_non_exhaustive()
    }
}
