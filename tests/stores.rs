//! What a store promises, of each of the three: in memory, in a file of SQLite, on PostgreSQL.
//!
//! The tests on PostgreSQL need a server, named by TOWER_BEARER_POSTGRES; `tests/stores/run` brings one.

#[path = "stores/across.rs"]
mod across;
#[path = "stores/durable.rs"]
mod durable;
#[path = "stores/model.rs"]
mod model;
#[path = "stores/place.rs"]
mod place;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tower_bearer::store::{
    Client, ClientSecret, LAST_USED_RESOLUTION, PersonalToken, RefreshGrant, Rotation, StoredKey, TokenDigest,
};
use tower_bearer::{Algorithm, Scopes, Secret};

use self::place::{Opened, Place};

/// Each test on each kind of store.
macro_rules! on_each {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() { crate::place::in_memory(crate::$test) })*
        }
        mod sqlite {
            $(#[test] fn $test() { crate::place::on_sqlite(crate::$test) })*
        }
        mod postgres {
            $(#[test]
            #[ignore = "needs a PostgreSQL server: tests/stores/run"]
            fn $test() { crate::place::on_postgres(crate::$test) })*
        }
    };
}

on_each! {
    a_token_is_found_by_its_digest_until_it_is_revoked_s4_s3
    all_of_a_token_is_kept
    an_owner_sees_the_oldest_token_first
    a_use_is_written_once_a_minute_whoever_writes_s4_s5
    a_revoked_token_is_not_touched_and_not_revoked_again
    what_was_revoked_is_announced
    a_client_takes_the_place_of_its_namesake
    a_list_of_clients_is_all_of_them
    each_form_of_a_secret_is_kept_atk_47
    passwords_are_known_of
    a_refresh_token_is_good_for_one_use
    a_second_use_ends_the_grant_for_both
    of_fifty_rotations_one_succeeds_and_the_grant_ends
    an_ended_grant_has_no_tokens_and_never_again_m_7009_1
    rotation_and_the_end_of_a_grant_race_and_the_end_wins
    what_is_void_stays_void
    a_thing_is_used_once
    one_of_many_machines_makes_the_key
    keys_come_in_order_and_go_below_a_number
    names_with_a_zero_byte_are_nobodys
}

/// `micros` microseconds into some afternoon.
pub(crate) fn at(micros: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_micros(micros)
}

pub(crate) fn secs(secs: u64) -> SystemTime {
    at(secs * 1_000_000)
}

pub(crate) fn digest(name: &str) -> TokenDigest {
    TokenDigest::of(name).unwrap()
}

pub(crate) fn token(id: &str, owner: &str) -> PersonalToken {
    PersonalToken::new(id, owner, "ci", secs(0), secs(3600))
}

pub(crate) fn grant(id: &str) -> RefreshGrant {
    RefreshGrant::new(id, "web", "alice", secs(3600)).with_scopes(Scopes::parse("read write").unwrap())
}

/// What stands for a grant where it is revoked.
pub(crate) fn grant_digest(id: &str) -> TokenDigest {
    digest(&format!("grant:{id}"))
}

async fn is_revoked(store: &Opened, digest: TokenDigest) -> bool {
    store.void.is_revoked(vec![digest]).await.unwrap()
}

