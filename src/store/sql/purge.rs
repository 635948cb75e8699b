//! Forgetting what no longer matters.

use std::time::{Duration, SystemTime};

use super::pool::{Pool, Row};
use super::{SqlStore, refresh};
use crate::error::BoxError;
use crate::store::Stored;

/// The clocks of the machines that share a store differ by less.
const MARGIN: Duration = Duration::from_secs(24 * 60 * 60);
/// How many rows one transaction removes: others wait for it only shortly.
const AT_ONCE: i64 = 1000;

/// What expired before `$1`, `$2` rows at a time. The condition stands twice so that a row counts as it is
/// when it is removed, not as it was when it was found.
const EXPIRED: [&str; 3] = [
    "DELETE FROM bearer_revoked WHERE void_until < $1 AND digest IN
        (SELECT digest FROM bearer_revoked WHERE void_until < $1 ORDER BY void_until LIMIT $2)",
    "DELETE FROM bearer_used WHERE void_until < $1 AND digest IN
        (SELECT digest FROM bearer_used WHERE void_until < $1 ORDER BY void_until LIMIT $2)",
    "DELETE FROM bearer_tokens WHERE expires_at < $1 AND revoked_at IS NOT NULL AND digest IN
        (SELECT digest FROM bearer_tokens WHERE expires_at < $1 AND revoked_at IS NOT NULL
        ORDER BY expires_at LIMIT $2)",
];
const GRANTS: &str = "DELETE FROM bearer_grants WHERE expires_at < $1 AND grant_id IN
    (SELECT grant_id FROM bearer_grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)
    RETURNING grant_id";

impl SqlStore {
    /// Removes what no longer matters at this time, and says how many rows that were. Call it once an hour
    /// or a day, on one machine or on all.
    ///
    /// What goes has expired at least a day before, so that machines need not agree on the time: revocations and
    /// things used once, personal tokens that were revoked, and grants with all of their refresh tokens, spent or
    /// not, once the last of them has expired. Personal tokens that merely expired stay: their owners see them.
    pub fn purge(&self, now: SystemTime) -> Stored<u64> {
        self.ask(|shared| async move {
            let Some(before) = now.checked_sub(MARGIN) else { return Ok(0) };
            let mut removed = 0;
            for sql in EXPIRED {
                loop {
                    let values = [before.into(), AT_ONCE.into()];
                    let rows = shared.pool.writer().await?.execute(sql, &values).await?;
                    removed += rows;
                    if rows < AT_ONCE as u64 {
                        break;
                    }
                }
            }
            loop {
                let rows = purge_grants(&shared.pool, before).await?;
                removed += rows;
                if rows < AT_ONCE as u64 {
                    return Ok(removed);
                }
            }
        })
    }
}

async fn purge_grants(pool: &Pool, before: SystemTime) -> Result<u64, BoxError> {
    let mut connection = pool.transaction().await?;
    let grants = connection.fetch(GRANTS, &[before.into(), AT_ONCE.into()]).await?;
    let mut removed = grants.len() as u64;
    for grant in grants.iter().map(|row: &Row| row.text("grant_id")) {
        removed += connection.execute(refresh::END, &[(&grant?).into()]).await?;
    }
    connection.commit().await?;
    Ok(removed)
}
