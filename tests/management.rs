//! The management of personal access tokens, as a client sees it.

mod common;
#[path = "common/served.rs"]
mod served;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_bearer::issue::PatEndpoint;
use tower_bearer::pat::PatFormat;
use tower_bearer::respond::{Challenge, Message};
use tower_bearer::store::{PersonalToken, TokenDigest, TokenStore};
use tower_bearer::test_util::ManualClock;
use tower_bearer::verify::{PatVerifier, Schemes, Verify, verify_fn};
use tower_bearer::{AuthenticateLayer, Credential, Identity, Rejection, Scheme, Scopes};

use common::NOW;
use served::{Answer, Body, Scripted, at, settle};

const DAY: i64 = 24 * 60 * 60;
const TOKENS: &str = "/api/users/alice/tokens";

struct World {
    store: Scripted,
    clock: ManualClock,
    verifier: PatVerifier,
    api: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

/// Sessions are `Bearer`, and name their subject in base64; personal access tokens are `Token`.
fn session(subject: &str) -> String {
    format!("Bearer {}", URL_SAFE_NO_PAD.encode(subject))
}

impl World {
    fn new() -> Self {
        let (store, clock) = (Scripted::new(), ManualClock::at(NOW));
        let verifier = PatVerifier::new(PatFormat::netbird(), store.clone());
        let verifier = verifier.cached(Duration::MAX).unwrap().with_clock(clock.clone()).unwrap();
        let sessions = verify_fn(|credential: Credential<'static>| async move {
            let subject = URL_SAFE_NO_PAD.decode(credential.expose()).unwrap_or_default();
            let subject = String::from_utf8(subject).map_err(|_| Rejection::invalid_token())?;
            Ok(Identity::builder(subject).scopes(Scopes::parse("read write").unwrap()).build())
        });
        let schemes = Schemes::new().bearer(sessions).token(verifier.clone());
        let endpoint = PatEndpoint::new(PatFormat::netbird(), store.clone()).with_clock(clock.clone());
        let layer = AuthenticateLayer::new(schemes).with_responder(Message::new(Challenge::new()));
        Self { store, clock, verifier, api: BoxCloneSyncService::new(layer.layer(endpoint)) }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(&self.api, request).await
    }

    async fn call(&self, who: &str, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("authorization", who);
        self.send(request.body(Body::new(body.into())).unwrap()).await
    }

    async fn as_alice(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(&session("alice"), method, path, body).await
    }

    async fn create(&self, body: impl Into<Bytes>) -> Answer {
        self.as_alice(Method::POST, TOKENS, body).await
    }