/// The outcomes of as many calls at once, of the two stores in turn.
async fn at_once<T, F>(stores: [&Opened; 2], calls: usize, call: impl Fn(Opened, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let calls = (0..calls).map(|number| tokio::spawn(call(stores[number % 2].clone(), number)));
    join_all(calls).await.into_iter().map(Result::unwrap).collect()
}

async fn a_token_is_found_by_its_digest_until_it_is_revoked_s4_s3(place: &Place) {
    let store = place.open().await.tokens;
    store.insert(digest("a"), token("t1", "alice")).await.unwrap();
    store.insert(digest("b"), token("t2", "alice")).await.unwrap();
    assert_eq!(store.find(digest("a")).await.unwrap(), Some(token("t1", "alice")));
    assert_eq!(store.find(digest("c")).await.unwrap(), None);

    assert!(!store.revoke("bob", "t1").await.unwrap());
    assert!(!store.revoke("alice", "t3").await.unwrap());
    assert!(store.find(digest("a")).await.unwrap().is_some());

    assert!(store.revoke("alice", "t1").await.unwrap());
    for store in [store, place.open().await.tokens] {
        assert_eq!(store.find(digest("a")).await.unwrap(), None);
        assert_eq!(store.list("alice").await.unwrap(), [token("t2", "alice")]);
        assert!(store.find(digest("b")).await.unwrap().is_some());
    }
}

async fn all_of_a_token_is_kept(place: &Place) {
    let mut odd = PersonalToken::new("t\u{7f}'\"", "", "Zoë 🦀 \n", at(1), at(2))
        .with_created_by("system:\\0")
        .with_scopes(Scopes::parse("read  write:all").unwrap());
    odd.last_used = Some(at(123_456));
    let mut old = PersonalToken::new("old", "alice", "", UNIX_EPOCH - Duration::from_micros(1), UNIX_EPOCH);
    old.last_used = Some(UNIX_EPOCH - Duration::from_secs(1 << 33));
    for (name, token) in [("odd", odd), ("old", old)] {
        place.open().await.tokens.insert(digest(name), token.clone()).await.unwrap();
        // Expired ones are found too.
        let found = place.open().await.tokens.find(digest(name)).await.unwrap().unwrap();
        assert_eq!(found, token);
        assert_eq!(found.scopes.to_string(), token.scopes.to_string());
    }
}

async fn an_owner_sees_the_oldest_token_first(place: &Place) {
    let store = place.open().await.tokens;
    let made = |id: &str, micros| PersonalToken::new(id, "alice", "ci", at(micros), secs(3600));
    let in_order = [made("c", 1), made("B", 2), made("_", 2), made("a", 2), made("A", 3)];
    for index in [3, 0, 4, 2, 1] {
        store.insert(digest(&in_order[index].id), in_order[index].clone()).await.unwrap();
    }
    store.insert(digest("other"), token("other", "ALICE")).await.unwrap();
    assert_eq!(store.list("alice").await.unwrap(), in_order);
    assert_eq!(store.list("bob").await.unwrap(), []);
}

async fn a_use_is_written_once_a_minute_whoever_writes_s4_s5(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    one.tokens.insert(digest("a"), token("t1", "alice")).await.unwrap();
    let last_used = async || one.tokens.find(digest("a")).await.unwrap().unwrap().last_used;
    assert_eq!(last_used().await, None);

    one.tokens.touch("t1", secs(100)).await.unwrap();
    let just_before = secs(100) + LAST_USED_RESOLUTION - Duration::from_micros(1);
    other.tokens.touch("t1", just_before).await.unwrap();
    other.tokens.touch("t1", secs(0)).await.unwrap();
    other.tokens.touch("t2", secs(500)).await.unwrap();
    assert_eq!(last_used().await, Some(secs(100)));

    // Of many at once, one is written: the others are less than a minute from it.
    let touched = at_once([&one, &other], 50, |store, number| async move {
        store.tokens.touch("t1", secs(200) + Duration::from_secs(number as u64)).await
    });
    touched.await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    let written = last_used().await.unwrap();
    assert!((secs(200)..secs(250)).contains(&written));
    other.tokens.touch("t1", written + Duration::from_secs(59)).await.unwrap();
    assert_eq!(last_used().await, Some(written));
    other.tokens.touch("t1", written + Duration::from_secs(60)).await.unwrap();
    assert_eq!(last_used().await, Some(written + Duration::from_secs(60)));
}

async fn a_revoked_token_is_not_touched_and_not_revoked_again(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    one.tokens.insert(digest("a"), token("t1", "alice")).await.unwrap();
    let revoked =
        at_once(
            [&one, &other],
            20,
            |store, _| async move { store.tokens.revoke("alice", "t1").await.unwrap() },
        );
    assert_eq!(revoked.await.into_iter().filter(|revoked| *revoked).count(), 1);
    one.tokens.touch("t1", secs(1)).await.unwrap();
    assert_eq!(one.tokens.find(digest("a")).await.unwrap(), None);
    assert_eq!(other.tokens.find(digest("a")).await.unwrap(), None);
}

async fn what_was_revoked_is_announced(place: &Place) {
    let store = place.open().await;
    store.tokens.insert(digest("a"), token("t1", "alice")).await.unwrap();
    for name in ["g1", "g2"] {
        store.refresh.begin(digest(name), grant(name)).await.unwrap();
    }
    let asked = store.tokens.revocations().moment();
    store.tokens.revoke("bob", "t1").await.unwrap();
    assert!(store.tokens.revocations().allow(&[digest("a"), grant_digest("g1")], asked));

    store.tokens.revoke("alice", "t1").await.unwrap();
    store.void.revoke(digest("jwt"), secs(60)).await.unwrap();
    store.refresh.end("g1", secs(60)).await.unwrap();
    for next in ["g3", "g4"] {
        store.refresh.rotate(digest("g2"), digest(next), secs(60), secs(60)).await.unwrap();
    }
    for revocations in [store.tokens.revocations(), store.void.revocations()] {
        for void in [digest("a"), digest("jwt"), grant_digest("g1"), grant_digest("g2")] {
            assert!(!revocations.allow(&[digest("fine"), void], asked));
        }
        assert!(revocations.allow(&[digest("fine")], asked));
    }
}

async fn a_client_takes_the_place_of_its_namesake(place: &Place) {
    let store = place.open().await;
    let secret = |text: &str| ClientSecret::random(&text.into()).unwrap();
    let web = Client::new("web", secret("first")).with_scopes(Scopes::parse("read").unwrap());
    store.put_client(web).await.unwrap();
    store.put_client(Client::new("web", secret("second")).with_subject("alice")).await.unwrap();
    store.put_client(Client::new("web", secret("third")).of_system("shop")).await.unwrap();
    store.put_client(Client::with_key("app", "{\"keys\":[]}").of_system("shop")).await.unwrap();

    for store in [&store, &place.open().await] {
        let mut found = store.clients.find("web").await.unwrap();
        found.sort_by(|a, b| a.system.cmp(&b.system));
        let seen: Vec<_> =
            found.iter().map(|own| (&*own.system, &*own.subject, own.scopes.to_string())).collect();
        assert_eq!(seen, [("", "alice", String::new()), ("shop", "web", String::new())]);
        let app = store.clients.find("app").await.unwrap();
        assert!(app.len() == 1 && app[0].secret().is_none() && app[0].jwks() == Some("{\"keys\":[]}"));
        assert!(store.clients.find("WEB").await.unwrap().is_empty());

        assert!(store.clients.find_by_digest(digest("first")).await.unwrap().is_empty());
        let by_digest = store.clients.find_by_digest(digest("third")).await.unwrap();
        assert!(by_digest.len() == 1 && by_digest[0].system == "shop");
    }
}

async fn a_list_of_clients_is_all_of_them(place: &Place) {
    let store = place.open().await;
    let client = |id: &str| Client::new(id, ClientSecret::random(&id.into()).unwrap()).of_system("shop");
    store.set_clients(vec![client("a"), client("b")]).await.unwrap();
    store.set_clients(vec![client("b").with_subject("bob"), client("c")]).await.unwrap();
    for store in [&store, &place.open().await] {
        assert!(store.clients.find("a").await.unwrap().is_empty(), "it was removed");
        assert!(store.clients.find_by_digest(digest("a")).await.unwrap().is_empty());
        assert_eq!(store.clients.find("b").await.unwrap()[0].subject, "bob");
        assert_eq!(store.clients.find("c").await.unwrap().len(), 1);
    }
    // Many machines that start at once, with the same list.
    let all = [&store, &place.open().await];
    let outcomes =
        at_once(all, 10, |store, _| async move { store.set_clients(vec![client("c")]).await.is_ok() });
    assert!(outcomes.await.into_iter().all(|done| done));
    assert_eq!(store.clients.find("c").await.unwrap().len(), 1);
}

async fn each_form_of_a_secret_is_kept_atk_47(place: &Place) {
    let secrets = [
        ClientSecret::random(&"canary".into()).unwrap(),
        ClientSecret::password(&"canary".into()).unwrap(),
        ClientSecret::hmac_key(vec![0, 255, b'\'', b'\n', 128]),
    ];
    let store = place.open().await;
    for (number, secret) in secrets.iter().enumerate() {
        store.put_client(Client::new(number.to_string(), secret.clone())).await.unwrap();
    }
    let store = place.open().await;
    for (number, secret) in secrets.iter().enumerate() {
        let found = store.clients.find(&number.to_string()).await.unwrap();
        assert_eq!(found[0].secret().unwrap().to_stored(), secret.to_stored());
    }
}

async fn passwords_are_known_of(place: &Place) {
    let store = place.open().await;
    assert!(!store.clients.may_hold_passwords());
    store.put_client(Client::new("web", ClientSecret::random(&"canary".into()).unwrap())).await.unwrap();
    assert!(!store.clients.may_hold_passwords());
    let other = place.open().await;
    store.put_client(Client::new("app", ClientSecret::password(&"canary".into()).unwrap())).await.unwrap();
    assert!(store.clients.may_hold_passwords());
    assert!(place.open().await.clients.may_hold_passwords());
    other.clients.find("app").await.unwrap();
    assert!(other.clients.may_hold_passwords());
}

async fn a_refresh_token_is_good_for_one_use(place: &Place) {
    let store = place.open().await.refresh;
    store.begin(digest("r1"), grant("g")).await.unwrap();
    store.begin(digest("other"), grant("other")).await.unwrap();
    assert_eq!(store.find(digest("r1")).await.unwrap(), Some(grant("g")));
    assert_eq!(store.find(digest("r2")).await.unwrap(), None);
    let unknown = store.rotate(digest("r9"), digest("r10"), secs(7200), secs(60)).await.unwrap();
    assert_eq!(unknown, Rotation::Unknown);
    assert_eq!(store.find(digest("r10")).await.unwrap(), None);

    let rotated = store.rotate(digest("r1"), digest("r2"), secs(7200), secs(60)).await.unwrap();
    assert_eq!(rotated, Rotation::Rotated);
    for store in [store, place.open().await.refresh] {
        let (mut used, mut next) = (grant("g"), grant("g"));
        (used.spent, next.expires_at) = (true, secs(7200));
        assert_eq!(store.find(digest("r2")).await.unwrap(), Some(next));
        assert_eq!(store.find(digest("r1")).await.unwrap(), Some(used), "still known");
    }
}

async fn a_second_use_ends_the_grant_for_both(place: &Place) {
    let store = place.open().await;
    store.refresh.begin(digest("r1"), grant("g")).await.unwrap();
    store.refresh.begin(digest("other"), grant("other")).await.unwrap();
    let rotate = async |spent: &str, next: &str| {
        store.refresh.rotate(digest(spent), digest(next), secs(7200), secs(60)).await.unwrap()
    };
    assert_eq!(rotate("r1", "r2").await, Rotation::Rotated);
    assert_eq!(rotate("r2", "r3").await, Rotation::Rotated);
    assert!(!is_revoked(&store, grant_digest("g")).await);
    assert_eq!(rotate("r1", "r4").await, Rotation::Reused);

    for store in [&store, &place.open().await] {
        for name in ["r1", "r2", "r3", "r4"] {
            assert_eq!(store.refresh.find(digest(name)).await.unwrap(), None, "{name}");
        }
        assert!(is_revoked(store, grant_digest("g")).await);
        assert!(!is_revoked(store, grant_digest("other")).await);
        assert!(store.refresh.find(digest("other")).await.unwrap().is_some());
    }
    assert_eq!(rotate("r3", "r5").await, Rotation::Unknown);
}

async fn of_fifty_rotations_one_succeeds_and_the_grant_ends(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    one.refresh.begin(digest("r"), grant("g")).await.unwrap();
    let asked = one.void.revocations().moment();
    let outcomes = at_once([&one, &other], 50, |store, number| async move {
        let successor = digest(&format!("r{number}"));
        store.refresh.rotate(digest("r"), successor, secs(7200), secs(60)).await.unwrap()
    });
    let outcomes = outcomes.await;
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(
        (count(Rotation::Rotated), count(Rotation::Reused), count(Rotation::Unknown)),
        (1, 1, 48),
        "one took it, the next ended it, the others found nothing"
    );
    for number in 0..50 {
        assert_eq!(one.refresh.find(digest(&format!("r{number}"))).await.unwrap(), None);
    }
    assert!(is_revoked(&one, grant_digest("g")).await);
    let heard = |store: &Opened| !store.void.revocations().allow(&[grant_digest("g")], asked);
    assert!(heard(&one) || heard(&other));
}

async fn an_ended_grant_has_no_tokens_and_never_again_m_7009_1(place: &Place) {
    let store = place.open().await;
    store.refresh.begin(digest("r1"), grant("g")).await.unwrap();
    store.refresh.rotate(digest("r1"), digest("r2"), secs(7200), secs(60)).await.unwrap();
    store.refresh.end("g", secs(60)).await.unwrap();
    // Of one that nobody knows, too, and twice.
    store.refresh.end("g", secs(60)).await.unwrap();
    store.refresh.end("unknown", secs(60)).await.unwrap();
    for store in [&store, &place.open().await] {
        for spent in ["r1", "r2"] {
            assert_eq!(store.refresh.find(digest(spent)).await.unwrap(), None);
            let rotated = store.refresh.rotate(digest(spent), digest("r3"), secs(7200), secs(60));
            assert_eq!(rotated.await.unwrap(), Rotation::Unknown);
        }
        assert!(is_revoked(store, grant_digest("g")).await);
        assert!(is_revoked(store, grant_digest("unknown")).await);
    }
}

async fn rotation_and_the_end_of_a_grant_race_and_the_end_wins(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    for round in 0..20 {
        let name = move |number: usize| digest(&format!("{round}-{number}"));
        let id = format!("g{round}");
        one.refresh.begin(name(0), grant(&id)).await.unwrap();
        let rotating = one.refresh.clone();
        let chain = tokio::spawn(async move {
            for number in 0.. {
                let rotated = rotating.rotate(name(number), name(number + 1), secs(7200), secs(60));
                if rotated.await.unwrap() != Rotation::Rotated {
                    return number;
                }
            }
            unreachable!()
        });
        // Into the midst of it.
        while round > 0 && one.refresh.find(name(round % 5)).await.unwrap().is_none() {}
        other.refresh.end(&id, secs(60)).await.unwrap();
        let last = chain.await.unwrap();
        for number in 0..=last + 1 {
            assert_eq!(one.refresh.find(name(number)).await.unwrap(), None, "{round}: {number} of {last}");
        }
    }
}

async fn what_is_void_stays_void(place: &Place) {
    let store = place.open().await;
    let digests: Vec<_> = (0..5).map(|number| digest(&number.to_string())).collect();
    assert!(!store.void.is_revoked(digests.clone()).await.unwrap());
    assert!(!store.void.is_revoked(Vec::new()).await.unwrap());
    for number in 0..5 {
        let store = place.open().await;
        let before: Vec<_> = digests.iter().copied().filter(|own| *own != digests[number]).collect();
        store.void.revoke(digests[number], secs(100)).await.unwrap();
        // Again, for less long.
        store.void.revoke(digests[number], secs(1)).await.unwrap();
        assert!(store.void.is_revoked(digests.clone()).await.unwrap());
        assert_eq!(store.void.is_revoked(before).await.unwrap(), number > 0);
        assert!(store.void.is_revoked(vec![digest("fine"), digests[number]]).await.unwrap());
        assert!(store.void.is_revoked(vec![digests[number], digest("fine")]).await.unwrap());
        assert!(!store.void.is_revoked(vec![digest("fine"), digest("finer")]).await.unwrap());
    }
}

async fn a_thing_is_used_once(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let used = at_once([&one, &other], 50, |store, _| async move {
        store.void.use_once(digest("jti"), secs(60)).await.unwrap()
    });
    assert_eq!(used.await.into_iter().filter(|first| *first).count(), 1);
    assert!(!place.open().await.void.use_once(digest("jti"), secs(99)).await.unwrap());
    assert!(one.void.use_once(digest("another"), secs(60)).await.unwrap());
    assert!(!is_revoked(&one, digest("jti")).await, "used is not void");
}

async fn one_of_many_machines_makes_the_key(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let added = at_once([&one, &other], 20, |store, number| async move {
        let pem = Secret::from(number.to_string());
        let key = StoredKey::new("ring", 1, Algorithm::ES256, pem, secs(number as u64));
        store.keys.add_key(key).await.unwrap()
    });
    let added = added.await;
    let winner = added.iter().position(|added| *added).unwrap();
    assert_eq!(added.into_iter().filter(|added| *added).count(), 1);
    for store in [one, other] {
        let keys = store.keys.keys("ring").await.unwrap();
        assert_eq!((keys.len(), keys[0].signs_from), (1, secs(winner as u64)));
        assert_eq!(keys[0].pem, winner.to_string().into());
    }
}

async fn keys_come_in_order_and_go_below_a_number(place: &Place) {
    let store = place.open().await.keys;
    let pem = "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n";
    for (number, algorithm) in (1..=12).zip(Algorithm::ALL).collect::<Vec<_>>().into_iter().rev() {
        let key = StoredKey::new("ring", number, algorithm, pem.into(), secs(number.into()));
        assert!(store.add_key(key).await.unwrap());
    }
    let last = StoredKey::new("ring", u32::MAX, Algorithm::EdDSA, pem.into(), UNIX_EPOCH);
    let other = StoredKey::new("other", 1, Algorithm::EdDSA, pem.into(), UNIX_EPOCH);
    assert!(store.add_key(last).await.unwrap() && store.add_key(other).await.unwrap());
    store.remove_keys_below("ring", 3).await.unwrap();

    let keys = place.open().await.keys.keys("ring").await.unwrap();
    let numbers: Vec<_> = keys.iter().map(|key| key.number).collect();
    assert_eq!(numbers, Vec::from_iter((3..=12).chain([u32::MAX])));
    let third = &keys[0];
    assert_eq!((&*third.ring, third.algorithm), ("ring", Algorithm::ALL[2]));
    assert_eq!((&third.pem, third.signs_from), (&pem.into(), secs(3)));
    assert_eq!(store.keys("other").await.unwrap().len(), 1);
    assert!(store.keys("none").await.unwrap().is_empty());
}

/// Callers choose what they ask for: a name that no database keeps is unknown, not an outage.
async fn names_with_a_zero_byte_are_nobodys(place: &Place) {
    let store = place.open().await;
    store.tokens.insert(digest("a"), token("t1", "alice")).await.unwrap();
    assert!(store.clients.find("we\0b").await.unwrap().is_empty());
    assert!(store.tokens.list("ali\0ce").await.unwrap().is_empty());
    assert!(!store.tokens.revoke("alice\0", "t1").await.unwrap());
    assert!(!store.tokens.revoke("alice", "t1\0").await.unwrap());
    store.tokens.touch("t1\0", secs(1)).await.unwrap();
    assert!(store.keys.keys("ring\0").await.unwrap().is_empty());
    store.keys.remove_keys_below("ring\0", 9).await.unwrap();
    assert_eq!(store.tokens.list("alice").await.unwrap(), [token("t1", "alice")]);
}
