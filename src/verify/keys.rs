//! Where verification keys come from.

use std::any::Any;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};

#[cfg(feature = "remote")]
use super::remote::RemoteKeys;
use super::rules::Refused;
use crate::algorithm::{Algorithm, Family};
use crate::error::{BoxError, ConfigError};
use crate::eventual::Eventual;
use crate::jose::{self, Header, KeySet, Material, NoKey, Reader, Scalar, VerifyingKey, parse_set};
use crate::rejection::Rejection;
use crate::scope::Scopes;
use crate::secret::Secret;
#[cfg(feature = "remote")]
use crate::transport::Transport;

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
    #[cfg(feature = "remote")]
    Remote(RemoteKeys),
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
        let rsa = rsa_algorithms(algorithms)?;
        let keys = parse_set(json, &rsa)?;
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
        let nobody = Arc::new(KeySet::new(vec![nobody])?);
        let by_claim = ByClaim { claim: claim.into(), algorithm: alg, nobody, lookup: Box::new(lookup) };
        Ok(Self(Source::ByClaim(Arc::new(by_claim))))
    }

    /// The key set at a URL (RFC 7517), fetched when it is first needed and kept fresh.
    ///
    /// # Errors
    ///
    /// When the URL is not an absolute `https` one, or has user information in it.
    #[cfg(feature = "remote")]
    #[cfg_attr(docsrs, doc(cfg(feature = "remote")))]
    pub fn remote(url: &str, transport: impl Transport) -> Result<RemoteKeys, ConfigError> {
        RemoteKeys::at(url, transport)
    }

    /// The key set that an issuer's metadata names: OpenID Connect Discovery 1.0 §4, or else RFC 8414 §3.
    ///
    /// # Errors
    ///
    /// When the issuer is not an absolute `https` URL, or has user information, a query or a fragment.
    #[cfg(feature = "remote")]
    #[cfg_attr(docsrs, doc(cfg(feature = "remote")))]
    pub fn discover(issuer: &str, transport: impl Transport) -> Result<RemoteKeys, ConfigError> {
        RemoteKeys::discovered(issuer, transport)
    }

    /// These keys and those.
    ///
    /// # Errors
    ///
    /// When a token could be for two of them: the same key id and algorithm, or two keys of one
    /// algorithm without an id. When one side is looked up by claim.
    pub fn and(self, other: Self) -> Result<Self, ConfigError> {
        let fixed = |keys: Self| match keys.0 {
            Source::Fixed(set) => Ok(set.keys().to_vec()),
            Source::ByClaim(_) => Err(ConfigError::new("keys", "keys looked up by claim stand alone")),
            #[cfg(feature = "remote")]
            Source::Remote(_) => Err(ConfigError::new("keys", "keys from elsewhere stand alone")),
        };
        let mut keys = fixed(self)?;
        for key in fixed(other)? {
            if keys.iter().any(|own| own.key_id() == key.key_id() && own.algorithm() == key.algorithm()) {
                let name =
                    key.key_id().map_or("without an id".to_owned(), |key_id| format!("of id {key_id:?}"));
                let message = format!("expected one {} key {name}, both sides have one", key.algorithm());
                return Err(ConfigError::new("keys", message));
            }
            keys.push(key);
        }
        Ok(Self(Source::Fixed(Arc::new(KeySet::shared(keys)?))))
    }

    /// The key for a token, by its header and, before it is verified, one of its claims.
    pub(super) fn find(&self, header: &Header<'_>, payload: &str) -> Eventual<Result<ChosenKey, Rejection>> {
        match &self.0 {
            Source::ByClaim(keys) => keys.find(header.algorithm, payload),
            Source::Fixed(set) => {
                let chosen = ChosenKey::select(set, header.algorithm, header.key_id.as_deref());
                Eventual::now(chosen.map_err(|none| Refused::NoKey(none).into()))
            }
            #[cfg(feature = "remote")]
            Source::Remote(keys) => keys.find(header),
        }
    }

    /// True if a token that a key of this set verified would be given the same key now. Where keys come from
    /// elsewhere, it drives their refresh, as looking for one does.
    pub(super) fn are_current(&self, set: &Weak<dyn Any + Send + Sync>) -> bool {
        match &self.0 {
            Source::ByClaim(_) => false,
            Source::Fixed(own) => is_same(own, set),
            #[cfg(feature = "remote")]
            Source::Remote(keys) => keys.are_current(|current| is_same(current, set)),
        }
    }

    fn fixed(keys: Vec<VerifyingKey>) -> Result<Self, ConfigError> {
        Ok(Self(Source::Fixed(Arc::new(KeySet::new(keys)?))))
    }
}

