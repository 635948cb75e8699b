//! Why a request was refused, and the one table of what each reason looks like on the wire.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::credential::{Scheme, SchemeSet};
use crate::error::BoxError;
use crate::scope::Scopes;

/// The kinds of refusal. [`status`](Self::status), [`error_code`](Self::error_code) and
/// [`grpc_status`](Self::grpc_status) are the crate's one table of answers:
///
/// | kind | HTTP | RFC 6750 `error` | gRPC |
/// |---|---|---|---|
/// | `Forbidden`, `InsufficientScope` | 403 | `insufficient_scope` | 7 `PERMISSION_DENIED` |
/// | `InvalidToken` | 401 | `invalid_token` | 16 `UNAUTHENTICATED` |
/// | `MalformedCredential` | 400 | `invalid_request` | 16 `UNAUTHENTICATED` |
/// | `MissingCredential`, `UnsupportedScheme` | 401 | none | 16 `UNAUTHENTICATED` |
/// | `TooManyFailures` | 429 | none | 8 `RESOURCE_EXHAUSTED` |
/// | `Unavailable` | 503 | none | 14 `UNAVAILABLE` |
///
/// Sources: RFC 6750 §3.1; RFC 9110 §15.5.2 and §15.6.4; RFC 6585 §4; the gRPC status code guide.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The caller is known and may not do this.
    Forbidden,
    /// The caller is known and lacks a scope.
    InsufficientScope,
    /// The token is expired, revoked, forged, for somebody else, or no token at all.
    InvalidToken,
    /// The header breaks the grammar of RFC 9110 or RFC 6750.
    MalformedCredential,
    /// No credential was presented: not an error, but a missing one.
    MissingCredential,
    /// Too many credentials from there were refused of late; this one was not looked at.
    TooManyFailures,
    /// The answer cannot be given now: keys, a store or a provider are out of reach. Never the caller's fault.
    Unavailable,
    /// A scheme that is not spoken here.
    UnsupportedScheme,
}

struct Row {
    status: StatusCode,
    error: Option<&'static str>,
    grpc: u8,
    description: &'static str,
}

impl RejectionKind {
    const fn row(self) -> Row {
        let (status, error, grpc, description) = match self {
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"), 7, "the caller may not make this request")
            }
            Self::InsufficientScope => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"), 7, "the token lacks a required scope")
            }
            Self::InvalidToken => {
                (StatusCode::UNAUTHORIZED, Some("invalid_token"), 16, "the token is not valid")
            }
            Self::MalformedCredential => {
                (StatusCode::BAD_REQUEST, Some("invalid_request"), 16, "the credential is malformed")
            }
            Self::MissingCredential => (StatusCode::UNAUTHORIZED, None, 16, "a credential is required"),
            Self::TooManyFailures => (StatusCode::TOO_MANY_REQUESTS, None, 8, "too many failed attempts"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, None, 14, "the credential cannot be checked now")
            }
            Self::UnsupportedScheme => {
                (StatusCode::UNAUTHORIZED, None, 16, "the authentication scheme is not supported")
            }
        };
        Row { status, error, grpc, description }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The `error` of RFC 6750 §3.1, where it has one.
    pub const fn error_code(self) -> Option<&'static str> {
        self.row().error
    }

    /// The gRPC status code.
    pub const fn grpc_status(self) -> u8 {
        self.row().grpc
    }

    /// Whether a later attempt may fare better with the same credential: then the answer says when, not how
    /// to authenticate.
    pub(crate) const fn is_temporary(self) -> bool {
        matches!(self, Self::TooManyFailures | Self::Unavailable)
    }

    /// A short name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidToken => "invalid_token",
            Self::MalformedCredential => "malformed_credential",
            Self::MissingCredential => "missing_credential",
            Self::TooManyFailures => "too_many_failures",
            Self::Unavailable => "unavailable",
            Self::UnsupportedScheme => "unsupported_scheme",
        }
    }
}

