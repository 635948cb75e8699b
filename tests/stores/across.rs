//! Machines that share a PostgreSQL server, and networks that fail between them.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tower_bearer::store::{RefreshStore, RevocationStore, SqlStore, TokenStore};

use crate::place::{Place, on_postgres, within};
use crate::{digest, grant, grant_digest, secs, token};

/// What any operation may take, all in all.
const OPERATION: Duration = Duration::from_secs(9);
const OTHERS: &str = "FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// What is between a store and its server.
struct Network {
    url: String,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Fine,
    /// Swallows all that goes over it. What changes it later has no effect on connections of before.
    Black,
}

impl Network {
    async fn new(place: &Place) -> Self {
        let url = place.url();
        let server: PgConnectOptions = url.parse().unwrap();
        let server = format!("{}:{}", server.get_host(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let url = url.replacen(&server, &own, 1);
        let (state, _) = watch::channel(State::Fine);
        let changes = state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), changes.clone()));
            }
        });
        Self { url, state }
    }

    /// Forgets its connections, as a firewall does that restarts: they stay open, and nothing comes through.
    fn forget_connections(&self) {
        self.state.send_replace(State::Fine);
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn carry(mut client: TcpStream, server: String, mut changes: watch::Receiver<State>) {
    if *changes.borrow_and_update() == State::Fine {
        let mut server = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            _ = changes.changed() => {}
        }
        return hold((client, Some(server))).await;
    }
    hold((client, None)).await;
}

async fn hold(_open: (TcpStream, Option<TcpStream>)) {
    std::future::pending().await
}

