//! The crypto backend, chosen by feature: `aws-lc-rs` wins where both are on.
//!
//! `jsonwebtoken` keeps a process-wide provider that panics when a build graph enables both of its
//! backends; it is neither read nor installed here. The chosen backend is called by name.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod none;
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "aws-lc-rs"))))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
use aws_lc as chosen;
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
use none as chosen;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
use rust_crypto as chosen;

#[cfg(any(feature = "client", feature = "issue"))]
pub(super) use chosen::Signer;
pub(super) use chosen::Verifier;

use super::material::Material;
use crate::error::ConfigError;

/// Fills the buffer with random bytes of the operating system.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), ConfigError> {
    chosen::random(buffer).ok_or_else(|| ConfigError::new("random", "the system gave no random bytes"))
}

/// SHA-256.
#[cfg(feature = "issue")]
pub(crate) fn sha256(bytes: &[u8]) -> Result<Vec<u8>, ConfigError> {
    chosen::sha256(bytes).ok_or_else(|| ConfigError::new("features", "expected a crypto backend"))
}

/// The numbers of a DER `RSAPublicKey`.
pub(super) fn rsa_components(der: &[u8]) -> Option<Material> {
    let (n, e) = chosen::rsa_components(der)?;
    Some(Material::rsa(&n, &e))
}

fn rejected() -> ConfigError {
    ConfigError::new("key", "the numbers are not those of a valid key")
}
