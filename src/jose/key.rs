//! A verification key with its one algorithm, and the choice of exactly one key for a token.

use std::fmt;
use std::sync::Arc;

use super::backend::Verifier;
use super::material::Material;
use crate::algorithm::Algorithm;
use crate::error::ConfigError;

pub(crate) struct VerifyingKey {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    verifier: Verifier,
}

impl VerifyingKey {
    pub(crate) fn new(
        algorithm: Algorithm,
        key_id: Option<&str>,
        material: &Material,
    ) -> Result<Self, ConfigError> {
        material.check(algorithm)?;
        let verifier = Verifier::new(algorithm, material)?;
        Ok(Self { algorithm, key_id: key_id.map(Into::into), verifier })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// True if the signature is this key's. The length is compared first: ECDSA signatures have one
    /// form and one length (RFC 7518 §3.4).
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let expected = match self.algorithm {
            Algorithm::ES256 | Algorithm::EdDSA => Some(64),
            Algorithm::ES384 => Some(96),
            _ => None,
        };
        expected.is_none_or(|len| len == signature.len()) && self.verifier.verify(message, signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("algorithm", &self.algorithm)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Keys, of which exactly one answers for a token.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Arc<VerifyingKey>>);

/// Why no key answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoKey {
    /// Several keys of the algorithm could: none is tried.
    Ambiguous,
    /// The key that the token names is for another algorithm.
    OtherAlgorithm,
    /// No key has that id, or that algorithm.
    Unknown,
}

impl KeySet {
    /// # Errors
    ///
    /// When two keys could answer for one id and algorithm.
    pub(crate) fn new(keys: Vec<VerifyingKey>) -> Result<Self, ConfigError> {
        Self::shared(keys.into_iter().map(Arc::new).collect())
    }

    /// As [`new`](Self::new), for keys that other sets have too.
    pub(crate) fn shared(keys: Vec<Arc<VerifyingKey>>) -> Result<Self, ConfigError> {
        let twice = keys.iter().enumerate().any(|(index, key)| {
            key.key_id.is_some()
                && keys[..index]
                    .iter()
                    .any(|other| other.key_id == key.key_id && other.algorithm == key.algorithm)
        });
        if twice {
            return Err(ConfigError::new("kid", "expected each key id once"));
        }
        Ok(Self(keys))
    }

    pub(crate) fn get(&self, index: usize) -> &VerifyingKey {
        &self.0[index]
    }

    pub(crate) fn keys(&self) -> &[Arc<VerifyingKey>] {
        &self.0
    }

    /// The place of the key that a header names; without a name that the set knows, the only key of its
    /// algorithm that has none either, or, if the token names none, the only key of its algorithm.
    pub(crate) fn select(&self, algorithm: Algorithm, key_id: Option<&str>) -> Result<usize, NoKey> {
        let keys = || self.0.iter().enumerate();
        if key_id.is_some() {
            let mut named = keys().filter(|(_, key)| key.key_id() == key_id).peekable();
            if named.peek().is_some() {
                let fitting = named.find(|(_, key)| key.algorithm == algorithm);
                return fitting.map(|(index, _)| index).ok_or(NoKey::OtherAlgorithm);
            }
        }
        let mut candidates = keys()
            .filter(|(_, key)| key.algorithm == algorithm && (key_id.is_none() || key.key_id.is_none()))
            .map(|(index, _)| index);
        match (candidates.next(), candidates.next()) {
            (Some(index), None) => Ok(index),
            (None, _) => Err(NoKey::Unknown),
            (Some(_), Some(_)) => Err(NoKey::Ambiguous),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Header;
    use super::{KeySet, Material, NoKey, VerifyingKey};
    use crate::algorithm::Algorithm;

    fn key(algorithm: Algorithm, key_id: Option<&str>, seed: u8) -> VerifyingKey {
        let secret: Vec<u8> = (seed..seed + 64).collect();
        VerifyingKey::new(algorithm, key_id, &Material::Hmac(secret.into())).unwrap()
    }

    fn choose(set: &KeySet, header: &str) -> Result<Option<String>, NoKey> {
        let header = Header::parse(header).unwrap();
        let chosen = set.select(header.algorithm, header.key_id.as_deref());
        chosen.map(|index| set.get(index).key_id().map(str::to_owned))
    }

    #[test]
    fn exactly_one_key_answers_m_8725_2() {
        let set = KeySet::new(vec![
            key(Algorithm::HS256, Some("a"), 0),
            key(Algorithm::HS384, Some("b"), 1),
            key(Algorithm::HS256, Some("c"), 2),
        ])
        .unwrap();
        assert_eq!(choose(&set, r#"{"alg":"HS256","kid":"a"}"#), Ok(Some("a".into())));
        assert_eq!(choose(&set, r#"{"alg":"HS384","kid":"a"}"#), Err(NoKey::OtherAlgorithm));
        assert_eq!(choose(&set, r#"{"alg":"HS256","kid":"A"}"#), Err(NoKey::Unknown));
        assert_eq!(choose(&set, r#"{"alg":"HS384"}"#), Ok(Some("b".into())));
        assert_eq!(choose(&set, r#"{"alg":"HS256"}"#), Err(NoKey::Ambiguous));
        assert_eq!(choose(&set, r#"{"alg":"HS512"}"#), Err(NoKey::Unknown));
    }

    #[test]
    fn a_key_without_an_id_answers_for_any() {
        let set =
            KeySet::new(vec![key(Algorithm::HS256, None, 0), key(Algorithm::HS256, Some("a"), 1)]).unwrap();
        assert_eq!(choose(&set, r#"{"alg":"HS256","kid":"other"}"#), Ok(None));
        assert_eq!(choose(&set, r#"{"alg":"HS256","kid":"a"}"#), Ok(Some("a".into())));
        assert_eq!(choose(&set, r#"{"alg":"HS256"}"#), Err(NoKey::Ambiguous));
    }

    #[test]
    fn one_id_twice_is_refused_atk_08() {
        let twice = vec![key(Algorithm::HS256, Some("a"), 0), key(Algorithm::HS256, Some("a"), 1)];
        assert!(KeySet::new(twice).is_err());
    }
}
