//! Proof of who is calling: the only thing that handlers and policies see.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
#[cfg(feature = "jwt")]
use std::sync::Weak;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use triomphe::HeaderSlice;

#[cfg(feature = "jwt")]
use crate::clock::Window;
use crate::credential::Scheme;
use crate::scope::Scopes;
#[cfg(feature = "jwt")]
use crate::secret::Wiped;

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
pub struct Identity {
    scheme: Option<Scheme>,
    known: Known,
    /// The claims, once somebody asked for one. Not shared: what is remembered of a token does not grow.
    claims: OnceLock<Box<Map<String, Value>>>,
}

/// What all clones of an identity share.
#[derive(Clone)]
pub(crate) struct Known(triomphe::Arc<HeaderSlice<Inner, str>>);

/// What is known, with a text behind it in the same allocation: the claims as their issuer wrote them, unless there
/// is a proof to read them from, and the subject, unless it is a part of those.
// In this order: the proof is looked at for each request with a token that was seen before.
#[repr(C)]
struct Inner {
    #[cfg(feature = "jwt")]
    proof: Option<Proof>,
    subject: Range<usize>,
    /// How much of the text is a JSON object.
    claims_len: usize,
    expires_at: Option<SystemTime>,
    issuer: Option<Arc<str>>,
    scopes: Scopes,
    /// The claims, if they were given one by one.
    claims: Option<Map<String, Value>>,
    details: Vec<Box<dyn Any + Send + Sync>>,
}

/// What a verifier found in a token.
#[cfg(feature = "jwt")]
pub(crate) struct Found<'a> {
    pub(crate) subject: Cow<'a, str>,
    pub(crate) issuer: Option<Arc<str>>,
    pub(crate) scopes: Scopes,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) detail: Option<Box<dyn Any + Send + Sync>>,
}

/// What it was found in, which has all claims.
#[cfg(feature = "jwt")]
pub(crate) enum Evidence<'a> {
    Proof(Proof),
    /// The text of a JSON object, already checked to be one.
    Text(&'a str),
}

/// A token that proves the same again: within a window, as long as these are the keys that count.
#[cfg(feature = "jwt")]
pub(crate) struct Proof {
    pub(crate) token: Wiped,
    pub(crate) window: Window,
    /// They are known by their address, and may be gone.
    pub(crate) keys: Weak<dyn Any + Send + Sync>,
    /// Gives the text of a JSON object, already checked to be one.
    pub(crate) read_claims: fn(&[u8]) -> Vec<u8>,
}

impl Identity {
    /// Starts an identity; for verifiers.
    pub fn builder(subject: impl Into<String>) -> IdentityBuilder {
        let text: String = subject.into();
        let inner = Inner {
            #[cfg(feature = "jwt")]
            proof: None,
            subject: 0..text.len(),
            claims_len: 0,
            expires_at: None,
            issuer: None,
            scopes: Scopes::none(),
            claims: Some(Map::new()),
            details: Vec::new(),
        };
        IdentityBuilder { inner, text }
    }

    /// Whom the token speaks of. Empty if its issuer named nobody.
    pub fn subject(&self) -> &str {
        &self.known.0.slice[self.known.0.header.subject.clone()]
    }

    /// Who vouches for it.
    pub fn issuer(&self) -> Option<&str> {
        self.known.0.header.issuer.as_deref()
    }

    /// What was granted.
    pub fn scopes(&self) -> &Scopes {
        &self.known.0.header.scopes
    }

