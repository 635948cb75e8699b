//! Where verification keys come from.

use std::fmt;
use std::sync::Arc;

use crate::algorithm::Algorithm;
use crate::error::{BoxError, ConfigError};
use crate::eventual::Eventual;
use crate::jose::{self, KeySet, Material, VerifyingKey, parse_set};
use crate::secret::Secret;

/// The longest claim value that a [`KeyLookup`] is asked for, in bytes.
const MAX_LOOKUP_BYTES: usize = 256;

/// The keys that tokens are verified with; each carries exactly one algorithm.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::{Algorithm, verify::Keys};
///
/// let keys = Keys::hmac(Algorithm::HS256, "0123456789abcdef0123456789abcdef")?;
/// assert!(Keys::hmac(Algorithm::HS512, "0123456789abcdef0123456789abcdef").is_err());
/// assert!(Keys::jwks(br#"{"keys":[]}"#).is_err());
/// # }
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Keys(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    ByClaim(Arc<ByClaim>),
    Fixed(Arc<KeySet>),
}

impl Keys {
    /// One shared secret, as raw bytes.
    ///
    /// # Errors
    ///
    /// When `alg` is not HS256, HS384 or HS512; when the secret is shorter than the hash (RFC 7518
    /// §3.2), made of one byte repeated, or the text or DER of a public key.
    pub fn hmac(alg: Algorithm, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        let secret = Material::Hmac(secret.into());
        secret.check(alg)?;
        secret.refuse_guessable()?;
        Self::fixed(vec![VerifyingKey::new(alg, None, &secret)?])
    }

    /// One public key in PEM: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`. It answers for tokens
    /// with any `kid`.
    ///
    /// # Errors
    ///
    /// When the PEM is not a public key for `alg`, or a weak one (RSA below 2048 bits).
    pub fn pem(alg: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        Self::fixed(vec![VerifyingKey::new(alg, None, &Material::from_pem(alg, pem)?)?])
    }

    /// A JSON Web Key set (RFC 7517). Keys of an unknown type, curve or algorithm and keys for other
    /// uses are passed over. An RSA key without `alg` is for RS256.
    ///
    /// # Errors
    ///
    /// When the document is not a set; mixes secret with public keys; has one `kid` twice; has a
    /// key that is weak or malformed (the error says which and why); has no key that verifies.
    pub fn jwks(json: &[u8]) -> Result<Self, ConfigError> {
        Self::jwks_with_rsa(json, [Algorithm::RS256])
    }

    /// As [`jwks`](Self::jwks), naming the algorithms of RSA keys without `alg`.
    ///
    /// # Errors
    ///
    /// As [`jwks`](Self::jwks), and when one of `algorithms` is not an RSA algorithm.
    pub fn jwks_with_rsa(
        json: &[u8],
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Result<Self, ConfigError> {
        let keys =
            parse_set(json, &Vec::from_iter(algorithms))?.into_iter().collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ConfigError::new("jwks", "expected at least one key that verifies signatures"));
        }
        Self::fixed(keys)
    }

    /// A secret for each value of a claim, found by `lookup`: one app, one key.
    ///
    /// The claim is read before the signature is verified, so it is only ever handed to `lookup`: a
    /// string of at most 256 bytes. The token is then verified with the one secret found, under
    /// `alg` alone. A value that nobody knows costs as much as a wrong signature and looks the same.
    ///
    /// # Errors
    ///
    /// When `alg` is not HS256, HS384 or HS512.
    pub fn by_claim(claim: &str, alg: Algorithm, lookup: impl KeyLookup) -> Result<Self, ConfigError> {
        if !alg.is_symmetric() {
            return Err(ConfigError::new("algorithm", "expected HS256, HS384 or HS512"));
        }
        let mut secret = vec![0; 64];
        jose::random(&mut secret)?;
        let nobody = VerifyingKey::new(alg, None, &Material::Hmac(secret.into()))?;
        let by_claim = ByClaim { claim: claim.into(), algorithm: alg, nobody, lookup: Box::new(lookup) };
        Ok(Self(Source::ByClaim(Arc::new(by_claim))))
    }

    /// These keys and those.
    ///
    /// # Errors
    ///
    /// When a token could be for two of them: the same key id and algorithm, or two keys of one
    /// algorithm without an id. When one side is looked up by claim.
    pub fn and(self, other: Self) -> Result<Self, ConfigError> {
        let fixed = |keys: Self| match keys.0 {
            Source::Fixed(set) => Arc::try_unwrap(set)
                .map(KeySet::into_keys)
                .map_err(|_| ConfigError::new("keys", "expected keys that are not in use yet")),
            Source::ByClaim(_) => Err(ConfigError::new("keys", "keys looked up by claim stand alone")),
        };
        let mut keys = fixed(self)?;
        for key in fixed(other)? {
            let twin =
                |own: &VerifyingKey| own.key_id() == key.key_id() && own.algorithm() == key.algorithm();
            if keys.iter().any(twin) {
                return Err(ConfigError::new(
                    "keys",
                    format!("expected one key without an id for {}", key.algorithm()),
                ));
            }
            keys.push(key);
        }
        Self::fixed(keys)
    }

    fn fixed(keys: Vec<VerifyingKey>) -> Result<Self, ConfigError> {
        Ok(Self(Source::Fixed(Arc::new(KeySet::new(keys)?))))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(set) => f.debug_list().entries(set.keys()).finish(),
            Source::ByClaim(keys) => {
                f.debug_struct("ByClaim").field("claim", &keys.claim).finish_non_exhaustive()
            }
        }
    }
}

/// Finds the secret that belongs to a claim's value; for [`Keys::by_claim`].
///
/// The value comes from a token that nobody verified yet: look it up, and do nothing else with it.
pub trait KeyLookup: Send + Sync + 'static {
    /// The secret of `value`, `None` if nobody has that value, an error if that cannot be told now.
    fn find(&self, value: &str) -> Eventual<Result<Option<Secret>, BoxError>>;
}

/// A lookup at hand: any function from a value to its secret.
impl<F> KeyLookup for F
where
    F: Fn(&str) -> Option<Secret> + Send + Sync + 'static,
{
    fn find(&self, value: &str) -> Eventual<Result<Option<Secret>, BoxError>> {
        Eventual::now(Ok(self(value)))
    }
}

pub(super) struct ByClaim {
    pub(super) claim: Box<str>,
    pub(super) algorithm: Algorithm,
    /// Answers for a value that nobody has.
    pub(super) nobody: VerifyingKey,
    lookup: Box<dyn KeyLookup>,
}

impl ByClaim {
    /// A value out of bounds is not looked up, and found to be nobody's.
    pub(super) fn find(&self, value: Option<&str>) -> Eventual<Result<Option<Secret>, BoxError>> {
        match value {
            Some(value) if value.len() <= MAX_LOOKUP_BYTES => self.lookup.find(value),
            _ => Eventual::now(Ok(None)),
        }
    }
}
