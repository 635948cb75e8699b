//! No backend: everything compiles, and no key can be made.

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
use super::super::material::Material;
use crate::algorithm::Algorithm;
use crate::error::ConfigError;

fn missing() -> ConfigError {
    ConfigError::new("features", "expected a crypto backend: enable `aws-lc-rs` or `rust-crypto`")
}

pub(in crate::jose) const MAX_RSA_BITS: usize = 8192;

pub(in crate::jose) enum Verifier {}

impl Verifier {
    pub(in crate::jose) fn new(_: Algorithm, _: &super::Material) -> Result<Self, ConfigError> {
        Err(missing())
    }

    pub(in crate::jose) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(in crate::jose) enum Signer {}

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
impl Signer {
    pub(in crate::jose) fn generate(_: Algorithm) -> Result<Self, ConfigError> {
        Err(missing())
    }

    #[cfg(feature = "issue")]
    pub(in crate::jose) fn generate_pkcs8(_: Algorithm) -> Option<crate::secret::Secret> {
        None
    }

    pub(in crate::jose) fn from_key(
        _: Algorithm,
        _: &jsonwebtoken::EncodingKey,
    ) -> Result<Self, ConfigError> {
        Err(missing())
    }

    pub(in crate::jose) fn public(&self) -> Material {
        match *self {}
    }

    pub(in crate::jose) fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }
}

pub(super) fn rsa_components(_: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    None
}

#[cfg(any(feature = "pat", feature = "remote"))]
pub(super) fn sha256(_: &[u8]) -> Option<[u8; 32]> {
    None
}

pub(super) fn random(_: &mut [u8]) -> Option<()> {
    None
}
