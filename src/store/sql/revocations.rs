//! What is void, and what was used.

use std::time::SystemTime;

use super::SqlStore;
use super::pool::Connection;
use crate::error::BoxError;
use crate::store::{RevocationStore, Revocations, Stored, TokenDigest};

/// A second revocation never shortens the first.
const REVOKE: &str = "INSERT INTO bearer_revoked (digest, void_until) VALUES ($1, $2)
    ON CONFLICT (digest) DO UPDATE SET void_until =
    CASE WHEN bearer_revoked.void_until < excluded.void_until THEN excluded.void_until
    ELSE bearer_revoked.void_until END";
const IS_REVOKED: &str = "SELECT digest FROM bearer_revoked WHERE digest IN ($1, $2)";
const USE_ONCE: &str =
    "INSERT INTO bearer_used (digest, void_until) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";

impl RevocationStore for SqlStore {
    fn revoke(&self, digest: TokenDigest, until: SystemTime) -> Stored<()> {
        self.ask(|shared| async move {
            let mut connection = shared.pool.transaction().await?;
            write(&mut connection, digest, until).await?;
            let committed = connection.commit().await;
            // If that failed, it may have been done all the same.
            shared.revocations.announce(digest);
            committed
        })
    }

    fn is_revoked(&self, digests: Vec<TokenDigest>) -> Stored<bool> {
        self.ask(|shared| async move {
            let mut connection = shared.pool.reader().await?;
            // A token, and the grant that it came of: most ask about one or two.
            for pair in digests.chunks(2) {
                let values = [(&pair[0]).into(), (&pair[pair.len() - 1]).into()];
                if !connection.fetch(IS_REVOKED, &values).await?.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn use_once(&self, digest: TokenDigest, until: SystemTime) -> Stored<bool> {
        self.ask(|shared| async move {
            let values = [(&digest).into(), until.into()];
            Ok(shared.pool.writer().await?.execute(USE_ONCE, &values).await? == 1)
        })
    }

    fn revocations(&self) -> Revocations {
        self.shared.revocations.clone()
    }
}

/// Writes it, for the other machines too; the caller commits and announces.
pub(super) async fn write(
    connection: &mut Connection,
    digest: TokenDigest,
    until: SystemTime,
) -> Result<(), BoxError> {
    connection.execute(REVOKE, &[(&digest).into(), until.into()]).await?;
    tell(connection, digest).await
}

/// Tells the other machines, where there may be some, once this is committed.
pub(super) async fn tell(connection: &mut Connection, digest: TokenDigest) -> Result<(), BoxError> {
    #[cfg(feature = "postgres")]
    if connection.is_shared() {
        return super::listener::notify(connection, digest).await;
    }
    let _ = (connection, digest);
    Ok(())
}
