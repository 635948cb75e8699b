//! What a developer gets told at start-up, and why there is no token to send.

#[cfg(feature = "client")]
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "client")]
use std::time::Duration;

/// Any error, as a source.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A mistake in the configuration, found when the thing was built.
///
/// It names the field and says which form was expected; it never repeats a secret.
///
/// ```
/// # #[cfg(all(feature = "jwt", feature = "aws-lc-rs"))] {
/// use tower_bearer::{Algorithm, verify::Keys};
///
/// let error = Keys::hmac(Algorithm::HS256, "too short").unwrap_err();
/// assert_eq!(error.field(), "secret");
/// assert!(error.to_string().contains("at least 32 bytes"));
/// # }
/// ```
#[derive(Clone)]
pub struct ConfigError {
    field: &'static str,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConfigError {
    /// A mistake in `field`; `message` says what was expected there, without repeating a secret.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into().into(), source: None }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// The name of the setting that is wrong.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: {}", self.field, self.message)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigError")
            .field("field", &self.field)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Why there is no token to send.
///
/// A clone costs a reference count: one failure is shared by everybody who waited for the token.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::TokenError;
///
/// let error = TokenError::transient("the vault is sealed").with_retry_after(Duration::from_secs(5));
/// assert!(error.is_transient());
/// assert!(!TokenError::permanent("the vault does not know us").is_transient());
/// ```
#[cfg(feature = "client")]
#[derive(Clone)]
pub struct TokenError(Arc<TokenFailure>);

#[cfg(feature = "client")]
#[derive(Clone)]
struct TokenFailure {
    message: Cow<'static, str>,
    transient: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

#[cfg(feature = "client")]
impl TokenError {
    /// A failure that another try may not meet. `message` is one lower-case clause without a secret.
    pub fn transient(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message.into(), true)
    }

    /// A failure that stays until somebody changes something. `message` is one lower-case clause without
    /// a secret.
    pub fn permanent(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message.into(), false)
    }

    fn new(message: Cow<'static, str>, transient: bool) -> Self {
        Self(Arc::new(TokenFailure { message, transient, retry_after: None, source: None }))
    }

    /// Nobody is to ask again sooner than this.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with(|failure| failure.retry_after = Some(after))
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.with(|failure| failure.source = Some(source.into().into()))
    }

    fn with(self, change: impl FnOnce(&mut TokenFailure)) -> Self {
        let mut failure = Arc::unwrap_or_clone(self.0);
        change(&mut failure);
        Self(Arc::new(failure))
    }

    /// True if trying again later may help.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// How long nobody is to ask again, if that was said.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

#[cfg(feature = "client")]
impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

#[cfg(feature = "client")]
impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenError")
            .field("message", &self.0.message)
            .field("transient", &self.0.transient)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

#[cfg(feature = "client")]
impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}
