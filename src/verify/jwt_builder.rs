//! What a JWT verifier is told before it exists.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::claims::UsualScopes;
use super::jwt::JwtVerifier;
use super::keys::Keys;
use super::rules::{Rules, read_detail};
use crate::clock::{Clock, SharedClock};
use crate::error::ConfigError;
use crate::jose::same_type;

/// RFC 7519 sets none; every real token is far below. One header of 16 KiB is what servers allow.
const DEFAULT_MAX_TOKEN_BYTES: usize = 16 * 1024;
/// More than are good at a time at most servers.
const DEFAULT_MAX_DECISIONS: usize = 128 * 1024;
/// About 2 KiB for each of those.
const DEFAULT_MAX_DECISION_BYTES: usize = 256 * 1024 * 1024;
/// Clocks of machines that keep time differ by less.
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// Builds a [`JwtVerifier`].
#[derive(Clone)]
#[must_use]
pub struct JwtVerifierBuilder {
    keys: Keys,
    rules: Rules,
    any_issuer: bool,
    any_audience: bool,
    max_token_bytes: usize,
    max_decisions: usize,
    max_decision_bytes: usize,
}

impl JwtVerifierBuilder {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            any_issuer: false,
            any_audience: false,
            max_token_bytes: DEFAULT_MAX_TOKEN_BYTES,
            max_decisions: DEFAULT_MAX_DECISIONS,
            max_decision_bytes: DEFAULT_MAX_DECISION_BYTES,
            rules: Rules {
                issuer: None,
                audiences: Vec::new(),
                types: vec!["JWT".into(), "at+jwt".into()],
                claims: Vec::new(),
                subject_claim: None,
                scope_claim: None,
                demand_expiry: true,
                access_token_profile: false,
                accept_id_tokens: false,
                ignore_confirmation: false,
                leeway: DEFAULT_LEEWAY,
                clock: SharedClock::default(),
                detail: None,
                usual: UsualScopes::default(),
            },
        }
    }

    /// The one issuer whose tokens are accepted, the last one given: `iss` must be there and equal it byte for byte
    /// (RFC 7519 §2, RFC 8725 §3.8).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into().into());
        self
    }

    /// An audience that is us: `aud` must be there and hold one of those given (RFC 7519 §4.1.3).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into().into());
        self
    }

    /// Accepts tokens of any issuer, or of none. Only where the key itself names the issuer.
    pub fn insecure_any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Accepts tokens for any audience. A token meant for another service is then accepted too.
    pub fn insecure_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Accepts tokens that never expire. `exp` is still judged where it is present.
    pub fn insecure_allow_missing_expiry(mut self) -> Self {
        self.rules.demand_expiry = false;
        self
    }

    /// Accepts ID tokens, and whatever else is marked as no access token (`at_hash`, `c_hash`, `s_hash`,
    /// `events`, `token_use`, Keycloak's `typ`): an ID token proves to a client who logged in, and says
    /// nothing about what its holder may do (RFC 9068 §4). Narrow it down with
    /// [`with_claim`](Self::with_claim).
    pub fn insecure_accept_id_tokens(mut self) -> Self {
        self.rules.accept_id_tokens = true;
        self
    }

    /// Accepts tokens that are bound to a key (`cnf`, RFC 7800) without a proof of that key, as if they
    /// were bearer tokens. Only where something in front of this verifier checks the proof: RFC 9449
    /// §7.2 and RFC 8705 §3 refuse them otherwise.
    pub fn insecure_ignore_confirmation(mut self) -> Self {
        self.rules.ignore_confirmation = true;
        self
    }

    /// Demands a claim of exactly this value. Demanding `token_use` to be `id` accepts ID tokens.
    pub fn with_claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.rules.accept_id_tokens |= name == "token_use" && value == "id";
        self.rules.claims.push((name.into(), value));
        self
    }

    /// Accepts these `typ` headers instead of `JWT` and `at+jwt`. Media types are compared as RFC 7515
    /// §4.1.9 has it; a token without `typ` counts as `JWT`.
    pub fn with_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.types = types.into_iter().map(|typ| typ.into().into()).collect();
        self
    }

    /// Demands an access token of RFC 9068: `typ` is `at+jwt` (§4), and `iss`, `exp`, `aud`, `sub`,
    /// `client_id`, `iat` and `jti` are all there (§2.2).
    pub fn access_token_profile(mut self) -> Self {
        self.rules.access_token_profile = true;
        self.with_types(["at+jwt"])
    }

    /// How far clocks may differ when `exp`, `nbf` and `iat` are judged. 30 s unless said otherwise.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// The clock that times are judged by.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.rules.clock = SharedClock::new(clock);
        self
    }

    #[cfg(feature = "remote")]
    pub(super) fn with_shared_clock(mut self, clock: SharedClock) -> Self {
        self.rules.clock = clock;
        self
    }

    /// The longest token that is read, in bytes. 16 KiB unless said otherwise.
    pub fn with_max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// How many accepted tokens are remembered, and how many bytes they may take: 131,072 and 256 MiB unless said
    /// otherwise, which only a server that meets so many good tokens ever uses; zero for none. Of more, those go
    /// first that are void or were not presented again lately. A remembered answer is the one that would be given
    /// now, so nothing but the time it takes tells of it: it ends with the token's own times and with the key, and a
    /// refused token is never remembered. An identity that was found while its token was remembered holds that
    /// token, to read claims from when they are asked for; nothing gives it out.
    ///
    /// Two things about a [detail](Self::with_detail): requests with one token share it meanwhile, which shows if it
    /// has a state of its own; and what it points to is not among those bytes.
    pub fn with_remembered(mut self, tokens: usize, bytes: usize) -> Self {
        (self.max_decisions, self.max_decision_bytes) = (tokens, bytes);
        self
    }

    /// Takes the subject from this claim, which must be a string, instead of `sub`.
    pub fn with_subject_claim(mut self, name: &str) -> Self {
        self.rules.subject_claim = Some(name.into());
        self
    }

    /// Takes the scopes from this claim, a string or an array of strings, instead of `scope`.
    pub fn with_scope_claim(mut self, name: &str) -> Self {
        self.rules.scope_claim = Some(name.into());
        self
    }

    /// Reads the claims into a `T`, found again by [`Identity::detail`](crate::Identity::detail). A token whose claims do not
    /// have that shape is refused. While a token is remembered, requests with it share one value.
    pub fn with_detail<T: DeserializeOwned + Send + Sync + 'static>(mut self) -> Self {
        self.rules.detail = Some(read_detail::<T>);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    ///
    /// When neither an issuer nor [`insecure_any_issuer`](Self::insecure_any_issuer) was given, or
    /// both; the same for the audience; when one given is empty; when no type is accepted.
    pub fn build(self) -> Result<JwtVerifier, ConfigError> {
        let exactly_one = |field, given: bool, any: bool| match (given, any) {
            (true, false) | (false, true) => Ok(()),
            (true, true) => Err(ConfigError::new(
                field,
                format!("expected {field}(…) or insecure_any_{field}(), not both"),
            )),
            (false, false) => Err(ConfigError::new(
                field,
                format!("expected {field}(…), or insecure_any_{field}() to accept any"),
            )),
        };
        exactly_one("issuer", self.rules.issuer.is_some(), self.any_issuer)?;
        exactly_one("audience", !self.rules.audiences.is_empty(), self.any_audience)?;
        if self.rules.issuer.as_deref() == Some("") {
            return Err(ConfigError::new("issuer", "expected a name, this is empty"));
        }
        if self.rules.audiences.iter().any(|audience| audience.is_empty()) {
            return Err(ConfigError::new("audience", "expected a name, this is empty"));
        }
        if self.rules.access_token_profile && self.rules.types.iter().any(|typ| !same_type(typ, "at+jwt")) {
            return Err(ConfigError::new(
                "types",
                "expected at+jwt alone, as the access token profile has it",
            ));
        }
        if self.rules.types.is_empty() {
            return Err(ConfigError::new("types", "expected at least one type"));
        }
        let decisions = [self.max_decisions, self.max_decision_bytes];
        Ok(JwtVerifier::new(self.keys, self.rules, self.max_token_bytes, decisions))
    }
}

impl fmt::Debug for JwtVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifierBuilder").field("keys", &self.keys).finish_non_exhaustive()
    }
}
