//! Key material, checked as it enters.
//!
//! | kind | rule | source |
//! |---|---|---|
//! | HMAC | at least as long as the hash; not guessable: one byte repeated, the text or DER of a key | RFC 7518 §3.2, RFC 8725 §3.5 |
//! | RSA | modulus of 2048 to 8192 bits, odd; exponent odd, 3 to 2^33 - 1; not a ROCA modulus | RFC 7518 §3.3, CVE-2017-15361 |
//! | EC | an uncompressed point of the algorithm's curve | RFC 7518 §6.2 |
//! | Ed25519 | 32 bytes | RFC 8037 §2 |

use std::fmt;

use jsonwebtoken::DecodingKey;

use super::backend;
use crate::algorithm::{Algorithm, Family};
use crate::error::ConfigError;
use crate::secret::Secret;

/// RFC 7518 §3.3.
const MIN_RSA_BITS: usize = 2048;
/// What both backends can compute with; more only costs time.
const MAX_RSA_BITS: usize = 8192;

/// A verification key's numbers.
#[derive(Clone)]
pub(crate) enum Material {
    /// An uncompressed SEC1 point: `04 || x || y`.
    Ec(Vec<u8>),
    Ed(Vec<u8>),
    Hmac(Secret),
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Material {
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::Rsa { n: without_leading_zeros(n), e: without_leading_zeros(e) }
    }

    /// Reads a public key, or a certificate's, in PEM.
    pub(crate) fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        let expected = || ConfigError::new("pem", format!("expected a public key for {algorithm} in PEM"));
        if contains(pem, b"PRIVATE KEY") {
            return Err(ConfigError::new("pem", "expected a public key, this is a private one"));
        }
        let key = match algorithm.family() {
            Family::Ec => DecodingKey::from_ec_pem(pem),
            Family::Ed => DecodingKey::from_ed_pem(pem),
            Family::Rsa => DecodingKey::from_rsa_pem(pem),
            Family::Hmac => {
                return Err(ConfigError::new("algorithm", "HMAC takes a secret, not a PEM: use Keys::hmac"));
            }
        };
        let key = key.map_err(|error| expected().with_source(error))?;
        let bytes = key.try_get_as_bytes().map_err(|error| expected().with_source(error))?;
        Ok(match algorithm.family() {
            Family::Ec => Self::Ec(bytes.to_vec()),
            Family::Rsa => backend::rsa_components(bytes).ok_or_else(expected)?,
            _ => Self::Ed(bytes.to_vec()),
        })
    }

    /// Refuses a secret that somebody else may know: one byte repeated, or a public key's text or DER
    /// (RFC 8725 §3.5; an attacker who makes a verifier take a public key as a secret can sign).
    pub(crate) fn refuse_guessable(&self) -> Result<(), ConfigError> {
        let Self::Hmac(secret) = self else { return Ok(()) };
        let secret = secret.expose();
        if secret.iter().all(|byte| Some(byte) == secret.first()) {
            Err(ConfigError::new("secret", "expected random bytes, all of these are the same"))
        } else if is_public_key(secret) {
            Err(ConfigError::new(
                "secret",
                "expected random bytes, this is the text of a key or a DER structure",
            ))
        } else {
            Ok(())
        }
    }

    /// Refuses what is weak, malformed, or not for this algorithm.
    pub(crate) fn check(&self, algorithm: Algorithm) -> Result<(), ConfigError> {
        match (algorithm.family(), self) {
            (Family::Ec, Self::Ec(point)) => check_point(algorithm, point),
            (Family::Ed, Self::Ed(x)) if x.len() == 32 => Ok(()),
            (Family::Ed, Self::Ed(_)) => Err(ConfigError::new("x", "expected 32 bytes for Ed25519")),
            (Family::Hmac, Self::Hmac(secret)) => check_secret(algorithm, secret.expose()),
            (Family::Rsa, Self::Rsa { n, e }) => check_rsa(n, e),
            _ => Err(ConfigError::new("alg", format!("{algorithm} does not go with this type of key"))),
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec(_) => "Ec",
            Self::Ed(_) => "Ed",
            Self::Hmac(_) => "Hmac",
            Self::Rsa { .. } => "Rsa",
        })
    }
}

fn check_point(algorithm: Algorithm, point: &[u8]) -> Result<(), ConfigError> {
    let (curve, coordinate) = match algorithm {
        Algorithm::ES256 => ("P-256", 32),
        _ => ("P-384", 48),
    };
    if point.len() == 1 + 2 * coordinate && point[0] == 4 {
        Ok(())
    } else {
        Err(ConfigError::new("crv", format!("{algorithm} takes an uncompressed point of {curve}")))
    }
}

fn check_secret(algorithm: Algorithm, secret: &[u8]) -> Result<(), ConfigError> {
    let min = match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        _ => 64,
    };
    if secret.len() < min {
        let message = format!("{algorithm} takes at least {min} bytes (RFC 7518 section 3.2)");
        return Err(ConfigError::new("secret", message));
    }
    Ok(())
}

