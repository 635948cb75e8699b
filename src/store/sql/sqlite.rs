//! How a file of SQLite is opened.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::{Instant, sleep};

use super::pool::{ACQUIRE, Pool, failure};
use super::unusable;
use crate::error::ConfigError;

/// How long to wait while another process holds the lock of the file.
const BUSY: Duration = Duration::from_secs(5);
/// Enough to keep two cores busy; each is a thread.
const READERS: u32 = 4;
/// Of each connection, in KiB: the inner pages of the indexes of a million tokens, several times over.
const CACHE: &str = "-16384";

/// A writer, which has the file by then, and readers.
pub(super) async fn open(path: &str) -> Result<Pool, ConfigError> {
    if path.is_empty() || path.contains('?') || path.starts_with("file:") || path.starts_with(':') {
        return Err(ConfigError::new("url", "expected the path of a file after sqlite:"));
    }
    create(path).map_err(|error| unusable(error.into()))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is on the disk, not only in the order of things; on Apple's systems as well.
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "1")
        .busy_timeout(BUSY)
        .pragma("cache_size", CACHE)
        .disable_statement_logging();
    let pool = |size| {
        let pool = SqlitePoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE);
        // A file does not go away like a peer; a connection to it is kept.
        pool.test_before_acquire(false).idle_timeout(None).max_lifetime(None)
    };
    let writer = pool(1).connect_lazy_with(options.clone());
    let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "1"));
    let given_up = Instant::now() + BUSY;
    // The first to open a new file turns its journal to WAL. For that lock, SQLite does not wait by itself.
    while let Err(error) = writer.acquire().await {
        if !is_busy(&error) || Instant::now() > given_up {
            return Err(unusable(failure(error)));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(Pool::Sqlite { readers, writer })
}

/// The file has keys in it: it is for its owner alone.
fn create(path: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// SQLITE_BUSY, in the low byte of its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}
