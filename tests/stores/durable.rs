//! What a store promises that lasts: how it is opened, what is on the disk, and what it forgets.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Connection;
use tokio::time::Instant;
use tower_bearer::pat::PatFormat;
use tower_bearer::store::{
    Client, ClientSecret, KeyStore, RefreshStore, RevocationStore, Rotation, SqlStore, StoredKey,
    TokenDigest, TokenStore,
};
use tower_bearer::verify::{PatVerifier, Verify};
use tower_bearer::{Algorithm, Credential, RejectionKind, Scheme};

use crate::place::{Place, on_sqlite, within};
use crate::{digest, grant, grant_digest, secs, token};

/// Each test on both databases.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[test] fn $test() { crate::place::on_sqlite(super::$test) })*
        }
        mod postgres {
            $(#[test]
            #[ignore = "needs a PostgreSQL server: tests/stores/run"]
            fn $test() { crate::place::on_postgres(super::$test) })*
        }
    };
}

on_both! {
    many_may_start_at_once
    later_tables_are_left_alone
    what_was_revoked_cannot_be_kept_again
    a_caller_who_goes_away_leaves_nothing_half_done_atk_57
    a_refused_transaction_leaves_nothing_and_harms_nobody
    what_expired_long_ago_is_forgotten
    a_store_that_fails_is_an_outage_s4_s5_atk_43
    debug_names_the_kind_alone_atk_47
}

const DAY: u64 = 24 * 60 * 60;

async fn many_may_start_at_once(place: &Place) {
    let stores = join_all((0..8).map(|_| {
        let url = place.url();
        tokio::spawn(async move { SqlStore::open(&url).await.unwrap() })
    }));
    for (number, store) in stores.await.into_iter().map(Result::unwrap).enumerate() {
        assert!(store.use_once(digest(&number.to_string()), secs(1)).await.unwrap());
    }
}

async fn later_tables_are_left_alone(place: &Place) {
    place.open_sql().await;
    place.run("INSERT INTO bearer_schema (version) VALUES (999)").await;
    let error = SqlStore::open(&place.url()).await.unwrap_err();
    assert!(format!("{error:?}").contains("a later version"), "{error:?}");
}

async fn what_was_revoked_cannot_be_kept_again(place: &Place) {
    let store = place.open_sql().await;
    store.insert(digest("a"), token("t1", "alice")).await.unwrap();
    TokenStore::revoke(&store, "alice", "t1").await.unwrap();
    for (name, id) in [("a", "t1"), ("a", "t2"), ("b", "t1")] {
        assert!(store.insert(digest(name), token(id, "alice")).await.is_err());
        assert_eq!(TokenStore::find(&store, digest(name)).await.unwrap(), None);
    }
}

async fn a_caller_who_goes_away_leaves_nothing_half_done_atk_57(place: &Place) {
    let store = place.open_sql().await;
    store.begin(digest("r"), grant("g")).await.unwrap();
    drop(store.rotate(digest("r"), digest("r2"), secs(7200), secs(60)));
    drop(store.insert(digest("a"), token("t1", "alice")));
    within(Duration::from_secs(10), "the work is done", async || {
        RefreshStore::find(&store, digest("r2")).await.unwrap().is_some()
            && TokenStore::find(&store, digest("a")).await.unwrap().is_some()
    })
    .await;
    // Nor does it cost a connection: more than there are.
    for _ in 0..100 {
        drop(store.keys("ring"));
    }
    assert!(store.keys("ring").await.unwrap().is_empty());
}

async fn a_refused_transaction_leaves_nothing_and_harms_nobody(place: &Place) {
    let store = place.open_sql().await;
    store.begin(digest("r"), grant("g")).await.unwrap();
    store.begin(digest("other"), grant("other")).await.unwrap();
    // The second statement of each fails.
    assert!(store.begin(digest("r"), grant("new")).await.is_err());
    store.begin(digest("r3"), grant("new")).await.unwrap();
    assert!(store.rotate(digest("r"), digest("other"), secs(7200), secs(60)).await.is_err());
    let rotated = store.rotate(digest("r"), digest("r2"), secs(7200), secs(60)).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated, "it was not spent");
    // Nor do refusals use connections up.
    for _ in 0..40 {
        assert!(store.begin(digest("r"), grant("another")).await.is_err());
    }
}

