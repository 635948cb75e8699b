//! What a developer gets told at start-up.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

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
