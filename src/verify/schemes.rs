//! One verifier for each form of credential.

use std::borrow::Cow;
use std::fmt;

use super::Verify;
use crate::credential::{Credential, Scheme};
use crate::eventual::Eventual;
use crate::identity::Identity;
use crate::rejection::Rejection;

/// Sends each credential to exactly one verifier, by scheme and form. A failure there is final.
///
/// A `Bearer` token goes to the longest registered prefix that it begins with; else, if it has three
/// parts and there is a JWT verifier, to that; else to the verifier for other bearer tokens. What has
/// nowhere to go is refused: a scheme without any verifier as unsupported, a form without one as an
/// invalid token.
///
/// ```
/// use tower_bearer::verify::{Schemes, Verify, verify_fn};
/// use tower_bearer::{Credential, Identity, Scheme};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let named = |name: &'static str| verify_fn(move |_| async move { Ok(Identity::builder(name).build()) });
/// let schemes = Schemes::new()
///     .token(named("personal"))
///     .bearer_prefixed("nbp_", named("prefixed"))
///     .bearer_jwt(named("jwt"));
///
/// let subject = async |scheme, token| {
///     schemes.verify(&Credential::new(scheme, token)).await.map(|identity| identity.subject().to_owned())
/// };
/// assert_eq!(subject(Scheme::Token, "nbp_1").await.unwrap(), "personal");
/// assert_eq!(subject(Scheme::Bearer, "nbp_1").await.unwrap(), "prefixed");
/// assert_eq!(subject(Scheme::Bearer, "a.b.c").await.unwrap(), "jwt");
/// assert!(subject(Scheme::Bearer, "opaque").await.is_err());
/// # }
/// ```
#[derive(Default)]
#[must_use]
pub struct Schemes {
    token: Option<Box<dyn Verify>>,
    jwt: Option<Box<dyn Verify>>,
    prefixed: Vec<(Cow<'static, str>, Box<dyn Verify>)>,
    other: Option<Box<dyn Verify>>,
}

impl Schemes {
    /// No scheme at all: everything is unsupported until a verifier is added.
    pub fn new() -> Self {
        Self::default()
    }

    /// For `Authorization: Token …`.
    pub fn token(mut self, verifier: impl Verify) -> Self {
        self.token = Some(Box::new(verifier));
        self
    }

    /// For `Bearer` tokens of three parts separated by dots.
    pub fn bearer_jwt(mut self, verifier: impl Verify) -> Self {
        self.jwt = Some(Box::new(verifier));
        self
    }

    /// For `Bearer` tokens that begin with `prefix`, exactly.
    pub fn bearer_prefixed(mut self, prefix: impl Into<Cow<'static, str>>, verifier: impl Verify) -> Self {
        self.prefixed.push((prefix.into(), Box::new(verifier)));
        // The longest first, so that the first match is the closest.
        self.prefixed.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// For every other `Bearer` token.
    pub fn bearer(mut self, verifier: impl Verify) -> Self {
        self.other = Some(Box::new(verifier));
        self
    }

    fn route(&self, scheme: Scheme, token: &[u8]) -> Result<&dyn Verify, Rejection> {
        if !self.schemes().contains(&scheme) {
            return Err(Rejection::unsupported_scheme());
        }
        let verifier = match scheme {
            Scheme::Token => self.token.as_ref(),
            Scheme::Bearer => self
                .prefixed
                .iter()
                .find(|(prefix, _)| token.starts_with(prefix.as_bytes()))
                .map(|(_, verifier)| verifier)
                .or_else(|| self.jwt.as_ref().filter(|_| has_three_parts(token)))
                .or(self.other.as_ref()),
        };
        verifier
            .map(|verifier| &**verifier)
            .ok_or_else(|| Rejection::invalid_token().with_source("no verifier takes a token of this form"))
    }
}

/// No more than three dots are looked for, however long the token.
fn has_three_parts(token: &[u8]) -> bool {
    token.iter().filter(|byte| **byte == b'.').take(3).count() == 2
}

impl Verify for Schemes {
    fn verify(&self, credential: &Credential<'_>) -> Eventual<Result<Identity, Rejection>> {
        match self.route(credential.scheme(), credential.expose().as_bytes()) {
            Ok(verifier) => verifier.verify(credential),
            Err(rejection) => Eventual::now(Err(rejection)),
        }
    }

    fn verify_bytes(&self, scheme: Scheme, token: &[u8]) -> Eventual<Result<Identity, Rejection>> {
        match self.route(scheme, token) {
            Ok(verifier) => verifier.verify_bytes(scheme, token),
            Err(rejection) => Eventual::now(Err(Credential::refusal_of(scheme, token, rejection))),
        }
    }

    fn schemes(&self) -> &[Scheme] {
        let bearer = self.jwt.is_some() || self.other.is_some() || !self.prefixed.is_empty();
        match (bearer, self.token.is_some()) {
            (true, true) => &[Scheme::Bearer, Scheme::Token],
            (true, false) => &[Scheme::Bearer],
            (false, true) => &[Scheme::Token],
            (false, false) => &[],
        }
    }
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemes")
            .field("token", &self.token.is_some())
            .field("bearer_jwt", &self.jwt.is_some())
            .field("bearer_prefixed", &self.prefixed.iter().map(|(prefix, _)| prefix).collect::<Vec<_>>())
            .field("bearer", &self.other.is_some())
            .finish()
    }
}
