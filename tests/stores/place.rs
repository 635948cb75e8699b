//! Where a store under test lives: nowhere, in a file of its own, or in a database of its own.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, timeout};
use tower_bearer::store::{
    Client, ClientStore, KeyStore, MemoryStore, RefreshStore, RevocationStore, SqlStore, Stored, TokenStore,
};

static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub(crate) enum Place {
    Memory(MemoryStore),
    Sqlite(PathBuf),
    Postgres { server: String, name: String },
}

/// One of several that opened the same place.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) tokens: Arc<dyn TokenStore>,
    pub(crate) clients: Arc<dyn ClientStore>,
    pub(crate) refresh: Arc<dyn RefreshStore>,
    pub(crate) void: Arc<dyn RevocationStore>,
    pub(crate) keys: Arc<dyn KeyStore>,
    put: Arc<dyn Fn(Client) -> Stored<()> + Send + Sync>,
    set: Arc<dyn Fn(Vec<Client>) -> Stored<()> + Send + Sync>,
}

impl Opened {
    fn new<S>(
        store: S,
        put: impl Fn(&S, Client) -> Stored<()> + Send + Sync + 'static,
        set: impl Fn(&S, Vec<Client>) -> Stored<()> + Send + Sync + 'static,
    ) -> Self
    where
        S: TokenStore + ClientStore + RefreshStore + RevocationStore + KeyStore + Clone,
    {
        Self {
            tokens: Arc::new(store.clone()),
            clients: Arc::new(store.clone()),
            refresh: Arc::new(store.clone()),
            void: Arc::new(store.clone()),
            keys: Arc::new(store.clone()),
            put: {
                let store = store.clone();
                Arc::new(move |client| put(&store, client))
            },
            set: Arc::new(move |clients| set(&store, clients)),
        }
    }

    pub(crate) fn set_clients(&self, clients: Vec<Client>) -> Stored<()> {
        (self.set)(clients)
    }

    pub(crate) fn put_client(&self, client: Client) -> Stored<()> {
        (self.put)(client)
    }
}

impl Place {
    pub(crate) async fn open(&self) -> Opened {
        match self {
            Self::Memory(store) => {
                Opened::new(store.clone(), MemoryStore::put_client, MemoryStore::set_clients)
            }
            _ => Opened::new(self.open_sql().await, SqlStore::put_client, SqlStore::set_clients),
        }
    }

    pub(crate) async fn open_sql(&self) -> SqlStore {
        SqlStore::open(&self.url()).await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Memory(_) => panic!("nobody else finds a store in memory"),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.join("store.db").display()),
            Self::Postgres { server, name } => database(server, name),
        }
    }

    /// Runs statements that no store would.
    pub(crate) async fn run(&self, sql: &str) {
        match self {
            Self::Memory(_) => panic!("there is no SQL in memory"),
            Self::Sqlite(_) => run_on::<sqlx::SqliteConnection>(&self.url(), sql).await,
            Self::Postgres { .. } => run_on::<PgConnection>(&self.url(), sql).await,
        }
    }
}

async fn run_on<C: Connection>(url: &str, sql: &str)
where
    for<'c> &'c mut C: sqlx::Executor<'c, Database = C::Database>,
{
    let mut connection = C::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) fn in_memory(test: impl AsyncFnOnce(&Place)) {
    runtime().block_on(test(&Place::Memory(MemoryStore::new())));
}

pub(crate) fn on_sqlite(test: impl AsyncFnOnce(&Place)) {
    let folder = std::env::temp_dir().join(unique());
    std::fs::create_dir(&folder).unwrap();
    let place = Place::Sqlite(folder.clone());
    let outcome = runtime().block_on(AssertUnwindSafe(test(&place)).catch_unwind());
    std::fs::remove_dir_all(folder).unwrap();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

pub(crate) fn on_postgres(test: impl AsyncFnOnce(&Place)) {
    let server = std::env::var("TOWER_BEARER_POSTGRES").expect("TOWER_BEARER_POSTGRES names a server");
    let place = Place::Postgres { server: server.clone(), name: unique() };
    let Place::Postgres { name, .. } = &place else { unreachable!() };
    runtime().block_on(run_on::<PgConnection>(&server, &format!("CREATE DATABASE {name}")));
    let outcome = runtime().block_on(AssertUnwindSafe(test(&place)).catch_unwind());
    runtime().block_on(run_on::<PgConnection>(&server, &format!("DROP DATABASE {name} WITH (FORCE)")));
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

fn unique() -> String {
    format!("tower_bearer_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The URL of another database on the same server.
fn database(server: &str, name: &str) -> String {
    let (address, parameters) = server.split_once('?').unwrap_or((server, ""));
    let (host, _) = address.rsplit_once('/').expect("the URL names a database");
    format!("{host}/{name}?{parameters}")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

/// Waits for something to become true.
pub(crate) async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(limit, waiting).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"));
    began.elapsed()
}
