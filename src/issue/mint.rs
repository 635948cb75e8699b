//! What an endpoint gives to a client that proved who it is.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::access_token::AccessToken;
use super::keyring::KeyRing;
use super::signer::JwtSigner;
use crate::algorithm::Algorithm;
use crate::clock::{Clock, SharedClock, unix_nanos};
use crate::error::ConfigError;
use crate::jose::{base64url, random};
use crate::scope::Scopes;
use crate::store::{Client, RefreshGrant};

/// What most issuers give.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// What 2bttns gives.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Which tokens a [`TokenEndpoint`](super::TokenEndpoint) gives, signed with what, and for how long.
#[derive(Clone, Debug)]
#[must_use]
pub struct Mint {
    kind: Kind,
    lifetime: Duration,
    clock: SharedClock,
}

#[derive(Clone, Debug)]
enum Kind {
    Access { keys: SigningKeys, issuer: String, audience: String },
    App,
    Id { keys: SigningKeys, issuer: String, audience: String },
}

/// One key, or a ring of them that rotates.
#[derive(Clone, Debug)]
pub struct SigningKeys(Held);

#[derive(Clone, Debug)]
enum Held {
    One(JwtSigner),
    Ring(KeyRing),
}

/// A token to be, as the endpoint asks for it.
pub(super) struct Order<'a> {
    pub(super) client: &'a Client,
    pub(super) subject: &'a str,
    pub(super) scopes: &'a Scopes,
    pub(super) lifetime: Duration,
    /// The grant whose end is the token's.
    pub(super) grant_id: Option<&'a str>,
}

pub(super) struct Minted {
    pub(super) token: String,
    /// What stands beside it in the answer, by JSON pointer.
    pub(super) beside: Vec<(&'static str, String)>,
}

impl Mint {
    /// Access tokens of RFC 9068, for one audience, good for an hour.
    pub fn access_tokens(
        keys: impl Into<SigningKeys>,
        issuer: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Access { keys: keys.into(), issuer: issuer.into(), audience: audience.into() }, HOUR)
    }

    /// What Amazon Cognito gives: an ID token (`token_use` is `id`, `aud` the audience), which Botlhale takes as
    /// a bearer token, with an access token beside it that has no `aud`. Good for an hour. A verifier has to be
    /// told to accept such tokens: `with_claim("token_use", "id")`.
    pub fn id_tokens(
        keys: impl Into<SigningKeys>,
        issuer: impl Into<String>,
        audience: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Id { keys: keys.into(), issuer: issuer.into(), audience: audience.into() }, HOUR)
    }

    /// What 2bttns gives: `{"type":"api_key_token","appId":…}`, signed with HS256 and the text of the client's
    /// own secret ([`ClientSecret::hmac_key`](crate::store::ClientSecret::hmac_key)). Good for a day.
    pub fn app_tokens() -> Self {
        Self::new(Kind::App, DAY)
    }

    fn new(kind: Kind, lifetime: Duration) -> Self {
        Self { kind, lifetime, clock: SharedClock::default() }
    }

    /// How long a token is good, in whole seconds.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The clock that `iat` and `exp` are taken from.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Keys that others made are known before the first token is signed.
    pub(super) async fn ready(&self) -> Result<(), crate::error::BoxError> {
        match &self.kind {
            Kind::Access { keys: SigningKeys(Held::Ring(ring)), .. }
            | Kind::Id { keys: SigningKeys(Held::Ring(ring)), .. } => ring.ready().await,
            _ => Ok(()),
        }
    }

    pub(super) fn mint(&self, order: &Order<'_>) -> Result<Minted, ConfigError> {
        match &self.kind {
            Kind::Access { keys, issuer, audience } => {
                let mut token =
                    AccessToken::new(issuer, order.subject, &order.client.id, audience, order.lifetime)
                        .scopes(order.scopes.clone());
                if let Some(grant) = order.grant_id {
                    token = token.claim(RefreshGrant::CLAIM, grant);
                }
                let clock = self.clock.clone();
                let token = keys.signer()?.with_clock(move || clock.now()).sign(&token)?;
                Ok(Minted { token, beside: Vec::new() })
            }
            Kind::App => self.app_token(order),
            Kind::Id { keys, issuer, audience } => {
                let signer = keys.signer()?;
                let id = self.cognito(order, issuer, json!({ "token_use": "id", "aud": audience }))?;
                let access =
                    self.cognito(order, issuer, json!({ "token_use": "access", "client_id": audience }))?;
                let beside = vec![("/AuthenticationResult/AccessToken", signer.sign_claims("JWT", &access)?)];
                Ok(Minted { token: signer.sign_claims("JWT", &id)?, beside })
            }
        }
    }

    fn app_token(&self, order: &Order<'_>) -> Result<Minted, ConfigError> {
        let secret = order.client.secret().and_then(|secret| secret.signing_secret().cloned());
        let secret = secret.ok_or_else(|| ConfigError::new("secret", "expected one that signs"))?;
        let (issued, expires) = self.times(order.lifetime);
        let claims = json!({
            "type": "api_key_token", "appId": order.client.id, "iat": issued, "exp": expires,
        });
        let token = JwtSigner::hmac(Algorithm::HS256, secret)?.sign_claims("JWT", &claims)?;
        Ok(Minted { token, beside: Vec::new() })
    }

    fn cognito(&self, order: &Order<'_>, issuer: &str, own: Value) -> Result<Value, ConfigError> {
        let mut unique = [0; 16];
        random(&mut unique)?;
        let (issued, expires) = self.times(order.lifetime);
        let mut claims = own;
        for (name, value) in [
            ("iss", json!(issuer)),
            ("sub", json!(order.subject)),
            ("iat", json!(issued)),
            ("auth_time", json!(issued)),
            ("exp", json!(expires)),
            ("jti", json!(base64url(&unique))),
        ] {
            claims[name] = value;
        }
        if !order.scopes.is_empty() {
            claims["scope"] = order.scopes.to_string().into();
        }
        Ok(claims)
    }

    fn times(&self, lifetime: Duration) -> (i64, i64) {
        let now = unix_nanos(self.clock.now()).div_euclid(1_000_000_000);
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        (now, now.saturating_add_unsigned(lifetime.as_secs()))
    }
}

impl SigningKeys {
    fn signer(&self) -> Result<JwtSigner, ConfigError> {
        match &self.0 {
            Held::One(signer) => Ok(signer.clone()),
            Held::Ring(ring) => ring.signer(),
        }
    }
}

impl From<JwtSigner> for SigningKeys {
    fn from(signer: JwtSigner) -> Self {
        Self(Held::One(signer))
    }
}

impl From<KeyRing> for SigningKeys {
    fn from(ring: KeyRing) -> Self {
        Self(Held::Ring(ring))
    }
}

impl fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").field("client", &self.client.id).finish_non_exhaustive()
    }
}
