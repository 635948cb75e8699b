//! Refresh tokens.
//!
//! Whoever changes a grant begins by writing to its one row in `bearer_grants`: so changes of one grant come one
//! after the other, and none can add a token to a grant that another is ending.

use std::time::SystemTime;

use super::pool::{Connection, Row};
use super::{SqlStore, names, revocations};
use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::scope::Scopes;
use crate::store::{RefreshGrant, RefreshStore, Rotation, Stored, TokenDigest};

const INSERT_GRANT: &str =
    "INSERT INTO bearer_grants (grant_id, client_id, subject, scopes, expires_at, system)
    VALUES ($1, $2, $3, $4, $5, $6)";
const INSERT: &str =
    "INSERT INTO bearer_refresh (digest, grant_id, expires_at, spent) VALUES ($1, $2, $3, 0)";
const FIND: &str = "SELECT g.grant_id, g.system, g.client_id, g.subject, g.scopes, r.expires_at, r.spent
    FROM bearer_refresh r JOIN bearer_grants g ON g.grant_id = r.grant_id WHERE r.digest = $1";
/// A grant lives as long as the last of its tokens.
const PROLONG: &str = "UPDATE bearer_grants
    SET expires_at = CASE WHEN expires_at < $2 THEN $2 ELSE expires_at END
    WHERE grant_id = (SELECT grant_id FROM bearer_refresh WHERE digest = $1) RETURNING grant_id";
const SPEND: &str = "UPDATE bearer_refresh SET spent = 1 WHERE digest = $1 AND spent = 0";
const END_GRANT: &str = "DELETE FROM bearer_grants WHERE grant_id = $1";
pub(super) const END: &str = "DELETE FROM bearer_refresh WHERE grant_id = $1";

impl RefreshStore for SqlStore {
    fn begin(&self, digest: TokenDigest, grant: RefreshGrant) -> Stored<()> {
        self.ask(|shared| async move {
            names::keep(&[&grant.grant_id, &grant.system, &grant.client_id, &grant.subject])?;
            let (id, scopes) = (&grant.grant_id, grant.scopes.to_string());
            let mut connection = shared.pool.transaction().await?;
            let values = [
                id.into(),
                (&grant.client_id).into(),
                (&grant.subject).into(),
                (&scopes).into(),
                grant.expires_at.into(),
                (&grant.system).into(),
            ];
            connection.execute(INSERT_GRANT, &values).await?;
            connection.execute(INSERT, &[(&digest).into(), id.into(), grant.expires_at.into()]).await?;
            connection.commit().await
        })
    }

    fn find(&self, digest: TokenDigest) -> Stored<Option<RefreshGrant>> {
        self.ask(|shared| async move {
            let rows = shared.pool.reader().await?.fetch(FIND, &[(&digest).into()]).await?;
            rows.first().map(grant).transpose()
        })
    }

    fn rotate(
        &self,
        spent: TokenDigest,
        successor: TokenDigest,
        expires_at: SystemTime,
        void_until: SystemTime,
    ) -> Stored<Rotation> {
        self.ask(|shared| async move {
            let mut connection = shared.pool.transaction().await?;
            let rows = connection.fetch(PROLONG, &[(&spent).into(), expires_at.into()]).await?;
            let Some(row) = rows.first() else {
                connection.commit().await?;
                return Ok(Rotation::Unknown);
            };
            let id = row.text("grant_id")?;
            if connection.execute(SPEND, &[(&spent).into()]).await? == 1 {
                let values = [(&successor).into(), (&id).into(), expires_at.into()];
                connection.execute(INSERT, &values).await?;
                connection.commit().await?;
                return Ok(Rotation::Rotated);
            }
            let digest = end(&mut connection, &id, void_until).await?;
            let committed = connection.commit().await;
            // If that failed, it may have been done all the same.
            shared.revocations.announce(digest);
            committed.map(|()| Rotation::Reused)
        })
    }

    fn end(&self, grant_id: &str, void_until: SystemTime) -> Stored<()> {
        let id = grant_id.to_owned();
        if !names::can_be_kept(grant_id) {
            return Eventual::now(Err("a name must not have a zero byte".into()));
        }
        self.ask(|shared| async move {
            let mut connection = shared.pool.transaction().await?;
            let digest = end(&mut connection, &id, void_until).await?;
            let committed = connection.commit().await;
            shared.revocations.announce(digest);
            committed
        })
    }
}

async fn end(
    connection: &mut Connection,
    grant_id: &str,
    void_until: SystemTime,
) -> Result<TokenDigest, BoxError> {
    let digest = RefreshGrant::digest_of(grant_id)?;
    connection.execute(END_GRANT, &[grant_id.into()]).await?;
    connection.execute(END, &[grant_id.into()]).await?;
    revocations::write(connection, digest, void_until).await?;
    Ok(digest)
}

fn grant(row: &Row) -> Result<RefreshGrant, BoxError> {
    Ok(RefreshGrant {
        grant_id: row.text("grant_id")?,
        system: row.text("system")?,
        client_id: row.text("client_id")?,
        subject: row.text("subject")?,
        scopes: Scopes::parse(&row.text("scopes")?)?,
        expires_at: row.time("expires_at")?,
        spent: row.int("spent")? != 0,
    })
}
