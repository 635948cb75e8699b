//! The tables, and how a database gets them.

use super::pool::{Connection, Pool, Row};
use crate::error::BoxError;

/// One lock for all that migrate the same database; any number, as long as nobody else uses it.
#[cfg(feature = "postgres")]
const LOCK: &str = "SELECT pg_advisory_xact_lock(8358680908399640433)";
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS bearer_schema (version BIGINT NOT NULL PRIMARY KEY)";
const CURRENT: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM bearer_schema";
const ADD_VERSION: &str = "INSERT INTO bearer_schema (version) VALUES ($1)";

/// What each version adds to the one before it. A version that was released never changes.
///
/// Times are microseconds since the Unix epoch, truth values 0 and 1, digests 32 bytes. A digest is the key
/// of its table: to find one is a walk down one index.
const VERSION: [&[&str]; 1] = [&[
    "CREATE TABLE bearer_tokens (
        digest BYTEA NOT NULL PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        last_used BIGINT,
        revoked_at BIGINT
    )",
    "CREATE INDEX bearer_tokens_by_owner ON bearer_tokens (owner)",
    "CREATE INDEX bearer_tokens_by_revocation ON bearer_tokens (expires_at) WHERE revoked_at IS NOT NULL",
    "CREATE TABLE bearer_clients (
        id TEXT NOT NULL,
        system TEXT NOT NULL,
        subject TEXT NOT NULL,
        scopes TEXT NOT NULL,
        secret BYTEA,
        secret_digest BYTEA,
        is_password BIGINT NOT NULL,
        jwks TEXT,
        PRIMARY KEY (id, system)
    )",
    "CREATE INDEX bearer_clients_by_digest ON bearer_clients (secret_digest)",
    "CREATE TABLE bearer_grants (
        grant_id TEXT NOT NULL PRIMARY KEY,
        system TEXT NOT NULL,
        client_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        scopes TEXT NOT NULL,
        expires_at BIGINT NOT NULL
    )",
    "CREATE INDEX bearer_grants_by_expiry ON bearer_grants (expires_at)",
    "CREATE TABLE bearer_refresh (
        digest BYTEA NOT NULL PRIMARY KEY,
        grant_id TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        spent BIGINT NOT NULL
    )",
    "CREATE INDEX bearer_refresh_by_grant ON bearer_refresh (grant_id)",
    "CREATE TABLE bearer_revoked (digest BYTEA NOT NULL PRIMARY KEY, void_until BIGINT NOT NULL)",
    "CREATE INDEX bearer_revoked_by_end ON bearer_revoked (void_until)",
    "CREATE TABLE bearer_used (digest BYTEA NOT NULL PRIMARY KEY, void_until BIGINT NOT NULL)",
    "CREATE INDEX bearer_used_by_end ON bearer_used (void_until)",
    "CREATE TABLE bearer_keys (
        ring TEXT NOT NULL,
        number BIGINT NOT NULL,
        algorithm TEXT NOT NULL,
        pem BYTEA NOT NULL,
        signs_from BIGINT NOT NULL,
        PRIMARY KEY (ring, number)
    )",
]];

/// Brings the database to the last version, all of the way or not at all. Of several processes that start at
/// once, one does it and the others wait; where it was done, only reading is needed.
pub(super) async fn migrate(pool: &Pool) -> Result<(), BoxError> {
    let current = async { version(&mut pool.reader().await?).await }.await;
    // An error here is most likely that there is no table yet; any other comes again below.
    if current.is_ok_and(|version| version == VERSION.len()) {
        return Ok(());
    }
    let mut connection = pool.transaction().await?;
    #[cfg(feature = "postgres")]
    if connection.is_shared() {
        connection.fetch(LOCK, &[]).await?;
    }
    connection.execute(VERSIONS, &[]).await?;
    let from = version(&mut connection).await?;
    let missing = VERSION.get(from..).ok_or("its tables are of a later version of this crate")?;
    for (number, statements) in (from + 1..).zip(missing) {
        for statement in *statements {
            connection.execute(statement, &[]).await?;
        }
        connection.execute(ADD_VERSION, &[(number as i64).into()]).await?;
    }
    connection.commit().await
}

async fn version(connection: &mut Connection) -> Result<usize, BoxError> {
    let rows = connection.fetch(CURRENT, &[]).await?;
    let version = rows.first().map_or(Ok(0), |row: &Row| row.int("version"))?;
    usize::try_from(version).map_err(|_| "its tables have no version".into())
}