async fn what_expired_long_ago_is_forgotten(place: &Place) {
    let store = place.open_sql().await;
    for (name, until) in [("old", 10), ("new", 10 + DAY)] {
        RevocationStore::revoke(&store, digest(name), secs(until)).await.unwrap();
        store.use_once(digest(name), secs(until)).await.unwrap();
        let mut grant = grant(name);
        grant.expires_at = secs(until);
        store.begin(digest(name), grant).await.unwrap();
        for (id, is_revoked) in [("revoked", true), ("kept", false)] {
            let id = format!("{name} {id}");
            let mut token = token(&id, "alice");
            token.expires_at = secs(until);
            store.insert(digest(&id), token).await.unwrap();
            assert!(!is_revoked || TokenStore::revoke(&store, "alice", &id).await.unwrap());
        }
    }
    // A grant lives for as long as the last of its tokens, spent ones too.
    let mut long = grant("long");
    long.expires_at = secs(10);
    store.begin(digest("long 1"), long).await.unwrap();
    store.rotate(digest("long 1"), digest("long 2"), secs(10 + DAY), secs(1)).await.unwrap();

    assert_eq!(store.purge(secs(10 + DAY)).await.unwrap(), 0, "a day is not over");
    assert_eq!(store.purge(secs(11 + DAY)).await.unwrap(), 5);
    assert_eq!(store.purge(secs(11 + DAY)).await.unwrap(), 0);

    assert!(!store.is_revoked(vec![digest("old")]).await.unwrap());
    assert!(store.is_revoked(vec![digest("new")]).await.unwrap());
    assert!(store.use_once(digest("old"), secs(1)).await.unwrap());
    assert!(!store.use_once(digest("new"), secs(1)).await.unwrap());
    assert!(RefreshStore::find(&store, digest("old")).await.unwrap().is_none());
    assert!(RefreshStore::find(&store, digest("new")).await.unwrap().is_some());
    assert_eq!(store.list("alice").await.unwrap().len(), 2, "what merely expired is still its owner's");
    let reused = store.rotate(digest("long 1"), digest("long 3"), secs(99), secs(99)).await.unwrap();
    assert_eq!(reused, Rotation::Reused);
    assert!(store.is_revoked(vec![grant_digest("long")]).await.unwrap());
    assert_eq!(store.purge(secs(999 * DAY)).await.unwrap(), 3 + 1 + 2 + 1);
}

async fn a_store_that_fails_is_an_outage_s4_s5_atk_43(place: &Place) {
    let store = place.open_sql().await;
    let format = PatFormat::netbird();
    let plain = String::from_utf8(format.generate().unwrap().expose().to_vec()).unwrap();
    store.insert(TokenDigest::of(&plain).unwrap(), token("t1", "alice")).await.unwrap();
    let verifier = PatVerifier::new(format, store.clone()).with_clock(|| secs(5)).unwrap();
    let verify = async || verifier.verify(&Credential::new(Scheme::Token, plain.as_str())).await;
    assert_eq!(verify().await.unwrap().subject(), "alice");

    place.run("ALTER TABLE bearer_tokens RENAME TO bearer_hidden").await;
    assert_eq!(verify().await.unwrap_err().kind(), RejectionKind::Unavailable);
    assert!(TokenStore::revoke(&store, "alice", "t1").await.is_err());
    place.run("ALTER TABLE bearer_hidden RENAME TO bearer_tokens").await;
    assert_eq!(verify().await.unwrap().subject(), "alice");
}

async fn debug_names_the_kind_alone_atk_47(place: &Place) {
    let shown = format!("{:?}", place.open_sql().await);
    let kind = if let Place::Sqlite(_) = place { "SQLite" } else { "PostgreSQL" };
    assert_eq!(shown, format!("SqlStore {{ database: \"{kind}\", .. }}"));
}

