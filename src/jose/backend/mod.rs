//! The crypto backend, chosen by feature: `aws-lc-rs` wins where both are on.
//!
//! `jsonwebtoken` keeps a process-wide provider that panics when a build graph enables both of its
//! backends; it is neither read nor installed here. The chosen backend is called by name.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(all(feature = "aws-lc-rs", target_arch = "x86_64"))]
mod hs256;
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod none;
#[cfg(all(feature = "rust-crypto", any(all(test, feature = "issue"), not(feature = "aws-lc-rs"))))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
use aws_lc as chosen;
#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
use none as chosen;
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
use rust_crypto as chosen;

#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(super) use chosen::Signer;
pub(super) use chosen::{MAX_RSA_BITS, Verifier};

use super::material::Material;
use crate::error::ConfigError;

/// Fills the buffer with random bytes of the operating system.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), ConfigError> {
    chosen::random(buffer).ok_or_else(|| ConfigError::new("random", "the system gave no random bytes"))
}

/// SHA-256.
#[cfg(any(feature = "pat", feature = "remote"))]
pub(crate) fn sha256(bytes: &[u8]) -> Result<[u8; 32], ConfigError> {
    chosen::sha256(bytes).ok_or_else(|| ConfigError::new("features", "expected a crypto backend"))
}

/// The numbers of a DER `RSAPublicKey`.
pub(super) fn rsa_components(der: &[u8]) -> Option<Material> {
    let (n, e) = chosen::rsa_components(der)?;
    Some(Material::rsa(&n, &e))
}

#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
fn rejected() -> ConfigError {
    ConfigError::new("key", "the numbers are not those of a valid key")
}

#[cfg(all(test, feature = "issue", feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests {
    use super::{aws_lc, rust_crypto};
    use crate::algorithm::Algorithm;

    /// The whole chain, signed by one backend and verified by the other, both ways: nothing panics
    /// though both are in the build, and their verdicts are the same.
    #[test]
    fn both_backends_agree() {
        const MESSAGE: &[u8] = b"header.payload";
        for algorithm in Algorithm::ALL {
            let theirs = rust_crypto::Signer::generate(algorithm).unwrap();
            let ours = aws_lc::Signer::generate(algorithm).unwrap();
            for (material, signature) in [
                (theirs.public(), theirs.sign(MESSAGE).unwrap()),
                (ours.public(), ours.sign(MESSAGE).unwrap()),
            ] {
                material.check(algorithm).unwrap();
                let aws_lc = aws_lc::Verifier::new(algorithm, &material).unwrap();
                let rust_crypto = rust_crypto::Verifier::new(algorithm, &material).unwrap();
                let mut other = signature.clone();
                other[10] ^= 1;
                for (message, signature, expected) in [
                    (MESSAGE, &signature[..], true),
                    (b"header.another", &signature, false),
                    (MESSAGE, &other, false),
                    (MESSAGE, &signature[1..], false),
                    (MESSAGE, &[], false),
                    (MESSAGE, &vec![0; signature.len()], false),
                ] {
                    assert_eq!(aws_lc.verify(message, signature), expected, "{algorithm} {signature:?}");
                    assert_eq!(rust_crypto.verify(message, signature), expected, "{algorithm} {signature:?}");
                }
            }
        }
    }

    #[test]
    fn both_refuse_a_point_off_the_curve_atk_12() {
        let mut point = vec![1; 65];
        point[0] = 4;
        let material = super::Material::Ec(point);
        assert!(aws_lc::Verifier::new(Algorithm::ES256, &material).is_err());
        assert!(rust_crypto::Verifier::new(Algorithm::ES256, &material).is_err());
    }

    /// A key that one of them made and kept is one that the other signs with.
    #[test]
    fn both_keep_keys_in_one_form() {
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
            let theirs = rust_crypto::Signer::generate_pkcs8(algorithm).unwrap();
            let ours = aws_lc::Signer::generate_pkcs8(algorithm).unwrap();
            for der in [theirs, ours] {
                let key = crate::jose::SigningKey::pem(algorithm, &crate::jose::sign::armored(&der)).unwrap();
                assert!(key.sign("JWT", None, b"{}").is_some(), "{algorithm}");
            }
        }
        assert!(rust_crypto::Signer::generate_pkcs8(Algorithm::HS256).is_none());
        assert!(aws_lc::Signer::generate_pkcs8(Algorithm::HS256).is_none());
    }

    #[test]
    fn each_knows_its_limit() {
        assert_eq!((aws_lc::MAX_RSA_BITS, rust_crypto::MAX_RSA_BITS), (8192, 4096));
    }

    #[test]
    fn their_helpers_agree() {
        assert_eq!(aws_lc::sha256(b"abc"), rust_crypto::sha256(b"abc"));
        assert_eq!(aws_lc::rsa_components(b"no der"), rust_crypto::rsa_components(b"no der"));
        let (mut a, mut b) = ([0; 16], [0; 16]);
        assert!(aws_lc::random(&mut a).is_some() && rust_crypto::random(&mut b).is_some());
        assert_ne!(a, b);
    }
}
