//! The compact serialisation (RFC 7515 §7.1): bounded, split, not yet decoded.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use memchr::{memchr, memrchr};

use super::base64url::{self, Buffer};

/// What a header or a payload can have in a token of the usual limit of 16 KiB, so that a forged one is not decoded into
/// an allocation of its size.
const TEXT_BYTES: usize = 12 * 1024;
/// The signature of an 8192-bit RSA key is the longest of all; what is decoded may need three bytes more.
const SIGNATURE_BYTES: usize = 1024 + 3;

/// Room for the parts of one token.
pub(crate) struct Buffers {
    pub(crate) header: Buffer<TEXT_BYTES>,
    pub(crate) payload: Buffer<TEXT_BYTES>,
    pub(crate) signature: Buffer<SIGNATURE_BYTES>,
}

impl Buffers {
    pub(crate) const fn new() -> Self {
        Self { header: Buffer::new(), payload: Buffer::new(), signature: Buffer::new() }
    }
}

/// The three parts of a compact JWS.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    pub(crate) signing_input: &'a [u8],
    pub(crate) header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Compact<'a> {
    /// Splits at the first and the last dot; one between them is found when the payload is decoded. Nothing is
    /// allocated, whatever the token.
    pub(crate) fn split(token: &'a [u8], max_bytes: usize) -> Result<Self, Malformed> {
        if token.len() > max_bytes {
            return Err(Malformed::TooLong);
        }
        let (Some(first), Some(second)) = (memchr(b'.', token), memrchr(b'.', token)) else {
            return Err(Malformed::Parts);
        };
        if first == 0 || first == second || second + 1 == token.len() {
            return Err(Malformed::Parts);
        }
        Ok(Self {
            signing_input: &token[..second],
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
        })
    }

    /// The JSON text of the header.
    pub(crate) fn decode_header<'b>(
        &self,
        buffer: &'b mut Buffer<TEXT_BYTES>,
    ) -> Result<Cow<'b, str>, Malformed> {
        text(self.header, buffer)
    }

    /// The JSON text of the payload.
    pub(crate) fn decode_payload<'b>(
        &self,
        buffer: &'b mut Buffer<TEXT_BYTES>,
    ) -> Result<Cow<'b, str>, Malformed> {
        text(self.payload, buffer)
    }

    /// The payload, which need not be a text.
    pub(crate) fn decode_payload_bytes(&self) -> Result<Vec<u8>, Malformed> {
        base64url::decode(self.payload)
    }

    /// The signature; what is longer than any is malformed.
    pub(crate) fn decode_signature<'b>(
        &self,
        buffer: &'b mut Buffer<SIGNATURE_BYTES>,
    ) -> Result<&'b [u8], Malformed> {
        buffer.decode(self.signature)
    }
}

/// Into the buffer, if it fits.
fn text<'b, const N: usize>(part: &[u8], buffer: &'b mut Buffer<N>) -> Result<Cow<'b, str>, Malformed> {
    if Buffer::<N>::fits(part) {
        let text = simdutf8::basic::from_utf8(buffer.decode(part)?);
        return text.map(Cow::Borrowed).map_err(|_| Malformed::Utf8);
    }
    String::from_utf8(base64url::decode(part)?).map(Cow::Owned).map_err(|_| Malformed::Utf8)
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
    use super::{Buffer, Compact, Cow, Malformed};

    #[test]
    fn exactly_two_dots_atk_14_atk_20() {
        let parts = Compact::split(b"aa.bb.cc", 8).unwrap();
        assert_eq!((parts.signing_input, parts.signature), (&b"aa.bb"[..], &b"cc"[..]));
        for bad in ["", ".", "..", "aa", "aa.bb", "aa.bb.", ".bb.cc"] {
            assert_eq!(Compact::split(bad.as_bytes(), 100).err(), Some(Malformed::Parts), "{bad:?}");
        }
        assert_eq!(Compact::split(&[b'.'; 1 << 20], 1 << 20).err(), Some(Malformed::Parts));
        for more in ["aa.bb.cc.dd", "aa..cc.dd", "aa.bb..dd", "aa.bb.cc.dd.ee"] {
            let token = Compact::split(more.as_bytes(), 100).unwrap();
            let payload = token.decode_payload(&mut Buffer::new()).map(Cow::into_owned);
            assert_eq!(payload, Err(Malformed::Base64), "{more}");
        }
    }

    #[test]
    fn the_size_limit_is_inclusive_atk_15() {
        assert!(Compact::split(b"aa.bb.cc", 8).is_ok());
        assert_eq!(Compact::split(b"aa.bb.cc", 7).err(), Some(Malformed::TooLong));
    }
}
