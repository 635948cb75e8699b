//! The compact serialisation (RFC 7515 §7.1): bounded, split, not yet decoded.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use memchr::memchr_iter;

use super::base64url;

/// More than a header with a key id of the usual length has.
pub(crate) const HEADER_BYTES: usize = 256;

/// The three parts of a compact JWS.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    pub(crate) signing_input: &'a str,
    pub(crate) header: &'a str,
    payload: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits at exactly two dots. Nothing is allocated, whatever the token.
    pub(crate) fn split(token: &'a str, max_bytes: usize) -> Result<Self, Malformed> {
        if token.len() > max_bytes {
            return Err(Malformed::TooLong);
        }
        let mut dots = memchr_iter(b'.', token.as_bytes());
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Malformed::Parts);
        };
        if first == 0 || second + 1 == token.len() {
            return Err(Malformed::Parts);
        }
        Ok(Self {
            signing_input: &token[..second],
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
        })
    }

    /// Into a buffer, if it fits, since nobody keeps it.
    pub(crate) fn decode_header<'b>(
        &self,
        buffer: &'b mut [u8; HEADER_BYTES],
    ) -> Result<Cow<'b, str>, Malformed> {
        if self.header.len() / 4 * 3 + 3 > buffer.len() {
            return text(self.header).map(Cow::Owned);
        }
        let decoded = base64url::decode_into(self.header, buffer)?;
        simdutf8::basic::from_utf8(decoded).map(Cow::Borrowed).map_err(|_| Malformed::Utf8)
    }

    pub(crate) fn decode_payload(&self) -> Result<String, Malformed> {
        text(self.payload)
    }

    /// The payload of a JWS that is not a JWT.
    #[cfg(test)]
    pub(super) fn decode_payload_bytes(&self) -> Result<Vec<u8>, Malformed> {
        base64url::decode(self.payload)
    }
}

fn text(part: &str) -> Result<String, Malformed> {
    String::from_utf8(base64url::decode(part)?).map_err(|_| Malformed::Utf8)
}

/// Why something is not a compact JWS that we would read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Malformed {
    Base64,
    Critical,
    Deep,
    Duplicate,
    Encrypted,
    Json,
    LongKeyId,
    Many,
    Parts,
    TooLong,
    UnknownAlgorithm,
    Unencoded,
    Utf8,
    /// A name, behind one more reference so that results of this type stay in registers.
    WrongType(&'static &'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "not canonical base64url",
            Self::Critical => "the header has critical parameters that are not understood",
            Self::Deep => "JSON nested too deeply",
            Self::Duplicate => "a JSON object has two members of one name",
            Self::Encrypted => "an encrypted token where a signed one is expected",
            Self::Json => "not a JSON object",
            Self::LongKeyId => "the key id is too long",
            Self::Many => "too many JSON members or elements",
            Self::Parts => "not three parts",
            Self::TooLong => "the token is too long",
            Self::UnknownAlgorithm => "the algorithm is not one of ours",
            Self::Unencoded => "the payload is declared unencoded",
            Self::Utf8 => "not UTF-8",
            Self::WrongType(name) => return write!(f, "{name} is of the wrong type"),
        })
    }
}

impl Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::{Compact, Malformed};

    #[test]
    fn exactly_two_dots_atk_14_atk_20() {
        let parts = Compact::split("aa.bb.cc", 8).unwrap();
        assert_eq!((parts.signing_input, parts.signature), ("aa.bb", "cc"));
        for bad in ["", ".", "..", "aa", "aa.bb", "aa.bb.", ".bb.cc", "a.b.c.d", "a.b.c.d.e"] {
            assert_eq!(Compact::split(bad, 100).err(), Some(Malformed::Parts), "{bad:?}");
        }
        assert_eq!(Compact::split(&".".repeat(1 << 20), 1 << 20).err(), Some(Malformed::Parts));
    }

    #[test]
    fn the_size_limit_is_inclusive_atk_15() {
        assert!(Compact::split("aa.bb.cc", 8).is_ok());
        assert_eq!(Compact::split("aa.bb.cc", 7).err(), Some(Malformed::TooLong));
    }
}
