//! Tokens as keys of a map, without keeping a token: a digest under a key that lives as long as the process.

use zeroize::Zeroizing;

use crate::credential::Credential;
use crate::error::ConfigError;
use crate::jose::{random, sha256};

/// What stands for a credential. Nobody without the key can tell which, or make two of one digest.
pub(super) type Digest = [u8; 32];

#[derive(Clone)]
pub(super) struct DigestKey(Zeroizing<[u8; 32]>);

impl DigestKey {
    pub(super) fn generate() -> Result<Self, ConfigError> {
        let mut key = Zeroizing::new([0; 32]);
        random(&mut *key)?;
        Ok(Self(key))
    }

    /// Key and scheme have fixed lengths, so that no two credentials make one text.
    pub(super) fn digest(&self, credential: &Credential<'_>) -> Result<Digest, ConfigError> {
        let token = credential.expose().as_bytes();
        let mut text = Zeroizing::new(Vec::with_capacity(self.0.len() + 1 + token.len()));
        text.extend_from_slice(&*self.0);
        text.push(credential.scheme() as u8);
        text.extend_from_slice(token);
        sha256(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::DigestKey;
    use crate::credential::{Credential, Scheme};

    #[test]
    fn one_digest_for_each_credential_and_key_atk_36() {
        let (a, b) = (DigestKey::generate().unwrap(), DigestKey::generate().unwrap());
        let digest =
            |key: &DigestKey, scheme, token: &str| key.digest(&Credential::new(scheme, token)).unwrap();
        assert_eq!(digest(&a, Scheme::Bearer, "x"), digest(&a, Scheme::Bearer, "x"));
        assert_ne!(digest(&a, Scheme::Bearer, "x"), digest(&b, Scheme::Bearer, "x"));
        assert_ne!(digest(&a, Scheme::Bearer, "x"), digest(&a, Scheme::Token, "x"));
        assert_ne!(digest(&a, Scheme::Bearer, "x"), digest(&a, Scheme::Bearer, "xx"));
    }
}
