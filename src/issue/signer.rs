use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::access_token::AccessToken;
use crate::algorithm::Algorithm;
use crate::clock::{Clock, SharedClock};
use crate::error::ConfigError;
use crate::jose::{SigningKey, base64url, random, sha256};
use crate::secret::Secret;

/// 128 bits: enough that no two tokens ever share an id.
const TOKEN_ID_BYTES: usize = 16;

/// Signs JWTs with one key. A clone costs a reference count.
#[derive(Clone)]
pub struct JwtSigner {
    key: Arc<SigningKey>,
    key_id: Option<Arc<str>>,
    clock: SharedClock,
}

impl JwtSigner {
    /// A new key: RSA of 2048 bits, the curve of the algorithm, or 64 random bytes. It lives as long
    /// as the signer.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn generate(alg: Algorithm) -> Result<Self, ConfigError> {
        Self::new(SigningKey::generate(alg)?)
    }

    /// A shared secret, as raw bytes.
    ///
    /// # Errors
    ///
    /// As for the verifier's keys: another algorithm than HS256, HS384, HS512, or a weak secret.
    pub fn hmac(alg: Algorithm, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        Self::new(SigningKey::hmac(alg, &secret.into())?)
    }

    /// A private key in PEM: PKCS #8, for RSA also PKCS #1.
    ///
    /// # Errors
    ///
    /// When the PEM is not a private key for `alg`, or a weak one.
    pub fn pem(alg: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        Self::new(SigningKey::pem(alg, pem)?)
    }

    fn new(key: SigningKey) -> Result<Self, ConfigError> {
        let thumbprint = match key.public_jwk() {
            Some(jwk) => Some(base64url(&sha256(jwk.to_string().as_bytes())?).into()),
            None => None,
        };
        Ok(Self { key: Arc::new(key), key_id: thumbprint, clock: SharedClock::default() })
    }

    /// The `kid` in tokens and in the published key, instead of the key's thumbprint (RFC 7638).
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into().into());
        self
    }

    /// The clock that `iat` and `exp` are taken from.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock::new(clock);
        self
    }

    /// The key's id.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Signs an access token, with an id of its own.
    ///
    /// # Errors
    ///
    /// When the backend has no random numbers or cannot sign.
    pub fn sign(&self, token: &AccessToken) -> Result<String, ConfigError> {
        let mut id = [0; TOKEN_ID_BYTES];
        random(&mut id)?;
        self.sign_claims("at+jwt", &token.to_claims(self.clock.now(), base64url(&id)))
    }

    /// Signs any claims under a `typ`. Nothing is added to them.
    ///
    /// # Errors
    ///
    /// When the claims cannot be written as JSON, or the backend cannot sign.
    pub fn sign_claims(&self, typ: &str, claims: &impl Serialize) -> Result<String, ConfigError> {
        let payload = serde_json::to_vec(claims)
            .map_err(|error| ConfigError::new("claims", "expected what JSON can hold").with_source(error))?;
        self.key
            .sign(typ, self.key_id(), &payload)
            .ok_or_else(|| ConfigError::new("key", "the backend could not sign"))
    }

    /// The public key as a JSON Web Key set, to be served as `application/jwk-set+json`. Empty for a
    /// shared secret.
    pub fn jwks(&self) -> String {
        json!({ "keys": Vec::from_iter(self.public_jwk()) }).to_string()
    }

    pub(super) fn public_jwk(&self) -> Option<Value> {
        self.key.public_jwk().map(|mut jwk| {
            jwk["alg"] = self.key.algorithm().name().into();
            jwk["use"] = "sig".into();
            jwk["kid"] = self.key_id().into();
            jwk
        })
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSigner")
            .field("key", &self.key)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
