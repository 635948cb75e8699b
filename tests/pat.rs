//! Personal access tokens at the door: who is asked, what is said, what is remembered and for how long.

mod common;
#[path = "common/served.rs"]
mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::poll;
use http::{Request, Response};
use tokio::sync::Notify;
use tokio::time::{Instant, advance};
use tower::Layer;
use tower::util::BoxCloneSyncService;
use tower_bearer::pat::PatFormat;
use tower_bearer::store::{MemoryStore, PersonalToken, TokenDigest, TokenStore};
use tower_bearer::test_util::ManualClock;
use tower_bearer::verify::{PatVerifier, Schemes, Verify, verify_fn};
use tower_bearer::{
    AuthenticateLayer, Credential, Eventual, Identity, Rejection, RejectionKind, Scheme, Scopes,
};

use common::{NOW, reason};
use served::{Answer, Body, Scripted, Touch, at, settle};

const MINUTE: Duration = Duration::from_secs(60);
/// Right in form and checksum, and in no store.
const UNKNOWN: &str = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";

fn generate() -> String {
    String::from_utf8(PatFormat::netbird().generate().unwrap().expose().to_vec()).unwrap()
}

fn row(id: &str) -> PersonalToken {
    let scopes = Scopes::parse("read write").unwrap();
    PersonalToken::new(id, "alice", "ci", at(NOW - 60), at(NOW + 600)).with_scopes(scopes)
}

async fn keep(store: &impl TokenStore, row: PersonalToken) -> String {
    let token = generate();
    store.insert(TokenDigest::of(&token).unwrap(), row).await.unwrap();
    token
}

struct World {
    store: Scripted,
    clock: ManualClock,
    verifier: PatVerifier,
}

impl World {
    /// Without a memory.
    fn new() -> Self {
        Self::remembering(Duration::ZERO)
    }

    fn remembering(max_age: Duration) -> Self {
        let (store, clock) = (Scripted::new(), ManualClock::at(NOW));
        let verifier = PatVerifier::new(PatFormat::netbird(), store.clone());
        let verifier = verifier.cached(max_age).unwrap().with_clock(clock.clone()).unwrap();
        Self { store, clock, verifier }
    }

    async fn token(&self, id: &str) -> String {
        keep(&self.store, row(id)).await
    }

    fn begin(&self, token: &str) -> Eventual<Result<Identity, Rejection>> {
        self.verifier.verify(&Credential::new(Scheme::Token, token).into_owned())
    }

    async fn ask(&self, token: &str) -> Result<Identity, RejectionKind> {
        self.begin(token).await.map_err(|rejection| rejection.kind())
    }

    /// The whole of an API behind the layer, with the tokens as `Token` and as `Bearer`.
    fn api(&self) -> BoxCloneSyncService<Request<Body>, Response<Body>, std::convert::Infallible> {
        let jwt = verify_fn(|_| async { Ok(Identity::builder("jwt").build()) });
        let schemes = Schemes::new()
            .token(self.verifier.clone())
            .bearer_prefixed("nbp_", self.verifier.clone())
            .bearer_jwt(jwt);
        let handler = tower::service_fn(|request: Request<Body>| async move {
            let identity = request.extensions().get::<Identity>().unwrap();
            Ok(Response::new(Body::from(identity.subject().to_owned())))
        });
        BoxCloneSyncService::new(AuthenticateLayer::new(schemes).layer(handler))
    }

    async fn send(&self, content_type: &str, authorization: &str) -> Answer {
        Answer::of(&self.api(), request(content_type, authorization)).await
    }
}

fn request(content_type: &str, authorization: &str) -> Request<Body> {
    let request = Request::post("/orders").header("content-type", content_type);
    request.header("authorization", authorization).body(Body::default()).unwrap()
}

/// Tokens of another form than ours, but all of them fit for a header.
fn malformed() -> Vec<String> {
    let mut list: Vec<String> = [
        "5arexv", "AHWu9z", "EyC9M3", "JerOY7", "OLWdkB", "T2BswF", "Xir88J", "cPWNKN", "h6BcWR", "lmqriV",
        "qTW6uZ", "vABM6d", "zqqbIh",
    ]
    .iter()
    .map(|alias| UNKNOWN.replace("0uCPlr", alias))
    .collect();
    list.extend([
        "nbp_".to_owned(),
        UNKNOWN[..39].to_owned(),
        format!("{UNKNOWN}="),
        format!("{UNKNOWN}A"),
        UNKNOWN.replace("nbp_", "nbp__"),
        UNKNOWN.replacen('A', ".", 1),
        format!("nbp_{}", "A".repeat(8000)),
    ]);
    list
}

