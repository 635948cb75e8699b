//! The command line, read into a verifier. Every mistake names its flag.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tower_bearer::contract::{ClientAuth, Credentials};
use tower_bearer::integrations::https::{Https, https};
use tower_bearer::verify::{
    CachedVerifier, Introspection, Issuers, JwtVerifier, JwtVerifierBuilder, Keys, RemoteKeys, Schemes,
};
use tower_bearer::{Algorithm, Clock, ConfigError, Secret, SystemClock};

use crate::clients::{self, Row};
use crate::issuing::{Issuing, MAX_AGE, Stores};
use crate::pats::PatFile;

pub(crate) const DEFAULT_ISSUER: &str = "https://issuer.example";
pub(crate) const DEFAULT_AUDIENCE: &str = "orders";

/// A server that tells good tokens from bad: HTTP/1.1, HTTP/2 without TLS and gRPC on one port.
///
/// Without flags it makes a key at start and prints calls to paste into a shell.
#[derive(Debug, Parser)]
#[command(name = "server")]
pub(crate) struct Flags {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// The issuer whose tokens are accepted, compared exactly [default: https://issuer.example]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,

    /// The audience that is this server [default: orders]
    #[arg(long, value_name = "AUD")]
    pub(crate) audience: Option<String>,

    /// A file with the issuer's JSON Web Key set
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,

    /// The URL of the issuer's JSON Web Key set
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    pub(crate) jwks_url: Option<String>,

    /// Find the issuer's key set by its metadata
    #[arg(long, requires = "issuer", conflicts_with_all = ["jwks", "jwks_url"])]
    pub(crate) discover: bool,

    /// The URL of an introspection endpoint, for tokens that are no JWTs; for all tokens where no keys are
    /// named. Needs an audience. An answer counts for 30 s, a refusal for 5 s
    #[arg(long, value_name = "URL", requires_all = ["audience", "introspect_client", "introspect_secret_env"])]
    pub(crate) introspect: Option<String>,

    /// This server's client id at the introspection endpoint
    #[arg(long, value_name = "ID", requires = "introspect")]
    pub(crate) introspect_client: Option<String>,

    /// The environment variable with this server's client secret there
    #[arg(long, value_name = "VAR", requires = "introspect")]
    pub(crate) introspect_secret_env: Option<String>,

    /// Allow plain http to loopback addresses
    #[arg(long)]
    pub(crate) insecure_http_loopback: bool,

    /// A file with the issuer's HS256 secret: its bytes, but for one line break at the end
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,

    /// Demand access tokens of RFC 9068 (otherwise `typ` may be absent, JWT or at+jwt)
    #[arg(long, value_name = "TYP", value_parser = ["at+jwt"])]
    pub typ: Option<String>,

    /// How far clocks may differ
    #[arg(long, value_name = "SECONDS", default_value_t = 30, allow_hyphen_values = true)]
    pub leeway: u64,

    /// A second issuer, for the same audience
    #[arg(long, value_name = "URL", requires = "also_jwks")]
    pub also_issuer: Option<String>,

    /// A file with the second issuer's JSON Web Key set
    #[arg(long, value_name = "FILE", requires = "also_issuer")]
    pub also_jwks: Option<PathBuf>,

    /// The longest token that is read
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024, allow_hyphen_values = true)]
    pub max_token: usize,

    /// A file with personal access tokens, for `Authorization: Token`: a JSON array of
    /// {digest, subject, scopes, expires_at?, revoked?}; digest is the base64 SHA-256 of the token,
    /// scopes an array of strings, expires_at in seconds since 1970. Alone it turns `Bearer` off
    #[arg(long, value_name = "FILE")]
    pub pats: Option<PathBuf>,

    /// Where tokens, clients and keys live; what one server revokes, all that share a store refuse, at the
    /// latest after 30 s: `memory`, `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`
    /// [default: a temporary file, removed at the end]
    #[arg(long, value_name = "STORE", value_parser = store)]
    pub(crate) store: Option<String>,

    /// A file with all the clients that may ask for tokens: a JSON array of {contract, id, secret, subject?,
    /// scopes?, jwks?}; contract is two-bttns, gifthub, botlhale, spotnana or netbird, and for botlhale the
    /// secret is the refresh token. A client with the scope offline_access gets a refresh token at
    /// /oauth2/token when it asks for that scope. Secrets of 32 characters or more are kept as digests,
    /// shorter ones as password hashes; one of two-bttns signs tokens, needs 32, and is kept as it is.
    /// examples/client calls netbird's contract client-credentials [default: one of each, made at start]
    #[arg(long, value_name = "FILE")]
    pub(crate) clients: Option<PathBuf>,

    /// A fixed time, in seconds since 1970
    #[arg(long, value_name = "EPOCH", allow_hyphen_values = true)]
    pub now: Option<i64>,
}

