use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::clock::unix_nanos;
use crate::scope::Scopes;

/// The claims of an access token (RFC 9068 §2.2), but for those that signing adds: `iat`, `exp`, `jti`.
#[derive(Clone)]
#[must_use]
pub struct AccessToken {
    claims: Map<String, Value>,
    issuer: String,
    subject: String,
    client_id: String,
    audience: String,
    lifetime: Duration,
    scopes: Scopes,
}

impl AccessToken {
    /// A token of `issuer` that speaks of `subject`, given to `client_id`, for `audience`. The lifetime
    /// counts from signing, in whole seconds.
    pub fn new(
        issuer: impl Into<String>,
        subject: impl Into<String>,
        client_id: impl Into<String>,
        audience: impl Into<String>,
        lifetime: Duration,
    ) -> Self {
        Self {
            claims: Map::new(),
            issuer: issuer.into(),
            subject: subject.into(),
            client_id: client_id.into(),
            audience: audience.into(),
            lifetime,
            scopes: Scopes::none(),
        }
    }

    /// What the token grants.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Adds a claim. It cannot replace one of those above.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    pub(super) fn to_claims(&self, now: SystemTime, id: String) -> Map<String, Value> {
        let now = i64::try_from(unix_nanos(now).div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut claims = self.claims.clone();
        claims.remove("scope");
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iss", self.issuer.as_str().into());
        set("sub", self.subject.as_str().into());
        set("client_id", self.client_id.as_str().into());
        set("aud", self.audience.as_str().into());
        set("iat", now.into());
        set("exp", now.saturating_add(lifetime).into());
        set("jti", id.into());
        if !self.scopes.is_empty() {
            set("scope", self.scopes.to_string().into());
        }
        claims
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("client_id", &self.client_id)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
