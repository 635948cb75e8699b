use std::sync::Arc;
use std::time::SystemTime;

use super::Stored;
use crate::algorithm::Algorithm;
use crate::secret::Secret;

/// A signing key, as a store keeps it. The private half is in it: whoever reads the store can sign.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredKey {
    /// Which ring it belongs to.
    pub ring: String,
    /// The keys of a ring are numbered, from 1.
    pub number: u32,
    /// The one algorithm that it signs with.
    pub algorithm: Algorithm,
    /// The private key: PKCS #8 in PEM.
    pub pem: Secret,
    /// From when on it signs; it is published before.
    pub signs_from: SystemTime,
}

impl StoredKey {
    /// A key of a ring.
    pub fn new(
        ring: impl Into<String>,
        number: u32,
        algorithm: Algorithm,
        pem: Secret,
        signs_from: SystemTime,
    ) -> Self {
        Self { ring: ring.into(), number, algorithm, pem, signs_from }
    }
}

/// Where signing keys live, so that they survive a restart and all machines have the same.
pub trait KeyStore: Send + Sync + 'static {
    /// The keys of a ring, by number.
    fn keys(&self, ring: &str) -> Stored<Vec<StoredKey>>;

    /// Keeps a key. `false`, and nothing changes, if the ring has one of that number: another machine was
    /// faster.
    fn add_key(&self, key: StoredKey) -> Stored<bool>;

    /// Removes the keys of a ring below this number: nothing that they signed is valid any more.
    fn remove_keys_below(&self, ring: &str, number: u32) -> Stored<()>;
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn keys(&self, ring: &str) -> Stored<Vec<StoredKey>> {
        (**self).keys(ring)
    }

    fn add_key(&self, key: StoredKey) -> Stored<bool> {
        (**self).add_key(key)
    }

    fn remove_keys_below(&self, ring: &str, number: u32) -> Stored<()> {
        (**self).remove_keys_below(ring, number)
    }
}

/// `KeyStore` stays dyn-safe.
const _: fn(&dyn KeyStore) = |_| {};
