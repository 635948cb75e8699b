//! Personal access tokens. One that was revoked stays, so that it can never be kept again.

use std::time::SystemTime;

use super::pool::{Row, Value, micros};
use super::{SqlStore, names, revocations};
use crate::clock::{Clock, SystemClock};
use crate::error::BoxError;
use crate::eventual::Eventual;
use crate::scope::Scopes;
use crate::store::{LAST_USED_RESOLUTION, PersonalToken, Revocations, Stored, TokenDigest, TokenStore};

const FIND: &str = "SELECT id, owner, name, scopes, created_by, created_at, expires_at, last_used
    FROM bearer_tokens WHERE digest = $1 AND revoked_at IS NULL";
const LIST: &str = "SELECT id, owner, name, scopes, created_by, created_at, expires_at, last_used
    FROM bearer_tokens WHERE owner = $1 AND revoked_at IS NULL";
const INSERT: &str = "INSERT INTO bearer_tokens
    (digest, id, owner, name, scopes, created_by, created_at, expires_at, last_used)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const REVOKE: &str = "UPDATE bearer_tokens SET revoked_at = $3
    WHERE id = $1 AND owner = $2 AND revoked_at IS NULL RETURNING digest";
const TOUCH: &str = "UPDATE bearer_tokens SET last_used = $2
    WHERE id = $1 AND revoked_at IS NULL AND (last_used IS NULL OR last_used <= $3)";

impl TokenStore for SqlStore {
    fn find(&self, digest: TokenDigest) -> Stored<Option<PersonalToken>> {
        self.ask(|shared| async move {
            let rows = shared.pool.reader().await?.fetch(FIND, &[(&digest).into()]).await?;
            rows.first().map(token).transpose()
        })
    }

    fn insert(&self, digest: TokenDigest, token: PersonalToken) -> Stored<()> {
        self.ask(|shared| async move {
            names::keep(&[&token.id, &token.owner, &token.name, &token.created_by])?;
            let scopes = token.scopes.to_string();
            let values = [
                (&digest).into(),
                (&token.id).into(),
                (&token.owner).into(),
                (&token.name).into(),
                (&scopes).into(),
                (&token.created_by).into(),
                token.created_at.into(),
                token.expires_at.into(),
                Value::Int(token.last_used.map(micros)),
            ];
            shared.pool.writer().await?.execute(INSERT, &values).await?;
            Ok(())
        })
    }

    fn list(&self, owner: &str) -> Stored<Vec<PersonalToken>> {
        if !names::can_be_kept(owner) {
            return Eventual::now(Ok(Vec::new()));
        }
        let owner = owner.to_owned();
        self.ask(|shared| async move {
            let rows = shared.pool.reader().await?.fetch(LIST, &[(&owner).into()]).await?;
            let mut list = rows.iter().map(token).collect::<Result<Vec<_>, _>>()?;
            // Here, since databases differ in how they order text.
            list.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            Ok(list)
        })
    }

    fn revoke(&self, owner: &str, id: &str) -> Stored<bool> {
        if !names::can_be_kept(owner) || !names::can_be_kept(id) {
            return Eventual::now(Ok(false));
        }
        let (owner, id) = (owner.to_owned(), id.to_owned());
        self.ask(|shared| async move {
            let mut connection = shared.pool.transaction().await?;
            let values = [(&id).into(), (&owner).into(), SystemClock::new().now().into()];
            let rows = connection.fetch(REVOKE, &values).await?;
            let Some(row) = rows.first() else {
                connection.commit().await?;
                return Ok(false);
            };
            let digest = row.digest("digest")?;
            revocations::tell(&mut connection, digest).await?;
            let committed = connection.commit().await;
            // If that failed, it may have been done all the same.
            shared.revocations.announce(digest);
            committed.map(|()| true)
        })
    }

    fn touch(&self, id: &str, at: SystemTime) -> Stored<()> {
        if !names::can_be_kept(id) {
            return Eventual::now(Ok(()));
        }
        let id = id.to_owned();
        self.ask(|shared| async move {
            let due = micros(at).saturating_sub(LAST_USED_RESOLUTION.as_micros() as i64);
            let values = [(&id).into(), at.into(), due.into()];
            shared.pool.writer().await?.execute(TOUCH, &values).await?;
            Ok(())
        })
    }

    fn revocations(&self) -> Revocations {
        self.shared.revocations.clone()
    }
}

fn token(row: &Row) -> Result<PersonalToken, BoxError> {
    Ok(PersonalToken {
        id: row.text("id")?,
        owner: row.text("owner")?,
        name: row.text("name")?,
        scopes: Scopes::parse(&row.text("scopes")?)?,
        created_by: row.text("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        last_used: row.maybe("last_used", Row::time)?,
    })
}
