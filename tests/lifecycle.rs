//! What an issuer does with tokens after it gave them, and with its keys.

mod common;
#[path = "common/served.rs"]
mod served;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use futures_util::poll;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, advance};
use tower::ServiceExt;
use tower_bearer::contract::{ClientAuth, Credentials, TokenContract};
use tower_bearer::issue::{
    AccessToken, AppKeys, AuthTypeEndpoint, IntrospectionEndpoint, JwksEndpoint, JwtSigner, KeyRing,
    MetadataEndpoint, Mint, PatEndpoint, RevocationEndpoint, TokenEndpoint,
};
use tower_bearer::pat::PatFormat;
use tower_bearer::store::{
    Client, ClientSecret, ClientStore, KeyStore, MemoryStore, PersonalToken, RefreshGrant, RefreshStore,
    RevocationStore, Revocations, Rotation, Stored, StoredKey, TokenDigest, TokenStore,
};
use tower_bearer::test_util::ManualClock;
use tower_bearer::transport::ServiceTransport;
use tower_bearer::verify::{
    Introspection, JwtVerifier, KeyLookup, Keys, PatVerifier, RevocableVerifier, Schemes, Verify, verify_fn,
};
use tower_bearer::{
    Algorithm, Credential, Eventual, Identity, Rejection, RejectionKind, Scheme, Scopes, Secret,
};

use common::{AUDIENCE, ISSUER, NOW};
use served::{Answer, Body, at, settle};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PAT: &str = "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0uCPlr";

/// A store in memory that counts, and can be down, or tell late what it read at once.
#[derive(Clone, Default)]
struct Moody {
    store: MemoryStore,
    mood: Arc<Mood>,
}

#[derive(Default)]
struct Mood {
    down: AtomicBool,
    hangs: AtomicBool,
    calls: AtomicUsize,
    slow: Mutex<Option<Arc<Notify>>>,
    until: Mutex<Option<SystemTime>>,
}

impl Moody {
    fn calls(&self) -> usize {
        self.mood.calls.load(Ordering::SeqCst)
    }

    fn set_down(&self, down: bool) {
        self.mood.down.store(down, Ordering::SeqCst);
    }

    fn set_hanging(&self, hangs: bool) {
        self.mood.hangs.store(hangs, Ordering::SeqCst);
    }

    fn slow_down(&self) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        *self.mood.slow.lock().unwrap() = Some(Arc::clone(&bell));
        bell
    }

    fn speed_up(&self) {
        *self.mood.slow.lock().unwrap() = None;
    }

    /// Until when the last revocation was to be kept.
    fn until(&self) -> SystemTime {
        self.mood.until.lock().unwrap().unwrap()
    }

    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&MemoryStore) -> Stored<T>) -> Stored<T> {
        self.mood.calls.fetch_add(1, Ordering::SeqCst);
        if self.mood.hangs.load(Ordering::SeqCst) {
            return Eventual::later(std::future::pending());
        }
        if self.mood.down.load(Ordering::SeqCst) {
            return Eventual::now(Err("canary: connection refused".into()));
        }
        let told = work(&self.store);
        match self.mood.slow.lock().unwrap().clone() {
            None => told,
            Some(bell) => Eventual::later(async move {
                bell.notified().await;
                told.await
            }),
        }
    }
}

impl RevocationStore for Moody {
    fn revoke(&self, digest: TokenDigest, until: SystemTime) -> Stored<()> {
        *self.mood.until.lock().unwrap() = Some(until);
        self.ask(|store| RevocationStore::revoke(store, digest, until))
    }

    fn is_revoked(&self, digests: Vec<TokenDigest>) -> Stored<bool> {
        self.ask(|store| store.is_revoked(digests))
    }

    fn use_once(&self, digest: TokenDigest, until: SystemTime) -> Stored<bool> {
        self.ask(|store| store.use_once(digest, until))
    }

    fn revocations(&self) -> Revocations {
        RevocationStore::revocations(&self.store)
    }
}

impl RefreshStore for Moody {
    fn begin(&self, digest: TokenDigest, grant: RefreshGrant) -> Stored<()> {
        self.ask(|store| store.begin(digest, grant))
    }

    fn find(&self, digest: TokenDigest) -> Stored<Option<RefreshGrant>> {
        self.ask(|store| RefreshStore::find(store, digest))
    }

    fn rotate(
        &self,
        spent: TokenDigest,
        successor: TokenDigest,
        expires_at: SystemTime,
        void_until: SystemTime,
    ) -> Stored<Rotation> {
        *self.mood.until.lock().unwrap() = Some(void_until);
        self.ask(|store| store.rotate(spent, successor, expires_at, void_until))
    }

    fn end(&self, grant_id: &str, void_until: SystemTime) -> Stored<()> {
        *self.mood.until.lock().unwrap() = Some(void_until);
        self.ask(|store| store.end(grant_id, void_until))
    }
}

impl ClientStore for Moody {
    fn find(&self, id: &str) -> Stored<Vec<Client>> {
        self.ask(|store| ClientStore::find(store, id))
    }

    fn find_by_digest(&self, digest: TokenDigest) -> Stored<Vec<Client>> {
        self.ask(|store| store.find_by_digest(digest))
    }

    fn may_hold_passwords(&self) -> bool {
        false
    }
}

impl KeyStore for Moody {
    fn keys(&self, ring: &str) -> Stored<Vec<StoredKey>> {
        self.ask(|store| store.keys(ring))
    }

    fn add_key(&self, key: StoredKey) -> Stored<bool> {
        self.ask(|store| store.add_key(key))
    }

    fn remove_keys_below(&self, ring: &str, number: u32) -> Stored<()> {
        self.ask(|store| store.remove_keys_below(ring, number))
    }
}

/// An issuer with its clients, `web` and `other`, and what each of them may find behind it.
struct World {
    store: MemoryStore,
    /// Over the same store: what is void, and what refreshes.
    moody: Moody,
    clock: ManualClock,
    signer: JwtSigner,
    verifier: RevocableVerifier,
}

impl World {
    async fn new() -> Self {
        Self::remembering(HOUR).await
    }

    async fn remembering(max_age: Duration) -> Self {
        let (store, clock) = (MemoryStore::new(), ManualClock::at(NOW));
        let moody = Moody { store: store.clone(), mood: Arc::default() };
        for id in ["web", "other"] {
            let secret = ClientSecret::random(&SECRET.into()).unwrap();
            let scopes = Scopes::parse("read write offline_access").unwrap();
            store.put_client(Client::new(id, secret).with_scopes(scopes)).await.unwrap();
        }
        let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
        let verifier = RevocableVerifier::new(jwt(&signer, &clock), moody.clone(), max_age);
        Self { store, moody, clock, signer, verifier }
    }

    fn tokens(&self) -> TokenEndpoint {
        let mint = Mint::access_tokens(self.signer.clone(), ISSUER, AUDIENCE).with_clock(self.clock.clone());
        TokenEndpoint::new(TokenContract::client_credentials(), mint, self.store.clone())
            .also(TokenContract::refresh_token())
            .with_refresh_tokens(self.moody.clone())
            .with_clock(self.clock.clone())
    }

    /// JWTs as the world's verifier sees them, without a memory, and personal tokens.
    fn everything(&self) -> Schemes {
        let pats = PatVerifier::new(PatFormat::netbird(), self.store.clone());
        let signed =
            RevocableVerifier::new(jwt(&self.signer, &self.clock), self.moody.clone(), Duration::ZERO);
        Schemes::new()
            .bearer_prefixed("nbp_", pats.with_clock(self.clock.clone()).unwrap())
            .bearer_jwt(signed)
    }

