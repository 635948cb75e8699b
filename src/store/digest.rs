use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::ConfigError;
use crate::jose::sha256;

/// The SHA-256 of a token: all that a store ever sees of one, and the key it is found by.
///
/// A token of ours has at least 178 random bits, so a plain hash tells nothing about it; whoever compares
/// digests leaks no token by the time it takes. The text form is base64, with padding, as NetBird stores it.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::store::TokenDigest;
///
/// let digest = TokenDigest::of("nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr")?;
/// assert_eq!(digest.to_base64(), "7QUet5VEF5ZF9v3BE+oLQuOLVvq08MSOpUdJOa3TUBs=");
/// assert_eq!(TokenDigest::from_base64(&digest.to_base64())?, digest);
/// assert!(TokenDigest::from_base64("7QUet5VEF5ZF9v3BE").is_err());
/// # }
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token, scheme not included.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled.
    pub fn of(token: &str) -> Result<Self, ConfigError> {
        sha256(token.as_bytes()).map(Self)
    }

    /// A digest that was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A digest that was stored as text.
    ///
    /// # Errors
    ///
    /// When it is not 32 bytes in padded base64.
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| ConfigError::new("digest", "expected 32 bytes in base64"))
    }

    /// The bytes, to be stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text form, to be stored.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

/// Nothing of it: a digest in a log names a token.
impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}
