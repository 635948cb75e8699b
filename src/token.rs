//! An outbound token: what goes into the header, and how long it is good.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use http::header::InvalidHeaderValue;
use zeroize::Zeroizing;

use crate::credential::Scheme;
use crate::error::ConfigError;
use crate::secret::Secret;

/// The soft window is this part of the lifetime, within the two bounds below.
const SOFT_PART: u32 = 5;
/// A refresh needs some time, however short the lifetime.
const SOFT_AT_LEAST: Duration = Duration::from_secs(30);
/// Google's and Microsoft's clients refresh 4 to 5 minutes ahead, however long the lifetime.
const SOFT_AT_MOST: Duration = Duration::from_secs(5 * 60);

/// A token to send, with its header value made once.
///
/// A clone costs a reference count. The bytes are overwritten when the last clone, the last request that
/// carries them, and the last service that sent them and nothing since, are gone. `Debug` shows the scheme and
/// the expiry only.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_bearer::{Phase, Scheme, Token};
///
/// let issued = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let token = Token::new(Scheme::Bearer, "abc")?.expiring(issued, Duration::from_secs(3600));
/// assert_eq!(token.header_value(), "Bearer abc");
/// assert_eq!(token.phase(issued), Phase::Fresh);
/// assert_eq!(token.phase(issued + Duration::from_secs(3500)), Phase::Stale);
/// assert_eq!(token.phase(issued + Duration::from_secs(3600)), Phase::Expired);
///
/// assert!(Token::new(Scheme::Bearer, "abc\ndef").is_err());
/// # Ok::<(), tower_bearer::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    id: TokenId,
    scheme: Scheme,
    header: HeaderValue,
    life: Option<Life>,
}

/// What a token and its clones have in common, and no other token ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TokenId(usize);

impl TokenId {
    fn next() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Clone, Copy)]
struct Life {
    issued: SystemTime,
    lifetime: Duration,
}

/// What a token is good for at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// Not to be sent any more.
    Expired,
    /// Good for a while.
    Fresh,
    /// Still good, and the time to get another.
    Stale,
}

impl Token {
    /// A token that does not expire.
    ///
    /// # Errors
    ///
    /// When the value is empty, or has a byte that no token has: a space, a control character, or
    /// anything outside of ASCII.
    pub fn new(scheme: Scheme, value: impl Into<Secret>) -> Result<Self, ConfigError> {
        let value = value.into();
        let bytes = value.expose();
        let bad = || ConfigError::new("token", "expected one or more visible ASCII characters");
        if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(bad());
        }
        let mut header = Zeroizing::new(Vec::with_capacity(scheme.name().len() + 1 + bytes.len()));
        header.extend_from_slice(scheme.name().as_bytes());
        header.push(b' ');
        header.extend_from_slice(bytes);
        let header = sensitive(header).map_err(|_| bad())?;
        Ok(Self(Arc::new(Inner { id: TokenId::next(), scheme, header, life: None })))
    }

    /// The token expires this long after it was issued. The time to count from is the one before it was
    /// asked for.
    #[must_use]
    pub fn expiring(self, issued: SystemTime, lifetime: Duration) -> Self {
        let (scheme, header, life) = (self.0.scheme, self.0.header.clone(), Some(Life { issued, lifetime }));
        Self(Arc::new(Inner { id: TokenId::next(), scheme, header, life }))
    }

    /// The word in front of it.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The token itself, without its scheme.
    pub fn expose(&self) -> &str {
        // Visible ASCII, by construction.
        let header = self.0.header.to_str().unwrap_or_default();
        &header[self.0.scheme.name().len() + 1..]
    }

    /// The value for the `Authorization` header, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.header
    }

    /// When it expires, if it does, at a time that the system can hold.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.life.and_then(|life| life.issued.checked_add(life.lifetime))
    }

    /// What the token is good for at `now`.
    pub fn phase(&self, now: SystemTime) -> Phase {
        let (Some(life), Some(expires)) = (self.0.life, self.expires_at()) else { return Phase::Fresh };
        match expires.duration_since(now) {
            Err(_) | Ok(Duration::ZERO) => Phase::Expired,
            Ok(left) if left <= soft_window(life.lifetime) => Phase::Stale,
            Ok(_) => Phase::Fresh,
        }
    }

    /// True if this is a clone of `other`. Two tokens of one value that were fetched apart are not the
    /// same: what was said about one does not hold for the other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }

    #[inline]
    pub(crate) fn id(&self) -> TokenId {
        self.0.id
    }

    /// The header value in bytes of its own, with a count of its own.
    pub(crate) fn copy_header_value(&self) -> HeaderValue {
        let copy = sensitive(Zeroizing::new(self.0.header.as_bytes().to_vec()));
        // What stood in a header can.
        copy.unwrap_or_else(|_| self.0.header.clone())
    }
}

