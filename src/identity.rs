//! Proof of who is calling: the only thing that handlers and policies see.

use std::any::Any;
#[cfg(feature = "jwt")]
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::credential::Scheme;
use crate::scope::Scopes;

/// Who is calling, as a verifier found.
///
/// A clone costs a reference count. [`AuthenticateLayer`](crate::AuthenticateLayer) puts it into the
/// request's extensions, after removing whatever was there: read it with
/// `request.extensions().get::<Identity>()`, or as an axum extractor (feature `axum`).
///
/// ```
/// use tower_bearer::{Identity, Scopes};
///
/// let identity = Identity::builder("alice")
///     .issuer("https://issuer.example")
///     .scopes(Scopes::parse("read")?)
///     .claim("plan", "gold")
///     .build();
/// assert_eq!(identity.subject(), "alice");
/// assert_eq!(identity.claim("plan").and_then(|plan| plan.as_str()), Some("gold"));
/// assert_eq!(identity.claim("admin"), None);
/// # Ok::<(), tower_bearer::InvalidScope>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    scheme: Option<Scheme>,
    inner: Arc<Inner>,
}

struct Inner {
    subject: Box<str>,
    issuer: Option<Arc<str>>,
    scopes: Scopes,
    expires_at: Option<SystemTime>,
    claims: Claims,
    details: Vec<Box<dyn Any + Send + Sync>>,
}

/// What a verifier found in a token.
#[cfg(feature = "jwt")]
pub(crate) struct Found<'a> {
    pub(crate) subject: Cow<'a, str>,
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<SystemTime>,
    /// The text of a JSON object, already checked to be one.
    pub(crate) claims: &'a str,
    pub(crate) detail: Option<Box<dyn Any + Send + Sync>>,
}

/// The claims: given one by one, or the JSON text of a token, read when somebody asks.
#[derive(Default)]
struct Claims {
    text: Option<Box<str>>,
    map: OnceLock<Map<String, Value>>,
}

impl Identity {
    /// Starts an identity; for verifiers.
    pub fn builder(subject: impl Into<String>) -> IdentityBuilder {
        IdentityBuilder(Inner {
            subject: subject.into().into(),
            issuer: None,
            scopes: Scopes::none(),
            expires_at: None,
            claims: Claims::default(),
            details: Vec::new(),
        })
    }

    /// Whom the token speaks of. Empty if its issuer named nobody.
    pub fn subject(&self) -> &str {
        &self.inner.subject
    }

    /// Who vouches for it.
    pub fn issuer(&self) -> Option<&str> {
        self.inner.issuer.as_deref()
    }

    /// What was granted.
    pub fn scopes(&self) -> &Scopes {
        &self.inner.scopes
    }

    /// When the credential ends, without any leeway.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.inner.expires_at
    }

    /// The scheme of the credential; known once it went through an
    /// [`AuthenticateLayer`](crate::AuthenticateLayer).
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// One claim, as the issuer wrote it.
    ///
    /// The first call parses the claims of a JWT into values; nothing is parsed before that.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.inner.claims.map().get(name)
    }

    /// All claims, read into a type of yours.
    ///
    /// # Errors
    ///
    /// When the claims do not have the shape of `T`.
    pub fn claims_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.inner.claims.text {
            Some(text) => serde_json::from_str(text),
            None => serde_json::from_value(Value::Object(self.inner.claims.map().clone())),
        }
    }

    /// What the verifier attached: typed claims, a row of a store, an answer.
    pub fn detail<T: 'static>(&self) -> Option<&T> {
        self.inner.details.iter().find_map(|detail| detail.downcast_ref())
    }

    /// About how many bytes it holds. Values that were attached are not counted.
    #[cfg(feature = "jwt")]
    pub(crate) fn weight(&self) -> usize {
        let Inner { subject, scopes, claims, .. } = &*self.inner;
        let map = || claims.map().iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
        // A text may be read into values later: which take about as much again, if it is not made of small ones.
        let claims = claims.text.as_ref().map_or_else(map, |text| 2 * text.len());
        size_of::<Inner>() + subject.len() + scopes.len() + claims
    }

    /// Made in one piece, where it stays: a builder is moved at each step.
    #[cfg(feature = "jwt")]
    pub(crate) fn found(found: Found<'_>) -> Self {
        // Made first, so that what every request looks at lies together behind it.
        let text = Some(found.claims.into());
        let inner = Inner {
            claims: Claims { text, map: OnceLock::new() },
            subject: (*found.subject).into(),
            issuer: found.issuer,
            scopes: found.scopes,
            expires_at: found.expires_at,
            details: found.detail.into_iter().collect(),
        };
        Self { scheme: None, inner: Arc::new(inner) }
    }

    pub(crate) fn presented_as(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }
}

impl Claims {
    /// The text was read as a JSON object before; what fails here would be an empty map.
    fn map(&self) -> &Map<String, Value> {
        self.map.get_or_init(|| {
            self.text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
        })
    }
}

/// Shows who, not the claims: those may be personal.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.inner.subject)
            .field("issuer", &self.inner.issuer)
            .field("scopes", &self.inner.scopes)
            .field("expires_at", &self.inner.expires_at)
            .finish_non_exhaustive()
    }
}

/// Builds an [`Identity`].
#[must_use]
pub struct IdentityBuilder(Inner);

impl IdentityBuilder {
    /// Who vouches for it.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.0.issuer = Some(issuer.into());
        self
    }

    /// What was granted.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.0.scopes = scopes;
        self
    }

    /// When the credential ends.
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.0.expires_at = Some(at);
        self
    }

    /// Adds a claim, replacing one of the same name.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.claims.map();
        let mut map = self.0.claims.map.take().unwrap_or_default();
        map.insert(name.into(), value.into());
        self.0.claims = Claims { text: None, map: map.into() };
        self
    }

    /// Attaches a value that [`Identity::detail`] finds by its type; the first of a type wins.
    pub fn detail<T: Send + Sync + 'static>(mut self, detail: T) -> Self {
        self.0.details.push(Box::new(detail));
        self
    }

    /// The claims as the text of a JSON object, already checked to be one.
    #[cfg(feature = "remote")]
    pub(crate) fn claims_json(mut self, text: String) -> Self {
        self.0.claims = Claims { text: Some(text.into()), map: OnceLock::new() };
        self
    }

    /// The identity.
    pub fn build(self) -> Identity {
        Identity { scheme: None, inner: Arc::new(self.0) }
    }
}

impl fmt::Debug for IdentityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityBuilder").field("subject", &self.0.subject).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn details_are_found_by_type() {
        let identity = Identity::builder("a").detail(7_u32).detail("row").build();
        assert_eq!(identity.detail::<u32>(), Some(&7));
        assert_eq!(identity.detail::<&str>(), Some(&"row"));
        assert_eq!(identity.detail::<u64>(), None);
    }

    #[test]
    fn debug_shows_no_claims() {
        let identity = Identity::builder("a").claim("email", "canary").build();
        assert!(!format!("{identity:?}").contains("canary"));
    }

    #[cfg(feature = "remote")]
    #[test]
    fn claims_of_a_text_are_read_on_demand() {
        let identity = Identity::builder("a").claims_json(r#"{"n":1}"#.to_owned()).build();
        assert_eq!(identity.claim("n"), Some(&1.into()));
        assert_eq!(identity.claims_as::<std::collections::HashMap<String, u8>>().unwrap()["n"], 1);
        assert!(identity.claims_as::<Vec<u8>>().is_err());
    }
}