async fn all_of_sixteen_find(store: &SqlStore) -> bool {
    let found = join_all((0..16).map(|_| TokenStore::find(store, digest("a")))).await;
    found.into_iter().all(|found| found.is_ok_and(|found| found.is_some()))
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn what_one_machine_revokes_all_hear_within_a_second() {
    on_postgres(async |place: &Place| {
        let (one, other) = (place.open_sql().await, place.open_sql().await);
        one.insert(digest("a"), token("t1", "alice")).await.unwrap();
        for name in ["g1", "g2"] {
            one.begin(digest(name), grant(name)).await.unwrap();
        }
        let asked = TokenStore::revocations(&other).moment();
        let fine = [digest("a"), digest("jwt"), grant_digest("g1"), grant_digest("g2")];
        assert!(TokenStore::revocations(&other).allow(&fine, asked));

        TokenStore::revoke(&one, "alice", "t1").await.unwrap();
        RevocationStore::revoke(&one, digest("jwt"), secs(60)).await.unwrap();
        one.end("g1", secs(60)).await.unwrap();
        for next in ["g3", "g4"] {
            one.rotate(digest("g2"), digest(next), secs(60), secs(60)).await.unwrap();
        }
        for store in [&one, &other] {
            let revocations = RevocationStore::revocations(store);
            for void in fine {
                within(Duration::from_secs(1), "the news arrives", async || {
                    !revocations.allow(&[void], asked)
                })
                .await;
            }
            assert!(revocations.allow(&[digest("fine")], asked), "and nothing else is void");
        }
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn a_machine_that_was_cut_off_believes_nothing_it_remembers() {
    on_postgres(async |place: &Place| {
        let store = place.open_sql().await;
        let revocations = TokenStore::revocations(&store);
        let asked = revocations.moment();
        place.run(&format!("SELECT pg_terminate_backend(pid) {OTHERS}")).await;
        // Its connections are gone too, and nobody notices.
        assert!(store.use_once(digest("a"), secs(1)).await.unwrap());
        within(Duration::from_secs(5), "it hears again", async || !revocations.allow(&[], asked)).await;

        let asked = revocations.moment();
        RevocationStore::revoke(&place.open_sql().await, digest("a"), secs(1)).await.unwrap();
        within(Duration::from_secs(1), "the news arrives", async || {
            !revocations.allow(&[digest("a")], asked)
        })
        .await;
        assert!(revocations.allow(&[], asked));
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn news_of_another_kind_voids_everything() {
    on_postgres(async |place: &Place| {
        let revocations = TokenStore::revocations(&place.open_sql().await);
        let asked = revocations.moment();
        // The store is gone, and with it who listens.
        place.run("NOTIFY tower_bearer_revoked, 'all'").await;
        assert!(revocations.allow(&[], asked));

        let store = place.open_sql().await;
        let revocations = TokenStore::revocations(&store);
        let asked = revocations.moment();
        place.run("NOTIFY tower_bearer_revoked, 'all'").await;
        within(Duration::from_secs(1), "the news arrives", async || !revocations.allow(&[], asked)).await;
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn connections_that_swallow_everything_are_replaced() {
    on_postgres(async |place: &Place| {
        let network = Network::new(place).await;
        let (far, near) = (SqlStore::open(&network.url).await.unwrap(), place.open_sql().await);
        near.insert(digest("a"), token("t1", "alice")).await.unwrap();
        near.insert(digest("b"), token("t2", "alice")).await.unwrap();
        assert!(all_of_sixteen_find(&far).await);
        let revocations = TokenStore::revocations(&far);
        let asked = revocations.moment();

        network.forget_connections();
        TokenStore::revoke(&near, "alice", "t2").await.unwrap();
        let began = Instant::now();
        assert!(all_of_sixteen_find(&far).await, "each finds another connection in time");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        let limit = Duration::from_secs(6);
        within(limit, "it knows that it missed news", async || !revocations.allow(&[digest("b")], asked))
            .await;
        assert!(all_of_sixteen_find(&far).await);
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn a_server_out_of_reach_is_told_in_time_and_found_again_atk_43() {
    on_postgres(async |place: &Place| {
        let network = Network::new(place).await;
        let store = SqlStore::open(&network.url).await.unwrap();
        store.insert(digest("a"), token("t1", "alice")).await.unwrap();
        assert!(all_of_sixteen_find(&store).await);

        network.set(State::Black);
        let began = Instant::now();
        let answers = join_all((0..50).map(|_| TokenStore::find(&store, digest("a")))).await;
        assert!(answers.into_iter().all(|answer| answer.is_err()));
        assert!(began.elapsed() < OPERATION, "{:?}", began.elapsed());

        network.set(State::Fine);
        let again = Duration::from_secs(2);
        within(again, "it is found again", async || all_of_sixteen_find(&store).await).await;
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn a_server_that_is_busy_costs_no_connection() {
    on_postgres(async |place: &Place| {
        let store = place.open_sql().await;
        store.insert(digest("a"), token("t1", "alice")).await.unwrap();
        let mut holder = PgConnection::connect(&place.url()).await.unwrap();
        sqlx::raw_sql("BEGIN; LOCK TABLE bearer_tokens").execute(&mut holder).await.unwrap();
        let began = Instant::now();
        let answers = join_all((0..32).map(|_| TokenStore::find(&store, digest("a")))).await;
        assert!(answers.into_iter().all(|answer| answer.is_err()));
        assert!(began.elapsed() < OPERATION, "{:?}", began.elapsed());
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        assert!(all_of_sixteen_find(&store).await);
    });
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn the_last_of_its_clones_takes_all_connections_with_it() {
    on_postgres(async |place: &Place| {
        let mut watcher = PgConnection::connect(&place.url()).await.unwrap();
        let store = place.open_sql().await;
        assert!(store.use_once(digest("a"), secs(1)).await.unwrap());
        let clone = store.clone();
        drop(store);
        assert!(clone.use_once(digest("b"), secs(1)).await.unwrap());
        drop(clone);
        within(Duration::from_secs(5), "nobody is connected", async || {
            let count = format!("SELECT count(*) {OTHERS}");
            sqlx::query_scalar::<_, i64>(&count).fetch_one(&mut watcher).await.unwrap() == 0
        })
        .await;
    });
}