/// The forms in which a public key ends up as an HMAC secret: PEM, JWK or a set of them, DER.
fn is_public_key(secret: &[u8]) -> bool {
    let text = secret.strip_prefix(b"\xef\xbb\xbf").unwrap_or(secret).trim_ascii();
    contains(text, b"-----BEGIN")
        || text.starts_with(b"ssh-")
        || (text.starts_with(b"{") && serde_json::from_slice::<serde_json::Value>(text).is_ok())
        || is_der_sequence(secret)
}

/// A `SEQUENCE` that fills the bytes and begins with another one (a SubjectPublicKeyInfo) or with an
/// `INTEGER` (an RSAPublicKey). Random bytes look so once in some ten million keys.
fn is_der_sequence(bytes: &[u8]) -> bool {
    let (header, length) = match bytes {
        [0x30, length @ 0..=0x7f, ..] => (2, usize::from(*length)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(*high) << 8 | usize::from(*low)),
        _ => return false,
    };
    bytes.len() == header + length && matches!(bytes.get(header), Some(0x02 | 0x30))
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), ConfigError> {
    let bits = bit_length(n);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        let message =
            format!("expected {MIN_RSA_BITS} to {MAX_RSA_BITS} bits (RFC 7518 section 3.3), this has {bits}");
        return Err(ConfigError::new("modulus", message));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !is_odd(n) {
        return Err(ConfigError::new("modulus", "expected an odd number"));
    }
    if !is_odd(e) || e == [1] || bit_length(e) > 33 {
        return Err(ConfigError::new("exponent", "expected an odd number from 3 to 2^33 - 1"));
    }
    if has_roca_fingerprint(n) {
        return Err(ConfigError::new("modulus", "this key can be factored (ROCA, CVE-2017-15361)"));
    }
    Ok(())
}

/// The moduli of the flawed generator are powers of 65537 modulo every small prime (Nemec et al.,
/// "The Return of Coppersmith's Attack", 2017, section 3.1). A sound modulus passes once in 2^27.
fn has_roca_fingerprint(n: &[u8]) -> bool {
    const PRIMES: [u64; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let residue = n.iter().fold(0, |rest, byte| (rest << 8 | u64::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % prime) % prime));
        powers.take(167).any(|power| power == residue)
    })
}

fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().skip_while(|byte| **byte == 0).copied().collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::{Material, check_rsa, has_roca_fingerprint};
    use crate::algorithm::Algorithm;

    fn hmac(secret: &[u8]) -> Result<(), String> {
        let secret = Material::Hmac(secret.into());
        secret
            .refuse_guessable()
            .and_then(|()| secret.check(Algorithm::HS256))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_atk_03_m_jose_7_m_8725_9() {
        assert!(hmac(b"").is_err());
        assert!(hmac(b"k").is_err());
        assert!(hmac(&[0; 32]).is_err());
        assert!(hmac(&[7; 64]).is_err());
        let good: Vec<u8> = (0..32).collect();
        assert!(hmac(&good).is_ok());
        assert!(hmac(&good[..31]).is_err());
        let longer: Vec<u8> = (0..64).collect();
        for (algorithm, len) in [(Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
            assert!(Material::Hmac(longer[..len].into()).check(algorithm).is_ok());
            assert!(Material::Hmac(longer[..len - 1].into()).check(algorithm).is_err());
        }
    }

    #[test]
    fn public_keys_are_no_secrets_atk_02() {
        let pem =
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
        let jwk = r#"{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256"}"#;
        let mut spki = vec![0x30, 0x59, 0x30, 0x13];
        spki.extend((0..87).collect::<Vec<u8>>());
        let mut pkcs1 = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01];
        pkcs1.extend((0..262_u16).map(|n| n.to_le_bytes()[0]));
        for text in [
            pem.to_owned(),
            format!(" \r\n{pem}"),
            format!("\u{feff}{pem}"),
            pem.replace('\n', "\r\n"),
            jwk.to_owned(),
            format!("\n {jwk}"),
            format!("{{\"keys\":[{jwk}]}}"),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE comment".to_owned(),
        ] {
            assert!(hmac(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(hmac(&spki).is_err());
        assert!(hmac(&pkcs1).is_err());
        assert!(hmac(b"{not json but a fine secret, 32+}").is_ok());
    }

    #[test]
    fn rsa_bounds_atk_12_m_jose_7() {
        let modulus = |bits: usize| {
            let mut n = vec![0x80; bits / 8];
            *n.last_mut().unwrap() = 1;
            n
        };
        let e = [1, 0, 1];
        assert!(check_rsa(&modulus(2048), &e).is_ok());
        assert!(check_rsa(&modulus(8192), &e).is_ok());
        for bits in [0, 512, 1024, 2040, 8200] {
            assert!(check_rsa(&modulus(bits.max(8)), &e).is_err(), "{bits}");
        }
        for exponent in [&[1_u8][..], &[], &[2], &[1, 0, 0], &[4, 0, 0, 0, 1]] {
            assert!(check_rsa(&modulus(2048), exponent).is_err(), "{exponent:?}");
        }
        let mut even = modulus(2048);
        *even.last_mut().unwrap() = 2;
        assert!(check_rsa(&even, &e).is_err());
    }

    #[test]
    fn powers_of_65537_have_the_fingerprint() {
        let power = 65537_u128.pow(7);
        assert!(has_roca_fingerprint(&power.to_be_bytes()));
        assert!(!has_roca_fingerprint(&(power + 2).to_be_bytes()));
    }
}
