//! JSON Web Key sets (RFC 7517): which of the keys verify, and with which algorithm.
//!
//! | a key that … | is |
//! |---|---|
//! | has a `kty`, `crv` or `alg` that is unknown here | passed over (RFC 7517 §5) |
//! | has a `use` other than `sig`, or `key_ops` without `verify` | passed over (§4.2, §4.3) |
//! | lacks a member, is weak, or has an `alg` of another type | an error |
//! | has no `alg` | given the one that its type and curve imply; RSA: RS256, or those the user names |

use serde_json::{Map, Value};

use super::base64url;
use super::json::Reader;
use super::key::VerifyingKey;
use super::material::Material;
use crate::algorithm::{Algorithm, Family};
use crate::error::ConfigError;

/// More keys than any provider publishes.
const MAX_KEYS: usize = 100;

/// Reads a set whose every key has to be good.
///
/// # Errors
///
/// As [`read_set`] and [`refuse_ambiguous`], and when a key is weak, guessable or malformed.
pub(crate) fn parse_set(json: &[u8], rsa: &[Algorithm]) -> Result<Vec<VerifyingKey>, ConfigError> {
    let keys = read_set(json, rsa)?.into_iter().collect::<Result<Vec<_>, _>>()?;
    refuse_ambiguous(&keys)?;
    let mut verifying = Vec::new();
    for key in &keys {
        key.material.refuse_guessable().map_err(|error| key.named(&error))?;
        for verifying_key in key.verifying_keys() {
            verifying.push(verifying_key?);
        }
    }
    Ok(verifying)
}

/// Reads a published set: its good public keys, and the last reason for which one was dropped. A secret
/// that is published is none, and of keys that share an id none can be told from the other.
///
/// # Errors
///
/// As [`read_set`].
#[cfg(feature = "remote")]
pub(crate) fn parse_public_set(
    json: &[u8],
    rsa: &[Algorithm],
) -> Result<(Vec<VerifyingKey>, Option<ConfigError>), ConfigError> {
    let (mut good, mut bad) = (Vec::new(), None);
    let keys = read_set(json, rsa)?;
    for key in &keys {
        match key {
            Err(error) => bad = Some(error.clone()),
            Ok(key) if matches!(key.material, Material::Hmac(_)) => {
                bad = Some(key.named(&ConfigError::new("kty", "expected a public key")));
            }
            Ok(key) if key.shares_its_id(keys.iter().flatten()) => {
                bad = Some(key.named(&ConfigError::new("kid", "expected each key id once")));
            }
            Ok(key) => {
                for verifying_key in key.verifying_keys() {
                    match verifying_key {
                        Ok(verifying_key) => good.push(verifying_key),
                        Err(error) => bad = Some(error),
                    }
                }
            }
        }
    }
    Ok((good, bad))
}

/// Reads a set, key by key. `rsa` are the algorithms of RSA keys that do not say.
///
/// # Errors
///
/// When the document is not a set, or has too many keys.
pub(super) fn read_set(json: &[u8], rsa: &[Algorithm]) -> Result<Vec<Result<Jwk, ConfigError>>, ConfigError> {
    let malformed = || ConfigError::new("jwks", "expected a JSON object with an array \"keys\" (RFC 7517)");
    let text = std::str::from_utf8(json).map_err(|error| malformed().with_source(error))?;
    Reader::check_object(text).map_err(|error| malformed().with_source(error))?;
    let document: Value = serde_json::from_str(text).map_err(|error| malformed().with_source(error))?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or_else(malformed)?;
    if keys.len() > MAX_KEYS {
        return Err(ConfigError::new("jwks", format!("expected at most {MAX_KEYS} keys")));
    }
    Ok(keys.iter().enumerate().filter_map(|(index, key)| Jwk::read(index, key, rsa).transpose()).collect())
}

/// # Errors
///
/// When secret keys stand beside public ones (a published document must never hold a secret), or one
/// `kid` stands twice.
pub(super) fn refuse_ambiguous(keys: &[Jwk]) -> Result<(), ConfigError> {
    for (place, key) in keys.iter().enumerate() {
        if key.key_id.is_some() && keys[..place].iter().any(|other| other.key_id == key.key_id) {
            let message = format!("expected each key id once, key {} repeats one", key.index);
            return Err(ConfigError::new("kid", message));
        }
    }
    let secrets = keys.iter().filter(|key| matches!(key.material, Material::Hmac(_))).count();
    if secrets > 0 && secrets < keys.len() {
        return Err(ConfigError::new("jwks", "expected secret keys or public ones, not both in one set"));
    }
    Ok(())
}

