use std::fmt;
#[cfg(feature = "jwt")]
use std::sync::Arc;
#[cfg(feature = "jwt")]
use std::time::Duration;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::Uri;
use zeroize::Zeroizing;

#[cfg(feature = "jwt")]
use crate::algorithm::Algorithm;
#[cfg(feature = "jwt")]
use crate::clock::unix_nanos;
use crate::error::ConfigError;
#[cfg(feature = "jwt")]
use crate::jose::{SigningKey, base64url, random};
use crate::secret::Secret;

/// How a client proves to a token endpoint who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// HTTP Basic, with id and secret form-encoded first, as RFC 6749 §2.3.1 says.
    Basic,
    /// HTTP Basic, with id and secret as they are: for servers that do not decode them.
    BasicPlain,
    /// Not at all, or by the contract's own parameters.
    None,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// A signed assertion in the body (RFC 7523 §2.2), made anew for each request.
    #[cfg(feature = "jwt")]
    PrivateKeyJwt,
}

/// What fills in a contract: ids, secrets and keys. `Debug` shows none of them.
///
/// ```
/// use tower_bearer::contract::Credentials;
///
/// let credentials = Credentials::client("shop", "hunter2").with_refresh_token("canary");
/// assert!(!format!("{credentials:?}").contains("hunter2"));
/// assert!(!format!("{credentials:?}").contains("canary"));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Credentials {
    pub(crate) id: Option<String>,
    pub(crate) secret: Option<Secret>,
    pub(crate) refresh_token: Option<Secret>,
    pub(crate) subject_token: Option<Secret>,
    #[cfg(feature = "jwt")]
    pub(crate) key: Option<AssertionKey>,
}

