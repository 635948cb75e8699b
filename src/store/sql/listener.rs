//! Hears what other machines revoke.

use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::pool::{ACQUIRE, Connection, failure};
use crate::error::BoxError;
use crate::flight::Background;
use crate::store::{Revocations, TokenDigest};

const CHANNEL: &str = "tower_bearer_revoked";
const NOTIFY: &str = "SELECT pg_notify('tower_bearer_revoked', $1)";
/// After so long without news, the connection has to show that it is alive, and has this long for it.
const QUIET: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(3);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tells all machines, once the transaction is committed.
pub(super) async fn notify(connection: &mut Connection, digest: TokenDigest) -> Result<(), BoxError> {
    let payload = to_hex(digest);
    connection.execute(NOTIFY, &[(&payload).into()]).await.map(drop)
}

/// Announces all that is revoked from the moment this answers, for as long as the handle lives.
pub(super) async fn begin(
    options: PgConnectOptions,
    revocations: Revocations,
) -> Result<Background, BoxError> {
    let first = listen(&options).await?;
    let work = async move {
        let mut listener = first;
        loop {
            hear(listener, &revocations).await;
            listener = listen_again(&options).await;
            // News may have been missed meanwhile.
            revocations.forget_all();
        }
    };
    Background::begin(work).ok_or_else(|| "there is no runtime".into())
}

/// Until the connection is lost.
async fn hear(mut listener: PgListener, revocations: &Revocations) {
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(news))) => announce(&news, revocations),
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => match timeout(HEARTBEAT, listener.execute("SELECT 1")).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

fn announce(news: &PgNotification, revocations: &Revocations) {
    match from_hex(news.payload()) {
        Some(digest) => revocations.announce(digest),
        // News of another kind, from a later version perhaps.
        None => revocations.forget_all(),
    }
}

async fn listen_again(options: &PgConnectOptions) -> PgListener {
    let mut pause = SHORTEST_PAUSE;
    loop {
        sleep(pause).await;
        if let Ok(listener) = listen(options).await {
            return listener;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// A connection of its own, each time: what is wrong with the last one stays with it.
async fn listen(options: &PgConnectOptions) -> Result<PgListener, BoxError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await.map_err(failure)?;
    // A lost connection is for us to replace, so that we know.
    listener.eager_reconnect(false);
    let listening = timeout(ACQUIRE, listener.listen(CHANNEL)).await;
    listening.map_err(|_| "the database took too long")?.map_err(failure)?;
    Ok(listener)
}

fn to_hex(digest: TokenDigest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<TokenDigest> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, index) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[index..index + 2], 16).ok()?;
    }
    Some(TokenDigest::from_bytes(digest))
}

#[cfg(test)]
mod tests {
    use super::{TokenDigest, from_hex, to_hex};

    #[test]
    fn what_is_told_is_heard_and_nothing_else() {
        let digest = TokenDigest::from_bytes(std::array::from_fn(|byte| 7 * byte as u8 + 3));
        assert_eq!(from_hex(&to_hex(digest)), Some(digest));
        for other in ["", "00", &"0".repeat(63), &"0".repeat(65), &"+1".repeat(32), &"ß".repeat(32)] {
            assert_eq!(from_hex(other), None, "{other:?}");
        }
    }
}
