//! The RustCrypto crates, by way of `jsonwebtoken`: no C compiler needed, and slower.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use rand::RngCore;

use super::super::material::Material;
use super::rejected;
use crate::algorithm::Algorithm;
use crate::error::ConfigError;

/// The largest modulus it verifies with.
pub(in crate::jose) const MAX_RSA_BITS: usize = 4096;

pub(in crate::jose) struct Verifier {
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
}

impl Verifier {
    pub(in crate::jose) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        let key = match material {
            Material::Ec(point) => DecodingKey::from_ec_der(point),
            Material::Ed(x) => DecodingKey::from_ed_der(x),
            Material::Hmac(secret) => DecodingKey::from_secret(secret.expose()),
            Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
        };
        let algorithm = their(algorithm);
        // The provider parses the key at each call; parse it here once to refuse a bad one now.
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key)
            .map_err(|error| rejected().with_source(error))?;
        Ok(Self { algorithm, key })
    }

    pub(in crate::jose) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

pub(super) fn rsa_components(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der).ok()
}

#[cfg(any(feature = "pat", feature = "remote"))]
pub(super) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    Some(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

pub(super) fn random(buffer: &mut [u8]) -> Option<()> {
    rand::rngs::OsRng.try_fill_bytes(buffer).ok()
}

fn their(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    use jsonwebtoken::Algorithm as Their;
    match algorithm {
        Algorithm::EdDSA => Their::EdDSA,
        Algorithm::ES256 => Their::ES256,
        Algorithm::ES384 => Their::ES384,
        Algorithm::HS256 => Their::HS256,
        Algorithm::HS384 => Their::HS384,
        Algorithm::HS512 => Their::HS512,
        Algorithm::PS256 => Their::PS256,
        Algorithm::PS384 => Their::PS384,
        Algorithm::PS512 => Their::PS512,
        Algorithm::RS256 => Their::RS256,
        Algorithm::RS384 => Their::RS384,
        Algorithm::RS512 => Their::RS512,
    }
}

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(in crate::jose) use signing::Signer;

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
mod signing {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    use jsonwebtoken::EncodingKey;
    use jsonwebtoken::jwk::EllipticCurve;
    use rand::rngs::OsRng;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;

    use super::{DEFAULT_PROVIDER, rejected, their};
    use crate::algorithm::{Algorithm, Family};
    use crate::error::ConfigError;
    use crate::jose::material::Material;
    use crate::secret::Secret;

    /// A private key, in the form that `jsonwebtoken` parses at each signature.
    pub(in crate::jose) struct Signer {
        algorithm: Algorithm,
        key: EncodingKey,
        public: Material,
    }

    impl Signer {
        pub(in crate::jose) fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
            let failed = || ConfigError::new("key", "no key could be generated");
            let key = match algorithm {
                Algorithm::EdDSA => ed25519_dalek::SigningKey::generate(&mut OsRng)
                    .to_pkcs8_der()
                    .map(|der| EncodingKey::from_ed_der(der.as_bytes()))
                    .map_err(|_| failed())?,
                Algorithm::ES256 => p256::SecretKey::random(&mut OsRng)
                    .to_pkcs8_der()
                    .map(|der| EncodingKey::from_ec_der(der.as_bytes()))
                    .map_err(|_| failed())?,
                Algorithm::ES384 => p384::SecretKey::random(&mut OsRng)
                    .to_pkcs8_der()
                    .map(|der| EncodingKey::from_ec_der(der.as_bytes()))
                    .map_err(|_| failed())?,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                    let mut secret = [0; 64];
                    super::super::random(&mut secret)?;
                    EncodingKey::from_secret(&secret)
                }
                _ => {
                    let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).map_err(|_| failed())?;
                    let der = key.to_pkcs1_der().map_err(|_| failed())?;
                    EncodingKey::from_rsa_der(der.as_bytes())
                }
            };
            Self::from_key(algorithm, &key)
        }

        /// A new private key as PKCS #8 in DER; `None` for a shared secret.
        #[cfg(feature = "issue")]
        pub(in crate::jose) fn generate_pkcs8(algorithm: Algorithm) -> Option<Secret> {
            let document = match algorithm {
                Algorithm::EdDSA => ed25519_dalek::SigningKey::generate(&mut OsRng).to_pkcs8_der().ok()?,
                Algorithm::ES256 => p256::SecretKey::random(&mut OsRng).to_pkcs8_der().ok()?,
                Algorithm::ES384 => p384::SecretKey::random(&mut OsRng).to_pkcs8_der().ok()?,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return None,
                _ => rsa::RsaPrivateKey::new(&mut OsRng, 2048).ok()?.to_pkcs8_der().ok()?,
            };
            Some(document.as_bytes().into())
        }

        pub(in crate::jose) fn from_key(
            algorithm: Algorithm,
            key: &EncodingKey,
        ) -> Result<Self, ConfigError> {
            let utils = &DEFAULT_PROVIDER.key_utils;
            let public = match algorithm.family() {
                Family::Ec => (utils.ec_pub_components_from_private_key)(key.as_bytes(), their(algorithm))
                    .map(|(_, x, y)| Material::Ec([&[4], x.as_slice(), y.as_slice()].concat())),
                Family::Ed => {
                    (utils.ed_pub_components_from_private_key)(key.as_bytes(), &EllipticCurve::Ed25519)
                        .map(Material::Ed)
                }
                Family::Hmac => Ok(Material::Hmac(Secret::from(key.as_bytes()))),
                Family::Rsa => (utils.rsa_pub_components_from_private_key)(key.as_bytes())
                    .map(|(n, e)| Material::rsa(&n, &e)),
            }
            .map_err(|error| rejected().with_source(error))?;
            Ok(Self { algorithm, key: key.clone(), public })
        }

        pub(in crate::jose) fn public(&self) -> Material {
            self.public.clone()
        }

        pub(in crate::jose) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
            let signer = (DEFAULT_PROVIDER.signer_factory)(&their(self.algorithm), &self.key).ok()?;
            signer.try_sign(message).ok()
        }
    }
}
