//! What this server issues, and how it verifies that: stores, endpoints, verifiers.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tempfile::TempDir;
use tower::Layer;
use tower_bearer::contract::TokenContract;
use tower_bearer::issue::{
    AppKeys, AuthTypeEndpoint, IntrospectionEndpoint, JwksEndpoint, KeyRing, MetadataEndpoint, Mint,
    PatEndpoint, RevocationEndpoint, TokenEndpoint,
};
use tower_bearer::limit::LimitFailuresLayer;
use tower_bearer::pat::PatFormat;
use tower_bearer::respond::{Challenge, Message};
use tower_bearer::store::{
    ClientStore, KeyStore, MemoryStore, RefreshStore, RevocationStore, SqlStore, TokenStore,
};
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{Issuers, JwtVerifier, Keys, PatVerifier, RevocableVerifier, Schemes};
use tower_bearer::{Algorithm, AuthenticateLayer, ConfigError, RequestHead, Scopes};

use crate::clients::{Contract, Row};
use crate::flags::ServerClock;

/// How long a machine that does not hear of a revocation may go on accepting.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(30);
/// The client id that Botlhale's id tokens are for.
const BOT_AUDIENCE: &str = "botlhale";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The address that a connection comes from; the server puts it on each request.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

fn peer(request: RequestHead<'_>) -> Option<IpAddr> {
    request.extensions.get::<Peer>().map(|peer| peer.0)
}

/// Limits failures with personal access tokens: guesses at a signature need no counting.
fn limit_personal(prefix: String) -> LimitFailuresLayer {
    LimitFailuresLayer::new(peer).only(move |request| {
        let value = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        value.and_then(|value| value.split_once(' ')).is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("token") || token.trim_start().starts_with(&prefix)
        })
    })
}

/// One store in all its roles.
#[derive(Clone)]
pub(crate) struct Stores {
    tokens: Arc<dyn TokenStore>,
    pub(crate) clients: Arc<dyn ClientStore>,
    refresh: Arc<dyn RefreshStore>,
    revocations: Arc<dyn RevocationStore>,
    keys: Arc<dyn KeyStore>,
    /// Where the file is, if it goes with the server.
    _temporary: Option<Arc<TempDir>>,
}

impl Stores {
    /// Opens what a flag names, or a file that goes with the server, and registers these clients alone.
    pub(crate) async fn open(flag: Option<&str>, clients: &[Row]) -> Result<Self, Box<dyn Error>> {
        let registered = clients.iter().map(Row::client).collect::<Result<Vec<_>, _>>()?;
        let mut temporary = None;
        let url = match flag {
            Some("memory") => {
                let store = MemoryStore::new();
                store.set_clients(registered).await.map_err(plain)?;
                return Ok(Self::of(store, None));
            }
            Some(url) => url.to_owned(),
            None => {
                let folder = temporary.insert(Arc::new(TempDir::with_prefix("tower-bearer-")?));
                format!("sqlite:{}", folder.path().join("tokens.sqlite").display())
            }
        };
        let store = SqlStore::open(&url).await?;
        store.set_clients(registered).await.map_err(plain)?;
        Ok(Self::of(store, temporary))
    }

    fn of<S>(store: S, temporary: Option<Arc<TempDir>>) -> Self
    where
        S: TokenStore + ClientStore + RefreshStore + RevocationStore + KeyStore + Clone,
    {
        Self {
            tokens: Arc::new(store.clone()),
            clients: Arc::new(store.clone()),
            refresh: Arc::new(store.clone()),
            revocations: Arc::new(store.clone()),
            keys: Arc::new(store),
            _temporary: temporary,
        }
    }
}

fn plain(error: Box<dyn Error + Send + Sync>) -> Box<dyn Error> {
    error
}

/// What this server issues.
#[derive(Clone)]
pub(crate) struct Issuing {
    pub(crate) stores: Stores,
    issuer: String,
    audience: String,
    clock: ServerClock,
    /// Signs access tokens.
    pub(crate) ring: KeyRing,
    /// Signs Botlhale's id tokens, which are of another issuer, with the one algorithm that Cognito has.
    bot_ring: KeyRing,
    format: PatFormat,
    /// Shared by all routes that take a personal access token.
    personal_failures: LimitFailuresLayer,
}

