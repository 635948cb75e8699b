//! Several issuers, each with its own keys and rules.

use std::fmt;
use std::sync::Arc;

use super::Verify;
use super::headers::Headers;
use super::jwt::{JwtVerifier, formed, verify_with};
use super::rules::Refused;
use crate::credential::{Credential, Scheme};
use crate::error::ConfigError;
use crate::eventual::Eventual;
use crate::identity::Identity;
use crate::rejection::Rejection;

/// Sends each JWT to the verifier of its exact issuer; a token of any other issuer is refused before
/// anything is fetched or computed.
///
/// The unverified `iss` only chooses among the verifiers given here, and the chosen one demands that
/// very issuer again, under its own keys and rules.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::verify::{Issuers, JwtVerifier, Keys};
/// use tower_bearer::Algorithm;
///
/// let of = |issuer: &str, secret: &str| {
///     JwtVerifier::builder(Keys::hmac(Algorithm::HS256, secret)?).issuer(issuer).audience("orders").build()
/// };
/// let a = of("https://a.example", "0123456789abcdef0123456789abcdef")?;
/// let b = of("https://b.example", "fedcba9876543210fedcba9876543210")?;
/// let verifier = Issuers::new([a.clone(), b])?;
/// assert!(Issuers::new([a.clone(), a]).is_err());
/// # let _ = verifier;
/// # }
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Issuers {
    verifiers: Vec<JwtVerifier>,
    nameless: Option<JwtVerifier>,
    max_token_bytes: usize,
    headers: Arc<Headers>,
}

impl Issuers {
    /// # Errors
    ///
    /// When two verifiers have one issuer, one has none, or there are no verifiers.
    pub fn new(verifiers: impl IntoIterator<Item = JwtVerifier>) -> Result<Self, ConfigError> {
        let verifiers = Vec::from_iter(verifiers);
        for (index, verifier) in verifiers.iter().enumerate() {
            let issuer = verifier.issuer();
            if issuer.is_none() {
                return Err(ConfigError::new("issuers", "expected an issuer of each verifier"));
            }
            if verifiers[..index].iter().any(|other| other.issuer() == issuer) {
                return Err(ConfigError::new("issuers", "expected each issuer once"));
            }
        }
        let longest = verifiers.iter().map(JwtVerifier::max_token_bytes).max();
        let max_token_bytes = longest.ok_or_else(|| ConfigError::new("issuers", "expected at least one"))?;
        Ok(Self { verifiers, nameless: None, max_token_bytes, headers: Arc::default() })
    }

    /// Sends tokens that have no `iss` at all to this verifier: those of systems whose key names the issuer.
    ///
    /// # Errors
    ///
    /// When the verifier demands an issuer, which no such token has.
    pub fn or_without_issuer(mut self, verifier: JwtVerifier) -> Result<Self, ConfigError> {
        if verifier.issuer().is_some() {
            return Err(ConfigError::new("issuers", "expected a verifier that demands no issuer"));
        }
        self.max_token_bytes = self.max_token_bytes.max(verifier.max_token_bytes());
        self.nameless = Some(verifier);
        Ok(self)
    }

    fn choose(&self, issuer: Option<&str>) -> Result<&JwtVerifier, Refused> {
        match (issuer, &self.nameless) {
            (None, Some(nameless)) => Ok(nameless),
            (None, None) => Err(Refused::Missing("iss")),
            (Some(_), _) => self.verifiers.iter().find(|own| own.issuer() == issuer).ok_or(Refused::Issuer),
        }
    }
}

impl Issuers {
    /// Of each issuer's verifier, since the token says only when it is read whose it is. The one without an
    /// issuer may be used elsewhere too, and remember tokens that are not sent to it here.
    fn recall(&self, token: &[u8]) -> Option<Identity> {
        let nameless =
            || self.nameless.as_ref()?.recall(token).filter(|identity| identity.issuer().is_none());
        self.verifiers.iter().find_map(|verifier| verifier.recall(token)).or_else(nameless)
    }

    fn judge(&self, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        verify_with(token, self.max_token_bytes, &self.headers, |claims| {
            let chosen = self.choose(claims.issuer.as_deref())?;
            if token.len() <= chosen.max_token_bytes() { Ok(chosen) } else { Err(Refused::Issuer) }
        })
    }
}

impl Verify for Issuers {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        let token = credential.expose().as_bytes();
        self.recall(token).map_or_else(|| self.judge(token), |identity| Eventual::now(Ok(identity)))
    }

    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        let judge = || formed(scheme, token, self.judge(token));
        self.recall(token).map_or_else(judge, |identity| Eventual::now(Ok(identity)))
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.verifiers).entries(&self.nameless).finish()
    }
}