/// Names a store; what is behind it is seen when it is opened.
fn store(text: &str) -> Result<String, String> {
    let fits = text == "memory"
        || ["sqlite:", "postgres://", "postgresql://"].iter().any(|kind| text.starts_with(kind));
    if fits { Ok(text.to_owned()) } else { Err("expected memory, sqlite:PATH or postgres://…".to_owned()) }
}

/// A flag that cannot be followed.
#[derive(Debug)]
pub(crate) struct BadFlag(&'static str, String);

impl std::fmt::Display for BadFlag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl std::error::Error for BadFlag {}

/// An error and what is underneath.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn bad(flag: &'static str) -> impl FnOnce(ConfigError) -> BadFlag {
    move |error| BadFlag(flag, error.to_string())
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, BadFlag> {
    std::fs::read(path).map_err(|error| BadFlag(flag, format!("cannot read {}: {error}", path.display())))
}

/// What the flags come to.
pub(crate) struct Setup {
    pub(crate) verifier: Schemes,
    /// Set if tokens are issued here, with the verifier of those and no others.
    pub(crate) issuing: Option<(Issuing, Issuers)>,
    /// The clients to be shown: those that were made up, or those of the file without their secrets.
    pub(crate) shown: Vec<Row>,
    pub(crate) max_token_bytes: usize,
    /// The keys that come from elsewhere, by issuer.
    pub(crate) remote: Vec<(String, RemoteKeys)>,
}

impl Flags {
    pub(crate) fn clock(&self) -> Result<ServerClock, BadFlag> {
        let Some(now) = self.now else { return Ok(ServerClock(None)) };
        let distance = Duration::from_secs(now.unsigned_abs());
        let time = if now < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        let time =
            time.ok_or_else(|| BadFlag("--now", "expected a time that this system can hold".to_owned()))?;
        Ok(ServerClock(Some(time)))
    }

    pub(crate) async fn set_up(&self) -> Result<Setup, BadFlag> {
        let issuer = self.issuer.clone().unwrap_or_else(|| DEFAULT_ISSUER.to_owned());
        let audience = self.audience.clone().unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
        let mut remote = Vec::new();
        let named = self.named_keys(&issuer, &mut remote)?;
        let mut verifiers = Vec::new();
        // Own keys are of another issuer than those that somebody else has.
        let own_issuer = if named.is_some() { format!("{issuer}/issued") } else { issuer.clone() };
        let elsewhere =
            named.is_some() || self.introspect.is_some() || self.pats.is_some() && self.issuer.is_none();
        if let Some(keys) = named {
            verifiers = self.verifiers(keys, &issuer, &audience)?;
        }
        let mut setup = Setup {
            verifier: Schemes::new(),
            issuing: None,
            shown: Vec::new(),
            max_token_bytes: self.max_token,
            remote,
        };
        if !elsewhere || self.store.is_some() || self.clients.is_some() {
            let (issuing, shown) = self.issuing(&own_issuer, &audience).await?;
            let rules = |keys, audience: &str| self.rules(keys, audience);
            let [access, bot, app] = issuing.verifiers(rules).map_err(bad("--issuer or --audience"))?;
            let issuers = |verifiers: Vec<JwtVerifier>| {
                let jwts = Issuers::new(verifiers).and_then(|jwts| jwts.or_without_issuer(app.clone()));
                jwts.map_err(bad("--issuer or --also-issuer"))
            };
            let own = issuers(vec![access.clone(), bot.clone()])?;
            verifiers.extend([access, bot]);
            setup.verifier = issuing.schemes(issuers(verifiers)?, MAX_AGE).map_err(bad("--store"))?;
            (setup.issuing, setup.shown) = (Some((issuing, own)), shown);
        } else if !verifiers.is_empty() {
            let jwts = Issuers::new(verifiers).map_err(bad("--issuer or --also-issuer"))?;
            setup.verifier = setup.verifier.bearer_jwt(jwts);
        }
        if let Some(path) = &self.pats {
            let pats = PatFile::parse(&read("--pats", path)?, self.clock()?);
            setup.verifier = setup.verifier.token(pats.map_err(|error| BadFlag("--pats", error))?);
        }
        if let Some(url) = &self.introspect {
            setup.verifier = setup.verifier.bearer(self.introspection(url, &audience)?);
        }
        Ok(setup)
    }

    /// What is issued here, and the clients to be shown.
    async fn issuing(&self, issuer: &str, audience: &str) -> Result<(Issuing, Vec<Row>), BadFlag> {
        let named = |flag| move |error: Box<dyn std::error::Error>| BadFlag(flag, chain(&*error));
        let (rows, shown) = match &self.clients {
            Some(path) => {
                let rows = clients::parse(&read("--clients", path)?);
                let rows = rows.map_err(|error| BadFlag("--clients", error))?;
                let shown = rows.iter().map(Row::without_secret).collect();
                (rows, shown)
            }
            None => {
                let rows = clients::made_up().map_err(|error| BadFlag("--clients", error))?;
                (rows.clone(), rows)
            }
        };
        let stores = Stores::open(self.store.as_deref(), &rows).await.map_err(named("--store"))?;
        let issuing = Issuing::new(stores, issuer, audience, self.clock()?).await;
        Ok((issuing.map_err(named("--store"))?, shown))
    }

    /// The keys that the flags name, if they name some.
    fn named_keys(
        &self,
        issuer: &str,
        remote: &mut Vec<(String, RemoteKeys)>,
    ) -> Result<Option<Keys>, BadFlag> {
        let from_elsewhere = if let Some(url) = &self.jwks_url {
            Some(Keys::remote(url, self.transport("--jwks-url")?).map_err(bad("--jwks-url"))?)
        } else if self.discover {
            Some(
                Keys::discover(issuer, self.transport("--discover")?)
                    .map_err(bad("--discover (--issuer)"))?,
            )
        } else {
            None
        };
        if let Some(keys) = from_elsewhere {
            if self.hs256_secret_file.is_some() {
                let message = "cannot stand beside keys from elsewhere".to_owned();
                return Err(BadFlag("--hs256-secret-file", message));
            }
            remote.push((issuer.to_owned(), keys.clone()));
            return Ok(Some(keys.into()));
        }
        let jwks = match &self.jwks {
            Some(path) => Some(Keys::jwks(&read("--jwks", path)?).map_err(bad("--jwks"))?),
            None => None,
        };
        let hmac = match &self.hs256_secret_file {
            Some(path) => Some(self.hmac(path)?),
            None => None,
        };
        match (jwks, hmac) {
            (Some(jwks), Some(hmac)) => jwks.and(hmac).map(Some).map_err(bad("--hs256-secret-file")),
            (jwks, hmac) => Ok(jwks.or(hmac)),
        }
    }

    fn hmac(&self, path: &Path) -> Result<Keys, BadFlag> {
        const FLAG: &str = "--hs256-secret-file";
        let bytes = read(FLAG, path)?;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let secret = Secret::from(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        Keys::hmac(Algorithm::HS256, secret).map_err(bad(FLAG))
    }

    fn introspection(&self, url: &str, audience: &str) -> Result<CachedVerifier<Introspection>, BadFlag> {
        let id = self.introspect_client.clone().unwrap_or_default();
        let variable = self.introspect_secret_env.clone().unwrap_or_default();
        let secret = std::env::var(&variable)
            .map_err(|_| BadFlag("--introspect-secret-env", format!("expected a secret in {variable}")))?;
        let builder = Introspection::builder(url, self.transport("--introspect")?)
            .client(ClientAuth::Basic, Credentials::client(id, secret))
            .audience(audience)
            .with_clock(self.clock()?);
        let builder = match &self.issuer {
            Some(issuer) => builder.issuer(issuer),
            None => builder,
        };
        let introspection = builder.build().map_err(bad("--introspect"))?;
        let cached = CachedVerifier::new(introspection, MAX_AGE).map_err(bad("--introspect"))?;
        Ok(cached.with_clock(self.clock()?))
    }

    fn transport(&self, flag: &'static str) -> Result<Https, BadFlag> {
        let transport = https().map_err(bad(flag))?;
        Ok(if self.insecure_http_loopback { transport.insecure_allow_http_loopback() } else { transport })
    }

    fn verifiers(&self, keys: Keys, issuer: &str, audience: &str) -> Result<Vec<JwtVerifier>, BadFlag> {
        let build = |keys, issuer: &str, flag| {
            self.rules(keys, audience).and_then(|rules| rules.issuer(issuer).build()).map_err(bad(flag))
        };
        let mut verifiers = vec![build(keys, issuer, "--issuer or --audience")?];
        if let (Some(issuer), Some(path)) = (&self.also_issuer, &self.also_jwks) {
            let keys = Keys::jwks(&read("--also-jwks", path)?).map_err(bad("--also-jwks"))?;
            verifiers.push(build(keys, issuer, "--also-issuer")?);
        }
        Ok(verifiers)
    }

    fn rules(&self, keys: Keys, audience: &str) -> Result<JwtVerifierBuilder, ConfigError> {
        let rules = JwtVerifier::builder(keys)
            .audience(audience)
            .with_leeway(Duration::from_secs(self.leeway))
            .with_max_token_bytes(self.max_token)
            .with_clock(self.clock().unwrap_or_default());
        Ok(if self.typ.is_some() { rules.access_token_profile() } else { rules })
    }
}

/// The system's clock, or one that stands still.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerClock(Option<SystemTime>);

impl Clock for ServerClock {
    fn now(&self) -> SystemTime {
        self.0.unwrap_or_else(|| SystemClock::new().now())
    }
}