/// A refusal, for the caller. The layers also leave it in the response's extensions.
///
/// `Display` and [`description`](Self::description) are safe to show the caller; the
/// [`source`](Error::source), the reason behind it, is for logs only. Neither ever holds a secret.
///
/// ```
/// use tower_bearer::{Rejection, RejectionKind};
///
/// let rejection = Rejection::unavailable().with_source("the key server is down");
/// assert_eq!(rejection.kind(), RejectionKind::Unavailable);
/// assert_eq!(rejection.kind().status(), 503);
/// assert!(!rejection.to_string().contains("key server"));
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    /// The scheme that the caller used, once known.
    presented: Option<Scheme>,
    /// The schemes that the refusing layer accepts.
    offered: SchemeSet,
    description: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    scopes: Option<Arc<Scopes>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Rejection {
    /// [`RejectionKind::Forbidden`]
    pub fn forbidden() -> Self {
        Self::new(RejectionKind::Forbidden)
    }

    /// [`RejectionKind::InsufficientScope`]: `required` is what would have been enough.
    pub fn insufficient_scope(required: Scopes) -> Self {
        let scopes = Some(Arc::new(required));
        Self { scopes, ..Self::new(RejectionKind::InsufficientScope) }
    }

    /// [`RejectionKind::InvalidToken`]
    pub fn invalid_token() -> Self {
        Self::new(RejectionKind::InvalidToken)
    }

    /// [`RejectionKind::MalformedCredential`]
    pub fn malformed_credential() -> Self {
        Self::new(RejectionKind::MalformedCredential)
    }

    /// [`RejectionKind::MissingCredential`]
    pub fn missing_credential() -> Self {
        Self::new(RejectionKind::MissingCredential)
    }

    /// [`RejectionKind::TooManyFailures`]
    pub fn too_many_failures() -> Self {
        Self::new(RejectionKind::TooManyFailures)
    }

    /// [`RejectionKind::Unavailable`]
    pub fn unavailable() -> Self {
        Self::new(RejectionKind::Unavailable)
    }

    /// [`RejectionKind::UnsupportedScheme`]
    pub fn unsupported_scheme() -> Self {
        Self::new(RejectionKind::UnsupportedScheme)
    }

    const fn new(kind: RejectionKind) -> Self {
        Self {
            kind,
            presented: None,
            offered: SchemeSet::BEARER,
            description: None,
            retry_after: None,
            scopes: None,
            source: None,
        }
    }

    /// Replaces the sentence that the caller is shown. Characters that RFC 6750 §3 does not allow in
    /// an `error_description` become `?` on the wire.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// When the caller may try again; written as `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds the reason behind the refusal, for logs. It must not hold a secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// The same, of a type that need not be boxed before it is shared.
    #[cfg(feature = "jwt")]
    pub(crate) fn with_typed_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn presented_as(mut self, scheme: Option<Scheme>) -> Self {
        self.presented = scheme;
        self
    }

    pub(crate) fn offering(mut self, schemes: SchemeSet) -> Self {
        self.offered = schemes;
        self
    }

    /// The kind.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// One clause that may be shown to the caller.
    pub fn description(&self) -> &str {
        self.description.as_deref().unwrap_or(self.kind.row().description)
    }

    /// The scopes that would have been enough, if that was the reason.
    pub fn scopes(&self) -> Option<&Scopes> {
        self.scopes.as_deref()
    }

    /// When the caller may try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The schemes to challenge with: the one that was used, where the answer is about that
    /// credential; each accepted one, where it is not.
    pub fn challenges(&self) -> impl Iterator<Item = Scheme> {
        let about = self.presented.filter(|_| self.kind.error_code().is_some());
        let schemes = about.map_or(self.offered, |scheme| SchemeSet::from_iter([scheme]));
        // A verifier that speaks no scheme at all has to offer something (RFC 9110 §15.5.2).
        if schemes.is_empty() { SchemeSet::BEARER } else { schemes }.iter()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("description", &self.description())
            .field("scopes", &self.scopes)
            .field("retry_after", &self.retry_after)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