    fn introspection(&self) -> IntrospectionEndpoint {
        IntrospectionEndpoint::new(self.everything(), self.store.clone())
            .with_refresh_tokens(self.moody.clone())
            .with_clock(self.clock.clone())
    }

    fn revocation(&self) -> RevocationEndpoint {
        RevocationEndpoint::new(self.everything(), self.store.clone(), self.moody.clone())
            .with_refresh_tokens(self.moody.clone())
            .with_personal_tokens(self.store.clone())
            .with_clock(self.clock.clone())
    }

    async fn grant(&self, client: &str, scope: &str) -> Value {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = Answer::of(&self.tokens(), form(client, &fields)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    async fn access(&self, client: &str) -> String {
        text(&self.grant(client, "read").await["access_token"])
    }

    /// A refresh token and the access token that came with it.
    async fn offline(&self, client: &str) -> (String, String) {
        let answer = self.grant(client, "read write offline_access").await;
        (text(&answer["refresh_token"]), text(&answer["access_token"]))
    }

    async fn turn(&self, client: &str, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        Answer::of(&self.tokens(), form(client, &fields)).await
    }

    /// A personal token of this owner.
    async fn personal(&self, owner: &str) -> String {
        let row = PersonalToken::new("t1", owner, "ci", at(NOW), at(NOW + 600))
            .with_scopes(Scopes::parse("read").unwrap());
        self.store.insert(TokenDigest::of(PAT).unwrap(), row).await.unwrap();
        PAT.to_owned()
    }

    async fn introspect(&self, token: &str) -> Answer {
        Answer::of(&self.introspection(), form("web", &[("token", token)])).await
    }

    async fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(token).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["active"].as_bool().unwrap()
    }

    async fn revoke(&self, client: &str, token: &str) -> Answer {
        Answer::of(&self.revocation(), form(client, &[("token", token)])).await
    }

    async fn ask(&self, token: &str) -> Result<Identity, RejectionKind> {
        ask(&self.verifier, token).await
    }
}

fn jwt(signer: &JwtSigner, clock: &ManualClock) -> JwtVerifier {
    let rules = JwtVerifier::builder(Keys::jwks(signer.jwks().as_bytes()).unwrap());
    let rules = rules.issuer(ISSUER).audience(AUDIENCE).access_token_profile();
    rules.with_clock(clock.clone()).build().unwrap()
}

async fn ask(verifier: &impl Verify, token: &str) -> Result<Identity, RejectionKind> {
    let verdict = verifier.verify(&Credential::new(Scheme::Bearer, token)).await;
    verdict.map_err(|rejection| rejection.kind())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn post(body: String) -> Request<Body> {
    let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body)).unwrap()
}

