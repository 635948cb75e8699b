//! Bytes that nobody should see: wiped when dropped, redacted when printed, compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret: a key, a password, a token.
///
/// `Debug` prints no byte and no length of it; equality takes the same time wherever two secrets of
/// one length differ; the memory is overwritten on drop. It is read through [`expose`](Self::expose)
/// alone, so that one search finds every read.
///
/// ```
/// use tower_bearer::Secret;
///
/// let secret = Secret::from("hunter2 hunter2 hunter2 hunter2!");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert_eq!(secret.expose().len(), 32);
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of the bytes; they are wiped when the secret is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Secret {
    fn from(bytes: &[u8; N]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A token that is kept for a while: written once, looked at often, wiped a word at a time when dropped.
#[cfg(feature = "jwt")]
pub(crate) struct Wiped {
    words: Zeroizing<Box<[u64]>>,
    len: usize,
}

#[cfg(feature = "jwt")]
impl Wiped {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (whole, rest) = bytes.as_chunks();
        let mut last = [0; size_of::<u64>()];
        last[..rest.len()].copy_from_slice(rest);
        // Each word is written once: zeros first would take as long again.
        let words = whole.iter().chain([&last]).map(|word| u64::from_ne_bytes(*word)).collect();
        Self { words: Zeroizing::new(words), len: bytes.len() }
    }

    #[inline]
    pub(crate) fn expose(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn equality_is_by_value() {
        assert_eq!(Secret::from("a"), Secret::from(b"a".as_slice()));
        assert_ne!(Secret::from("a"), Secret::from("b"));
        assert_ne!(Secret::from("a"), Secret::from("aa"));
    }

    #[cfg(feature = "jwt")]
    #[test]
    fn what_is_kept_is_what_was_given_whatever_its_length() {
        for len in 0..40 {
            let bytes: Vec<u8> = (1..=len).collect();
            let kept = super::Wiped::new(&bytes);
            assert_eq!(kept.expose(), bytes);
        }
    }
}