impl Credentials {
    /// A client with a secret.
    pub fn client(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: Some(id.into()), secret: Some(secret.into()), ..Self::default() }
    }

    /// A client with nothing but an id.
    pub fn public_client(id: impl Into<String>) -> Self {
        Self { id: Some(id.into()), ..Self::default() }
    }

    /// A refresh token alone.
    pub fn refresh_token(token: impl Into<Secret>) -> Self {
        Self::default().with_refresh_token(token)
    }

    /// A client with a key that signs its assertions.
    #[cfg(feature = "jwt")]
    pub fn client_key(id: impl Into<String>, key: AssertionKey) -> Self {
        Self { key: Some(key), ..Self::public_client(id) }
    }

    /// The refresh token to begin with.
    pub fn with_refresh_token(mut self, token: impl Into<Secret>) -> Self {
        self.refresh_token = Some(token.into());
        self
    }

    /// The token to exchange for another.
    pub fn with_subject_token(mut self, token: impl Into<Secret>) -> Self {
        self.subject_token = Some(token.into());
        self
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref().filter(|id| !id.is_empty())
    }

    /// The fields that prove who the client is in a form sent to `endpoint`.
    pub(crate) fn form_fields(
        &self,
        auth: ClientAuth,
        endpoint: &Uri,
        now: SystemTime,
    ) -> Result<Vec<(&'static str, Zeroizing<String>)>, ConfigError> {
        #[cfg(not(feature = "jwt"))]
        let _ = (endpoint, now);
        let missing = |expected: &str| ConfigError::new("credentials", format!("expected {expected}"));
        let id = || self.id().map(|id| Zeroizing::new(id.to_owned())).ok_or_else(|| missing("a client id"));
        Ok(match auth {
            ClientAuth::Basic | ClientAuth::BasicPlain | ClientAuth::None => Vec::new(),
            ClientAuth::Post => {
                let secret = self.secret.as_ref().filter(|secret| !secret.expose().is_empty());
                let secret = secret.and_then(|secret| std::str::from_utf8(secret.expose()).ok());
                let secret = secret.ok_or_else(|| missing("a client secret, as text"))?;
                vec![("client_id", id()?), ("client_secret", Zeroizing::new(secret.to_owned()))]
            }
            #[cfg(feature = "jwt")]
            ClientAuth::PrivateKeyJwt => {
                let key = self.key.as_ref().ok_or_else(|| missing("a key"))?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let id = id()?;
                let assertion = key.sign(&id, &endpoint.to_string(), now)?;
                vec![
                    ("client_id", id),
                    ("client_assertion_type", Zeroizing::new(kind.to_owned())),
                    ("client_assertion", assertion),
                ]
            }
        })
    }

    /// The value of an `Authorization` header for HTTP Basic.
    pub(crate) fn basic(&self, plain: bool) -> Zeroizing<String> {
        let encode = |bytes: &[u8]| -> Vec<u8> {
            if plain { bytes.to_vec() } else { byte_serialize(bytes).collect::<String>().into_bytes() }
        };
        let mut pair = Zeroizing::new(encode(self.id.as_deref().unwrap_or_default().as_bytes()));
        pair.push(b':');
        pair.extend(self.secret.iter().flat_map(|secret| encode(secret.expose())));
        Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A private key that signs assertions (RFC 7523 §3): with `iss` and `sub` the client's id, `aud` the
/// endpoint, a minute of life, and an id of its own in each.
#[cfg(feature = "jwt")]
#[derive(Clone)]
#[must_use]
pub struct AssertionKey {
    key: Arc<SigningKey>,
    key_id: Option<String>,
    audience: Option<String>,
    subject: Option<String>,
}

/// Long enough for slow clocks, short enough that one that leaks is of little use.
#[cfg(feature = "jwt")]
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

#[cfg(feature = "jwt")]
impl AssertionKey {
    /// A private key in PEM: PKCS #8, for RSA also PKCS #1.
    ///
    /// # Errors
    ///
    /// When the PEM is not a private key for `alg`, or a weak one.
    pub fn pem(alg: Algorithm, pem: &[u8]) -> Result<Self, ConfigError> {
        SigningKey::pem(alg, pem).map(Self::new)
    }

    /// A new key that lives as long as this value; the server must learn its public half
    /// ([`public_jwk`](Self::public_jwk)).
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn generate(alg: Algorithm) -> Result<Self, ConfigError> {
        SigningKey::generate(alg).map(Self::new)
    }

    fn new(key: SigningKey) -> Self {
        Self { key: Arc::new(key), key_id: None, audience: None, subject: None }
    }

    /// The `kid` by which the server finds the key.
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The `aud`, instead of the endpoint's URL: the issuer, where the server wants that.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// The `sub`, instead of the client's id: whom a JWT that is a grant speaks for.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The public key as a JWK, to be told to the server. `None` for a key without a public half.
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        self.key.public_jwk().map(|mut jwk| {
            jwk["alg"] = self.key.algorithm().name().into();
            jwk["use"] = "sig".into();
            if let Some(key_id) = &self.key_id {
                jwk["kid"] = key_id.as_str().into();
            }
            jwk
        })
    }

    /// An assertion for one request.
    pub(crate) fn sign(
        &self,
        id: &str,
        endpoint: &str,
        now: SystemTime,
    ) -> Result<Zeroizing<String>, ConfigError> {
        let mut unique = [0; 16];
        random(&mut unique)?;
        let now = unix_nanos(now).div_euclid(1_000_000_000);
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let claims = serde_json::json!({
            "iss": id,
            "sub": self.subject.as_deref().unwrap_or(id),
            "aud": self.audience.as_deref().unwrap_or(endpoint),
            "iat": now,
            "exp": now.saturating_add_unsigned(ASSERTION_LIFETIME.as_secs()),
            "jti": base64url(&unique),
        });
        let signed = self.key.sign("JWT", self.key_id.as_deref(), claims.to_string().as_bytes());
        signed.map(Zeroizing::new).ok_or_else(|| ConfigError::new("key", "the backend could not sign"))
    }
}

#[cfg(feature = "jwt")]
impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey")
            .field("key", &self.key)
            .field("key_id", &self.key_id)
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Credentials;

    #[test]
    fn basic_is_form_encoded_first_m_6749_1() {
        // The id and secret of RFC 6749 §2.3.1 need no encoding.
        let plain = Credentials::client("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw");
        assert_eq!(*plain.basic(false), "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");
        let odd = Credentials::client("a:b", "c d+e%");
        assert_eq!(*odd.basic(false), "Basic YSUzQWI6YytkJTJCZSUyNQ==");
        assert_eq!(*odd.basic(true), "Basic YTpiOmMgZCtlJQ==");
    }
}
