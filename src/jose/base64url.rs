//! base64url without padding (RFC 7515 §2), strictly: no padding, no white space, zero trailing bits.

use std::mem::MaybeUninit;

#[cfg(any(feature = "client", feature = "issue", feature = "remote", test))]
use base64::Engine;
#[cfg(any(feature = "client", feature = "issue", feature = "remote", test))]
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64_simd::AsOut;

use super::compact::Malformed;

pub(crate) fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, Malformed> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| Malformed::Base64)
}

/// Room for what is decoded and not kept: nothing is written there before.
pub(crate) struct Buffer<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; N])
    }

    pub(super) fn fits(text: &[u8]) -> bool {
        text.len() / 4 * 3 + 3 <= N
    }

    /// Input that does not fit is malformed.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<&[u8], Malformed> {
        if !Self::fits(text) {
            return Err(Malformed::Base64);
        }
        let decoded = base64_simd::URL_SAFE_NO_PAD.decode(text, self.0.as_mut_slice().as_out());
        decoded.map(|bytes| &*bytes).map_err(|_| Malformed::Base64)
    }
}

#[cfg(any(feature = "client", feature = "issue", feature = "remote", test))]
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn one_spelling_for_each_value_m_jose_1_atk_13() {
        assert_eq!(decode("Zm8").unwrap(), b"fo");
        for bad in ["Zm9=", "Zm8=", "Zm9 ", " Zm8", "Zm8\n", "Z", "Zm+/", "Zm8%3D"] {
            assert!(decode(bad).is_err(), "{bad:?}");
        }
        // The last character of "Zm8" has two bits to spare: only one of four spellings is canonical.
        assert!(["Zm9", "Zm-", "Zm_"].into_iter().all(|alias| decode(alias).is_err()));
        assert_eq!(decode(encode(b"\xff\xfe\xfd")).unwrap(), b"\xff\xfe\xfd");
    }
}
