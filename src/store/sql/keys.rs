//! Signing keys.

use super::pool::Row;
use super::{SqlStore, names};
use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::secret::Secret;
use crate::store::{KeyStore, Stored, StoredKey};

const KEYS: &str =
    "SELECT ring, number, algorithm, pem, signs_from FROM bearer_keys WHERE ring = $1 ORDER BY number";
const ADD: &str = "INSERT INTO bearer_keys (ring, number, algorithm, pem, signs_from)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (ring, number) DO NOTHING";
const REMOVE_BELOW: &str = "DELETE FROM bearer_keys WHERE ring = $1 AND number < $2";

impl KeyStore for SqlStore {
    fn keys(&self, ring: &str) -> Stored<Vec<StoredKey>> {
        if !names::can_be_kept(ring) {
            return Eventual::now(Ok(Vec::new()));
        }
        let ring = ring.to_owned();
        self.ask(|shared| async move {
            let rows = shared.pool.reader().await?.fetch(KEYS, &[(&ring).into()]).await?;
            rows.iter().map(key).collect()
        })
    }

    fn add_key(&self, key: StoredKey) -> Stored<bool> {
        self.ask(|shared| async move {
            names::keep(&[&key.ring])?;
            let values = [
                (&key.ring).into(),
                i64::from(key.number).into(),
                key.algorithm.name().into(),
                key.pem.expose().into(),
                key.signs_from.into(),
            ];
            Ok(shared.pool.writer().await?.execute(ADD, &values).await? == 1)
        })
    }

    fn remove_keys_below(&self, ring: &str, number: u32) -> Stored<()> {
        if !names::can_be_kept(ring) {
            return Eventual::now(Ok(()));
        }
        let ring = ring.to_owned();
        self.ask(|shared| async move {
            let values = [(&ring).into(), i64::from(number).into()];
            shared.pool.writer().await?.execute(REMOVE_BELOW, &values).await?;
            Ok(())
        })
    }
}

fn key(row: &Row) -> Result<StoredKey, BoxError> {
    let number = u32::try_from(row.int("number")?).map_err(|_| "the number of a key in the store is none")?;
    Ok(StoredKey {
        ring: row.text("ring")?,
        number,
        algorithm: row.text("algorithm")?.parse()?,
        pem: Secret::new(row.bytes("pem")?),
        signs_from: row.time("signs_from")?,
    })
}