    /// The plain token and its id.
    async fn made(&self, who: &str, path: &str) -> (String, String) {
        let answer = self.call(&session(who), Method::POST, path, good()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let (body, text) = (answer.json(), |value: &Value| value.as_str().unwrap().to_owned());
        (text(&body["plain_token"]), text(&body["personal_access_token"]["id"]))
    }

    async fn listed(&self) -> Vec<Value> {
        self.as_alice(Method::GET, TOKENS, "").await.json().as_array().unwrap().clone()
    }

    async fn verify(&self, token: &str) -> Result<Identity, Rejection> {
        self.verifier.verify(&Credential::new(Scheme::Token, token)).await
    }
}

fn good() -> String {
    json!({ "name": "ci", "expires_in": 30 }).to_string()
}

fn error(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    assert_eq!(body["code"], answer.status, "{body}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let message = body["message"].as_str().unwrap();
    assert_eq!(message, message.to_lowercase());
    (answer.status, message.to_owned())
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_at_once_s4_s6() {
    let world = World::new();
    let answer = world.create(good()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 2);
    let plain = body["plain_token"].as_str().unwrap();
    assert!(PatFormat::netbird().is_wellformed(plain));
    let shown = &body["personal_access_token"];
    let id = shown["id"].as_str().unwrap();
    assert!(id.len() == 20 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v')));
    let expected = json!({
        "id": id, "name": "ci", "created_by": "alice",
        "created_at": "2023-11-14T22:13:20Z", "expiration_date": "2023-12-14T22:13:20Z",
    });
    assert_eq!(*shown, expected);

    let identity = world.verify(plain).await.unwrap();
    assert_eq!((identity.subject(), identity.expires_at()), ("alice", Some(at(NOW + 30 * DAY))));
    for path in [TOKENS.to_owned(), format!("{TOKENS}/{id}")] {
        let answer = world.as_alice(Method::GET, &path, "").await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains(plain) && !answer.text.contains("plain"), "never again");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn the_list_the_one_and_its_end_s4_s6() {
    let world = World::new();
    let empty = world.as_alice(Method::GET, TOKENS, "").await;
    assert_eq!((empty.status, empty.text.as_str()), (200, "[]"), "not null");
    let mut made = Vec::new();
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        made.push(world.made("alice", TOKENS).await);
    }
    world.made("bob", "/api/users/bob/tokens").await;
    let ids: Vec<_> = world.listed().await.iter().map(|token| token["id"].clone()).collect();
    assert_eq!(ids, made.iter().map(|(_, id)| json!(id)).collect::<Vec<_>>(), "the oldest first");

    let (plain, id) = &made[1];
    let one = format!("{TOKENS}/{id}");
    assert!(world.verify(plain).await.is_ok());
    settle().await;
    let shown = world.as_alice(Method::GET, &one, "").await.json();
    assert_eq!((&shown["id"], &shown["last_used"]), (&json!(id), &json!("2023-11-14T22:13:23Z")));

    let deleted = world.as_alice(Method::DELETE, &one, "").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (200, "{}"));
    assert!(world.verify(plain).await.is_err(), "although it was remembered");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(error(&world.as_alice(method, &one, "").await), (404, "not found".into()));
    }
    assert_eq!(world.listed().await.len(), 2);
    assert!(world.verify(&made[0].0).await.is_ok());
}

#[tokio::test]
async fn days_from_1_to_365_s4_s6() {
    let world = World::new();
    let days = async |value: &str| world.create(format!(r#"{{"name":"ci","expires_in":{value}}}"#)).await;
    for (value, date) in [("1", "2023-11-15T22:13:20Z"), ("365", "2024-11-13T22:13:20Z")] {
        let answer = days(value).await;
        assert_eq!(answer.json()["personal_access_token"]["expiration_date"], date);
    }
    for bad in [
        "0",
        "366",
        "-1",
        "1.5",
        "30.0",
        "3e1",
        "1e400",
        "18446744073709551615",
        "18446744073709551617",
        "\"30\"",
        "null",
        "true",
        "[30]",
        "{}",
    ] {
        let answer = days(bad).await;
        let expected = match bad {
            // No JSON number that anybody could hold.
            "1e400" => (400, "couldn't parse json request".to_owned()),
            _ => (422, "expiration has to be between 1 and 365 days".to_owned()),
        };
        assert_eq!(error(&answer), expected, "{bad}");
    }
    assert_eq!(error(&world.create(r#"{"name":"ci"}"#).await).0, 422);
    assert_eq!(world.listed().await.len(), 2);
}

#[tokio::test]
async fn names_s4_s6() {
    let world = World::new();
    let named = async |name: Value| world.create(json!({ "name": name, "expires_in": 1 }).to_string()).await;
    let long = "\u{1f511}".repeat(255);
    for (name, shown) in [
        ("ci", "ci"),
        ("  ci\t", "ci"),
        ("\u{e9} \u{65e5}\u{672c}", "\u{e9} \u{65e5}\u{672c}"),
        ("<script>\"'&%00", "<script>\"'&%00"),
        (&long, &long),
    ] {
        let answer = named(name.into()).await;
        assert_eq!(answer.json()["personal_access_token"]["name"], shown);
    }
    for bad in [
        json!(""),
        json!("   "),
        json!("\u{a0}\u{2003}"),
        json!("a\0b"),
        json!("a\nb"),
        json!("a\u{7f}"),
        json!("a\u{9b}b"),
        json!("a".repeat(256)),
        json!(null),
        json!(5),
        json!(["ci"]),
    ] {
        assert_eq!(error(&named(bad.clone()).await).0, 422, "{bad}");
    }
    assert_eq!(error(&world.create(r#"{"expires_in":1}"#).await).0, 422);
    assert_eq!(world.listed().await.len(), 5);
}

#[tokio::test]
async fn no_json_is_400_and_other_json_422_s4_s6() {
    let world = World::new();
    let deep = format!(r#"{{"name":"ci","expires_in":1,"x":{}}}"#, "[".repeat(50_000));
    for bad in [
        &b""[..],
        b"{",
        b"name=ci&expires_in=1",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"{\"name\":\"\xff\",\"expires_in\":1}",
        b"{\"name\":\"\\ud800\",\"expires_in\":1}",
        deep.as_bytes(),
        br#"{"name":"ci","expires_in":1,"expires_in":365}"#,
        br#"{"name":"ci","expires_in":1,"expires\u005fin":365}"#,
    ] {
        let answer = world.create(bad.to_vec()).await;
        assert_eq!(error(&answer), (400, "couldn't parse json request".into()));
    }
    for odd in ["[]", "null", "5", "\"x\"", "{}"] {
        assert_eq!(error(&world.create(odd).await).0, 422, "{odd}");
    }
    assert!(world.listed().await.is_empty());
}

#[tokio::test]
async fn a_token_grants_what_its_maker_may_and_no_more() {
    let world = World::new();
    let body = json!({
        "name": "ci", "expires_in": 30, "scopes": ["admin"], "scope": "admin", "owner": "bob",
        "created_by": "bob", "id": "chosen", "plain_token": "chosen", "user_id": "bob",
    });
    let made = world.create(body.to_string()).await.json();
    assert_eq!(made["personal_access_token"]["created_by"], "alice");
    let plain = made["plain_token"].as_str().unwrap();
    let identity = world.verify(plain).await.unwrap();
    assert_eq!((identity.subject(), identity.scopes().to_string()), ("alice", "read write".to_owned()));

    // A token may make another, of the same owner.
    let who = format!("Token {plain}");
    let second = world.call(&who, Method::POST, TOKENS, good()).await.json();
    let second = world.verify(second["plain_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((second.subject(), second.scopes().to_string()), ("alice", "read write".to_owned()));
    assert_eq!(world.call(&who, Method::POST, "/api/users/bob/tokens", good()).await.status, 403);
}

#[tokio::test]
async fn others_are_another_matter() {
    let world = World::new();
    let (plain, id) = world.made("bob", "/api/users/bob/tokens").await;
    let message = (403, "not allowed to manage the tokens of this user".to_owned());
    for user in ["bob", "nobody", "Alice", "alice%20", "%20alice", "alice%00", "alic%D0%B5"] {
        for (method, path) in [
            (Method::GET, format!("/api/users/{user}/tokens")),
            (Method::POST, format!("/api/users/{user}/tokens")),
            (Method::GET, format!("/api/users/{user}/tokens/{id}")),
            (Method::DELETE, format!("/api/users/{user}/tokens/{id}")),
            (Method::PUT, format!("/api/users/{user}/tokens/{id}")),
        ] {
            let answer = world.as_alice(method, &path, good()).await;
            assert_eq!(error(&answer), message, "{path}: one answer, whoever there is");
        }
    }
    for method in [Method::GET, Method::DELETE] {
        let answer = world.as_alice(method, &format!("{TOKENS}/{id}"), "").await;
        assert_eq!(error(&answer), (404, "not found".into()), "another's token on one's own path");
    }
    assert!(world.verify(&plain).await.is_ok());
    // Two issuers may have different people of one name.
    let strict =
        PatEndpoint::new(PatFormat::netbird(), world.store.clone()).for_issuers(["https://a.example"]);
    let row = PersonalToken::new("t", "alice", "ci", at(0), at(1));
    for (caller, status) in [
        (Identity::builder("alice"), 403),
        (Identity::builder("alice").issuer("https://b.example"), 403),
        (Identity::builder("alice").issuer("https://a.example"), 200),
        (Identity::builder("alice").detail(row), 200),
    ] {
        let request = Request::get(TOKENS).extension(caller.build()).body(Body::default()).unwrap();
        assert_eq!(Answer::of(&strict, request).await.status, status);
    }
    // A caller whom nobody named is nobody's owner.
    let endpoint = PatEndpoint::new(PatFormat::netbird(), world.store.clone());
    let nobody = Request::get("/api/users//tokens").extension(Identity::builder("").build());
    assert_eq!(Answer::of(&endpoint, nobody.body(Body::default()).unwrap()).await.status, 403);
}

#[tokio::test]
async fn users_of_any_name() {
    let world = World::new();
    for (subject, encoded) in [
        ("auth0|1", "auth0%7C1"),
        ("auth0|1", "auth0|1"),
        ("a/b", "a%2Fb"),
        ("a/b", "a%2fb"),
        ("a b", "a%20b"),
        ("a+b", "a+b"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E%2E"),
        ("..", ".."),
        ("users", "users"),
        ("tokens", "tokens"),
        ("\u{e9}\u{65e5}", "%C3%A9%E6%97%A5"),
        ("a?b#c", "a%3Fb%23c"),
        ("google-oauth2|103", "google-oauth2%7C103"),
    ] {
        let path = format!("/api/users/{encoded}/tokens");
        let (plain, id) = world.made(subject, &path).await;
        assert_eq!(world.verify(&plain).await.unwrap().subject(), subject);
        let one = format!("{path}/{id}");
        assert_eq!(world.call(&session(subject), Method::DELETE, &one, "").await.status, 200, "{one}");
        assert!(world.verify(&plain).await.is_err());
    }
    // Decoded once, and never into another path.
    for (subject, encoded) in
        [("a/b", "a%252Fb"), ("a b", "a+b"), ("auth0|1", "auth0%257C1"), ("a", "a%2F..%2Fa"), ("a/b", "a/b")]
    {
        let path = format!("/api/users/{encoded}/tokens");
        let answer = world.call(&session(subject), Method::GET, &path, "").await;
        assert!(matches!(answer.status, 403 | 404), "{path}: {}", answer.status);
    }
    assert_eq!(world.as_alice(Method::GET, "/api/users/%FF/tokens", "").await.status, 404);
}

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let world = World::new();
    let (plain, id) = world.made("bob", "/api/users/bob/tokens").await;
    for path in [
        "/".to_owned(),
        "/api/users/alice".to_owned(),
        "/api/users/alice/Tokens".to_owned(),
        "/api/users/alice/tokens/".to_owned(),
        "/api/users/alice//tokens".to_owned(),
        format!("{TOKENS}/x/y"),
        format!("{TOKENS}/../../bob/tokens"),
        format!("{TOKENS}/../../bob/tokens/{id}"),
        format!("{TOKENS}/..%2F..%2Fbob%2Ftokens%2F{id}"),
        format!("{TOKENS}/%00"),
        format!("{TOKENS}/%FF"),
        format!("{TOKENS}/{id}%00"),
        format!("{TOKENS}/{}", "a".repeat(8000)),
        format!("{TOKENS};/../bob/tokens"),
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = world.as_alice(method.clone(), &path, "").await;
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
    let star = Request::builder().method(Method::OPTIONS).uri("*").header("authorization", session("alice"));
    assert_eq!(world.send(star.body(Body::default()).unwrap()).await.status, 404);
    assert!(world.verify(&plain).await.is_ok());
    let nested = world.as_alice(Method::GET, "/v1/x/users/alice/tokens?users=bob#x", "").await;
    assert_eq!((nested.status, nested.text.as_str()), (200, "[]"), "wherever it is mounted");
}

#[tokio::test]
async fn methods_that_it_does_not_have() {
    let world = World::new();
    for method in ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "POST\u{2a}"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = world.as_alice(method, TOKENS, good()).await;
        assert_eq!(error(&answer), (405, "method not allowed".into()));
        assert_eq!(answer.header("allow"), Some("GET, POST"));
    }
    for method in ["PUT", "PATCH", "POST", "HEAD"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = world.as_alice(method, &format!("{TOKENS}/x"), good()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, DELETE")));
    }
    assert!(world.listed().await.is_empty());
}

#[tokio::test]
async fn without_a_credential_s4_s4() {
    let world = World::new();
    let bare = Request::get(TOKENS).body(Body::default()).unwrap();
    let answer = world.send(bare).await;
    assert_eq!(error(&answer).0, 401);
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 2, "one for each scheme");
    let unknown = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";
    let bad = world.call(&format!("Token {unknown}"), Method::GET, TOKENS, "").await;
    assert_eq!(error(&bad), (401, "the token is not valid".into()));
    assert_eq!(bad, world.call("Token nbp_x", Method::GET, TOKENS, "").await);

    // Without the layer, it lets nobody in.
    let endpoint = PatEndpoint::new(PatFormat::netbird(), world.store.clone());
    for (method, path) in
        [(Method::GET, TOKENS), (Method::POST, TOKENS), (Method::DELETE, "/users/alice/tokens/x")]
    {
        let request = Request::builder().method(method).uri(path).header("authorization", session("alice"));
        let answer = Answer::of(&endpoint, request.body(Body::new(good().into())).unwrap()).await;
        assert_eq!(error(&answer), (401, "no valid authentication provided".into()));
        assert!(answer.header("www-authenticate").is_some(), "M-9110-2");
    }
    assert!(world.listed().await.is_empty());
}

#[tokio::test]
async fn a_body_has_a_size_and_an_end() {
    let world = World::new();
    let padded = |bytes: usize| format!("{}{}", good(), " ".repeat(bytes - good().len()));
    assert_eq!(world.create(padded(64 * 1024)).await.status, 200);
    assert_eq!(error(&world.create(padded(64 * 1024 + 1)).await), (413, "the body is too large".into()));
    assert_eq!(world.create(padded(10_000_000)).await.status, 413);
    // Whose tokens they are is asked before a body is read.
    assert_eq!(world.call(&session("bob"), Method::POST, TOKENS, padded(10_000_000)).await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let world = World::new();
    let endpoint = PatEndpoint::new(PatFormat::netbird(), world.store.clone());
    let frames = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
    let identity = Identity::builder("alice").build();
    let request = Request::post(TOKENS).extension(identity.clone()).body(StreamBody::new(frames)).unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(endpoint.clone().oneshot(request).await.unwrap().status(), 400);
    assert!(began.elapsed() <= Duration::from_secs(10));

    let frames = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>("reset")]);
    let request = Request::post(TOKENS).extension(identity).body(StreamBody::new(frames)).unwrap();
    assert_eq!(endpoint.oneshot(request).await.unwrap().status(), 400);
}

#[tokio::test]
async fn an_outage_is_a_503_s4_s5() {
    let world = World::new();
    let (plain, id) = world.made("alice", TOKENS).await;
    world.store.set_down(true);
    for (method, path) in [
        (Method::GET, TOKENS.to_owned()),
        (Method::POST, TOKENS.to_owned()),
        (Method::GET, format!("{TOKENS}/{id}")),
        (Method::DELETE, format!("{TOKENS}/{id}")),
    ] {
        let answer = world.as_alice(method, &path, good()).await;
        assert_eq!(error(&answer), (503, "no answer can be given now".into()));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.header("www-authenticate"), None);
        assert!(!answer.text.contains("canary") && !answer.text.contains("plain_token"));
    }
    world.store.set_down(false);
    assert_eq!(world.listed().await.len(), 1);
    assert!(world.verify(&plain).await.is_ok());
}

/// Rows that somebody else wrote may have any times; a clock, too.
#[tokio::test]
async fn odd_times_are_no_panic_m_x_1() {
    let world = World::new();
    let times = [
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::from_secs(1),
        UNIX_EPOCH - Duration::from_secs(100_000 * DAY as u64),
        UNIX_EPOCH + Duration::from_secs(253_402_300_799),
        UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        UNIX_EPOCH + Duration::from_secs(i64::MAX as u64),
    ];
    for (number, time) in times.into_iter().enumerate() {
        let mut row = PersonalToken::new(format!("t{number}"), "alice", "odd", time, time);
        row.last_used = Some(time);
        world.store.insert(TokenDigest::of(&number.to_string()).unwrap(), row).await.unwrap();
    }
    let listed = world.listed().await;
    let dates: BTreeSet<_> = listed.iter().map(|token| token["expiration_date"].as_str().unwrap()).collect();
    assert_eq!(dates.into_iter().collect::<Vec<_>>(), ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]);
    for number in 0..times.len() {
        let answer = world.as_alice(Method::GET, &format!("{TOKENS}/t{number}"), "").await;
        assert_eq!(answer.status, 200);
    }
    for now in [-1, i64::MIN, 0, 253_402_300_799, i64::MAX] {
        world.clock.set(now);
        let answer = world.create(good()).await;
        assert!(matches!(answer.status, 200 | 422), "{now}: {}", answer.text);
    }
}

#[tokio::test]
async fn no_two_tokens_are_alike() {
    let world = World::new();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let (plain, id) = world.made("alice", TOKENS).await;
        assert!(seen.insert(plain) && seen.insert(id));
    }
}
