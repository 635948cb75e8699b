use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use subtle::ConstantTimeEq;

use super::{Stored, TokenDigest};
use crate::error::ConfigError;
use crate::jose::{random, sha256};
use crate::scope::Scopes;
use crate::secret::Secret;

/// RFC 9106 §3.1 recommends 128 bits.
const SALT_BYTES: usize = 16;

/// A client that may ask for tokens.
#[derive(Clone)]
#[non_exhaustive]
pub struct Client {
    /// The system that it belongs to, where several share a store; empty where there is one.
    pub system: String,
    /// The name that it presents.
    pub id: String,
    /// Whom its tokens speak of.
    pub subject: String,
    /// What it may be granted.
    pub scopes: Scopes,
    pub(crate) secret: Option<ClientSecret>,
    pub(crate) jwks: Option<String>,
}

impl Client {
    /// A client with a secret, whose tokens speak of the client itself.
    pub fn new(id: impl Into<String>, secret: ClientSecret) -> Self {
        Self { secret: Some(secret), ..Self::without_secret(id) }
    }

    /// A client that proves itself with a key (RFC 7523 §2.2), one of this JSON Web Key set.
    pub fn with_key(id: impl Into<String>, jwks: impl Into<String>) -> Self {
        Self::without_secret(id).or_key(jwks)
    }

    fn without_secret(id: impl Into<String>) -> Self {
        let id = id.into();
        let (system, subject) = (String::new(), id.clone());
        Self { system, subject, id, scopes: Scopes::none(), secret: None, jwks: None }
    }

    /// The system that it belongs to.
    #[must_use]
    pub fn of_system(mut self, system: impl Into<String>) -> Self {
        self.system = system.into();
        self
    }

    /// Lets it prove itself with a key as well.
    #[must_use]
    pub fn or_key(mut self, jwks: impl Into<String>) -> Self {
        self.jwks = Some(jwks.into());
        self
    }

    /// Whom its tokens speak of, if not itself.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// What it may be granted.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// How its secret is kept.
    pub fn secret(&self) -> Option<&ClientSecret> {
        self.secret.as_ref()
    }

    /// The keys that it may prove itself with.
    pub fn jwks(&self) -> Option<&str> {
        self.jwks.as_deref()
    }
}

/// Names the client; a key set is public, and long.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("system", &self.system)
            .field("id", &self.id)
            .field("subject", &self.subject)
            .field("scopes", &self.scopes)
            .field("secret", &self.secret)
            .field("jwks", &self.jwks.is_some())
            .finish()
    }
}

/// A client's secret, as a store keeps it.
///
/// ```
/// # #[cfg(feature = "aws-lc-rs")] {
/// use tower_bearer::Secret;
/// use tower_bearer::store::ClientSecret;
///
/// let chosen = ClientSecret::password(&Secret::from("correct horse"))?;
/// assert!(String::from_utf8_lossy(chosen.to_stored().expose()).starts_with("$argon2id$"));
/// assert_eq!(format!("{chosen:?}"), "ClientSecret(argon2)");
/// # }
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClientSecret(Kept);

#[derive(Clone)]
enum Kept {
    Digest(TokenDigest),
    Key(Secret),
    Password(String),
}

const DIGEST: &str = "sha256:";
const KEY: &str = "key:";

impl ClientSecret {
    /// A secret that a machine made, of 128 random bits or more: its SHA-256 is kept.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled.
    pub fn random(secret: &Secret) -> Result<Self, ConfigError> {
        sha256(secret.expose()).map(|digest| Self(Kept::Digest(TokenDigest::from_bytes(digest))))
    }