#[tokio::test]
async fn a_malformed_token_asks_nobody_s4_s2_atk_49() {
    let world = World::remembering(MINUTE);
    let mut bad = malformed();
    bad.extend(
        ["", "\0", "nbp_\0", "nbx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr", "NBP_", "a.b.c"].map(String::from),
    );
    bad.push(format!(" {UNKNOWN}"));
    bad.push(format!("{UNKNOWN}\n"));
    bad.push(format!("nbp_{}", "\u{e9}".repeat(18)));
    bad.push("nbp_".repeat(1_000_000));
    for token in &bad {
        let verdict = world.begin(token).try_now().expect("nobody is asked");
        assert_eq!(verdict.unwrap_err().kind(), RejectionKind::InvalidToken);
    }
    assert_eq!(world.store.finds(), 0);
    assert_eq!(world.ask(UNKNOWN).await.unwrap_err(), RejectionKind::InvalidToken);
    assert_eq!(world.store.finds(), 1, "a token of the right form is looked up");
}

#[test]
fn a_malformed_token_costs_the_same_however_long_s4_s2() {
    let world = World::remembering(MINUTE);
    let cost = |token: &str| {
        let credential = Credential::new(Scheme::Token, token);
        allocation_counter::measure(|| drop(world.verifier.verify(&credential).try_now().unwrap()))
    };
    let (short, long, huge) = (cost("x"), cost(&"nbp_".repeat(2000)), cost(&"nbp_".repeat(200_000)));
    assert_eq!((short.count_total, short.bytes_total), (long.count_total, long.bytes_total));
    assert_eq!((short.count_total, short.bytes_total), (huge.count_total, huge.bytes_total));
    assert!(short.bytes_max < 512, "{short:?}");
}

#[tokio::test]
async fn one_answer_for_every_bad_token_s4_s4_atk_48() {
    for max_age in [Duration::ZERO, MINUTE] {
        let world = World::remembering(max_age);
        let expired = keep(&world.store, PersonalToken::new("t1", "alice", "ci", at(0), at(NOW))).await;
        let revoked = world.token("t2").await;
        let used = world.token("t3").await;
        assert!(world.ask(&revoked).await.is_ok() && world.ask(&used).await.is_ok());
        assert!(world.store.revoke("alice", "t2").await.unwrap());
        assert!(world.store.revoke("alice", "t3").await.unwrap());
        let mut bad = malformed();
        bad.extend([UNKNOWN.to_owned(), expired, revoked, used]);
        for content_type in ["application/json", "application/grpc"] {
            let expected = world.send(content_type, "Token nbp_").await;
            for scheme in ["Token", "token", "Bearer", "bEARER", "Token   "] {
                // Twice, since the second answer may be remembered.
                for token in bad.iter().chain(&bad) {
                    let answer = world.send(content_type, &format!("{scheme} {token}")).await;
                    let same = scheme.trim().eq_ignore_ascii_case("token");
                    assert_eq!((answer.status, &answer.text), (expected.status, &expected.text));
                    assert!(!same || answer == expected, "{scheme} {token}: {answer:?}");
                    assert!(!answer.headers.values().any(|value| value.to_str().unwrap().contains(token)));
                }
            }
            let bearer = world.send(content_type, "Bearer nbp_").await;
            for token in &bad {
                assert_eq!(world.send(content_type, &format!("Bearer {token}")).await, bearer);
            }
        }
    }
}

#[tokio::test]
async fn what_a_refusal_looks_like_s4_s4_m_grpc_2() {
    let world = World::new();
    let http = world.send("application/json", &format!("Token {UNKNOWN}")).await;
    assert_eq!((http.status, http.text.as_str()), (401, ""));
    let challenges: Vec<_> = http.headers.get_all("www-authenticate").iter().collect();
    assert!(!challenges.is_empty() && http.header("cache-control") == Some("no-store"));
    let grpc = world.send("application/grpc", &format!("Token {UNKNOWN}")).await;
    assert_eq!((grpc.status, grpc.header("grpc-status")), (200, Some("16")));
    assert!(!format!("{http:?} {grpc:?}").contains("unknown"), "which it was is for logs");
    let why = async |token: &str| reason(&world.begin(token).await.unwrap_err());
    assert_eq!(why(UNKNOWN).await, "unknown, or revoked");
    assert_eq!(why("nbp_").await, "not the form of a personal access token");
}

