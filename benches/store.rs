//! Personal access tokens, looked up each time: what a request costs with few tokens in the store and with
//! many, in a file of SQLite and, where TOWER_BEARER_POSTGRES names a server, on PostgreSQL.
//!
//! Prints ratios of one run; `--test` makes it short.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{Connection, SqliteConnection};
use tokio::time::Instant;
use tower_bearer::pat::PatFormat;
use tower_bearer::store::{SqlStore, TokenDigest, TokenStore};
use tower_bearer::verify::{PatVerifier, Verify};
use tower_bearer::{Credential, Scheme};

/// Rows of one statement.
const CHUNK: usize = 1000;
/// All tokens were made, and used, at this time: no use is to be written down.
const NOW: SystemTime = UNIX_EPOCH;
const LIFETIME: Duration = Duration::from_secs(3600);

/// A verifier over so many tokens.
struct World {
    verifier: PatVerifier,
    tokens: Vec<String>,
    /// Where the next look goes; see [`World::look`].
    at: usize,
    durations: Vec<Duration>,
}

impl World {
    fn new(store: impl TokenStore, tokens: Vec<String>) -> Self {
        let verifier = PatVerifier::new(PatFormat::netbird(), store).with_clock(|| NOW).expect("a verifier");
        Self { verifier, tokens, at: 0, durations: Vec::new() }
    }

    async fn look(&mut self, count: usize) {
        for _ in 0..count {
            // Far from the last one.
            self.at = (self.at + 611_953) % self.tokens.len();
            let credential = Credential::new(Scheme::Token, self.tokens[self.at].as_str());
            let before = Instant::now();
            let verdict = self.verifier.verify(&credential).await;
            self.durations.push(before.elapsed());
            assert!(verdict.is_ok());
        }
    }

    fn median(&mut self) -> Duration {
        self.durations.sort_unstable();
        self.durations[self.durations.len() / 2]
    }

    fn p99(&mut self) -> Duration {
        self.durations.sort_unstable();
        self.durations[self.durations.len() * 99 / 100]
    }
}

/// The worlds in turn, so that all have the same weather.
async fn compare(kind: &str, mut worlds: Vec<World>, rounds: usize) {
    for world in &mut worlds {
        world.look(CHUNK).await;
        world.durations.clear();
    }
    for _ in 0..rounds {
        for world in &mut worlds {
            world.look(100).await;
        }
    }
    let least = worlds[0].median();
    for world in &mut worlds {
        let (count, median, p99) = (world.tokens.len(), world.median(), world.p99());
        let ratio = median.as_secs_f64() / least.as_secs_f64();
        println!("{kind}, {count} tokens: median {median:?}, p99 {p99:?}, ratio {ratio:.2}");
    }
}

fn tokens(count: usize) -> Vec<String> {
    let format = PatFormat::netbird();
    let token = || String::from_utf8(format.generate().expect("random numbers").expose().to_vec());
    (0..count).map(|_| token().expect("ASCII")).collect()
}

fn digest(token: &str) -> TokenDigest {
    TokenDigest::of(token).expect("a backend")
}

/// Rows as a store writes them, a thousand to a statement; `quote` says how the database writes bytes.
fn rows(tokens: &[String], quote: [&str; 2]) -> Vec<String> {
    let mut number = 0;
    let mut statement = |chunk: &[String]| {
        let mut sql = String::from(
            "INSERT INTO bearer_tokens
            (digest, id, owner, name, scopes, created_by, created_at, expires_at, last_used) VALUES ",
        );
        for token in chunk {
            let digest: String = digest(token).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            let (comma, owner) = (if sql.ends_with(')') { "," } else { "" }, number / 10);
            let [open, close] = quote;
            write!(
                sql,
                "{comma}({open}{digest}{close}, 'd1jqk3p1s5is73f{number}', 'auth0|6123{owner}', 'pipeline',
                'read write', 'auth0|6123{owner}', 0, {}, 0)",
                LIFETIME.as_micros()
            )
            .expect("memory");
            number += 1;
        }
        sql
    };
    tokens.chunks(CHUNK).map(&mut statement).collect()
}

async fn on_sqlite(folder: &Path, count: usize) -> World {
    let (url, tokens) = (format!("sqlite:{}", folder.join(count.to_string()).display()), tokens(count));
    let store = SqlStore::open(&url).await.expect("a file");
    let mut connection = SqliteConnection::connect(&url).await.expect("a file");
    let mut transaction = connection.begin().await.expect("a transaction");
    for sql in rows(&tokens, ["x'", "'"]) {
        sqlx::raw_sql(&sql).execute(&mut *transaction).await.expect("rows");
    }
    transaction.commit().await.expect("rows");
    World::new(store, tokens)
}

#[cfg(feature = "postgres")]
async fn on_postgres(server: &str, count: usize) -> World {
    use sqlx::PgConnection;

    let (host, _) = server.rsplit_once('/').expect("a database");
    let name = format!("tower_bearer_bench_{}_{count}", std::process::id());
    let mut connection = PgConnection::connect(server).await.expect("a server");
    sqlx::raw_sql(&format!("CREATE DATABASE {name}")).execute(&mut connection).await.expect("a database");

    let (url, tokens) = (format!("{host}/{name}"), tokens(count));
    let store = SqlStore::open(&url).await.expect("a database");
    let mut connection = PgConnection::connect(&url).await.expect("a database");
    let mut transaction = connection.begin().await.expect("a transaction");
    for sql in rows(&tokens, ["'\\x", "'"]) {
        sqlx::raw_sql(&sql).execute(&mut *transaction).await.expect("rows");
    }
    transaction.commit().await.expect("rows");
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await.expect("a database");
    World::new(store, tokens)
}

#[cfg(feature = "postgres")]
async fn remove_postgres(server: &str, sizes: [usize; 3]) {
    let mut connection = sqlx::PgConnection::connect(server).await.expect("a server");
    for count in sizes {
        let name = format!("tower_bearer_bench_{}_{count}", std::process::id());
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(&sql).execute(&mut connection).await.expect("a database");
    }
}

#[tokio::main]
async fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let (sizes, rounds) = if short { ([10, 100, 1000], 1) } else { ([1000, 100_000, 1_000_000], 200) };

    let folder = std::env::temp_dir().join(format!("tower-bearer-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let mut worlds = Vec::new();
    for count in sizes {
        worlds.push(on_sqlite(&folder, count).await);
    }
    compare("SQLite", worlds, rounds).await;
    std::fs::remove_dir_all(folder).expect("the folder");

    #[cfg(feature = "postgres")]
    if let Ok(server) = std::env::var("TOWER_BEARER_POSTGRES") {
        let mut worlds = Vec::new();
        for count in sizes {
            worlds.push(on_postgres(&server, count).await);
        }
        compare("PostgreSQL", worlds, rounds).await;
        remove_postgres(&server, sizes).await;
    }
}