fn at(index: usize, error: &ConfigError) -> ConfigError {
    ConfigError::new("jwks", format!("key {index}: {error}"))
}

/// One key of a set that is for verifying.
pub(super) struct Jwk {
    index: usize,
    key_id: Option<String>,
    algorithms: Vec<Algorithm>,
    material: Material,
}

impl Jwk {
    /// One key for each algorithm.
    pub(super) fn verifying_keys(&self) -> impl Iterator<Item = Result<VerifyingKey, ConfigError>> {
        self.algorithms.iter().map(|algorithm| {
            VerifyingKey::new(*algorithm, self.key_id.as_deref(), &self.material)
                .map_err(|error| self.named(&error))
        })
    }

    #[cfg(feature = "remote")]
    fn shares_its_id<'a>(&self, keys: impl Iterator<Item = &'a Self>) -> bool {
        self.key_id.is_some() && keys.filter(|other| other.key_id == self.key_id).count() > 1
    }

    fn named(&self, error: &ConfigError) -> ConfigError {
        at(self.index, error)
    }

    /// `None`: a key to pass over.
    fn read(index: usize, key: &Value, rsa: &[Algorithm]) -> Result<Option<Self>, ConfigError> {
        Self::describe(index, key, rsa).map_err(|error| at(index, &error))
    }

    fn describe(index: usize, key: &Value, rsa: &[Algorithm]) -> Result<Option<Self>, ConfigError> {
        let key = key.as_object().ok_or_else(|| ConfigError::new("key", "expected a JSON object"))?;
        let key_id = optional(key, "kid")?.map(str::to_owned);
        let kty = required(key, "kty")?;
        if !is_for_verifying(key)? {
            return Ok(None);
        }
        let (implied, material) = match kty {
            "EC" => match required(key, "crv")? {
                "P-256" => (vec![Algorithm::ES256], point(key, 32)?),
                "P-384" => (vec![Algorithm::ES384], point(key, 48)?),
                _ => return Ok(None),
            },
            "OKP" => match required(key, "crv")? {
                "Ed25519" => (vec![Algorithm::EdDSA], Material::Ed(bytes(key, "x")?)),
                _ => return Ok(None),
            },
            "RSA" => (rsa.to_vec(), Material::rsa(&bytes(key, "n")?, &bytes(key, "e")?)),
            "oct" => (vec![Algorithm::HS256], Material::Hmac(bytes(key, "k")?.into())),
            _ => return Ok(None),
        };
        let algorithms = match optional(key, "alg")? {
            None => implied,
            Some(name) => match Algorithm::from_name(name) {
                None => return Ok(None),
                // The curve fixes it; within RSA and oct any of the family goes.
                Some(algorithm)
                    if implied.contains(&algorithm)
                        || (matches!(algorithm.family(), Family::Rsa | Family::Hmac)
                            && implied.iter().all(|other| other.family() == algorithm.family())) =>
                {
                    vec![algorithm]
                }
                Some(algorithm) => {
                    let message = format!("{algorithm} does not go with this type of key");
                    return Err(ConfigError::new("alg", message));
                }
            },
        };
        Ok(Some(Self { index, key_id, algorithms, material }))
    }
}

fn is_for_verifying(key: &Map<String, Value>) -> Result<bool, ConfigError> {
    if optional(key, "use")?.is_some_and(|usage| usage != "sig") {
        return Ok(false);
    }
    match key.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
        Some(_) => Err(ConfigError::new("key_ops", "expected an array")),
    }
}

fn point(key: &Map<String, Value>, coordinate: usize) -> Result<Material, ConfigError> {
    let (x, y) = (bytes(key, "x")?, bytes(key, "y")?);
    if x.len() != coordinate || y.len() != coordinate {
        return Err(ConfigError::new(
            "x",
            format!("expected coordinates of {coordinate} bytes (RFC 7518 section 6.2.1)"),
        ));
    }
    Ok(Material::Ec([&[4], x.as_slice(), y.as_slice()].concat()))
}

fn bytes(key: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, ConfigError> {
    base64url::decode(required(key, name)?)
        .map_err(|error| ConfigError::new(name, "expected base64url without padding").with_source(error))
}

fn required<'a>(key: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, ConfigError> {
    optional(key, name)?.ok_or_else(|| ConfigError::new(name, "expected a string, it is missing"))
}

fn optional<'a>(key: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ConfigError> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(string)) => Ok(Some(string)),
        Some(_) => Err(ConfigError::new(name, "expected a string")),
    }
}
