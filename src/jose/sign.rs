//! A private key with its one algorithm, and the compact tokens it signs.

use std::fmt;

#[cfg(feature = "issue")]
use base64::Engine;
#[cfg(feature = "issue")]
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};
#[cfg(feature = "issue")]
use zeroize::Zeroizing;

use super::backend::Signer;
use super::base64url;
use super::material::Material;
use crate::algorithm::{Algorithm, Family};
use crate::error::ConfigError;
#[cfg(feature = "issue")]
use crate::secret::Secret;

pub(crate) struct SigningKey {
    algorithm: Algorithm,
    signer: Signer,
}

impl SigningKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, ConfigError> {
        Signer::generate(algorithm).map(|signer| Self { algorithm, signer })
    }

    #[cfg(feature = "issue")]
    pub(crate) fn hmac(algorithm: Algorithm, secret: &Secret) -> Result<Self, ConfigError> {
        let material = Material::Hmac(secret.clone());
        material.check(algorithm)?;
        material.refuse_guessable()?;
        Self::new(algorithm, &EncodingKey::from_secret(secret.expose()))
    }

    pub(crate) fn pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        let key = match algorithm.family() {
            Family::Ec => EncodingKey::from_ec_pem(pem),
            Family::Ed => EncodingKey::from_ed_pem(pem),
            Family::Rsa => EncodingKey::from_rsa_pem(pem),
            Family::Hmac => {
                return Err(ConfigError::new(
                    "algorithm",
                    "HMAC takes a secret, not a PEM: use JwtSigner::hmac",
                ));
            }
        };
        let key = key.map_err(|error| {
            ConfigError::new(
                "pem",
                format!("expected a private key for {algorithm} in PEM (PKCS #8, RSA also PKCS #1)"),
            )
            .with_source(error)
        })?;
        Self::new(algorithm, &key)
    }

    /// A new private key as PKCS #8 in PEM, to be kept, and read by [`pem`](Self::pem).
    #[cfg(feature = "issue")]
    pub(crate) fn generate_pem(algorithm: Algorithm) -> Result<Secret, ConfigError> {
        let der = Signer::generate_pkcs8(algorithm)
            .ok_or_else(|| ConfigError::new("algorithm", "expected one with a private key, and a backend"))?;
        Ok(armored(&der).as_slice().into())
    }

    fn new(algorithm: Algorithm, key: &EncodingKey) -> Result<Self, ConfigError> {
        let signer = Signer::from_key(algorithm, key)?;
        signer.public().check(algorithm)?;
        Ok(Self { algorithm, signer })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public numbers as JWK members in the order of RFC 7638 §3.2; `None` for a secret key.
    pub(crate) fn public_jwk(&self) -> Option<Value> {
        let text = |bytes: &[u8]| base64url::encode(bytes);
        match self.signer.public() {
            Material::Ec(point) => {
                let (x, y) = point[1..].split_at(point.len() / 2);
                let crv = if self.algorithm == Algorithm::ES384 { "P-384" } else { "P-256" };
                Some(json!({ "crv": crv, "kty": "EC", "x": text(x), "y": text(y) }))
            }
            Material::Ed(x) => Some(json!({ "crv": "Ed25519", "kty": "OKP", "x": text(&x) })),
            Material::Hmac(_) => None,
            Material::Rsa { n, e } => Some(json!({ "e": text(&e), "kty": "RSA", "n": text(&n) })),
        }
    }

    /// Signs a payload under a header made of its type and the key's id.
    pub(crate) fn sign(&self, typ: &str, key_id: Option<&str>, payload: &[u8]) -> Option<String> {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": typ });
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let mut token = base64url::encode(header.to_string().as_bytes());
        token.push('.');
        token.push_str(&base64url::encode(payload));
        let signature = self.signer.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url::encode(&signature));
        Some(token)
    }
}

/// RFC 7468 §10.
#[cfg(feature = "issue")]
pub(super) fn armored(der: &Secret) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(STANDARD.encode(der.expose()));
    let mut pem = Zeroizing::new(b"-----BEGIN PRIVATE KEY-----\n".to_vec());
    for line in text.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    pem
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
