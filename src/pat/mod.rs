//! Personal access tokens: a form that a scanner, a person and a verifier know at once.
//!
//! ```text
//! nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr
//! └┬─┘└─────────────┬──────────────┘└─┬──┘
//! prefix   30 of base62, random    CRC-32 of the 30, base62
//! ```
//!
//! 1. A prefix says whose token it is. It is registered where tokens are verified, and with whoever scans for
//!    leaked secrets ([`PatFormat::pattern`]).
//! 2. The secret has 30 characters of `0-9A-Za-z`, 178 random bits.
//! 3. The checksum is the CRC-32 (IEEE) of the secret in base62, the most significant digit first, padded with
//!    zeros to 6. It is made and compared, never decoded: six digits of base62 hold more than 32 bits, and a
//!    decoder that wraps accepts a dozen other spellings.
//! 4. What has another form is refused without asking anybody.
//! 5. A token is shown once, when it is made ([`PatFormat::generate`]); a store keeps its digest.
//!
//! GitHub described the form in 2021; NetBird's `nbp_` is the same with another prefix.
//!
//! # Caveat
//!
//! The checksum guards against typing errors and false alarms, not against anybody.
//!
//! # Examples
//!
//! A prefix of your own:
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use tower_bearer::pat::PatFormat;
//!
//! let format = PatFormat::new("shop_")?;
//! let token = format.generate()?;
//! let text = std::str::from_utf8(token.expose()).unwrap();
//! assert!(text.starts_with("shop_") && format.is_wellformed(text));
//! assert!(!PatFormat::netbird().is_wellformed(text));
//! assert!(PatFormat::new("shop").is_err(), "a prefix ends where one sees it");
//! # }
//! # Ok::<(), tower_bearer::ConfigError>(())
//! ```
//!
//! Verified against a store, beside JWTs; see [`PatVerifier`](crate::verify::PatVerifier):
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use std::time::{Duration, UNIX_EPOCH};
//! use tower_bearer::pat::PatFormat;
//! use tower_bearer::store::{MemoryStore, PersonalToken, TokenDigest, TokenStore};
//! use tower_bearer::verify::{PatVerifier, Verify};
//! use tower_bearer::{Credential, Scheme};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let token = "nbp_drrYjTdd6emrCGjTGYv3HF2s7u0rih00gEpD";
//! let store = MemoryStore::new();
//! let year = Duration::from_secs(365 * 24 * 60 * 60);
//! let row = PersonalToken::new("t1", "alice", "ci", UNIX_EPOCH, UNIX_EPOCH + 100 * year);
//! store.insert(TokenDigest::of(token)?, row).await?;
//!
//! let verifier = PatVerifier::new(PatFormat::netbird(), store);
//! let identity = verifier.verify(&Credential::new(Scheme::Token, token)).await?;
//! assert_eq!(identity.subject(), "alice");
//! let typo = token.replace("nbp_d", "nbp_e");
//! assert!(verifier.verify(&Credential::new(Scheme::Token, typo)).try_now().unwrap().is_err());
//! # Ok(())
//! # }
//! # main().unwrap();
//! # }
//! ```

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::jose::random;
use crate::secret::Secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 30 · log₂ 62 = 178.6 bits.
const SECRET_CHARS: usize = 30;
/// 62⁶ > 2³² > 62⁵.
const CHECKSUM_CHARS: usize = 6;
/// The largest multiple of 62 that a byte holds: what is above would make some characters likelier.
const UNBIASED: u8 = 248;
const MAX_PREFIX_CHARS: usize = 16;

/// A prefix, and the form of the tokens that have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PatFormat {
    prefix: Cow<'static, str>,
}

impl PatFormat {
    /// The tokens of a prefix: letters and digits of ASCII, ending in `_`, 16 characters at most.
    ///
    /// # Errors
    ///
    /// When it has another form.
    pub fn new(prefix: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        let name = prefix.strip_suffix('_').unwrap_or_default();
        let fits = !name.is_empty()
            && prefix.len() <= MAX_PREFIX_CHARS
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if fits {
            Ok(Self { prefix })
        } else {
            Err(ConfigError::new("prefix", "expected up to 16 letters and digits that end in `_`"))
        }
    }

    /// NetBird's personal access tokens: `nbp_`.
    pub const fn netbird() -> Self {
        Self { prefix: Cow::Borrowed("nbp_") }
    }