impl Issuing {
    pub(crate) async fn new(
        stores: Stores,
        issuer: &str,
        audience: &str,
        clock: ServerClock,
    ) -> Result<Self, Box<dyn Error>> {
        let ring = |name, algorithm| {
            KeyRing::new(name, algorithm, Arc::clone(&stores.keys))
                .with_longest_lifetime(2 * DAY)
                .with_clock(clock)
        };
        let (ring, bot_ring) = (ring("access", Algorithm::ES256), ring("botlhale", Algorithm::RS256));
        ring.refresh().await.map_err(plain)?;
        bot_ring.refresh().await.map_err(plain)?;
        let format = PatFormat::netbird();
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            personal_failures: limit_personal(format.prefix().to_owned()),
            stores,
            clock,
            ring,
            bot_ring,
            format,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    fn bot_issuer(&self) -> String {
        format!("{}/botlhale", self.issuer.trim_end_matches('/'))
    }

    /// One verifier for each kind of token that is issued here; `rules` are the flags'.
    pub(crate) fn verifiers(
        &self,
        rules: impl Fn(Keys, &str) -> Result<tower_bearer::verify::JwtVerifierBuilder, ConfigError>,
    ) -> Result<[JwtVerifier; 3], ConfigError> {
        // Its own published keys, by the way that everybody reads them: but for the network.
        let keys = |ring: &KeyRing| {
            let published = ServiceTransport::new(JwksEndpoint::new([ring.clone()]));
            Keys::remote("https://keys.invalid/jwks.json", published).map(Keys::from)
        };
        let access = rules(keys(&self.ring)?, &self.audience)?.issuer(&self.issuer).build()?;
        let bot = JwtVerifier::builder(keys(&self.bot_ring)?)
            .issuer(self.bot_issuer())
            .audience(BOT_AUDIENCE)
            .with_types(["JWT"])
            .with_claim("token_use", "id")
            .with_clock(self.clock)
            .build()?;
        let app = self.app_rules()?.with_claim("type", "api_key_token").build()?;
        Ok([access, bot, app])
    }

    /// Tokens of 2bttns: the key is the app's, and names it. Its SDK makes tokens that never expire.
    fn app_rules(&self) -> Result<tower_bearer::verify::JwtVerifierBuilder, ConfigError> {
        let apps = AppKeys::new(Arc::clone(&self.stores.clients), Contract::TwoBttns.name(), MAX_AGE);
        Ok(JwtVerifier::builder(Keys::by_claim("appId", Algorithm::HS256, apps)?)
            .insecure_any_issuer()
            .insecure_any_audience()
            .insecure_allow_missing_expiry()
            .with_types(["JWT"])
            .with_subject_claim("appId")
            .with_clock(self.clock))
    }

    /// Adds what asks the store: a JWT is looked up among the revoked ones, a personal access token by its
    /// digest, under `Token` and, by its prefix, under `Bearer`.
    pub(crate) fn schemes(&self, jwts: Issuers, max_age: Duration) -> Result<Schemes, ConfigError> {
        let revocable = RevocableVerifier::new(jwts, Arc::clone(&self.stores.revocations), max_age);
        let personal =
            PatVerifier::new(self.format.clone(), Arc::clone(&self.stores.tokens)).cached(max_age)?;
        let personal = personal.with_clock(self.clock)?;
        let prefix = self.format.prefix().to_owned();
        Ok(Schemes::new().bearer_jwt(revocable).bearer_prefixed(prefix, personal.clone()).token(personal))
    }

    pub(crate) fn limit_personal(&self) -> LimitFailuresLayer {
        self.personal_failures.clone()
    }

    /// The endpoints. `strict` verifies without remembering; `authenticate` guards the management of tokens.
    pub(crate) fn routes(
        &self,
        address: SocketAddr,
        jwts: Issuers,
        authenticate: AuthenticateLayer,
    ) -> Result<Router, ConfigError> {
        let stores = &self.stores;
        let clients = || Arc::clone(&stores.clients);
        let access =
            || Mint::access_tokens(self.ring.clone(), &self.issuer, &self.audience).with_clock(self.clock);
        let token_url = format!("http://{address}/oauth2/token");
        let audiences = || [self.issuer.clone(), token_url.clone()];
        let standard = TokenEndpoint::new(TokenContract::netbird(), access(), clients())
            .also(TokenContract::refresh_token())
            .for_systems(["gifthub", "netbird", "spotnana"])
            .with_refresh_tokens(Arc::clone(&stores.refresh))
            .accept_assertions(audiences(), Arc::clone(&stores.revocations))
            .with_clock(self.clock);
        let one = |contract, mint: Mint, system: Contract| {
            TokenEndpoint::new(contract, mint, clients()).for_systems([system.name()]).with_clock(self.clock)
        };
        let bot =
            Mint::id_tokens(self.bot_ring.clone(), self.bot_issuer(), BOT_AUDIENCE).with_clock(self.clock);
        let app = Mint::app_tokens().with_clock(self.clock);
        let strict = self.schemes(jwts, Duration::ZERO)?;
        let strict: Arc<Schemes> = Arc::new(strict);
        let introspect = IntrospectionEndpoint::new(Arc::clone(&strict), clients())
            .with_refresh_tokens(Arc::clone(&stores.refresh))
            .accept_assertions(audiences(), Arc::clone(&stores.revocations))
            .with_clock(self.clock);
        let revoke = RevocationEndpoint::new(strict, clients(), Arc::clone(&stores.revocations))
            .with_refresh_tokens(Arc::clone(&stores.refresh))
            .with_personal_tokens(Arc::clone(&stores.tokens))
            .accept_assertions(audiences(), Arc::clone(&stores.revocations))
            .with_clock(self.clock);
        let apps =
            RevocableVerifier::new(self.app_rules()?.build()?, Arc::clone(&stores.revocations), MAX_AGE);
        let limited = LimitFailuresLayer::new(peer).with_responder(Message::new(Challenge::new()));
        let endpoints = Router::new()
            .route_service(
                "/api/authentication/token",
                limited.layer(one(TokenContract::two_bttns(), app, Contract::TwoBttns)),
            )
            .route_service("/api/authentication/checkAuthType", limited.layer(AuthTypeEndpoint::new(apps)))
            .route_service(
                "/auth/jwt",
                limited.layer(one(TokenContract::gifthub(), access(), Contract::Gifthub)),
            )
            .route_service(
                "/generateAuthToken",
                limited.layer(one(TokenContract::botlhale(), bot, Contract::Botlhale)),
            )
            .route_service(
                "/v2/auth/oauth2-token",
                limited.layer(one(TokenContract::spotnana(), access(), Contract::Spotnana)),
            )
            .route_service("/oauth2/token", limited.layer(standard))
            .route_service("/oauth2/introspect", limited.layer(introspect))
            .route_service("/oauth2/revoke", limited.layer(revoke));

        let personal = PatEndpoint::new(self.format.clone(), Arc::clone(&stores.tokens))
            .for_issuers([&self.issuer])
            .with_clock(self.clock);
        let guard = authenticate.with_responder(Message::new(Challenge::new()));
        let management = Router::new()
            .route_service("/api/users/{user}/tokens", personal.clone())
            .route_service("/api/users/{user}/tokens/{token}", personal)
            .layer(guard)
            .layer(self.limit_personal().with_responder(Message::new(Challenge::new())));

        let metadata = self.metadata(address)?;
        let [at_oauth, at_openid] = metadata.paths();
        let published = Router::new()
            .route_service("/.well-known/jwks.json", JwksEndpoint::new([self.ring.clone()]))
            .route_service("/botlhale/.well-known/jwks.json", JwksEndpoint::new([self.bot_ring.clone()]))
            .route_service(&at_oauth, metadata.clone())
            .route_service(&at_openid, metadata);
        Ok(endpoints.merge(management).merge(published))
    }

    /// RFC 8414 §2.
    fn metadata(&self, address: SocketAddr) -> Result<MetadataEndpoint, ConfigError> {
        let at = |path: &str| format!("http://{address}{path}");
        let auth_methods = vec!["client_secret_basic", "client_secret_post", "private_key_jwt"];
        let algorithms = vec!["ES256", "ES384", "EdDSA", "PS256", "RS256"];
        Ok(MetadataEndpoint::new(&self.issuer)?
            .with("token_endpoint", at("/oauth2/token"))
            .with("jwks_uri", at("/.well-known/jwks.json"))
            .with("introspection_endpoint", at("/oauth2/introspect"))
            .with("revocation_endpoint", at("/oauth2/revoke"))
            .with("grant_types_supported", vec!["client_credentials", "refresh_token"])
            .with("token_endpoint_auth_methods_supported", auth_methods.clone())
            .with("token_endpoint_auth_signing_alg_values_supported", algorithms.clone())
            .with("introspection_endpoint_auth_methods_supported", auth_methods.clone())
            .with("introspection_endpoint_auth_signing_alg_values_supported", algorithms.clone())
            .with("revocation_endpoint_auth_methods_supported", auth_methods)
            .with("revocation_endpoint_auth_signing_alg_values_supported", algorithms))
    }
}

/// The scopes that are granted by default.
pub(crate) fn read_scope() -> Scopes {
    Scopes::from_values(["read"])
}