#[tokio::test]
async fn an_outage_is_nobodys_fault_s4_s5_atk_43() {
    for max_age in [Duration::ZERO, MINUTE] {
        let world = World::remembering(max_age);
        let token = world.token("t1").await;
        world.store.set_down(true);
        for scheme in ["Token", "Bearer"] {
            for token in [token.as_str(), UNKNOWN] {
                let http = world.send("application/json", &format!("{scheme} {token}")).await;
                assert_eq!((http.status, http.header("retry-after")), (503, Some("5")));
                assert_eq!(http.header("www-authenticate"), None);
                let grpc = world.send("application/grpc", &format!("{scheme} {token}")).await;
                assert_eq!((grpc.status, grpc.header("grpc-status")), (200, Some("14")));
                assert!(!format!("{http:?} {grpc:?}").contains("canary"));
            }
            let malformed = world.send("application/json", &format!("{scheme} nbp_")).await;
            assert_eq!(malformed.status, 401, "this needs no store");
        }
        world.store.set_down(false);
        let back = world.send("application/json", &format!("Token {token}")).await;
        assert_eq!((back.status, back.text.as_str()), (200, "alice"), "an outage is not remembered");
        world.store.set_down(true);
        let status = world.send("application/json", &format!("Token {token}")).await.status;
        assert_eq!(status, if max_age.is_zero() { 503 } else { 200 });
    }
}

#[tokio::test]
async fn the_row_is_there_with_its_scopes() {
    for max_age in [Duration::ZERO, MINUTE] {
        let world = World::remembering(max_age);
        let token = world.token("t1").await;
        for _ in 0..2 {
            let identity = world.ask(&token).await.unwrap();
            assert_eq!((identity.subject(), identity.issuer()), ("alice", None));
            assert_eq!(identity.scopes().to_string(), "read write");
            assert_eq!(identity.expires_at(), Some(at(NOW + 600)));
            let detail = identity.detail::<PersonalToken>().unwrap();
            assert_eq!((detail.id.as_str(), detail.name.as_str()), ("t1", "ci"));
        }
    }
}

#[tokio::test]
async fn as_bearer_where_the_prefix_is_registered_s4_s1() {
    let world = World::new();
    let token = world.token("t1").await;
    for scheme in ["Token", "token", "TOKEN", "Bearer", "bearer", "Token  "] {
        let answer = world.send("application/json", &format!("{scheme} {token}")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "alice"), "{scheme}");
    }
    assert_eq!(world.send("application/json", "Bearer a.b.c").await.text, "jwt");

    // Alone, it is for `Token`, and says so.
    let handler = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
    });
    let alone = AuthenticateLayer::new(world.verifier.clone()).layer(handler);
    let finds = world.store.finds();
    let answer = Answer::of(&alone, request("text/plain", &format!("Bearer {token}"))).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Token realm=\"api\"")));
    // Nor does another prefix lead to it.
    let other = Schemes::new().bearer_prefixed("shop_", world.verifier.clone());
    let other = AuthenticateLayer::new(other).layer(handler);
    assert_eq!(Answer::of(&other, request("text/plain", &format!("Bearer {token}"))).await.status, 401);
    for headers in [["Token", "Token"], ["Token", "Bearer"]] {
        let mut twice = request("text/plain", &format!("{} {token}", headers[0]));
        twice.headers_mut().append("authorization", format!("{} {token}", headers[1]).parse().unwrap());
        assert_eq!(Answer::of(&world.api(), twice).await.status, 400, "M-9110-3");
    }
    assert_eq!(world.store.finds(), finds, "nobody was asked");
}

#[tokio::test]
async fn it_ends_at_its_expiry_by_the_clock_atk_37() {
    for max_age in [Duration::ZERO, Duration::MAX] {
        let world = World::remembering(max_age);
        let token = world.token("t1").await;
        assert!(world.ask(&token).await.is_ok());
        world.clock.set(NOW + 599);
        assert!(world.ask(&token).await.is_ok());
        world.clock.set(NOW + 600);
        assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
    }
}

