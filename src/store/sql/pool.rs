//! Connections of either kind: one way to ask, with a deadline.
//!
//! A connection goes back to its pool only if all that it was asked was answered. Any other is dropped, and its
//! place is free at once: nobody waits for a network that swallows what it is sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::pool::PoolConnection;
#[cfg(feature = "postgres")]
use sqlx::{PgPool, Postgres, postgres::PgRow};
use sqlx::{Row as _, ValueRef as _};
#[cfg(feature = "sqlite")]
use sqlx::{Sqlite, SqlitePool, sqlite::SqliteRow};
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::unix_nanos;
use crate::error::BoxError;
use crate::flight::detached;
use crate::store::TokenDigest;

/// How long an operation waits for a connection. With [`STATEMENTS`], well below the 20 s that callers wait.
pub(super) const ACQUIRE: Duration = Duration::from_secs(3);
/// How long it then has for all of its statements.
const STATEMENTS: Duration = Duration::from_secs(5);
/// How long a connection has to show that it is alive.
pub(super) const PING: Duration = Duration::from_secs(1);

pub(super) enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
    /// SQLite has one writer at a time: who wants to write queues here, in order, not at the lock of the file.
    #[cfg(feature = "sqlite")]
    Sqlite { readers: SqlitePool, writer: SqlitePool },
}

impl Pool {
    pub(super) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "PostgreSQL",
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => "SQLite",
        }
    }

    /// For statements that change nothing.
    pub(super) async fn reader(&self) -> Result<Connection, BoxError> {
        let live = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.acquire().await.map(Live::Postgres),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { readers, .. } => readers.acquire().await.map(Live::Sqlite),
        };
        live.map(Connection::new).map_err(failure)
    }

    /// For one statement that changes something.
    pub(super) async fn writer(&self) -> Result<Connection, BoxError> {
        let live = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.acquire().await.map(Live::Postgres),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { writer, .. } => writer.acquire().await.map(Live::Sqlite),
        };
        live.map(Connection::new).map_err(failure)
    }

    /// For several: all or none of what they change, and it is durable, once there was a
    /// [`commit`](Connection::commit).
    pub(super) async fn transaction(&self) -> Result<Connection, BoxError> {
        let mut connection = self.writer().await?;
        connection.in_transaction = true;
        let begin = match connection.live {
            // Each statement sees what was committed before it began, whatever the server's default is: who
            // waited for the lock of a row must see what its holder did.
            #[cfg(feature = "postgres")]
            Some(Live::Postgres(_)) => "BEGIN ISOLATION LEVEL READ COMMITTED",
            // Takes the lock of the writer now: a transaction that has read cannot always get it later.
            _ => "BEGIN IMMEDIATE",
        };
        connection.execute(begin, &[]).await?;
        Ok(connection)
    }
}

/// A connection, for as long as one operation takes.
pub(super) struct Connection {
    live: Option<Live>,
    deadline: Instant,
    in_transaction: bool,
    /// Nothing that it was asked is unanswered.
    is_whole: bool,
}

enum Live {
    #[cfg(feature = "postgres")]
    Postgres(PoolConnection<Postgres>),
    #[cfg(feature = "sqlite")]
    Sqlite(PoolConnection<Sqlite>),
}

/// The same code for either kind of connection.
macro_rules! either {
    ($live:expr, $connection:ident => $body:expr) => {
        match $live {
            #[cfg(feature = "postgres")]
            Live::Postgres($connection) => $body,
            #[cfg(feature = "sqlite")]
            Live::Sqlite($connection) => $body,
        }
    };
}

macro_rules! query {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match *value {
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Int(int) => query.bind(int),
                Value::Text(text) => query.bind(text),
            };
        }
        query
    }};
}

impl Connection {
    fn new(live: Live) -> Self {
        let deadline = Instant::now() + STATEMENTS;
        Self { live: Some(live), deadline, in_transaction: false, is_whole: true }
    }