fn sensitive(bytes: Zeroizing<Vec<u8>>) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(Owner(bytes)))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Bytes that are wiped. `Bytes` puts its count next to this: a cache line that threads fight over has nothing
/// of anybody else.
#[repr(align(64))]
struct Owner(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// How long before its end a token is stale: 20 % of the lifetime within 30 s and 5 min, and never more
/// than half of it, so that a short-lived token is not fetched for each call.
pub(crate) fn soft_window(lifetime: Duration) -> Duration {
    (lifetime / SOFT_PART).clamp(SOFT_AT_LEAST, SOFT_AT_MOST).min(lifetime / 2)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("scheme", &self.0.scheme)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::{Phase, Token, soft_window};
    use crate::credential::Scheme;

    #[test]
    fn what_cannot_be_a_header_is_no_token_atk_59_s1_c6() {
        for bad in ["", " ", "a b", "a\nb", "a\r\nb", "a\tb", "a\0", "\u{e9}", "a\u{7f}", "abc\n"] {
            assert!(Token::new(Scheme::Bearer, bad).is_err(), "{bad:?}");
        }
        assert_eq!(Token::new(Scheme::Token, "nbp_1|x").unwrap().expose(), "nbp_1|x");
    }

    #[test]
    fn the_header_value_is_sensitive_atk_60() {
        let token = Token::new(Scheme::Token, "canary").unwrap();
        assert!(token.header_value().is_sensitive() && token.header_value().clone().is_sensitive());
        assert!(!format!("{token:?} {:?}", token.header_value()).contains("canary"));
    }

    #[test]
    fn a_look_alike_is_another_token() {
        let one = Token::new(Scheme::Bearer, "abc").unwrap();
        assert!(one.is_same(&one.clone()));
        assert!(!one.is_same(&Token::new(Scheme::Bearer, "abc").unwrap()));
    }

    #[test]
    fn the_soft_window() {
        for (lifetime, window) in
            [(86_400, 300), (3600, 300), (600, 120), (100, 30), (60, 30), (10, 5), (0, 0)]
        {
            assert_eq!(soft_window(Duration::from_secs(lifetime)), Duration::from_secs(window), "{lifetime}");
        }
    }

    proptest! {
        #[test]
        fn stale_comes_before_expired(lifetime in 0..10_000_000u64, at in 0..20_000_000u64, later in 0..1_000_000u64) {
            let rank = |phase| match phase { Phase::Fresh => 0, Phase::Stale => 1, Phase::Expired => 2 };
            let ms = Duration::from_millis;
            let token = Token::new(Scheme::Bearer, "abc").unwrap().expiring(UNIX_EPOCH, ms(lifetime));
            let (now, then) = (token.phase(UNIX_EPOCH + ms(at)), token.phase(UNIX_EPOCH + ms(at + later)));
            prop_assert!(rank(now) <= rank(then));
            prop_assert_eq!(now == Phase::Expired, at >= lifetime);
            prop_assert!(lifetime == 0 || token.phase(UNIX_EPOCH) == Phase::Fresh);
        }
    }
}