    /// When the credential ends, without any leeway.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.known.0.header.expires_at
    }

    /// The scheme of the credential; known once it went through an
    /// [`AuthenticateLayer`](crate::AuthenticateLayer).
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// One claim, as the issuer wrote it.
    ///
    /// The first call parses the claims of a JWT into values; nothing is parsed before that, and a clone parses them
    /// anew. What each request is asked for is cheaper as a [`detail`](Self::detail).
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims().get(name)
    }

    /// All claims, read into a type of yours.
    ///
    /// # Errors
    ///
    /// When the claims do not have the shape of `T`.
    pub fn claims_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match &self.known.0.header.claims {
            Some(claims) => serde_json::from_value(Value::Object(claims.clone())),
            None => serde_json::from_slice(&self.claims_text()),
        }
    }

    /// What the verifier attached: typed claims, a row of a store, an answer.
    pub fn detail<T: 'static>(&self) -> Option<&T> {
        self.known.0.header.details.iter().find_map(|detail| detail.downcast_ref())
    }

    /// Made in one piece, where it stays: a builder is moved at each step.
    #[cfg(feature = "jwt")]
    pub(crate) fn found(found: Found<'_>, evidence: Evidence<'_>) -> Self {
        let (proof, text) = match evidence {
            Evidence::Proof(proof) => (Some(proof), ""),
            Evidence::Text(text) => (None, text),
        };
        let within = place_of(&found.subject, text);
        let end = text.len();
        let inner = Inner {
            proof,
            subject: within.clone().unwrap_or(end..end + found.subject.len()),
            claims_len: end,
            expires_at: found.expires_at,
            issuer: found.issuer,
            scopes: found.scopes,
            claims: None,
            details: found.detail.into_iter().collect(),
        };
        let inner = match within {
            Some(_) => triomphe::Arc::from_header_and_str(inner, text),
            None if text.is_empty() => triomphe::Arc::from_header_and_str(inner, &found.subject),
            None => triomphe::Arc::from_header_and_str(inner, &[text, &*found.subject].concat()),
        };
        Self { scheme: None, known: Known(inner), claims: OnceLock::new() }
    }

    #[cfg(feature = "jwt")]
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    pub(crate) fn presented_as(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// If the claims were not given one by one.
    fn claims_text(&self) -> Cow<'_, [u8]> {
        #[cfg(feature = "jwt")]
        if let Some(proof) = &self.known.0.header.proof {
            return Cow::Owned((proof.read_claims)(proof.token.expose()));
        }
        Cow::Borrowed(&self.known.0.slice.as_bytes()[..self.known.0.header.claims_len])
    }

    /// The text was read as a JSON object before; what fails here would be an empty map.
    fn claims(&self) -> &Map<String, Value> {
        let read = || serde_json::from_slice(&self.claims_text()).unwrap_or_default();
        self.known.0.header.claims.as_ref().unwrap_or_else(|| self.claims.get_or_init(read))
    }
}

#[cfg(feature = "jwt")]
impl Known {
    /// An identity with just this.
    pub(crate) fn identity(&self) -> Identity {
        Identity { scheme: None, known: self.clone(), claims: OnceLock::new() }
    }

    /// What proves it again.
    pub(crate) fn proof(&self) -> Option<&Proof> {
        self.0.header.proof.as_ref()
    }

    /// About how many bytes it holds. Of values that were attached, what they point to is not counted.
    pub(crate) fn weight(&self) -> usize {
        let Inner { proof, claims, scopes, details, .. } = &self.0.header;
        let token = proof.as_ref().map_or(0, |proof| proof.token.expose().len());
        let claims = claims.iter().flatten().map(|(name, value)| name.len() + value.to_string().len());
        let details = details.iter().map(|detail| size_of_val(&**detail));
        size_of::<Inner>()
            + self.0.slice.len()
            + scopes.text().len()
            + token
            + claims.chain(details).sum::<usize>()
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { scheme: self.scheme, known: self.known.clone(), claims: OnceLock::new() }
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
            .field("issuer", &self.known.0.header.issuer)
            .field("scopes", &self.known.0.header.scopes)
            .field("expires_at", &self.known.0.header.expires_at)
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
        self.inner.claims.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Attaches a value that [`Identity::detail`] finds by its type; the first of a type wins.
    pub fn detail<T: Send + Sync + 'static>(mut self, detail: T) -> Self {
        self.inner.details.push(Box::new(detail));
        self
    }

    /// The identity.
    pub fn build(self) -> Identity {
        let inner = triomphe::Arc::from_header_and_str(self.inner, &self.text);
        Identity { scheme: None, known: Known(inner), claims: OnceLock::new() }
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
    fn found(subject: &str, evidence: super::Evidence<'_>) -> Identity {
        let found = super::Found {
            subject: subject.into(),
            issuer: None,
            scopes: crate::Scopes::none(),
            expires_at: None,
            detail: None,
        };
        Identity::found(found, evidence)
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn claims_are_read_on_demand_from_where_they_are() {
        let text = r#"{"n":1,"sub":"alice"}"#;
        for subject in [&text[14..19], "", "alice", "bob"] {
            let proof = super::Proof {
                token: super::Wiped::new(format!("a.{text}.b").as_bytes()),
                window: super::Window::new(0, 0),
                keys: std::sync::Weak::<()>::new(),
                read_claims: |token| token[2..token.len() - 2].to_vec(),
            };
            for identity in
                [found(subject, super::Evidence::Text(text)), found(subject, super::Evidence::Proof(proof))]
            {
                assert_eq!(identity.subject(), subject);
                assert_eq!(identity.claim("n"), Some(&1.into()));
                assert_eq!(identity.claims_as::<serde_json::Value>().unwrap()["sub"], "alice");
                assert!(identity.claims_as::<Vec<u8>>().is_err());
            }
        }
    }
}