/// An address stays taken for as long as somebody knows it.
pub(super) fn is_same(set: &Arc<KeySet>, known: &Weak<dyn Any + Send + Sync>) -> bool {
    ptr::addr_eq(Arc::as_ptr(set), Weak::as_ptr(known))
}

/// The algorithms of RSA keys that do not say, each once.
pub(super) fn rsa_algorithms(
    algorithms: impl IntoIterator<Item = Algorithm>,
) -> Result<Vec<Algorithm>, ConfigError> {
    let mut rsa = Vec::new();
    for algorithm in algorithms {
        if algorithm.family() != Family::Rsa {
            return Err(ConfigError::new("algorithms", "expected RS or PS algorithms"));
        }
        if !rsa.contains(&algorithm) {
            rsa.push(algorithm);
        }
    }
    Ok(rsa)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Fixed(set) => f.debug_list().entries(set.keys()).finish(),
            #[cfg(feature = "remote")]
            Source::Remote(keys) => keys.fmt(f),
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

    /// What the holder of that secret may grant, asked after it was found: these take the place of the scopes
    /// in the token, which the holder wrote. `None`, as it is unless said otherwise, leaves them.
    fn scopes(&self, value: &str) -> Option<Scopes> {
        let _ = value;
        None
    }
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
    claim: Box<str>,
    algorithm: Algorithm,
    /// Answers for a value that nobody has: as costly as a wrong key, and as wrong.
    nobody: Arc<KeySet>,
    lookup: Box<dyn KeyLookup>,
}

impl ByClaim {
    fn find(self: &Arc<Self>, algorithm: Algorithm, payload: &str) -> Eventual<Result<ChosenKey, Rejection>> {
        if algorithm != self.algorithm {
            return Eventual::now(Err(Refused::NoKey(NoKey::Unknown).into()));
        }
        // A value out of bounds is not looked up, and found to be nobody's.
        let value = string_claim(payload, &self.claim).filter(|value| value.len() <= MAX_LOOKUP_BYTES);
        let Some(value) = value else { return Eventual::now(self.chosen(Ok(None), "")) };
        match self.lookup.find(&value).try_now() {
            Ok(found) => Eventual::now(self.chosen(found, &value)),
            Err(later) => {
                let keys = Arc::clone(self);
                Eventual::later(async move { keys.chosen(later.await, &value) })
            }
        }
    }

    fn chosen(&self, found: Result<Option<Secret>, BoxError>, value: &str) -> Result<ChosenKey, Rejection> {
        let found = found.map_err(|error| Rejection::unavailable().with_source(error))?;
        // A secret too weak to be one is nobody's: who holds it learns no more than a stranger does.
        let set = found.and_then(|secret| self.set_of(Material::Hmac(secret)).ok());
        let scopes = set.as_ref().and_then(|_| self.lookup.scopes(value));
        Ok(ChosenKey {
            set: set.unwrap_or_else(|| Arc::clone(&self.nobody)),
            index: 0,
            scopes,
            for_one_token: true,
        })
    }

    fn set_of(&self, secret: Material) -> Result<Arc<KeySet>, ConfigError> {
        secret.check(self.algorithm)?;
        secret.refuse_guessable()?;
        Ok(Arc::new(KeySet::new(vec![VerifyingKey::new(self.algorithm, None, &secret)?])?))
    }
}

/// One claim of a payload that was read before, if it is a string.
fn string_claim(payload: &str, wanted: &str) -> Option<String> {
    let mut found = None;
    Reader::object(payload, |name, reader| {
        match reader.scalar()? {
            Scalar::String(value) if *name == *wanted.as_bytes() => found = Some(value.into_owned()),
            _ => {}
        }
        Ok(())
    })
    .ok()?;
    found
}

/// The one key that answers for a token, held together with its set.
pub(super) struct ChosenKey {
    set: Arc<KeySet>,
    index: usize,
    /// What its holder may grant, where a token does not decide that.
    pub(super) scopes: Option<Scopes>,
    for_one_token: bool,
}

impl ChosenKey {
    pub(super) fn select(
        set: &Arc<KeySet>,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> Result<Self, NoKey> {
        set.select(algorithm, key_id).map(|index| Self {
            set: Arc::clone(set),
            index,
            scopes: None,
            for_one_token: false,
        })
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.set.get(self.index).verify(message, signature)
    }

    /// The set, unless it was made for one token.
    pub(super) fn into_lasting_set(self) -> Option<Arc<KeySet>> {
        (!self.for_one_token).then_some(self.set)
    }
}
