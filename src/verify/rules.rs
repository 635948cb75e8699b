//! What a JWT verifier demands of a token besides a signature.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::claims::{Claims, UsualScopes};
use crate::clock::{SharedClock, Window};
use crate::identity::Found;
use crate::jose::{Header, Malformed, NoKey, same_type};
use crate::rejection::Rejection;
use crate::scope::Scopes;

/// A claim that a rule names.
type ClaimName = Box<str>;

/// Reads the claims into a type of the user's.
type ReadDetail = fn(&str) -> Result<Box<dyn Any + Send + Sync>, serde_json::Error>;

#[derive(Clone)]
pub(super) struct Rules {
    /// `None`: any.
    pub(super) issuer: Option<Arc<str>>,
    /// Empty: any.
    pub(super) audiences: Vec<Box<str>>,
    pub(super) types: Vec<Box<str>>,
    pub(super) claims: Vec<(ClaimName, Value)>,
    pub(super) subject_claim: Option<ClaimName>,
    pub(super) scope_claim: Option<ClaimName>,
    pub(super) demand_expiry: bool,
    pub(super) access_token_profile: bool,
    pub(super) accept_id_tokens: bool,
    pub(super) ignore_confirmation: bool,
    pub(super) leeway: Duration,
    pub(super) clock: SharedClock,
    pub(super) detail: Option<ReadDetail>,
    pub(super) usual: UsualScopes,
}