    /// A secret that a human chose: its Argon2id hash is kept (RFC 9106), with 19 MiB and two passes. It
    /// takes tens of milliseconds of one core to make and to compare.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn password(secret: &Secret) -> Result<Self, ConfigError> {
        let mut salt = [0; SALT_BYTES];
        random(&mut salt)?;
        let wrong = |error: argon2::password_hash::Error| ConfigError::new("secret", error.to_string());
        let salt = SaltString::encode_b64(&salt).map_err(wrong)?;
        let hash = Argon2::default().hash_password(secret.expose(), &salt).map_err(wrong)?;
        Ok(Self(Kept::Password(hash.to_string())))
    }

    /// A secret that signs the client's own tokens: it is kept as it is, since a digest signs nothing.
    pub fn hmac_key(secret: impl Into<Secret>) -> Self {
        Self(Kept::Key(secret.into()))
    }

    /// The form that a store writes down.
    pub fn to_stored(&self) -> Secret {
        match &self.0 {
            Kept::Digest(digest) => format!("{DIGEST}{}", digest.to_base64()).into(),
            Kept::Key(key) => [KEY.as_bytes(), key.expose()].concat().into(),
            Kept::Password(hash) => hash.as_str().into(),
        }
    }

    /// What a store wrote down.
    ///
    /// # Errors
    ///
    /// When it has none of the three forms.
    pub fn from_stored(stored: &Secret) -> Result<Self, ConfigError> {
        let unknown = || ConfigError::new("secret", "expected a digest, a password hash or a key");
        if let Some(key) = stored.expose().strip_prefix(KEY.as_bytes()) {
            return Ok(Self::hmac_key(key));
        }
        let text = std::str::from_utf8(stored.expose()).map_err(|_| unknown())?;
        if let Some(digest) = text.strip_prefix(DIGEST) {
            return TokenDigest::from_base64(digest).map(|digest| Self(Kept::Digest(digest)));
        }
        PasswordHash::new(text).map_err(|_| unknown())?;
        Ok(Self(Kept::Password(text.to_owned())))
    }

    /// The digest by which a store may look it up; for secrets that a machine made.
    pub fn digest(&self) -> Option<TokenDigest> {
        match &self.0 {
            Kept::Digest(digest) => Some(*digest),
            Kept::Key(_) | Kept::Password(_) => None,
        }
    }

    pub(crate) fn signing_secret(&self) -> Option<&Secret> {
        match &self.0 {
            Kept::Key(key) => Some(key),
            Kept::Digest(_) | Kept::Password(_) => None,
        }
    }

    pub(crate) fn is_password(&self) -> bool {
        matches!(self.0, Kept::Password(_))
    }

    /// Compares in a time that does not depend on where two secrets differ. A password takes tens of
    /// milliseconds.
    pub(crate) fn matches(&self, presented: &Secret) -> bool {
        let digest = |bytes: &[u8]| sha256(bytes).unwrap_or_default();
        match &self.0 {
            Kept::Digest(own) => own.as_bytes().ct_eq(&digest(presented.expose())).into(),
            Kept::Key(own) => digest(own.expose()).ct_eq(&digest(presented.expose())).into(),
            Kept::Password(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(presented.expose(), &hash).is_ok()),
        }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kept::Digest(_) => "ClientSecret(sha256)",
            Kept::Key(_) => "ClientSecret(key)",
            Kept::Password(_) => "ClientSecret(argon2)",
        })
    }
}

/// Where clients are registered.
///
/// A store finds; whether a secret is right is not its business, so that it cannot be slow or lenient about it.
pub trait ClientStore: Send + Sync + 'static {
    /// The clients of this id: none, one, or, where several systems share a store, one of each.
    fn find(&self, id: &str) -> Stored<Vec<Client>>;

    /// The clients whose secret has this digest ([`ClientSecret::digest`]); for systems whose clients
    /// present nothing but a secret.
    fn find_by_digest(&self, digest: TokenDigest) -> Stored<Vec<Client>>;

    /// True if a secret may be kept as a password hash. A refusal then costs as much as comparing one, for
    /// unknown clients too. Say `false` only where there is none.
    fn may_hold_passwords(&self) -> bool {
        true
    }
}

impl<S: ClientStore + ?Sized> ClientStore for Arc<S> {
    fn find(&self, id: &str) -> Stored<Vec<Client>> {
        (**self).find(id)
    }

    fn find_by_digest(&self, digest: TokenDigest) -> Stored<Vec<Client>> {
        (**self).find_by_digest(digest)
    }

    fn may_hold_passwords(&self) -> bool {
        (**self).may_hold_passwords()
    }
}

/// `ClientStore` stays dyn-safe.
const _: fn(&dyn ClientStore) = |_| {};

#[cfg(test)]
mod tests {
    use super::{Client, ClientSecret};
    use crate::secret::Secret;

    #[test]
    fn each_form_is_kept_and_found_again_atk_46_atk_47() {
        let plain = Secret::from("canary canary canary canary canary");
        for (kept, form) in [
            (ClientSecret::random(&plain).unwrap(), "sha256:"),
            (ClientSecret::password(&plain).unwrap(), "$argon2id$v=19$m=19456,t=2,p=1$"),
            (ClientSecret::hmac_key(plain.clone()), "key:canary"),
        ] {
            let stored = kept.to_stored();
            let text = String::from_utf8(stored.expose().to_vec()).unwrap();
            assert!(text.starts_with(form), "{form}");
            assert_eq!(text.contains("canary"), form == "key:canary");
            let read = ClientSecret::from_stored(&stored).unwrap();
            assert!(read.matches(&plain) && !read.matches(&"canary".into()) && !read.matches(&"".into()));
            assert!(!format!("{:?}", Client::new("a", read)).contains("canary"));
        }
        for bad in ["", "canary", "sha256:", "sha256:AAAA", "$argon2id$", "$1$salt$hash"] {
            assert!(ClientSecret::from_stored(&bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let hash = || ClientSecret::password(&"canary".into()).unwrap().to_stored();
        assert_ne!(hash(), hash());
    }
}