#[test]
fn the_file_has_no_secret_but_keys_that_sign_atk_47_s4_s3() {
    on_sqlite(async |place: &Place| {
        let store = place.open_sql().await;
        let (chosen, made) = ("canary-of-a-person", "canary-of-a-machine");
        let token_text = "nbp_drrYjTdd6emrCGjTGYv3HF2s7u0rih00gEpD";
        store.insert(TokenDigest::of(token_text).unwrap(), token("t1", "alice")).await.unwrap();
        for (id, secret) in [
            ("chosen", ClientSecret::password(&chosen.into())),
            ("made", ClientSecret::random(&made.into())),
            ("signs", Ok(ClientSecret::hmac_key("canary-that-signs"))),
        ] {
            store.put_client(Client::new(id, secret.unwrap())).await.unwrap();
        }
        store.begin(digest("canary-to-refresh"), grant("g")).await.unwrap();
        store.rotate(digest("canary-to-refresh"), digest("canary-again"), secs(1), secs(1)).await.unwrap();
        RevocationStore::revoke(&store, digest("canary-revoked"), secs(1)).await.unwrap();
        let key = StoredKey::new("ring", 1, Algorithm::ES256, "pem-that-signs".into(), secs(1));
        store.add_key(key).await.unwrap();

        let Place::Sqlite(folder) = place else { unreachable!() };
        let mut bytes = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            bytes.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for secret in [chosen, made, token_text, "canary-to-refresh", "canary-again", "canary-revoked"] {
            assert!(!has(secret), "{secret}");
        }
        for kept in ["canary-that-signs", "pem-that-signs", "$argon2id$", "alice"] {
            assert!(has(kept), "{kept}");
        }
    });
}

#[test]
fn a_file_that_another_holds_is_an_outage_in_time() {
    on_sqlite(async |place: &Place| {
        let store = place.open_sql().await;
        store.insert(digest("a"), token("t1", "alice")).await.unwrap();
        let mut holder = sqlx::SqliteConnection::connect(&place.url()).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
        let began = Instant::now();
        let touched = join_all((0..5).map(|_| store.touch("t1", secs(1)))).await;
        assert!(touched.into_iter().all(|touched| touched.is_err()));
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        assert!(TokenStore::find(&store, digest("a")).await.unwrap().is_some(), "who reads does not wait");
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        store.touch("t1", secs(1000)).await.unwrap();
        assert_eq!(store.list("alice").await.unwrap()[0].last_used, Some(secs(1000)));
    });
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    on_sqlite(async |place: &Place| {
        let store = place.open_sql().await;
        assert!(store.use_once(digest("a"), secs(1)).await.unwrap());
        let Place::Sqlite(folder) = place else { unreachable!() };
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 3, "the file, its log and its index");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    });
}

#[test]
fn either_way_to_write_the_path_is_understood() {
    on_sqlite(async |place: &Place| {
        let store = place.open_sql().await;
        store.insert(digest("a"), token("t1", "alice")).await.unwrap();
        let other = SqlStore::open(&place.url().replacen("sqlite:", "sqlite://", 1)).await.unwrap();
        assert_eq!(other.list("alice").await.unwrap().len(), 1);
    });
}

#[tokio::test]
async fn a_wrong_url_is_told_without_repeating_it_atk_47() {
    for url in [
        "",
        "canary",
        "canary:canary",
        "mysql://canary:canary@localhost/canary",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite:file:canary",
        "sqlite:canary?mode=canary",
        "sqlite:/no/such/folder/canary",
        "postgres://canary:canary@[canary/canary",
        "postgres://canary:canary@localhost:99999/canary",
        "postgres://canary:canary@localhost/canary?sslmode=canary",
        // Nobody listens there.
        "postgresql://canary:canary@127.0.0.1:1/canary?sslmode=disable",
    ] {
        let error = SqlStore::open(url).await.unwrap_err();
        assert_eq!(error.field(), "url", "{url}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
}