    /// The prefix; to be registered with
    /// [`Schemes::bearer_prefixed`](crate::verify::Schemes::bearer_prefixed) where such tokens may come as
    /// `Bearer`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A new token: ASCII, to be shown once.
    ///
    /// # Errors
    ///
    /// When no crypto backend is enabled, or it has no random numbers.
    pub fn generate(&self) -> Result<Secret, ConfigError> {
        let mut secret = Zeroizing::new([0; SECRET_CHARS]);
        let mut filled = 0;
        while filled < SECRET_CHARS {
            let mut bytes = Zeroizing::new([0; SECRET_CHARS]);
            random(&mut *bytes)?;
            for byte in bytes.iter().filter(|byte| **byte < UNBIASED).take(SECRET_CHARS - filled) {
                secret[filled] = ALPHABET[usize::from(byte % 62)];
                filled += 1;
            }
        }
        let mut token = Vec::with_capacity(self.token_chars());
        token.extend_from_slice(self.prefix.as_bytes());
        token.extend_from_slice(&*secret);
        token.extend_from_slice(&checksum(&*secret));
        Ok(Secret::new(token))
    }

    /// True if a token has this form, checksum included. Nothing is allocated, and nobody is asked.
    pub fn is_wellformed(&self, token: &str) -> bool {
        let Some(rest) = token.strip_prefix(&*self.prefix) else { return false };
        rest.len() == SECRET_CHARS + CHECKSUM_CHARS && {
            let (secret, own) = rest.as_bytes().split_at(SECRET_CHARS);
            secret.iter().all(u8::is_ascii_alphanumeric) && own == checksum(secret)
        }
    }

    /// A regular expression for scanners that look for leaked tokens; the checksum tells a hit from chance.
    pub fn pattern(&self) -> String {
        format!(r"\b{}[0-9A-Za-z]{{{}}}\b", self.prefix, SECRET_CHARS + CHECKSUM_CHARS)
    }

    fn token_chars(&self) -> usize {
        self.prefix.len() + SECRET_CHARS + CHECKSUM_CHARS
    }
}

fn checksum(secret: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(secret);
    let mut digits = [0; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PatFormat, checksum};

    const A: &str = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";

    #[test]
    fn vectors_s4_s2() {
        let format = PatFormat::netbird();
        assert_eq!(&checksum(&[b'A'; 30]), b"0uCPlr");
        assert!(format.is_wellformed(A));
        assert!(format.is_wellformed("nbp_drrYjTdd6emrCGjTGYv3HF2s7u0rih00gEpD"), "leading zeros stay");
    }

    #[test]
    fn one_spelling_of_the_checksum_atk_49() {
        let aliases = [
            "5arexv", "AHWu9z", "EyC9M3", "JerOY7", "OLWdkB", "T2BswF", "Xir88J", "cPWNKN", "h6BcWR",
            "lmqriV", "qTW6uZ", "vABM6d", "zqqbIh",
        ];
        for alias in aliases {
            assert!(!PatFormat::netbird().is_wellformed(&A.replace("0uCPlr", alias)), "{alias}");
        }
    }

    #[test]
    fn another_form_is_malformed_s4_s2() {
        let secret = "A".repeat(30);
        for bad in [
            String::new(),
            "nbp_".into(),
            A[..39].into(),
            format!("{A}A"),
            A.to_lowercase(),
            A.replace("nbp_", "nbx_"),
            A.replace("nbp_", "NBP_"),
            A.replacen('A', "-", 1),
            format!("nbp_{}\u{e9}0uCPlr", "A".repeat(28)),
            format!("nbp_{secret}0uCPl\u{e9}"),
        ] {
            assert!(!PatFormat::netbird().is_wellformed(&bad), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        for good in ["nbp_", "ghp_", "github_pat_", "a_"] {
            assert!(PatFormat::new(good).is_ok(), "{good}");
        }
        for bad in ["", "_", "nbp", "n p_", "nbp-_", "\u{e9}_", "aaaaaaaaaaaaaaaa_"] {
            assert!(PatFormat::new(bad).is_err(), "{bad}");
        }
        assert_eq!(PatFormat::netbird().pattern(), r"\bnbp_[0-9A-Za-z]{36}\b");
    }

    #[test]
    fn generated_tokens_are_wellformed_and_all_characters_occur() {
        let format = PatFormat::netbird();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..500 {
            let token = format.generate().unwrap();
            let token = std::str::from_utf8(token.expose()).unwrap();
            assert!(format.is_wellformed(token) && token.len() == 40);
            seen.extend(token[4..34].bytes());
        }
        assert_eq!(seen.len(), 62);
    }

    proptest! {
        #[test]
        fn any_change_of_one_character_is_found(at in 4_usize..40, to in "[0-9A-Za-z]") {
            let mut changed = A.to_owned();
            changed.replace_range(at..=at, &to);
            prop_assert_eq!(PatFormat::netbird().is_wellformed(&changed), changed == A);
        }
    }
}