    /// How many rows it changed.
    pub(super) async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, BoxError> {
        self.ask(async |live| {
            either!(live, connection => {
                query!(sql, values).execute(&mut **connection).await.map(|done| done.rows_affected())
            })
        })
        .await
    }

    pub(super) async fn fetch(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, BoxError> {
        self.ask(async |live| {
            either!(live, connection => {
                let rows = query!(sql, values).fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::from).collect())
            })
        })
        .await
    }

    pub(super) async fn commit(&mut self) -> Result<(), BoxError> {
        self.execute("COMMIT", &[]).await?;
        self.in_transaction = false;
        self.is_whole = true;
        Ok(())
    }

    /// True for the kind of database that many machines share.
    #[cfg(feature = "postgres")]
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.live, Some(Live::Postgres(_)))
    }

    async fn ask<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Live) -> Result<T, sqlx::Error>,
    ) -> Result<T, BoxError> {
        let live = self.live.as_mut().ok_or("the connection is gone")?;
        self.is_whole = false;
        let answer = timeout_at(self.deadline, work(live)).await.map_err(|_| "the database took too long")?;
        // A refusal is an answer too.
        let answered = matches!(answer, Ok(_) | Err(sqlx::Error::Database(_)));
        self.is_whole = answered && !self.in_transaction;
        answer.map_err(failure)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(live) = self.live.take() else { return };
        either!(live, connection => {
            let mut connection = connection;
            if self.is_whole {
                // What the pool does by itself when it gets a connection back is to ping it, with no deadline.
                let back = connection.return_to_pool();
                drop(detached(async move { timeout(PING, back).await }));
            } else {
                drop(connection.detach());
            }
        });
    }
}

/// What stands in the place of a `$1`.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
    Text(Option<&'a str>),
}

impl<'a> From<&'a TokenDigest> for Value<'a> {
    fn from(digest: &'a TokenDigest) -> Self {
        Self::Bytes(Some(digest.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<SystemTime> for Value<'_> {
    fn from(time: SystemTime) -> Self {
        Self::Int(Some(micros(time)))
    }
}

/// Rounded down to microseconds since the epoch, as the database keeps them.
pub(super) fn micros(time: SystemTime) -> i64 {
    let micros = unix_nanos(time).div_euclid(1000);
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

pub(super) enum Row {
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
}

#[cfg(feature = "postgres")]
impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

macro_rules! get {
    ($row:expr, $column:expr) => {
        match $row {
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get($column),
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => row.try_get($column),
        }
        .map_err(failure)
    };
}

impl Row {
    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>, BoxError> {
        get!(self, column)
    }

    pub(super) fn digest(&self, column: &str) -> Result<TokenDigest, BoxError> {
        let bytes =
            self.bytes(column)?.try_into().map_err(|_| "a digest in the store is not 32 bytes long")?;
        Ok(TokenDigest::from_bytes(bytes))
    }

    pub(super) fn int(&self, column: &str) -> Result<i64, BoxError> {
        get!(self, column)
    }

    pub(super) fn text(&self, column: &str) -> Result<String, BoxError> {
        get!(self, column)
    }

    pub(super) fn time(&self, column: &str) -> Result<SystemTime, BoxError> {
        let micros = self.int(column)?;
        let distance = Duration::from_micros(micros.unsigned_abs());
        let time =
            if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.ok_or_else(|| "a time in the store is out of range".into())
    }

    /// What `read` finds there, if there is something.
    pub(super) fn maybe<T>(
        &self,
        column: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, BoxError>,
    ) -> Result<Option<T>, BoxError> {
        let is_null = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get_raw(column).map(|value| value.is_null()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get_raw(column).map(|value| value.is_null()),
        };
        if is_null.map_err(failure)? { Ok(None) } else { read(self, column).map(Some) }
    }
}

/// The words alone: what else a database says, such as the row that it refuses, may be secret.
pub(super) fn failure(error: sqlx::Error) -> BoxError {
    match error {
        sqlx::Error::Database(error) => format!("the database refused: {}", error.message()).into(),
        error => format!("the database did not answer: {error}").into(),
    }
}
