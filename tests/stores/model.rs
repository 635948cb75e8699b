//! Any history of questions and changes: what lasts answers as memory does.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tower_bearer::store::{Client, ClientSecret, StoredKey};
use tower_bearer::{Algorithm, Scopes};

use crate::place::{Opened, Place, in_memory, on_postgres, on_sqlite};
use crate::{digest, grant, grant_digest, secs, token};

/// Names are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Revoke(u8, u8),
    Touch(u8, u8),
    Put(u8, u8, u8),
    Begin(u8),
    Rotate(u8, u8),
    End(u8),
    RevokeDigest(u8),
    UseOnce(u8),
    AddKey(u8, u8),
    RemoveKeys(u8, u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let (few, more) = (|| 0..3_u8, || 0..8_u8);
    prop_oneof![
        (more(), few()).prop_map(|(id, owner)| Insert(id, owner)),
        (more(), few()).prop_map(|(id, owner)| Revoke(id, owner)),
        (more(), more()).prop_map(|(id, time)| Touch(id, time)),
        (few(), few(), more()).prop_map(|(id, system, secret)| Put(id, system, secret)),
        more().prop_map(Begin),
        (more(), more()).prop_map(|(spent, next)| Rotate(spent, next)),
        (more(), more()).prop_map(|(spent, next)| Rotate(spent, next)),
        more().prop_map(End),
        more().prop_map(RevokeDigest),
        more().prop_map(UseOnce),
        (few(), more()).prop_map(|(ring, number)| AddKey(ring, number)),
        (few(), more()).prop_map(|(ring, number)| RemoveKeys(ring, number)),
        Just(Reopen),
    ]
}

/// A history of one store. Names that are random in earnest are used once: of digests of new tokens, of new
/// tokens' ids and of new grants' ids, each is new.
async fn run(place: &Place, steps: &[Step]) -> Vec<String> {
    let mut store = place.open().await;
    let (mut taken, mut seen) = (BTreeSet::new(), Vec::new());
    let mut is_new = |name: String| taken.insert(name);
    for step in steps {
        let answer = match *step {
            Step::Insert(id, owner) if is_new(format!("pat{id}")) => {
                let token = token(&format!("t{id}"), &format!("o{owner}"));
                format!("{:?}", store.tokens.insert(digest(&format!("pat{id}")), token).await)
            }
            Step::Revoke(id, owner) => {
                format!("{:?}", store.tokens.revoke(&format!("o{owner}"), &format!("t{id}")).await)
            }
            Step::Touch(id, time) => {
                format!("{:?}", store.tokens.touch(&format!("t{id}"), secs(25 * u64::from(time))).await)
            }
            Step::Put(id, system, secret) => {
                let secret = ClientSecret::random(&secret.to_string().into()).unwrap();
                let client = Client::new(format!("c{id}"), secret).of_system(format!("s{system}"));
                let client = client.with_scopes(Scopes::parse(&format!("read x{system}")).unwrap());
                format!("{:?}", store.put_client(client).await)
            }
            Step::Begin(id) if is_new(format!("g{id}")) && is_new(format!("r{id}")) => {
                let begun = store.refresh.begin(digest(&format!("r{id}")), grant(&format!("g{id}")));
                format!("{:?}", begun.await)
            }
            Step::Rotate(spent, next) if is_new(format!("r{next}")) => {
                let (spent, next) = (digest(&format!("r{spent}")), digest(&format!("r{next}")));
                format!("{:?}", store.refresh.rotate(spent, next, secs(7200), secs(60)).await)
            }
            Step::End(id) => format!("{:?}", store.refresh.end(&format!("g{id}"), secs(60)).await),
            Step::RevokeDigest(id) => {
                format!("{:?}", store.void.revoke(digest(&format!("v{id}")), secs(id.into())).await)
            }
            Step::UseOnce(id) => {
                format!("{:?}", store.void.use_once(digest(&format!("v{id}")), secs(id.into())).await)
            }
            Step::AddKey(ring, number) => {
                let pem = format!("key {ring} {number} {}", seen.len()).into();
                let key = StoredKey::new(ring.to_string(), number.into(), Algorithm::ES256, pem, secs(1));
                format!("{:?}", store.keys.add_key(key).await)
            }
            Step::RemoveKeys(ring, number) => {
                format!("{:?}", store.keys.remove_keys_below(&ring.to_string(), number.into()).await)
            }
            Step::Reopen => {
                store = place.open().await;
                String::new()
            }
            Step::Insert(..) | Step::Begin(..) | Step::Rotate(..) => String::new(),
        };
        seen.push(answer);
    }
    seen.extend(everything(&store).await);
    seen
}

/// All that can be asked of those names.
async fn everything(store: &Opened) -> Vec<String> {
    let mut seen = Vec::new();
    for id in 0..8_u8 {
        let name = |kind: &str| digest(&format!("{kind}{id}"));
        seen.push(format!("{:?}", store.tokens.find(name("pat")).await));
        seen.push(format!("{:?}", store.tokens.list(&format!("o{id}")).await));
        let mut clients = store.clients.find(&format!("c{id}")).await.unwrap();
        clients.sort_by(|a, b| a.system.cmp(&b.system));
        seen.push(format!("{clients:?}"));
        let mut clients = store.clients.find_by_digest(digest(&id.to_string())).await.unwrap();
        clients.sort_by(|a, b| (&a.system, &a.id).cmp(&(&b.system, &b.id)));
        seen.push(format!("{clients:?}"));
        seen.push(format!("{:?}", store.refresh.find(name("r")).await));
        seen.push(format!("{:?}", store.void.is_revoked(vec![name("v")]).await));
        seen.push(format!("{:?}", store.void.is_revoked(vec![grant_digest(&format!("g{id}"))]).await));
        for key in store.keys.keys(&id.to_string()).await.unwrap() {
            seen.push(format!("{key:?} {:?}", key.pem.expose()));
        }
    }
    seen
}

fn answers(place: impl Fn(&mut Vec<String>, &[Step]), steps: &[Step]) -> Vec<String> {
    let mut seen = Vec::new();
    place(&mut seen, steps);
    seen
}

fn agrees(cases: u32, place: impl Fn(&mut Vec<String>, &[Step])) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let histories = prop::collection::vec(step(), 1..60);
    let same = runner.run(&histories, |steps| {
        let expected =
            answers(|seen, steps| in_memory(async |place: &Place| *seen = run(place, steps).await), &steps);
        prop_assert_eq!(answers(&place, &steps), expected);
        Ok(())
    });
    same.unwrap();
}

#[test]
fn any_history_on_sqlite_is_as_in_memory() {
    agrees(48, |seen, steps| on_sqlite(async |place: &Place| *seen = run(place, steps).await));
}

#[test]
#[ignore = "needs a PostgreSQL server: tests/stores/run"]
fn any_history_on_postgres_is_as_in_memory() {
    agrees(24, |seen, steps| on_postgres(async |place: &Place| *seen = run(place, steps).await));
}