#[tokio::test]
async fn odd_times_are_no_panic_m_x_1() {
    let world = World::remembering(MINUTE);
    let forever = std::time::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64);
    let endless = keep(&world.store, PersonalToken::new("t1", "alice", "ci", at(0), forever)).await;
    for now in [NOW, -1, 0, i64::MIN, i64::MAX - 1, NOW] {
        world.clock.set(now);
        assert!(world.ask(&endless).await.is_ok(), "{now}");
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_is_written_down_once_a_minute_s4_s5() {
    let world = World::new();
    let token = world.token("t1").await;
    let use_at = async |seconds: i64| {
        world.clock.set(NOW + seconds);
        for _ in 0..10 {
            assert!(world.ask(&token).await.is_ok());
            settle().await;
        }
        world.store.touches().len()
    };
    assert_eq!(use_at(0).await, 1);
    assert_eq!(use_at(59).await, 1);
    assert_eq!(use_at(60).await, 2);
    assert_eq!(use_at(10).await, 2, "a clock that jumps back writes nothing");
    assert_eq!(use_at(120).await, 3);
    let list = world.store.list("alice").await.unwrap();
    assert_eq!(list[0].last_used, Some(at(NOW + 120)));
    assert_eq!(world.ask(UNKNOWN).await.unwrap_err(), RejectionKind::InvalidToken);
    settle().await;
    assert_eq!(world.store.touches().len(), 3, "a refusal is no use");
}

#[tokio::test(start_paused = true)]
async fn a_remembered_token_is_used_all_the_same_s4_s5() {
    let world = World::remembering(Duration::from_secs(3600));
    let token = world.token("t1").await;
    for (seconds, touches) in [(0, 1), (30, 1), (60, 2), (61, 2), (180, 3), (599, 4)] {
        world.clock.set(NOW + seconds);
        for _ in 0..10 {
            assert!(world.ask(&token).await.is_ok());
            settle().await;
        }
        assert_eq!(world.store.touches().len(), touches, "{seconds}");
    }
    assert_eq!(world.store.finds(), 1);
    assert_eq!(world.store.list("alice").await.unwrap()[0].last_used, Some(at(NOW + 599)));
}

#[tokio::test(start_paused = true)]
async fn no_request_waits_for_a_use_to_be_written_s4_s5() {
    for touch in [Touch::Hang, Touch::Fail] {
        for max_age in [Duration::ZERO, MINUTE] {
            let world = World::remembering(max_age);
            world.store.set_touch(touch);
            let token = world.token("t1").await;
            let began = Instant::now();
            for _ in 0..100 {
                let answer = world.send("application/json", &format!("Token {token}")).await;
                assert_eq!(answer.status, 200, "{touch:?}");
                settle().await;
            }
            assert_eq!(began.elapsed(), Duration::ZERO, "{touch:?}");
            assert_eq!(world.store.touches().len(), 1, "{touch:?}: one try at a time");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_that_could_not_be_written_is_tried_again_s4_s5() {
    for touch in [Touch::Fail, Touch::Hang] {
        let world = World::new();
        world.store.set_touch(touch);
        let token = world.token("t1").await;
        assert!(world.ask(&token).await.is_ok());
        settle().await;
        assert_eq!(world.store.touches().len(), 1);
        world.store.set_touch(Touch::Work);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(world.store.touches(), [at(NOW), at(NOW)], "{touch:?}: as of the use, not of the try");
        assert_eq!(world.store.list("alice").await.unwrap()[0].last_used, Some(at(NOW)), "{touch:?}");
    }
    let world = World::new();
    world.store.set_touch(Touch::Fail);
    let token = world.token("t1").await;
    assert!(world.ask(&token).await.is_ok());
    tokio::time::sleep(60 * MINUTE).await;
    let tries = world.store.touches().len();
    assert!((2..20).contains(&tries), "not for ever: {tries}");
}

#[tokio::test(start_paused = true)]
async fn a_hit_makes_no_call() {
    let world = World::remembering(MINUTE);
    let token = world.token("t1").await;
    for _ in 0..100 {
        assert!(world.ask(&token).await.is_ok());
    }
    assert!(world.begin(&token).try_now().is_ok(), "and does not wait");
    assert_eq!(world.store.finds(), 1);
    for _ in 0..100 {
        assert!(world.ask(UNKNOWN).await.is_err());
    }
    assert_eq!(world.store.finds(), 2, "ATK-52: nor does a stranger who tries again at once");
    advance(MINUTE - Duration::from_millis(1)).await;
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(world.store.finds(), 2);
    advance(Duration::from_millis(1)).await;
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(world.store.finds(), 3);

    // The scheme is part of the credential.
    let bearer = Credential::new(Scheme::Bearer, token.as_str());
    assert!(world.verifier.verify(&bearer).await.is_ok());
    assert_eq!(world.store.finds(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_age_counts_from_the_question() {
    let world = World::remembering(MINUTE);
    let token = world.token("t1").await;
    let bell = world.store.slow_down();
    let mut slow = world.begin(&token);
    assert!(poll!(&mut slow).is_pending());
    settle().await;
    advance(MINUTE / 2).await;
    bell.notify_waiters();
    assert!(slow.await.is_ok());
    world.store.speed_up();
    advance(MINUTE / 2).await;
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(world.store.finds(), 2, "what was read a minute ago is a minute old");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let world = World::remembering(Duration::MAX);
    let (one, other) = (world.token("t1").await, world.token("t2").await);
    assert!(world.ask(&one).await.is_ok() && world.ask(&other).await.is_ok());
    assert!(!world.store.revoke("bob", "t1").await.unwrap(), "not his");
    assert!(world.begin(&one).try_now().unwrap().is_ok());
    assert!(world.store.revoke("alice", "t1").await.unwrap());
    assert_eq!(world.ask(&one).await.unwrap_err(), RejectionKind::InvalidToken);
    assert!(world.begin(&other).try_now().unwrap().is_ok(), "the other one stays remembered");
    assert!(!world.store.revoke("alice", "t1").await.unwrap(), "it was revoked already");
}

/// A look-up that began before the revocation and answers after it.
#[tokio::test]
async fn the_news_before_the_answer() {
    let world = World::remembering(Duration::MAX);
    let token = world.token("t1").await;
    let bell = world.store.slow_down();
    let mut early = world.begin(&token);
    assert!(poll!(&mut early).is_pending());
    settle().await;
    assert_eq!(world.store.finds(), 1);
    assert!(world.store.revoke("alice", "t1").await.unwrap());
    world.store.speed_up();

    // Begun after the revocation was durable: it must not be given the answer of before.
    let mut late = world.begin(&token);
    assert!(poll!(&mut late).is_pending());
    settle().await;
    bell.notify_waiters();
    bell.notify_one();
    assert_eq!(late.await.unwrap_err().kind(), RejectionKind::InvalidToken, "it shared an older answer");
    let _ = early.await;
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
}

#[tokio::test]
async fn the_news_after_the_answer() {
    let world = World::remembering(Duration::MAX);
    let token = world.token("t1").await;
    let bell = world.store.slow_down();
    let mut early = world.begin(&token);
    assert!(poll!(&mut early).is_pending());
    settle().await;
    bell.notify_waiters();
    assert!(early.await.is_ok());
    world.store.speed_up();
    assert!(world.store.revoke("alice", "t1").await.unwrap());
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
}

#[tokio::test]
async fn news_that_may_have_been_missed_void_everything() {
    let world = World::remembering(Duration::MAX);
    let token = world.token("t1").await;
    assert!(world.ask(&token).await.is_ok());
    world.store.revocations().forget_all();
    assert!(world.ask(&token).await.is_ok());
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(world.store.finds(), 2, "asked again, and remembered again");

    // In the middle of a look-up: whoever waits for it is told what is true now.
    world.store.revocations().forget_all();
    let bell = world.store.slow_down();
    let mut waiting = world.begin(&token);
    assert!(poll!(&mut waiting).is_pending());
    settle().await;
    world.store.revocations().forget_all();
    world.store.speed_up();
    bell.notify_waiters();
    assert!(waiting.await.is_ok());
    let finds = world.store.finds();
    assert!(world.ask(&token).await.is_ok());
    assert!(world.store.finds() <= finds + 1);
}

#[tokio::test]
async fn a_flood_of_news_frees_what_it_took() {
    let world = World::remembering(Duration::MAX);
    let token = world.token("t1").await;
    assert!(world.ask(&token).await.is_ok());
    for number in 0..25_000_u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        world.store.revocations().announce(TokenDigest::from_bytes(bytes));
    }
    assert!(world.ask(&token).await.is_ok());
    assert!(world.begin(&token).try_now().unwrap().is_ok());
    assert_eq!(world.store.finds(), 2);
}

#[tokio::test]
async fn many_requests_at_a_time_are_one_call() {
    let world = World::remembering(MINUTE);
    let token = world.token("t1").await;
    let bell = world.store.slow_down();
    let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(world.begin(&token))).collect();
    settle().await;
    bell.notify_waiters();
    for caller in callers {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(world.store.finds(), 1);
}

#[tokio::test]
async fn whoever_asked_may_go_away() {
    let world = World::remembering(MINUTE);
    let token = world.token("t1").await;
    let bell: Arc<Notify> = world.store.slow_down();
    let mut gone = world.begin(&token);
    assert!(poll!(&mut gone).is_pending());
    let mut other = world.begin(&token);
    assert!(poll!(&mut other).is_pending());
    drop(gone);
    settle().await;
    bell.notify_waiters();
    assert!(other.await.is_ok());
    assert_eq!(world.store.finds(), 1);
}

/// Two formats in one service: each token goes to the store of its prefix, and to no other.
#[tokio::test]
async fn two_formats_are_two_worlds() {
    let (ours, theirs) = (Scripted::new(), Scripted::new());
    let format = PatFormat::new("shop_").unwrap();
    let schemes = Schemes::new()
        .bearer_prefixed("nbp_", PatVerifier::new(PatFormat::netbird(), ours.clone()))
        .bearer_prefixed("shop_", PatVerifier::new(format.clone(), theirs.clone()));
    let plain = String::from_utf8(format.generate().unwrap().expose().to_vec()).unwrap();
    // The row of one, in the store of the other.
    ours.insert(TokenDigest::of(&plain).unwrap(), row("t1")).await.unwrap();
    let verdict = schemes.verify(&Credential::new(Scheme::Bearer, plain)).await;
    assert!(verdict.is_err());
    assert_eq!((ours.finds(), theirs.finds()), (0, 1));
}

#[tokio::test]
async fn what_was_revoked_never_comes_back() {
    let store = MemoryStore::new();
    let (token, digest) = (generate(), TokenDigest::of(&generate()).unwrap());
    let own = TokenDigest::of(&token).unwrap();
    store.insert(own, row("t1")).await.unwrap();
    assert!(store.insert(own, row("t2")).await.is_err(), "one row for each token");
    assert!(store.insert(digest, row("t1")).await.is_err(), "one token for each id");
    assert!(TokenStore::revoke(&store, "alice", "t1").await.unwrap());
    assert!(store.insert(own, row("t3")).await.is_err());
    assert_eq!(TokenStore::find(&store, own).await.unwrap(), None);
    assert!(store.insert(digest, row("t4")).await.is_ok());
    assert_eq!(store.list("alice").await.unwrap().len(), 1);
}

/// ATK-46, structurally: between the wire and the store there is nothing but a digest to compare.
#[tokio::test]
async fn a_store_sees_the_digest_alone_s4_s3_atk_46() {
    struct Witness(Arc<AtomicUsize>);
    impl TokenStore for Witness {
        fn find(&self, digest: TokenDigest) -> tower_bearer::store::Stored<Option<PersonalToken>> {
            assert_eq!(digest.to_base64(), "7QUet5VEF5ZF9v3BE+oLQuOLVvq08MSOpUdJOa3TUBs=");
            self.0.fetch_add(1, Ordering::SeqCst);
            Eventual::now(Ok(None))
        }
        fn insert(&self, _: TokenDigest, _: PersonalToken) -> tower_bearer::store::Stored<()> {
            unreachable!()
        }
        fn list(&self, _: &str) -> tower_bearer::store::Stored<Vec<PersonalToken>> {
            unreachable!()
        }
        fn revoke(&self, _: &str, _: &str) -> tower_bearer::store::Stored<bool> {
            unreachable!()
        }
        fn touch(&self, _: &str, _: std::time::SystemTime) -> tower_bearer::store::Stored<()> {
            unreachable!()
        }
        fn revocations(&self) -> tower_bearer::store::Revocations {
            tower_bearer::store::Revocations::new()
        }
    }
    let seen = Arc::new(AtomicUsize::new(0));
    let verifier = PatVerifier::new(PatFormat::netbird(), Witness(Arc::clone(&seen)));
    assert!(verifier.verify(&Credential::new(Scheme::Token, UNKNOWN)).await.is_err());
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}
