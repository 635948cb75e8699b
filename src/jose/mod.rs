//! JOSE: the strict reading of compact JWS, keys, signatures. The only place that names a crypto crate.
//!
//! 1. A token is bounded and split before anything is decoded ([`Compact`]).
//! 2. base64url and JSON are read strictly, once, with bounds ([`base64url`], [`json`]).
//! 3. A key carries exactly one algorithm from the moment it is made ([`VerifyingKey`], [`SigningKey`]).
//! 4. Key material is checked when it enters, so that no request ever meets a weak key ([`material`]).
//! 5. Nothing in a token's header is ever used as a key or fetched as one.

mod backend;
mod base64url;
mod compact;
mod header;
mod json;
mod jwk;
mod key;
mod material;
mod names;
#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
mod sign;
#[cfg(test)]
mod vectors;
mod words;

pub(crate) use backend::random;
#[cfg(any(feature = "pat", feature = "remote"))]
pub(crate) use backend::sha256;
#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(crate) use base64url::encode as base64url;
pub(crate) use compact::{Buffers, Compact, Malformed};
pub(crate) use header::{Header, same_type};
pub(crate) use json::{Reader, Scalar};
#[cfg(feature = "remote")]
pub(crate) use jwk::parse_public_set;
pub(crate) use jwk::parse_set;
pub(crate) use key::{KeySet, NoKey, VerifyingKey};
pub(crate) use material::Material;
pub(crate) use names::key_of;
#[cfg(any(feature = "client", feature = "issue", feature = "remote"))]
pub(crate) use sign::SigningKey;
