//! Proof of who is calling: the only thing that handlers and policies see.

use std::any::Any;
#[cfg(feature = "jwt")]
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use triomphe::HeaderSlice;

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
    inner: triomphe::Arc<HeaderSlice<Inner, str>>,
}

/// What is known, with a text behind it in the same allocation: the claims of a token as its issuer wrote them,
/// or the subject alone.
struct Inner {
    subject: Range<usize>,
    /// How much of the text is a JSON object.
    claims_len: usize,
    issuer: Option<Arc<str>>,
    scopes: Scopes,
    expires_at: Option<SystemTime>,
    /// The claims: given one by one, or those of the text, read when somebody asks.
    claims: OnceLock<Map<String, Value>>,
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

impl Identity {
    /// Starts an identity; for verifiers.
    pub fn builder(subject: impl Into<String>) -> IdentityBuilder {
        let text: String = subject.into();
        let inner = Inner {
            subject: 0..text.len(),
            claims_len: 0,
            issuer: None,
            scopes: Scopes::none(),
            expires_at: None,
            claims: OnceLock::new(),
            details: Vec::new(),
        };
        IdentityBuilder { inner, text }
    }

    /// Whom the token speaks of. Empty if its issuer named nobody.
    pub fn subject(&self) -> &str {
        &self.inner.slice[self.inner.header.subject.clone()]
    }

    /// Who vouches for it.
    pub fn issuer(&self) -> Option<&str> {
        self.inner.header.issuer.as_deref()
    }

    /// What was granted.
    pub fn scopes(&self) -> &Scopes {
        &self.inner.header.scopes
    }

    /// When the credential ends, without any leeway.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.inner.header.expires_at
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
        self.claims().get(name)
    }

    /// All claims, read into a type of yours.
    ///
    /// # Errors
    ///
    /// When the claims do not have the shape of `T`.
    pub fn claims_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.claims_text() {
            "" => serde_json::from_value(Value::Object(self.claims().clone())),
            text => serde_json::from_str(text),
        }
    }

    /// What the verifier attached: typed claims, a row of a store, an answer.
    pub fn detail<T: 'static>(&self) -> Option<&T> {
        self.inner.header.details.iter().find_map(|detail| detail.downcast_ref())
    }

    /// About how many bytes it holds. Values that were attached are not counted.
    #[cfg(feature = "jwt")]
    pub(crate) fn weight(&self) -> usize {
        let Inner { scopes, claims_len, .. } = &self.inner.header;
        let map = || self.claims().iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
        // A text may be read into values later: which take about as much again, if it is not made of small ones.
        let claims = if *claims_len == 0 { map() } else { *claims_len };
        size_of::<Inner>() + self.inner.slice.len() + scopes.len() + claims
    }

    /// Made in one piece, where it stays: a builder is moved at each step.
    #[cfg(feature = "jwt")]
    pub(crate) fn found(found: Found<'_>) -> Self {
        let within = place_of(&found.subject, found.claims);
        let end = found.claims.len();
        let inner = Inner {
            subject: within.clone().unwrap_or(end..end + found.subject.len()),
            claims_len: end,
            issuer: found.issuer,
            scopes: found.scopes,
            expires_at: found.expires_at,
            claims: OnceLock::new(),
            details: found.detail.into_iter().collect(),
        };
        let inner = match within {
            Some(_) => triomphe::Arc::from_header_and_str(inner, found.claims),
            None => triomphe::Arc::from_header_and_str(inner, &[found.claims, &*found.subject].concat()),
        };
        Self { scheme: None, inner }
    }

    pub(crate) fn presented_as(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// Empty if the claims were given one by one.
    fn claims_text(&self) -> &str {
        &self.inner.slice[..self.inner.header.claims_len]
    }

    /// The text was read as a JSON object before; what fails here would be an empty map.
    fn claims(&self) -> &Map<String, Value> {
        let header = &self.inner.header;
        header.claims.get_or_init(|| serde_json::from_str(self.claims_text()).unwrap_or_default())
    }
}

/// Where in the text the part was borrowed from; `None` if it was not.
#[cfg(feature = "jwt")]
fn place_of(part: &str, text: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let place = start..start.checked_add(part.len())?;
    (text.get(place.clone()) == Some(part)).then_some(place)
}

/// Shows who, not the claims: those may be personal.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.subject())
            .field("issuer", &self.inner.header.issuer)
            .field("scopes", &self.inner.header.scopes)
            .field("expires_at", &self.inner.header.expires_at)
            .finish_non_exhaustive()
    }
}

/// Builds an [`Identity`].
#[must_use]
pub struct IdentityBuilder {
    inner: Inner,
    text: String,
}

impl IdentityBuilder {
    /// Who vouches for it.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.inner.issuer = Some(issuer.into());
        self
    }

    /// What was granted.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.inner.scopes = scopes;
        self
    }

    /// When the credential ends.
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.inner.expires_at = Some(at);
        self
    }

    /// Adds a claim, replacing one of the same name.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let mut map = self.inner.claims.take().unwrap_or_default();
        map.insert(name.into(), value.into());
        self.inner.claims = map.into();
        self
    }

    /// Attaches a value that [`Identity::detail`] finds by its type; the first of a type wins.
    pub fn detail<T: Send + Sync + 'static>(mut self, detail: T) -> Self {
        self.inner.details.push(Box::new(detail));
        self
    }

    /// The identity.
    pub fn build(self) -> Identity {
        Identity { scheme: None, inner: triomphe::Arc::from_header_and_str(self.inner, &self.text) }
    }
}

impl fmt::Debug for IdentityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityBuilder")
            .field("subject", &&self.text[self.inner.subject.clone()])
            .finish_non_exhaustive()
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

    #[test]
    fn claims_given_one_by_one() {
        let builder = Identity::builder("a").claim("n", 1).claim("m", 2).claim("n", 3);
        assert_eq!(format!("{builder:?}"), r#"IdentityBuilder { subject: "a", .. }"#);
        let identity = builder.build();
        assert_eq!(identity.subject(), "a");
        assert_eq!((identity.claim("n"), identity.claim("m")), (Some(&3.into()), Some(&2.into())));
        assert_eq!(identity.claims_as::<std::collections::HashMap<String, u8>>().unwrap()["n"], 3);
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn claims_of_a_text_are_read_on_demand_and_the_subject_lies_within_it_or_behind() {
        let text = r#"{"n":1,"sub":"alice"}"#;
        for subject in [&text[14..19], "", "alice", "bob"] {
            let identity = Identity::found(super::Found {
                subject: subject.into(),
                issuer: None,
                scopes: crate::Scopes::none(),
                expires_at: None,
                claims: text,
                detail: None,
            });
            assert_eq!(identity.subject(), subject);
            assert_eq!(identity.claim("n"), Some(&1.into()));
            assert_eq!(identity.claims_as::<serde_json::Value>().unwrap()["sub"], "alice");
            assert!(identity.claims_as::<Vec<u8>>().is_err());
        }
    }
}