/// Why a token was refused. For logs; the caller learns the kind only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    Audience,
    Claim,
    Detail,
    Expired,
    Bound,
    Foreign(&'static str),
    FromTheFuture,
    Issuer,
    Malformed(Malformed),
    Missing(&'static str),
    NoKey(NoKey),
    NotYetValid,
    Signature,
    Type,
}

impl Rules {
    /// Everything that can be said before the signature is looked at. The window is the one of these claims.
    pub(super) fn check(
        &self,
        header: &Header<'_>,
        claims: &Claims<'_>,
        window: &Window,
    ) -> Result<(), Refused> {
        // RFC 7519 §5.1: `typ` may be left out where only JWTs are expected.
        let typ = header.typ.as_deref().unwrap_or("JWT");
        let is_expected =
            |same: fn(&str, &str) -> bool| self.types.iter().any(|expected| same(expected, typ));
        // As most write it, or in another way.
        if !is_expected(|a, b| a == b) && !is_expected(same_type) {
            return Err(Refused::Type);
        }
        self.check_names(claims)?;
        self.check_times(claims, window)?;
        self.check_kind(claims)
    }

    fn check_names(&self, claims: &Claims<'_>) -> Result<(), Refused> {
        if let Some(issuer) = &self.issuer {
            match claims.issuer.as_deref() {
                None => return Err(Refused::Missing("iss")),
                Some(actual) if *actual == **issuer => {}
                Some(_) => return Err(Refused::Issuer),
            }
        }
        claims.check_audience(&self.audiences)
    }

    fn check_times(&self, claims: &Claims<'_>, window: &Window) -> Result<(), Refused> {
        if self.demand_expiry && claims.expires.is_none() {
            return Err(Refused::Missing("exp"));
        }
        if window.is_open(&self.clock) {
            return Ok(());
        }
        let now = self.clock.unix_nanos();
        if claims.expires.is_some_and(|expires| !expires.is_after(now, self.leeway)) {
            return Err(Refused::Expired);
        }
        if claims.not_before.is_some_and(|start| !start.is_reached(now, self.leeway)) {
            return Err(Refused::NotYetValid);
        }
        if claims.issued.is_some_and(|issued| !issued.is_reached(now, self.leeway)) {
            return Err(Refused::FromTheFuture);
        }
        Ok(())
    }

    /// The kind of token: what marks an ID token, a refresh token or a logout token refuses it, and so
    /// does a key that its holder has to prove.
    fn check_kind(&self, claims: &Claims<'_>) -> Result<(), Refused> {
        if !self.accept_id_tokens {
            if claims.token_use.as_deref().is_some_and(|usage| usage != "access") {
                return Err(Refused::Foreign("token_use"));
            }
            if let Some(name) = claims.foreign {
                return Err(Refused::Foreign(name));
            }
        }
        if claims.is_bound && !self.ignore_confirmation {
            return Err(Refused::Bound);
        }
        if self.access_token_profile {
            // RFC 9068 §2.2.
            for (name, present) in [
                ("iss", claims.issuer.is_some()),
                ("exp", claims.expires.is_some()),
                ("aud", claims.audience.is_some()),
                ("sub", claims.subject.as_ref().is_some_and(|subject| !subject.is_empty())),
                ("client_id", claims.client_id.is_some()),
                ("iat", claims.issued.is_some()),
                ("jti", claims.has_id),
            ] {
                if !present {
                    return Err(Refused::Missing(name));
                }
            }
        }
        Ok(())
    }

    /// What a token with a good signature proves.
    pub(super) fn identify<'c>(&self, claims: &'c Claims<'_>, payload: &str) -> Result<Found<'c>, Refused> {
        let named = self.read_named(payload)?;
        let scopes = match named.scopes {
            Some(scopes) => scopes,
            None => claims.scopes_among(&self.usual).map_err(Refused::Malformed)?,
        };
        let subject = match named.subject {
            Some(subject) => Cow::Owned(subject),
            None => Cow::Borrowed(claims.subject.as_deref().unwrap_or_default()),
        };
        let detail = match self.detail {
            None => None,
            Some(read) => Some(read(payload).map_err(|_| Refused::Detail)?),
        };
        let issuer = claims.issuer.as_deref().map(|issuer| match &self.issuer {
            Some(known) if **known == *issuer => Arc::clone(known),
            _ => issuer.into(),
        });
        let expires_at = claims.expires.and_then(|expires| expires.to_system_time());
        Ok(Found { subject, issuer, scopes, expires_at, detail })
    }

    /// The claims that the user named; the payload is read into values only if there are any.
    fn read_named(&self, payload: &str) -> Result<Named, Refused> {
        if self.claims.is_empty() && self.subject_claim.is_none() && self.scope_claim.is_none() {
            return Ok(Named::default());
        }
        let map: Map<String, Value> = serde_json::from_str(payload).map_err(|_| Refused::Claim)?;
        if self.claims.iter().any(|(name, expected)| map.get(&**name) != Some(expected)) {
            return Err(Refused::Claim);
        }
        let subject = match &self.subject_claim {
            None => None,
            Some(name) => Some(map.get(&**name).and_then(Value::as_str).ok_or(Refused::Claim)?.to_owned()),
        };
        let scopes = match &self.scope_claim {
            None => None,
            Some(name) => Some(scopes_of(map.get(&**name)).ok_or(Refused::Claim)?),
        };
        Ok(Named { subject, scopes })
    }
}

#[derive(Default)]
struct Named {
    subject: Option<String>,
    scopes: Option<Scopes>,
}

fn scopes_of(value: Option<&Value>) -> Option<Scopes> {
    match value {
        None => Some(Scopes::none()),
        Some(Value::String(text)) => Scopes::parse(text).ok(),
        Some(Value::Array(values)) => {
            let values: Option<Vec<_>> = values.iter().map(Value::as_str).collect();
            values.map(Scopes::from_values)
        }
        Some(_) => None,
    }
}

/// The reader of [`JwtVerifierBuilder::with_detail`](super::JwtVerifierBuilder::with_detail).
pub(super) fn read_detail<T>(payload: &str) -> Result<Box<dyn Any + Send + Sync>, serde_json::Error>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    serde_json::from_str::<T>(payload).map(|detail| Box::new(detail) as _)
}

impl From<Malformed> for Rejection {
    fn from(malformed: Malformed) -> Self {
        Refused::Malformed(malformed).into()
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        let rejection = Self::invalid_token().with_typed_source(refused);
        match refused {
            Refused::Expired => rejection.with_description("the token expired"),
            _ => rejection,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audience => "the token is for another audience",
            Self::Claim => "a claim does not have the demanded value",
            Self::Detail => "the claims do not have the demanded shape",
            Self::Expired => "the token expired",
            Self::Bound => "the token is bound to a key that nobody proved to hold",
            Self::Foreign(name) => return write!(f, "{name} marks another kind of token"),
            Self::FromTheFuture => "the token was issued in the future",
            Self::Issuer => "the token is from another issuer",
            Self::Malformed(malformed) => return malformed.fmt(f),
            Self::Missing(name) => return write!(f, "{name} is missing"),
            Self::NoKey(NoKey::Ambiguous) => "several keys could have signed the token",
            Self::NoKey(NoKey::OtherAlgorithm) => "the named key is for another algorithm",
            Self::NoKey(NoKey::Unknown) => "no key is known for the token",
            Self::NotYetValid => "the token is not valid yet",
            Self::Signature => "the signature is wrong",
            Self::Type => "the token is of another type",
        })
    }
}

impl std::error::Error for Refused {}
