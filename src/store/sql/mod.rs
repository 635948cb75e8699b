//! The store that lasts: one schema, and one text of each statement, for SQLite and PostgreSQL.

mod clients;
mod keys;
#[cfg(feature = "postgres")]
mod listener;
mod names;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod purge;
mod refresh;
mod revocations;
mod schema;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tokens;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::pool::Pool;
use super::{Revocations, Stored};
use crate::error::{BoxError, ConfigError};
use crate::eventual::Eventual;
#[cfg(feature = "postgres")]
use crate::flight::Background;
use crate::flight::detached;

/// A store in a database: a file of SQLite, for one machine, or PostgreSQL, for many. A clone is the same store.
///
/// - What it says it keeps is on the disk when it says so. What takes several statements is one transaction.
/// - What was begun is done: a caller who goes away leaves nothing half written.
/// - An operation ends within 8 s: it waits 3 s for a connection and then 5 s for all of its statements. A
///   connection that does not answer is dropped, and another takes its place.
/// - After an error, a change may have been made or not. A revocation whose commit was not answered is announced
///   all the same.
/// - On PostgreSQL, each machine hears what another revoked, as soon as that is committed. A machine that lost
///   the connection on which it hears notices within 5 s, and its remembered answers are void
///   ([`Revocations::forget_all`]) when it hears again, since it may have missed news; until then, they count
///   no longer than whoever remembers them said. Processes that share one file of SQLite do not hear of each
///   other.
/// - Times are kept to the microsecond, rounded down.
/// - A name with a zero byte is never kept, and never found.
/// - Nothing is forgotten by itself: see [`purge`](Self::purge).
///
/// ```
/// # #[cfg(all(feature = "sqlite", feature = "aws-lc-rs"))] {
/// use std::time::{Duration, UNIX_EPOCH};
/// use tower_bearer::store::{PersonalToken, SqlStore, TokenDigest, TokenStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let file = std::env::temp_dir().join(format!("tower-bearer-{}.db", std::process::id()));
/// # let file = file.display();
/// let store = SqlStore::open(&format!("sqlite:{file}")).await?;
/// let digest = TokenDigest::of("nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr")?;
/// let day = Duration::from_secs(24 * 60 * 60);
/// store.insert(digest, PersonalToken::new("t1", "alice", "ci", UNIX_EPOCH, UNIX_EPOCH + day)).await?;
///
/// let reopened = SqlStore::open(&format!("sqlite:{file}")).await?;
/// assert_eq!(TokenStore::find(&reopened, digest).await?.unwrap().owner, "alice");
/// # for end in ["", "-wal", "-shm"] { let _ = std::fs::remove_file(format!("{file}{end}")); }
///
/// assert_eq!(SqlStore::open("mysql://localhost").await.unwrap_err().field(), "url");
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct SqlStore {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    revocations: Revocations,
    /// A password hash was seen.
    passwords: AtomicBool,
    #[cfg(feature = "postgres")]
    _listener: Option<Background>,
}

impl SqlStore {
    /// Opens a database, and brings its tables to the version of this crate: also where several processes
    /// start at once. Where the tables are there, no right to make any is needed.
    ///
    /// - `sqlite:PATH` or `sqlite://PATH`: a file, which is made if it is missing, on Unix for its owner alone.
    ///   Everything after the scheme is the path; there are no parameters. The files `PATH-wal` and `PATH-shm`
    ///   belong to it: what was written last is in them, so a copy of `PATH` alone is no backup.
    /// - `postgres://user:password@host:port/database`, or `postgresql://…`: the tables go to the first schema of
    ///   the user's search path. TLS is as `sslmode` says; `prefer` is its default, `verify-full` the one to use
    ///   across a network. Revocations are heard with `LISTEN`, which needs a session of its own: a pooler in
    ///   between must not share it.
    ///
    /// # Errors
    ///
    /// When the URL is of neither form, the feature for it is off, the database does not answer, its tables are
    /// of a later version, or there is no tokio runtime. No error repeats the URL.
    pub async fn open(url: &str) -> Result<Self, ConfigError> {
        match url.split_once(':') {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", path)) => Self::open_sqlite(path.strip_prefix("//").unwrap_or(path)).await,
            #[cfg(not(feature = "sqlite"))]
            Some(("sqlite", _)) => Err(ConfigError::new("url", "expected the feature `sqlite` to be on")),
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => Self::open_postgres(url).await,
            #[cfg(not(feature = "postgres"))]
            Some(("postgres" | "postgresql", _)) => {
                Err(ConfigError::new("url", "expected the feature `postgres` to be on"))
            }
            _ => Err(ConfigError::new("url", "expected sqlite:PATH or postgres://…")),
        }
    }

    #[cfg(feature = "sqlite")]
    async fn open_sqlite(path: &str) -> Result<Self, ConfigError> {
        let pool = sqlite::open(path).await?;
        Self::new(Shared {
            pool,
            revocations: Revocations::new(),
            passwords: AtomicBool::new(false),
            #[cfg(feature = "postgres")]
            _listener: None,
        })
        .await
    }

    #[cfg(feature = "postgres")]
    async fn open_postgres(url: &str) -> Result<Self, ConfigError> {
        let (pool, options) = postgres::open(url)?;
        let revocations = Revocations::new();
        let listener = listener::begin(options, revocations.clone()).await.map_err(unusable)?;
        let passwords = AtomicBool::new(false);
        Self::new(Shared { pool, revocations, passwords, _listener: Some(listener) }).await
    }

    async fn new(shared: Shared) -> Result<Self, ConfigError> {
        schema::migrate(&shared.pool).await.map_err(unusable)?;
        shared.look_for_passwords().await.map_err(unusable)?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins some work now; it goes on whether or not somebody waits.
    fn ask<T, F>(&self, work: impl FnOnce(Arc<Shared>) -> F) -> Stored<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BoxError>> + Send + 'static,
    {
        let answer = detached(work(Arc::clone(&self.shared)));
        Eventual::later(async move { answer.await.unwrap_or_else(|| Err("the call was given up".into())) })
    }
}

fn unusable(error: BoxError) -> ConfigError {
    ConfigError::new("url", "the database cannot be opened").with_source(error)
}

/// Which kind it is; a URL may have a password.
impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("database", &self.shared.pool.name()).finish_non_exhaustive()
    }
}
