//! `aws-lc-rs`, called directly: keys are parsed once, not at every signature. HS256 may be checked by another
//! crate ([`super::hs256`]).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, rand};

use super::super::material::Material;
#[cfg(target_arch = "x86_64")]
use super::hs256;
use super::rejected;
use crate::algorithm::Algorithm;
use crate::error::ConfigError;

/// The largest modulus it verifies with.
pub(in crate::jose) const MAX_RSA_BITS: usize = 8192;

pub(in crate::jose) enum Verifier {
    Hmac(Box<hmac::Key>),
    #[cfg(target_arch = "x86_64")]
    Hs256(Box<hs256::Key>),
    Public(ParsedPublicKey),
}

impl Verifier {
    pub(in crate::jose) fn new(algorithm: Algorithm, material: &Material) -> Result<Self, ConfigError> {
        let key = match material {
            Material::Hmac(secret) => {
                #[cfg(target_arch = "x86_64")]
                if let (Algorithm::HS256, Some(key)) = (algorithm, hs256::Key::new(secret.expose())) {
                    return Ok(Self::Hs256(Box::new(key)));
                }
                let key = hmac::Key::new(hmac_algorithm(algorithm), secret.expose());
                return Ok(Self::Hmac(Box::new(key)));
            }
            Material::Ec(point) if algorithm == Algorithm::ES256 => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            Material::Ec(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed(x) => ParsedPublicKey::new(&ED25519, x),
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa_parameters(algorithm))
            }
        };
        key.map(Self::Public).map_err(|error| rejected().with_source(error))
    }

    pub(in crate::jose) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            #[cfg(target_arch = "x86_64")]
            Self::Hs256(key) => key.verify(message, signature),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> &'static RsaParameters {
    match algorithm {
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    }
}

pub(super) fn rsa_components(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let components =
        jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    components(der).ok()
}

#[cfg(any(feature = "pat", feature = "remote"))]
pub(super) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().ok()
}

pub(super) fn random(buffer: &mut [u8]) -> Option<()> {
    rand::fill(buffer).ok()
}

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(in crate::jose) use signing::Signer;

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
mod signing {
    #[cfg(feature = "issue")]
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::hmac;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
    };
    use jsonwebtoken::EncodingKey;

    use super::{hmac_algorithm, rejected};
    use crate::algorithm::{Algorithm, Family};
    use crate::error::ConfigError;
    use crate::jose::material::Material;
    use crate::secret::Secret;

    /// A private key, parsed once.
    pub(in crate::jose) enum Signer {
        Ec(EcdsaKeyPair),
        Ed(Ed25519KeyPair),
        Hmac { key: Box<hmac::Key>, secret: Secret },
        Rsa { key: RsaKeyPair, encoding: &'static dyn RsaEncoding },
    }

    impl Signer {
        pub(in crate::jose) fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
            let failed = || ConfigError::new("key", "no key could be generated");
            match algorithm.family() {
                Family::Ec => {
                    EcdsaKeyPair::generate(ec_algorithm(algorithm)).map(Self::Ec).map_err(|_| failed())
                }
                Family::Ed => Ed25519KeyPair::generate().map(Self::Ed).map_err(|_| failed()),
                Family::Hmac => {
                    let mut secret = vec![0; 64];
                    super::super::random(&mut secret)?;
                    Ok(Self::hmac(algorithm, secret.into()))
                }
                Family::Rsa => {
                    let key = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| failed())?;
                    Ok(Self::Rsa { key, encoding: rsa_encoding(algorithm) })
                }
            }
        }

        /// A new private key as PKCS #8 in DER; `None` for a shared secret.
        #[cfg(feature = "issue")]
        pub(in crate::jose) fn generate_pkcs8(algorithm: Algorithm) -> Option<Secret> {
            match algorithm.family() {
                Family::Ec => EcdsaKeyPair::generate_pkcs8(ec_algorithm(algorithm), &SystemRandom::new())
                    .map(|document| document.as_ref().into())
                    .ok(),
                Family::Ed => {
                    let document = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
                    document.map(|document| document.as_ref().into()).ok()
                }
                Family::Hmac => None,
                Family::Rsa => {
                    let key = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
                    AsDer::<Pkcs8V1Der<'_>>::as_der(&key).map(|der| der.as_ref().into()).ok()
                }
            }
        }

        pub(in crate::jose) fn from_key(
            algorithm: Algorithm,
            key: &EncodingKey,
        ) -> Result<Self, ConfigError> {
            let bytes = key.as_bytes();
            match algorithm.family() {
                Family::Ec => EcdsaKeyPair::from_pkcs8(ec_algorithm(algorithm), bytes).map(Self::Ec),
                Family::Ed => Ed25519KeyPair::from_pkcs8(bytes).map(Self::Ed),
                Family::Hmac => return Ok(Self::hmac(algorithm, bytes.into())),
                Family::Rsa => RsaKeyPair::from_der(bytes)
                    .map(|key| Self::Rsa { key, encoding: rsa_encoding(algorithm) }),
            }
            .map_err(|error| rejected().with_source(error))
        }

        fn hmac(algorithm: Algorithm, secret: Secret) -> Self {
            let key = Box::new(hmac::Key::new(hmac_algorithm(algorithm), secret.expose()));
            Self::Hmac { key, secret }
        }

        pub(in crate::jose) fn public(&self) -> Material {
            match self {
                Self::Ec(key) => Material::Ec(key.public_key().as_ref().to_vec()),
                Self::Ed(key) => Material::Ed(key.public_key().as_ref().to_vec()),
                Self::Hmac { secret, .. } => Material::Hmac(secret.clone()),
                Self::Rsa { key, .. } => {
                    let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                    Material::rsa(&numbers.n, &numbers.e)
                }
            }
        }

        pub(in crate::jose) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
            match self {
                Self::Ec(key) => {
                    key.sign(&SystemRandom::new(), message).ok().map(|tag| tag.as_ref().to_vec())
                }
                Self::Ed(key) => Some(key.sign(message).as_ref().to_vec()),
                Self::Hmac { key, .. } => Some(hmac::sign(key, message).as_ref().to_vec()),
                Self::Rsa { key, encoding } => {
                    let mut signature = vec![0; key.public_modulus_len()];
                    key.sign(*encoding, &SystemRandom::new(), message, &mut signature).ok()?;
                    Some(signature)
                }
            }
        }
    }

    fn ec_algorithm(algorithm: Algorithm) -> &'static EcdsaSigningAlgorithm {
        match algorithm {
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
        }
    }

    fn rsa_encoding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
        match algorithm {
            Algorithm::PS256 => &RSA_PSS_SHA256,
            Algorithm::PS384 => &RSA_PSS_SHA384,
            Algorithm::PS512 => &RSA_PSS_SHA512,
            Algorithm::RS384 => &RSA_PKCS1_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_SHA512,
            _ => &RSA_PKCS1_SHA256,
        }
    }
}