/// From a client that proves who it is.
fn form(client: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = post(encoded(fields));
    let basic = format!("Basic {}", STANDARD.encode(format!("{client}:{SECRET}")));
    request.headers_mut().insert("authorization", basic.parse().unwrap());
    request
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// What nobody ever issued.
fn garbage() -> Vec<String> {
    let mut list: Vec<String> = [
        "x",
        " ",
        "\0",
        "..",
        "a.b.c",
        "nbp_",
        PAT,
        "nbp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA5arexv",
        "eyJhbGciOiJub25lIn0.e30.",
        "\u{1f511}\u{202e}",
        "Bearer x",
        "' OR 1=1 --",
        "grant:x",
    ]
    .map(String::from)
    .into();
    list.push("a".repeat(60_000));
    list.push(".".repeat(60_000));
    list.push(common::good_token());
    list
}

// Introspection (RFC 7662).

#[tokio::test]
async fn what_is_said_of_a_good_token_m_7662_1() {
    let world = World::new().await;
    let token = world.access("other").await;
    let answer = world.introspect(&token).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = json!({
        "active": true, "iss": ISSUER, "sub": "other", "client_id": "other", "aud": AUDIENCE, "scope": "read",
        "iat": NOW, "exp": NOW + 3600, "jti": claims(&token)["jti"], "token_type": "Bearer",
    });
    assert_eq!(answer.json(), expected);

    let pat = world.personal("alice").await;
    let expected = json!({
        "active": true, "sub": "alice", "scope": "read", "iat": NOW, "exp": NOW + 600, "jti": "t1",
        "token_type": "Bearer",
    });
    assert_eq!(world.introspect(&pat).await.json(), expected, "it is good as Bearer");

    let (refresh, _) = world.offline("other").await;
    let expected = json!({
        "active": true, "sub": "other", "client_id": "other", "scope": "read write offline_access",
        "exp": NOW + 30 * 24 * 3600, "token_type": "refresh_token",
    });
    assert_eq!(world.introspect(&refresh).await.json(), expected);
}

#[tokio::test]
async fn nothing_is_said_of_a_bad_one_m_7662_2_atk_48() {
    let world = World::new().await;
    let revoked = world.access("other").await;
    assert_eq!(world.revoke("other", &revoked).await.status, 200);
    let (spent, _) = world.offline("web").await;
    let next = text(&world.turn("web", &spent).await.json()["refresh_token"]);
    let (ended, came_with_it) = world.offline("web").await;
    assert_eq!(world.revoke("web", &ended).await.status, 200);
    let inactive = world.introspect("x").await;
    assert_eq!((inactive.status, inactive.text.as_str()), (200, r#"{"active":false}"#));
    assert_eq!(inactive.header("cache-control"), Some("no-store"));
    let mut bad = garbage();
    bad.extend([revoked, spent, ended, came_with_it]);
    for token in bad {
        assert_eq!(world.introspect(&token).await, inactive, "{token:.80}");
    }

    let (token, pat) = (world.access("web").await, world.personal("alice").await);
    assert!(world.is_active(&next).await && world.is_active(&token).await && world.is_active(&pat).await);
    world.clock.set(NOW + 30 * 24 * 3600);
    for expired in [next, token, pat] {
        assert_eq!(world.introspect(&expired).await, inactive, "{expired:.80}");
    }
}

/// Both endpoints open the same desk.
#[tokio::test]
async fn who_may_ask_m_7662_1_m_7009_1() {
    let world = World::new().await;
    let token = world.access("web").await;
    let (introspection, revocation) = (world.introspection(), world.revocation());
    let send = async |request: fn(&str) -> Request<Body>| {
        let one = Answer::of(&introspection, request(&token)).await;
        let other = Answer::of(&revocation, request(&token)).await;
        assert_eq!(one, other);
        assert_eq!(one.header("www-authenticate").is_some(), one.status == 401, "M-9110-2");
        assert_eq!(one.header("cache-control"), Some("no-store"));
        assert!(!one.text.contains("active"), "it says nothing about the token");
        (one.status, text(&one.json()["error"]), one)
    };
    let wrong: [fn(&str) -> Request<Body>; 7] = [
        |token| post(encoded(&[("token", token)])),
        |token| post(encoded(&[("token", token), ("client_id", "web")])),
        |token| post(encoded(&[("token", token), ("client_id", "web"), ("client_secret", "wrong")])),
        |token| post(encoded(&[("token", token), ("client_id", "nobody"), ("client_secret", SECRET)])),
        |token| form("nobody", &[("token", token)]),
        |token| {
            let mut request = post(encoded(&[("token", token)]));
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            request
        },
        |_| post(String::new()),
    ];
    let (.., first) = send(wrong[0]).await;
    for request in wrong {
        let (status, error, answer) = send(request).await;
        assert_eq!((status, error.as_str(), &answer), (401, "invalid_client", &first));
    }
    let malformed: [fn(&str) -> Request<Body>; 8] = [
        |_| form("web", &[]),
        |_| form("web", &[("token", "")]),
        |token| form("web", &[("token", token), ("token", token)]),
        |token| form("web", &[("token", token), ("token", "x")]),
        |token| form("web", &[("token", token), ("client_id", "other")]),
        |token| form("web", &[("token", token), ("client_id", "web"), ("client_secret", SECRET)]),
        |token| {
            let mut request = form("web", &[("token", token)]);
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            request
        },
        |token| {
            let mut request = form("web", &[]);
            *request.uri_mut() = format!("/?token={token}").parse().unwrap();
            request
        },
    ];
    for request in malformed {
        let (status, error, answer) = send(request).await;
        assert_eq!((status, error.as_str()), (400, "invalid_request"), "{}", answer.text);
    }
    let (status, _, answer) = send(|token| {
        let mut request = form("web", &[("token", token)]);
        *request.method_mut() = Method::GET;
        request
    })
    .await;
    assert_eq!((status, answer.header("allow")), (405, Some("POST")));
    let (status, ..) = send(|_| form("web", &[("token", &"a".repeat(70_000))])).await;
    assert_eq!(status, 413);
    assert!(world.ask(&token).await.is_ok(), "none of it revoked anything");
}

#[tokio::test]
async fn what_cannot_be_told_is_a_503_m_7662_3_atk_43() {
    let world = World::new().await;
    let token = world.access("web").await;
    world.moody.set_down(true);
    for token in [token.as_str(), "x"] {
        for answer in [world.introspect(token).await, world.revoke("web", token).await] {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{token:.20}");
            assert_eq!(answer.json()["error"], "temporarily_unavailable");
            assert!(!answer.text.contains("active") && !answer.text.contains("canary"));
        }
    }
    world.moody.set_down(false);
    assert!(world.is_active(&token).await);

    let down = Moody::default();
    down.set_down(true);
    let endpoint = IntrospectionEndpoint::new(world.everything(), down);
    assert_eq!(Answer::of(&endpoint, form("web", &[("token", &token)])).await.status, 503);
}

#[tokio::test]
async fn our_own_client_asks_m_7662_4() {
    let world = World::new().await;
    let over = |world: &World| {
        Introspection::builder(
            "https://issuer.example/introspect",
            ServiceTransport::new(world.introspection()),
        )
        .client(ClientAuth::Basic, Credentials::client("web", SECRET))
        .with_clock(world.clock.clone())
    };
    let client = over(&world).audience(AUDIENCE).issuer(ISSUER).build().unwrap();
    let anything = over(&world).insecure_any_audience().build().unwrap();
    let (refresh, token) = world.offline("other").await;
    let pat = world.personal("alice").await;
    let identity = ask(&client, &token).await.unwrap();
    assert_eq!(
        (identity.subject(), identity.scopes().to_string()),
        ("other", "read write offline_access".into())
    );
    assert_eq!(identity.expires_at(), Some(at(NOW + 3600)));
    assert_eq!(ask(&anything, &pat).await.unwrap().subject(), "alice");
    assert_eq!(ask(&client, &pat).await.unwrap_err(), RejectionKind::InvalidToken, "it has no audience");
    for client in [&client, &anything] {
        let verdict = ask(client, &refresh).await;
        assert_eq!(verdict.unwrap_err(), RejectionKind::InvalidToken, "a refresh token opens nothing");
        for bad in ["x", "a.b.c", "nbp_x", "\u{e9}"] {
            assert_eq!(ask(client, bad).await.unwrap_err(), RejectionKind::InvalidToken, "{bad}");
        }
    }
    world.moody.set_down(true);
    assert_eq!(ask(&client, &token).await.unwrap_err(), RejectionKind::Unavailable);
    world.moody.set_down(false);
    assert_eq!(world.revoke("other", &token).await.status, 200);
    assert_eq!(ask(&client, &token).await.unwrap_err(), RejectionKind::InvalidToken);

    let stranger = over(&world).client(ClientAuth::Basic, Credentials::client("web", "wrong"));
    let stranger = stranger.insecure_any_audience().build().unwrap();
    assert_eq!(ask(&stranger, &pat).await.unwrap_err(), RejectionKind::Unavailable, "our fault");
}

// Revocation (RFC 7009).

#[tokio::test]
async fn what_nobody_knows_is_revoked_already_m_7009_1() {
    let world = World::new().await;
    let good = world.access("web").await;
    for token in garbage() {
        let answer = world.revoke("web", &token).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "{}"), "{token:.80}");
    }
    let expired = world.access("web").await;
    world.clock.advance(2 * HOUR);
    assert_eq!(world.revoke("web", &expired).await.status, 200);
    world.clock.set(NOW);
    assert!(world.ask(&good).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_client_stays_m_7009_1() {
    let world = World::new().await;
    let (refresh, token) = world.offline("web").await;
    let pat = world.personal("web").await;
    for token in [&refresh, &token, &pat] {
        let answer = world.revoke("other", token).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("unauthorized_client")));
        assert!(world.is_active(token).await);
    }
    assert_eq!(world.turn("web", &refresh).await.status, 200);
}

#[tokio::test]
async fn a_signed_token_ends_at_once_m_7009_1() {
    let world = World::new().await;
    let (token, sibling) = (world.access("web").await, world.access("web").await);
    assert!(world.ask(&token).await.is_ok() && world.ask(&sibling).await.is_ok());
    for _ in 0..2 {
        let hinted = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
        let answer = Answer::of(&world.revocation(), form("web", &hinted)).await;
        assert_eq!(answer.status, 200, "a wrong hint, and a second time");
        assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
        assert!(!world.is_active(&token).await);
    }
    assert!(world.ask(&sibling).await.is_ok());
    assert!(world.moody.until() >= at(NOW + 3600), "not forgotten before it has expired");
}

#[tokio::test]
async fn a_personal_token_ends_at_once_m_7009_1() {
    let world = World::new().await;
    let pat = world.personal("web").await;
    let pats = PatVerifier::new(PatFormat::netbird(), world.store.clone()).cached(HOUR).unwrap();
    let pats = pats.with_clock(world.clock.clone()).unwrap();
    let ask = async || pats.verify(&Credential::new(Scheme::Token, PAT)).await.is_ok();
    assert!(ask().await);
    let without = RevocationEndpoint::new(world.everything(), world.store.clone(), world.moody.clone());
    assert_eq!(Answer::of(&without, form("web", &[("token", &pat)])).await.status, 400, "it may not");
    assert!(ask().await);
    assert_eq!(world.revoke("web", &pat).await.status, 200);
    assert!(!ask().await);
    assert_eq!(world.revoke("web", &pat).await.status, 200);
}

#[tokio::test]
async fn with_a_refresh_token_ends_all_that_came_of_it_m_7009_1() {
    let world = World::new().await;
    for revoked in ["the first", "the second"] {
        let (first, first_access) = world.offline("web").await;
        let turned = world.turn("web", &first).await.json();
        let (second, second_access) = (text(&turned["refresh_token"]), text(&turned["access_token"]));
        let (other, other_access) = world.offline("web").await;
        for token in [&first_access, &second_access, &other_access] {
            assert!(world.ask(token).await.is_ok());
        }
        let token = if revoked == "the first" { &first } else { &second };
        assert_eq!(world.revoke("web", token).await.status, 200);
        for token in [&first_access, &second_access] {
            assert_eq!(world.ask(token).await.unwrap_err(), RejectionKind::InvalidToken, "{revoked}");
        }
        for token in [&first, &second] {
            assert_eq!(world.turn("web", token).await.json()["error"], "invalid_grant", "{revoked}");
        }
        assert!(world.ask(&other_access).await.is_ok());
        assert_eq!(world.turn("web", &other).await.status, 200);
    }
}

/// Whoever has (r, s) of ECDSA can compute (r, n − s), which is as good a signature of the same bytes.
#[tokio::test]
async fn the_other_signature_of_a_revoked_token_is_refused() {
    let world = World::new().await;
    let token = world.access("web").await;
    let twin = with_other_signature(&token);
    assert_ne!(token, twin);
    assert_eq!(with_other_signature(&twin), token);
    assert!(world.ask(&token).await.is_ok());
    assert!(world.ask(&twin).await.is_ok(), "it is a signature");
    assert_eq!(world.revoke("web", &token).await.status, 200);
    for token in [&token, &twin] {
        assert_eq!(world.ask(token).await.unwrap_err(), RejectionKind::InvalidToken);
        assert!(!world.is_active(token).await);
    }
    // And the other way round.
    let token = world.access("web").await;
    assert_eq!(world.revoke("web", &with_other_signature(&token)).await.status, 200);
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
}

fn with_other_signature(token: &str) -> String {
    /// FIPS 186-4 D.1.2.3, the order of P-256.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(signature.len(), 64);
    let mut borrow = 0;
    for (digit, n) in signature[32..].iter_mut().zip(N).rev() {
        let difference = i16::from(n) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
    assert_eq!(borrow, 0, "s is below n");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_revocation_is_kept_for_as_long_as_the_token() {
    let world = World::new().await;
    let secret = JwtSigner::hmac(Algorithm::HS256, SECRET).unwrap();
    let rules = JwtVerifier::builder(Keys::hmac(Algorithm::HS256, SECRET).unwrap());
    let rules = rules.insecure_any_issuer().insecure_any_audience().insecure_allow_missing_expiry();
    let rules = rules.with_clock(world.clock.clone()).build().unwrap();
    let endpoint = RevocationEndpoint::new(rules, world.store.clone(), world.moody.clone());
    let endpoint = endpoint.with_clock(world.clock.clone());
    for (exp, least) in [
        (json!(NOW + 60), NOW + 60),
        (json!(NOW + 60 * 365 * 24 * 3600), NOW + 60 * 365 * 24 * 3600),
        (json!(1_000_000_000_000_000_i64), NOW + 1000 * 365 * 24 * 3600),
        (json!(i64::MAX), NOW + 1000 * 365 * 24 * 3600),
        (json!(i64::MAX - 1800), NOW + 1000 * 365 * 24 * 3600),
        (json!(u64::MAX), NOW + 5 * 365 * 24 * 3600),
        (json!(1e300), NOW + 5 * 365 * 24 * 3600),
        (Value::Null, NOW + 5 * 365 * 24 * 3600),
    ] {
        let mut claims = json!({ "sub": "web", "exp": exp });
        if exp.is_null() {
            claims.as_object_mut().unwrap().remove("exp");
        }
        let token = secret.sign_claims("JWT", &claims).unwrap();
        let answer = Answer::of(&endpoint, form("web", &[("token", &token)])).await;
        assert_eq!(answer.status, 200, "{exp}");
        assert!(world.moody.until() >= at(least), "{exp}: {:?}", world.moody.until());
    }
}

/// A grant that ends takes its access tokens with it for as long as any of them might be good.
#[tokio::test]
async fn a_grant_that_ends_is_remembered_for_as_long_as_its_tokens_m_6749_6() {
    let world = World::new().await;
    let mint = Mint::access_tokens(world.signer.clone(), ISSUER, AUDIENCE);
    for (contract, mint, lifetime) in [
        (TokenContract::client_credentials(), mint.clone(), HOUR),
        (TokenContract::client_credentials(), mint.clone().with_lifetime(Duration::MAX), 366 * DAY),
        (
            TokenContract::client_credentials()
                .with_lifetime_parameter(tower_bearer::contract::Place::Body, "expires_in"),
            mint.clone(),
            366 * DAY,
        ),
    ] {
        let endpoint =
            TokenEndpoint::new(contract, mint.with_clock(world.clock.clone()), world.store.clone())
                .also(TokenContract::refresh_token())
                .with_refresh_tokens(world.moody.clone())
                .with_clock(world.clock.clone());
        let fields = [("grant_type", "client_credentials"), ("scope", "offline_access")];
        let first = Answer::of(&endpoint, form("web", &fields)).await.json();
        let first = text(&first["refresh_token"]);
        let fields = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
        assert_eq!(Answer::of(&endpoint, form("web", &fields)).await.status, 200);
        assert_eq!(Answer::of(&endpoint, form("web", &fields)).await.status, 400, "a second use");
        let kept = world.moody.until().duration_since(at(NOW)).unwrap();
        assert!(kept >= lifetime, "{kept:?} for tokens of {lifetime:?}");
    }
}

#[tokio::test]
async fn refresh_tokens_are_judged_by_the_clock_of_the_endpoint() {
    let world = World::new().await;
    let mints = ManualClock::at(NOW);
    let mint = Mint::access_tokens(world.signer.clone(), ISSUER, AUDIENCE).with_clock(mints.clone());
    let endpoint = TokenEndpoint::new(TokenContract::client_credentials(), mint, world.store.clone())
        .also(TokenContract::refresh_token())
        .with_refresh_tokens(world.moody.clone())
        .with_clock(world.clock.clone());
    let fields = [("grant_type", "client_credentials"), ("scope", "offline_access")];
    let token = text(&Answer::of(&endpoint, form("web", &fields)).await.json()["refresh_token"]);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    world.clock.advance(30 * DAY);
    assert_eq!(Answer::of(&endpoint, form("web", &fields)).await.json()["error"], "invalid_grant");
    world.clock.set(NOW);
    mints.advance(30 * DAY);
    assert_eq!(Answer::of(&endpoint, form("web", &fields)).await.status, 200);
}

#[tokio::test]
async fn a_scope_that_shrank_is_said_m_6749_8() {
    let world = World::new().await;
    let (token, _) = world.offline("web").await;
    let less = Client::new("web", ClientSecret::random(&SECRET.into()).unwrap());
    world.store.put_client(less.with_scopes(Scopes::parse("read offline_access").unwrap())).await.unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("scope", "read write")];
    let answer = Answer::of(&world.tokens(), form("web", &fields)).await.json();
    assert_eq!(claims(answer["access_token"].as_str().unwrap())["scope"], "read");
    assert_eq!(answer["scope"], "read", "not what was asked for");
    let fields = [("grant_type", "client_credentials"), ("scope", "read")];
    assert_eq!(Answer::of(&world.tokens(), form("web", &fields)).await.json().get("scope"), None);
}

#[tokio::test]
async fn an_error_repeats_no_foreign_text_m_6749_5() {
    let world = World::new().await;
    for name in
        ["a\"b", "\u{1f511}", "a\\b", "a\nb", "\0", "\u{202e}", &"a".repeat(10_000), "hunter2 hunter2!"]
    {
        let fields = [(name, "1"), (name, "2"), ("grant_type", "client_credentials")];
        for answer in [
            Answer::of(&world.tokens(), form("web", &fields)).await,
            Answer::of(&world.introspection(), form("web", &fields)).await,
        ] {
            assert_eq!(answer.status, 400);
            let description = text(&answer.json()["error_description"]);
            let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(description.bytes().all(allowed) && description.len() < 100, "{description:.200}");
            assert!(!description.contains("hunter2"), "{description}");
        }
    }
    let twice = Answer::of(&world.introspection(), form("web", &[("token", "a"), ("token", "b")])).await;
    assert_eq!(twice.json()["error_description"], "expected token once, with a value");
}

// `RevocableVerifier`.

#[tokio::test(start_paused = true)]
async fn that_a_token_is_fine_is_remembered_for_an_age() {
    let world = World::remembering(MINUTE).await;
    let token = world.access("web").await;
    let before = world.moody.calls();
    let calls = || world.moody.calls() - before;
    for _ in 0..100 {
        assert!(world.ask(&token).await.is_ok());
    }
    assert_eq!(calls(), 1);
    let known = world.verifier.verify(&Credential::new(Scheme::Bearer, token.as_str()));
    assert!(known.try_now().is_ok(), "without waiting");
    advance(MINUTE - SECOND).await;
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(calls(), 1);
    advance(SECOND).await;
    assert!(world.ask(&token).await.is_ok());
    assert_eq!(calls(), 2);
    // The other verifier judges each time, and what it refuses is nobody's business.
    world.clock.advance(2 * HOUR);
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
    assert!(world.ask("a.b.c").await.is_err());
    assert_eq!(calls(), 2);
}

#[tokio::test]
async fn the_longest_and_the_shortest_age() {
    for (max_age, calls) in [(Duration::MAX, 1), (Duration::ZERO, 5)] {
        let world = World::remembering(max_age).await;
        let token = world.access("web").await;
        let before = world.moody.calls();
        for _ in 0..5 {
            assert!(world.ask(&token).await.is_ok(), "{max_age:?}");
        }
        assert_eq!(world.moody.calls() - before, calls, "{max_age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_a_503_atk_43() {
    let world = World::remembering(MINUTE).await;
    let (known, unknown) = (world.access("web").await, world.access("web").await);
    assert!(world.ask(&known).await.is_ok());
    world.moody.set_down(true);
    assert!(world.ask(&known).await.is_ok(), "for as long as is remembered");
    assert_eq!(world.ask(&unknown).await.unwrap_err(), RejectionKind::Unavailable);
    assert_eq!(world.ask("a.b.c").await.unwrap_err(), RejectionKind::InvalidToken);
    advance(MINUTE).await;
    assert_eq!(world.ask(&known).await.unwrap_err(), RejectionKind::Unavailable, "ATK-44: and no longer");
    world.moody.set_down(false);
    assert!(world.ask(&known).await.is_ok() && world.ask(&unknown).await.is_ok());
}

/// A question that was asked before the revocation and is answered after it.
#[tokio::test]
async fn the_news_before_the_answer() {
    for max_age in [HOUR, Duration::MAX, Duration::ZERO] {
        let world = World::remembering(max_age).await;
        let token = world.access("web").await;
        let begin = || world.verifier.verify(&Credential::new(Scheme::Bearer, token.as_str()).into_owned());
        let bell = world.moody.slow_down();
        let mut early = begin();
        assert!(poll!(&mut early).is_pending());
        settle().await;
        world.moody.speed_up();
        assert_eq!(world.revoke("web", &token).await.status, 200);
        let mut late = begin();
        let already = poll!(&mut late);
        settle().await;
        bell.notify_one();
        bell.notify_waiters();
        let verdict = match already {
            std::task::Poll::Ready(verdict) => verdict,
            std::task::Poll::Pending => late.await,
        };
        let kind = verdict.unwrap_err().kind();
        assert_eq!(kind, RejectionKind::InvalidToken, "it shared an older answer");
        let _ = early.await;
        for _ in 0..2 {
            assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
        }
    }
}

#[tokio::test]
async fn the_news_after_the_answer() {
    let world = World::remembering(Duration::MAX).await;
    let token = world.access("web").await;
    let bell = world.moody.slow_down();
    let mut early = world.verifier.verify(&Credential::new(Scheme::Bearer, token.as_str()).into_owned());
    assert!(poll!(&mut early).is_pending());
    settle().await;
    bell.notify_waiters();
    assert!(early.await.is_ok());
    world.moody.speed_up();
    assert_eq!(world.revoke("web", &token).await.status, 200);
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken);
    RevocationStore::revocations(&world.store).forget_all();
    assert_eq!(world.ask(&token).await.unwrap_err(), RejectionKind::InvalidToken, "it is written");
}

// 2bttns' probe.

fn probe(lookup: impl KeyLookup, clock: &ManualClock) -> AuthTypeEndpoint {
    let rules = JwtVerifier::builder(Keys::by_claim("appId", Algorithm::HS256, lookup).unwrap());
    let rules = rules.insecure_any_issuer().insecure_any_audience().insecure_allow_missing_expiry();
    AuthTypeEndpoint::new(rules.with_clock(clock.clone()).build().unwrap())
}

fn app_key(app: &str) -> Option<Secret> {
    (app == "example-app").then(|| SECRET.into())
}

fn app_token(claims: Value) -> String {
    JwtSigner::hmac(Algorithm::HS256, SECRET).unwrap().sign_claims("JWT", &claims).unwrap()
}

fn get(authorization: &str) -> Request<Body> {
    Request::get("/").header("authorization", authorization).body(Body::default()).unwrap()
}

#[tokio::test]
async fn the_kind_of_a_good_token_s0() {
    let probe = probe(app_key, &ManualClock::at(NOW));
    for (claims, kind) in [
        (json!({ "type": "api_key_token", "appId": "example-app" }), "api_key_token"),
        (json!({ "type": "api_key_token", "appId": "example-app", "exp": NOW + 60 }), "api_key_token"),
        (json!({ "type": "player_token", "appId": "example-app", "playerId": "p" }), "player_token"),
    ] {
        for scheme in ["Bearer", "bearer", "Bearer  "] {
            let answer = Answer::of(&probe, get(&format!("{scheme} {}", app_token(claims.clone())))).await;
            assert_eq!((answer.status, answer.text), (200, format!("\"{kind}\"")));
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
}

#[tokio::test]
async fn one_answer_for_every_bad_token_s0_s3_atk_48() {
    let probe = probe(app_key, &ManualClock::at(NOW));
    let expected = Answer::of(&probe, get("Bearer x")).await;
    assert_eq!(expected.status, 400);
    assert_eq!(expected.json(), json!({ "message": "Invalid token", "code": "BAD_REQUEST" }));
    let good = app_token(json!({ "type": "api_key_token", "appId": "example-app" }));
    let stranger = JwtSigner::hmac(Algorithm::HS256, "fedcba9876543210fedcba9876543210").unwrap();
    let stranger = stranger.sign_claims("JWT", &json!({ "type": "api_key_token", "appId": "example-app" }));
    let longer = JwtSigner::hmac(Algorithm::HS512, SECRET.repeat(2)).unwrap();
    let longer = longer.sign_claims("JWT", &json!({ "type": "api_key_token", "appId": "example-app" }));
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(r#"{"type":"api_key_token","appId":"example-app"}"#)
    );
    let mut bad = vec![
        "a.b.c".to_owned(),
        none,
        stranger.unwrap(),
        longer.unwrap(),
        good.replace('.', ""),
        format!("{good}A"),
        app_token(json!({ "type": "api_key_token", "appId": "nobody" })),
        app_token(json!({ "type": "api_key_token", "appId": "" })),
        app_token(json!({ "type": "api_key_token", "appId": ["example-app"] })),
        app_token(json!({ "type": "api_key_token", "appId": "example-app\0" })),
        app_token(json!({ "type": "api_key_token" })),
        app_token(json!({ "appId": "example-app" })),
        app_token(json!({ "type": "admin_session", "appId": "example-app" })),
        app_token(json!({ "type": "API_KEY_TOKEN", "appId": "example-app" })),
        app_token(json!({ "type": ["api_key_token"], "appId": "example-app" })),
        app_token(json!({ "type": "api_key_token", "appId": "example-app", "exp": NOW - 3600 })),
        app_token(json!({ "type": "api_key_token", "appId": "example-app", "nbf": NOW + 3600 })),
        "a".repeat(30_000),
    ];
    bad.extend(bad.clone());
    for token in bad {
        assert_eq!(Answer::of(&probe, get(&format!("Bearer {token}"))).await, expected, "{token:.80}");
    }
    for header in ["Basic YWJj", &format!("Token {good}"), &format!("Foo {good}"), "Bearer", "", "Bearer a b"]
    {
        assert_eq!(Answer::of(&probe, get(header)).await, expected, "{header:.80}");
    }
    let mut twice = get(&format!("Bearer {good}"));
    twice.headers_mut().append("authorization", format!("Bearer {good}").parse().unwrap());
    assert_eq!(Answer::of(&probe, twice).await, expected, "M-9110-3");
    let binary = Request::get("/").header("authorization", &b"Bearer \xff\xfe"[..]).body(Body::default());
    assert_eq!(Answer::of(&probe, binary.unwrap()).await, expected);
}

#[tokio::test]
async fn no_token_an_outage_and_another_method_s0() {
    let clock = ManualClock::at(NOW);
    let healthy = probe(app_key, &clock);
    let answer = Answer::of(&healthy, Request::get("/").body(Body::default()).unwrap()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("UNAUTHORIZED")));
    assert!(answer.header("www-authenticate").is_some(), "M-9110-2");

    let token = app_token(json!({ "type": "api_key_token", "appId": "example-app" }));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let mut request = get(&format!("Bearer {token}"));
        *request.method_mut() = method.parse().unwrap();
        let answer = Answer::of(&healthy, request).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let mut head = get(&format!("Bearer {token}"));
    *head.method_mut() = Method::HEAD;
    assert_eq!(Answer::of(&healthy, head).await.status, 200);

    let moody = Moody::default();
    moody.set_down(true);
    let down = probe(AppKeys::new(moody, "two-bttns", MINUTE), &clock);
    let answer = Answer::of(&down, get(&format!("Bearer {token}"))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(!answer.text.contains("canary") && !answer.text.contains("Invalid token"), "S0-C7");
    let response = down.oneshot(get(&format!("Bearer {token}"))).await.unwrap();
    let kind = response.extensions().get::<Rejection>().map(Rejection::kind);
    assert_eq!(kind, Some(RejectionKind::Unavailable), "for layers outside");
}

// The secrets of apps.

async fn app(moody: &Moody, id: &str, system: &str, secret: ClientSecret) {
    moody.store.put_client(Client::new(id, secret).of_system(system)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_app_costs_what_a_stranger_costs_s0_s3() {
    let moody = Moody::default();
    app(&moody, "a", "two-bttns", ClientSecret::hmac_key(SECRET)).await;
    app(&moody, "elsewhere", "other", ClientSecret::hmac_key(SECRET)).await;
    app(&moody, "digest", "two-bttns", ClientSecret::random(&SECRET.into()).unwrap()).await;
    let keys = AppKeys::new(moody.clone(), "two-bttns", MINUTE);
    let find = async |app: &str| keys.find(app).await.unwrap();
    for _ in 0..2 {
        assert_eq!(find("a").await, Some(SECRET.into()));
    }
    assert_eq!(moody.calls(), 2, "one question for each token");
    for stranger in ["b", "elsewhere", "digest", "", "\0", "A", "a "] {
        for _ in 0..2 {
            assert_eq!(find(stranger).await, None, "{stranger:?}");
        }
    }
    assert_eq!(moody.calls(), 16);
    app(&moody, "b", "two-bttns", ClientSecret::hmac_key(SECRET)).await;
    assert_eq!(find("b").await, Some(SECRET.into()), "an app that was just made is known at once");

    app(&moody, "a", "two-bttns", ClientSecret::hmac_key("fedcba9876543210fedcba9876543210")).await;
    assert_ne!(find("a").await, Some(SECRET.into()), "and so is a new secret");
}

#[tokio::test(start_paused = true)]
async fn an_app_during_an_outage_atk_43() {
    for (max_age, after) in [(MINUTE, None), (Duration::MAX, Some(())), (Duration::ZERO, None)] {
        let moody = Moody::default();
        app(&moody, "a", "two-bttns", ClientSecret::hmac_key(SECRET)).await;
        let keys = AppKeys::new(moody.clone(), "two-bttns", max_age);
        assert!(keys.find("a").await.unwrap().is_some(), "{max_age:?}");
        moody.set_down(true);
        assert_eq!(keys.find("a").await.is_ok(), !max_age.is_zero());
        assert!(keys.find("b").await.is_err(), "not unknown: not known now");
        advance(MINUTE).await;
        assert_eq!(keys.find("a").await.ok().map(drop), after, "{max_age:?}");
        assert!(!format!("{keys:?}").contains(SECRET));
    }
}

// What is published.

fn ring(store: impl KeyStore, clock: &ManualClock) -> KeyRing {
    KeyRing::new("main", Algorithm::ES256, store)
        .with_period(30 * DAY)
        .published_ahead(DAY)
        .with_longest_lifetime(2 * DAY)
        .with_clock(clock.clone())
}

fn kids(answer: &Value) -> Vec<String> {
    answer["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
}

fn published(ring: &KeyRing) -> Vec<String> {
    kids(&serde_json::from_str(&ring.jwks()).unwrap())
}

fn signing(ring: &KeyRing) -> String {
    ring.signer().unwrap().key_id().unwrap().to_owned()
}

fn bare(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::default()).unwrap()
}

#[tokio::test]
async fn the_key_set_is_public_and_nothing_else_m_x_3() {
    let (moody, clock) = (Moody::default(), ManualClock::at(NOW));
    let rsa = KeyRing::new("rsa", Algorithm::RS256, moody.clone());
    let endpoint = JwksEndpoint::new([ring(moody.clone(), &clock), rsa]);
    let got = Answer::of(&endpoint, bare("GET", "/jwks")).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/jwk-set+json")));
    assert_eq!(got.header("cache-control"), Some("public, max-age=600"));
    let set = got.json();
    assert_eq!(kids(&set).len(), 2);
    for key in set["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert_eq!(key.get(private), None, "{private}");
        }
        assert_eq!(key["use"], "sig");
    }
    let head = Answer::of(&endpoint, bare("HEAD", "/jwks")).await;
    assert_eq!((head.status, &head.headers, head.text.as_str()), (200, &got.headers, ""));
    let calls = moody.calls();
    moody.set_down(true);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = Answer::of(&endpoint, bare(method, "/jwks")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!((answer.header("cache-control"), answer.text.as_str()), (None, ""));
    }
    assert_eq!(moody.calls(), calls, "nobody is asked for that");
    let empty = JwksEndpoint::new([ring(moody.clone(), &clock)]);
    let answer = Answer::of(&empty, bare("GET", "/jwks")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "ATK-42: not an empty set");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!answer.text.contains("canary"));
    assert_eq!(Answer::of(&empty, bare("PUT", "/jwks")).await.status, 405);
}

#[tokio::test]
async fn the_metadata_m_8414_2_m_8414_4() {
    let endpoint = MetadataEndpoint::new(ISSUER).unwrap().with("jwks_uri", "https://issuer.example/jwks");
    let got = Answer::of(&endpoint, bare("GET", "/")).await;
    assert_eq!(got.json(), json!({ "issuer": ISSUER, "jwks_uri": "https://issuer.example/jwks" }));
    assert_eq!(
        (got.header("content-type"), got.header("cache-control")),
        (Some("application/json"), Some("public, max-age=600"))
    );
    let head = Answer::of(&endpoint, bare("HEAD", "/")).await;
    assert_eq!((head.status, &head.headers, head.text.as_str()), (200, &got.headers, ""));
    let answer = Answer::of(&endpoint, bare("POST", "/")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    for bad in ["", "issuer", "/", "https://a?b", "https://a#b", "https://a?", "https://a#"] {
        assert!(MetadataEndpoint::new(bad).is_err(), "{bad}");
    }
}

/// An issuer in one service: metadata, keys, tokens.
#[derive(Clone)]
struct Issuer {
    ring: KeyRing,
    clock: ManualClock,
}

impl Issuer {
    fn transport(&self) -> impl tower_bearer::transport::Transport + use<> {
        let keys = JwksEndpoint::new([self.ring.clone()]);
        let metadata =
            MetadataEndpoint::new(ISSUER).unwrap().with("jwks_uri", format!("{ISSUER}/oauth2/jwks"));
        ServiceTransport::new(tower::service_fn(move |request: Request<Body>| {
            let (keys, metadata) = (keys.clone(), metadata.clone());
            async move {
                match request.uri().path() {
                    "/oauth2/jwks" => keys.oneshot(request).await,
                    "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => {
                        metadata.oneshot(request).await
                    }
                    _ => Ok(Response::builder().status(404).body(Body::default()).unwrap()),
                }
            }
        }))
    }

    /// An access token, as the endpoint gives it.
    async fn token(&self, store: &MemoryStore) -> String {
        let mint = Mint::access_tokens(self.ring.clone(), ISSUER, AUDIENCE).with_clock(self.clock.clone());
        let endpoint = TokenEndpoint::new(TokenContract::client_credentials(), mint, store.clone());
        let answer = Answer::of(&endpoint, form("web", &[("grant_type", "client_credentials")])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        text(&answer.json()["access_token"])
    }
}

async fn with_client(store: MemoryStore) -> MemoryStore {
    let secret = ClientSecret::random(&SECRET.into()).unwrap();
    store.put_client(Client::new("web", secret)).await.unwrap();
    store
}

#[tokio::test(start_paused = true)]
async fn our_own_verifiers_read_what_is_published() {
    let (store, clock) = (with_client(MemoryStore::new()).await, ManualClock::at(NOW));
    let issuer = Issuer { ring: ring(store.clone(), &clock), clock: clock.clone() };
    let rules = |keys: tower_bearer::verify::RemoteKeys| {
        let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).access_token_profile();
        rules.with_clock(clock.clone()).build().unwrap()
    };
    let direct = Keys::remote("https://issuer.example/oauth2/jwks", issuer.transport()).unwrap();
    let discovered = Keys::discover(ISSUER, issuer.transport()).unwrap();
    let verifiers = [rules(direct), rules(discovered)];
    let check = async |token: &str| {
        for verifier in &verifiers {
            let verdict = verifier.verify(&Credential::new(Scheme::Bearer, token)).await;
            assert_eq!(verdict.unwrap().subject(), "web");
        }
    };
    let mut used = std::collections::BTreeSet::new();
    // Half a year of rotations, a day at a time: every token is good, at once and until it expires.
    let mut last = None;
    for _ in 0..180 {
        clock.advance(DAY);
        advance(DAY).await;
        let token = issuer.token(&store).await;
        check(&token).await;
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        used.insert(text(&serde_json::from_slice::<Value>(&header).unwrap()["kid"]));
        assert!(published(&issuer.ring).len() <= 3);
        last = Some(token);
    }
    assert!((6..=7).contains(&used.len()), "{}", used.len());
    let stranger = Issuer { ring: ring(MemoryStore::new(), &clock), clock: clock.clone() };
    let forged = stranger.token(&with_client(MemoryStore::new()).await).await;
    for verifier in &verifiers {
        assert!(verifier.verify(&Credential::new(Scheme::Bearer, forged.as_str())).await.is_err());
        assert!(verifier.verify(&Credential::new(Scheme::Bearer, last.as_deref().unwrap())).await.is_ok());
    }
}

// Rings of keys.

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_after() {
    let clock = ManualClock::at(NOW);
    let ring = ring(MemoryStore::new(), &clock);
    assert!(ring.signer().is_err(), "it was not read");
    assert_eq!(ring.jwks(), r#"{"keys":[]}"#);
    let mut seen = Vec::new();
    // Days: 0 made; 29 the next one is published; 30 it signs; 33 and the first is gone.
    for (day, count, signs) in [
        (0, 1, 0),
        (28, 1, 0),
        (29, 2, 0),
        (30, 2, 1),
        (31, 2, 1),
        (32, 2, 1),
        (33, 1, 1),
        (59, 2, 1),
        (60, 2, 2),
    ] {
        clock.set(NOW + day * 86_400);
        ring.refresh().await.unwrap();
        let keys = published(&ring);
        for key in &keys {
            if !seen.contains(key) {
                seen.push(key.clone());
            }
        }
        assert_eq!(keys.len(), count, "day {day}");
        assert_eq!(signing(&ring), seen[signs], "day {day}");
    }
    // A second before its time it does not sign yet, whether anybody refreshes or not.
    clock.set(NOW + 89 * 86_400);
    ring.refresh().await.unwrap();
    clock.set(NOW + 90 * 86_400 - 1);
    assert_eq!(signing(&ring), seen[2]);
    clock.set(NOW + 90 * 86_400);
    assert_ne!(signing(&ring), seen[2]);
}

#[tokio::test]
async fn a_token_of_before_a_rotation_is_good_until_it_expires() {
    let (store, clock) = (MemoryStore::new(), ManualClock::at(NOW));
    let ring = ring(store, &clock);
    ring.refresh().await.unwrap();
    clock.set(NOW + 29 * 86_400);
    ring.refresh().await.unwrap();
    // The last second of the first key, and the longest lifetime.
    clock.set(NOW + 30 * 86_400 - 1);
    let token = AccessToken::new(ISSUER, "alice", "web", AUDIENCE, 2 * DAY);
    let token = ring.signer().unwrap().with_clock(clock.clone()).sign(&token).unwrap();
    let expires = NOW + 32 * 86_400 - 1;
    let verdict = |ring: &KeyRing| {
        let keys = Keys::jwks(ring.jwks().as_bytes()).unwrap();
        let rules = JwtVerifier::builder(keys).issuer(ISSUER).audience(AUDIENCE).with_clock(clock.clone());
        common::verify(&rules.build().unwrap(), token.as_str())
    };
    for now in [NOW + 30 * 86_400, NOW + 31 * 86_400, expires - 1, expires + 29] {
        clock.set(now);
        ring.refresh().await.unwrap();
        assert_eq!(verdict(&ring).unwrap().subject(), "alice", "{}", now - NOW);
    }
    clock.set(expires + 3600);
    ring.refresh().await.unwrap();
    assert!(verdict(&ring).is_err());
}

#[tokio::test]
async fn of_several_rings_on_one_store_one_makes_the_key() {
    let (moody, clock) = (Moody::default(), ManualClock::at(NOW));
    let rings: Vec<_> = (0..8).map(|_| ring(moody.clone(), &clock)).collect();
    for day in [0, 29, 30, 59, 60] {
        clock.set(NOW + day * 86_400);
        for outcome in join_all(rings.iter().map(KeyRing::refresh)).await {
            outcome.unwrap();
        }
        let (first, keys) = (signing(&rings[0]), published(&rings[0]));
        assert!(rings.iter().all(|ring| signing(ring) == first && published(ring) == keys), "day {day}");
        assert!(keys.len() <= 2, "day {day}: {}", keys.len());
    }
    let other = KeyRing::new("other", Algorithm::ES256, moody).with_clock(clock);
    other.refresh().await.unwrap();
    assert_ne!(signing(&other), signing(&rings[0]), "another name is another ring");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_known_sign_while_the_store_is_away_atk_41_atk_43() {
    for hangs in [false, true] {
        let (moody, clock) = (Moody::default(), ManualClock::at(NOW));
        let clients = with_client(MemoryStore::new()).await;
        let issuer = Issuer { ring: ring(moody.clone(), &clock), clock: clock.clone() };
        let first = issuer.token(&clients).await;
        let key = signing(&issuer.ring);
        moody.set_down(!hangs);
        moody.set_hanging(hangs);
        let endpoint = JwksEndpoint::new([issuer.ring.clone()]);
        let (began, before) = (Instant::now(), moody.calls());
        for _ in 0..20 {
            // Due for a look, and for the next key.
            clock.advance(2 * DAY);
            advance(2 * MINUTE).await;
            let asked = Instant::now();
            for _ in 0..20 {
                issuer.token(&clients).await;
                let set = Answer::of(&endpoint, bare("GET", "/jwks")).await;
                assert_eq!((set.status, kids(&set.json())), (200, vec![key.clone()]));
            }
            assert!(asked.elapsed() <= 2 * SECOND, "{hangs}: {:?}", asked.elapsed());
        }
        let calls = moody.calls() - before;
        assert!(calls <= 60, "{calls} calls in {:?}: it is not asked for each request", began.elapsed());
        moody.set_down(false);
        moody.set_hanging(false);
        advance(5 * MINUTE).await;
        issuer.token(&clients).await;
        assert_eq!(published(&issuer.ring).len(), 2, "{hangs}: it makes up for it");
        assert!(!first.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_an_outage_is_a_503_atk_43() {
    let (moody, clock) = (Moody::default(), ManualClock::at(NOW));
    moody.set_down(true);
    let clients = with_client(MemoryStore::new()).await;
    let mint = Mint::access_tokens(ring(moody.clone(), &clock), ISSUER, AUDIENCE);
    let endpoint = TokenEndpoint::new(TokenContract::client_credentials(), mint, clients);
    let request = || form("web", &[("grant_type", "client_credentials")]);
    let answer = Answer::of(&endpoint, request()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(!answer.text.contains("canary"));
    moody.set_down(false);
    assert_eq!(Answer::of(&endpoint, request()).await.status, 200, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_store_of_keys_is_not_asked_for_each_request() {
    let (moody, clock) = (Moody::default(), ManualClock::at(NOW));
    let clients = with_client(MemoryStore::new()).await;
    let issuer = Issuer { ring: ring(moody.clone(), &clock), clock: clock.clone() };
    issuer.token(&clients).await;
    let endpoint = JwksEndpoint::new([issuer.ring.clone()]);
    let before = moody.calls();
    for _ in 0..100 {
        issuer.token(&clients).await;
        Answer::of(&endpoint, bare("GET", "/jwks")).await;
    }
    assert_eq!(moody.calls(), before, "within a second");
    advance(SECOND).await;
    join_all((0..1000).map(|_| Answer::of(&endpoint, bare("GET", "/jwks")))).await;
    assert_eq!(moody.calls(), before + 1);
    issuer.token(&clients).await;
    assert_eq!(moody.calls(), before + 1, "to sign, it looks once a minute");
}

#[tokio::test]
async fn a_clock_that_jumps() {
    let (store, clock) = (MemoryStore::new(), ManualClock::at(NOW));
    let ring = ring(store.clone(), &clock);
    ring.refresh().await.unwrap();
    let first = signing(&ring);
    // Back, before the first key was made: what there is signs, and is published.
    for back in [NOW - 1, NOW - 86_400, 0, -1, i64::MIN] {
        clock.set(back);
        ring.refresh().await.unwrap();
        assert_eq!(signing(&ring), first, "{back}");
        assert!(published(&ring).contains(&first), "{back}");
    }
    clock.set(NOW);
    ring.refresh().await.unwrap();
    assert_eq!(signing(&ring), first);

    assert_eq!(published(&ring), std::slice::from_ref(&first), "a machine that boots in 1970 makes no keys");

    // A day in the far future, seen for a moment: there is a key that signs, and verifiers know it.
    for far in [NOW + 100 * 365 * 86_400, NOW, NOW + 40 * 86_400, i64::MAX, i64::MAX - 1, i64::MIN, 0, NOW] {
        clock.set(far);
        ring.refresh().await.unwrap();
        assert!(published(&ring).contains(&signing(&ring)), "{far}");
    }
}

#[tokio::test]
async fn rules_without_bounds_are_no_panic() {
    let clock = ManualClock::at(NOW);
    for (period, ahead, lifetime) in [
        (Duration::MAX, Duration::MAX, Duration::MAX),
        (DAY, DAY, Duration::MAX),
        (DAY, Duration::ZERO, Duration::ZERO),
        (Duration::MAX, DAY, DAY),
        (DAY, Duration::MAX, DAY),
    ] {
        clock.set(NOW);
        let ring = KeyRing::new("main", Algorithm::ES256, MemoryStore::new())
            .with_period(period)
            .published_ahead(ahead)
            .with_longest_lifetime(lifetime)
            .with_clock(clock.clone());
        for _ in 0..5 {
            ring.refresh().await.unwrap();
            assert!(published(&ring).contains(&signing(&ring)));
            clock.advance(DAY);
        }
    }
}

// All of it together.

#[tokio::test]
async fn a_personal_token_from_its_making_to_its_end() {
    let world = World::new().await;
    let identity = Identity::builder("web").scopes(Scopes::parse("read").unwrap()).build();
    let endpoint = PatEndpoint::new(PatFormat::netbird(), world.store.clone());
    let endpoint = endpoint.with_clock(world.clock.clone());
    let body = json!({ "name": "ci", "expires_in": 1 }).to_string();
    let request = Request::post("/users/web/tokens").extension(identity).body(Body::from(body)).unwrap();
    let made = Answer::of(&endpoint, request).await.json();
    let token = text(&made["plain_token"]);
    assert_eq!(world.introspect(&token).await.json()["jti"], made["personal_access_token"]["id"]);
    assert_eq!(world.revoke("other", &token).await.status, 400);
    assert_eq!(world.revoke("web", &token).await.status, 200);
    assert!(!world.is_active(&token).await);
}

/// The digest under which a token is revoked has no other meaning, and no token has another's.
#[tokio::test]
async fn digests_of_tokens_are_apart() {
    let digest = |token: &str| RevocableVerifier::digest(token).unwrap();
    assert_eq!(digest("h.p.s"), digest("h.p.t"), "a token, not its signature");
    assert_ne!(digest("h.p.s"), digest("h.q.s"));
    assert_ne!(digest("h.p.s"), digest("h.p"));
    let anybody = verify_fn(|_| async { Ok(Identity::builder("alice").build()) });
    let (store, until) = (MemoryStore::new(), UNIX_EPOCH + Duration::from_secs(1));
    RevocationStore::revoke(&store, digest("h.p.s"), until).await.unwrap();
    let verifier = RevocableVerifier::new(anybody, store, Duration::ZERO);
    for (token, good) in
        [("h.p.s", false), ("h.p.", false), ("h.p.x", false), ("h.p.s.s", true), ("h.q.s", true)]
    {
        assert_eq!(ask(&verifier, token).await.is_ok(), good, "{token}");
    }
}
