//! How a PostgreSQL server is reached.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Executor};
use tokio::time::timeout;

use super::pool::{ACQUIRE, PING, Pool};
use crate::error::ConfigError;

/// Of one process: a server allows a hundred unless told otherwise.
const CONNECTIONS: u32 = 16;

/// The server gives up what we gave up, and notices a client that is gone, with the locks it holds: its own
/// default for that is two hours.
const SESSION: &str = "SET statement_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3";

/// Connects when it is first asked.
pub(super) fn open(url: &str) -> Result<(Pool, PgConnectOptions), ConfigError> {
    let options = url.parse::<PgConnectOptions>();
    // The error underneath may quote the URL.
    let options = options
        .map_err(|_| ConfigError::new("url", "expected postgres://user:password@host:port/database"))?
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // Below, with a deadline that leaves time for a new connection.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_alive(connection)))
        .after_connect(|connection, _| Box::pin(async { connection.execute(SESSION).await.map(drop) }))
        .connect_lazy_with(options.clone());
    Ok((Pool::Postgres(pool), options))
}

async fn is_alive(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    timeout(PING, connection.ping()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
}
