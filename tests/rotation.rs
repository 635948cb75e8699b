//! Keys from elsewhere: exact counts of fetches, and nobody hurt by an outage or a stranger.

mod common;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, advance};
use tower_bearer::issue::JwtSigner;
use tower_bearer::test_util::{Misbehaviour, MockIssuer, StubTransport};
use tower_bearer::verify::{JwtVerifier, Keys, RemoteKeys, Verify};
use tower_bearer::{Algorithm, Credential, Identity, Rejection, RejectionKind, Scheme};

use common::AUDIENCE;

const NAME: &str = "https://issuer.example";

struct World {
    issuer: MockIssuer,
    keys: RemoteKeys,
    verifier: JwtVerifier,
}

impl World {
    fn new() -> Self {
        Self::with(|keys| keys)
    }

    fn with(change: impl FnOnce(RemoteKeys) -> RemoteKeys) -> Self {
        let issuer = MockIssuer::new(NAME);
        let keys = change(Keys::remote("https://issuer.example/jwks", issuer.transport()).unwrap());
        let verifier = JwtVerifier::builder(keys.clone()).issuer(NAME).audience(AUDIENCE).build().unwrap();
        Self { issuer, keys, verifier }
    }

    /// With its keys fetched.
    async fn warm() -> Self {
        let world = Self::new();
        world.keys.ready().await.unwrap();
        world
    }

    fn token(&self) -> String {
        self.issuer.token("alice", AUDIENCE, "read")
    }

    async fn verify(&self, token: &str) -> Result<Identity, Rejection> {
        self.verifier.verify(&Credential::new(Scheme::Bearer, token)).await
    }

    async fn kind(&self, token: &str) -> Option<RejectionKind> {
        self.verify(token).await.err().map(|rejection| rejection.kind())
    }

    fn fetches(&self) -> usize {
        self.issuer.requests_to("/jwks")
    }
}

/// A token of the right shape whose key nobody has. The signature is never looked at.
fn stranger(key_id: &str) -> String {
    forged(&json!({ "alg": "ES256", "kid": key_id }).to_string())
}

fn forged(header: &str) -> String {
    let payload = json!({ "iss": NAME, "aud": AUDIENCE, "exp": 99_999_999_999_u64 }).to_string();
    format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload), "A".repeat(86))
}

/// Lets background work run without moving time.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_first_requests_are_one_fetch() {
    let world = World::new();
    let token = world.token();
    assert_eq!(world.fetches(), 0, "making it does no I/O");
    let verdicts = join_all((0..1000).map(|_| world.verify(&token))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(world.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_began_the_fetch_may_go_away() {
    let world = World::new();
    let token = world.token();
    let credential = Credential::new(Scheme::Bearer, &*token);
    let mut first = Box::pin(world.verifier.verify(&credential));
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    assert_eq!(world.kind(&token).await, None);
    assert_eq!(world.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cold_outage_is_503_within_the_deadline_atk_43() {
    for misbehaviour in Misbehaviour::ALL {
        let world = World::new();
        let token = world.token();
        world.issuer.misbehave(misbehaviour);
        let before = Instant::now();
        let rejections = join_all((0..100).map(|_| world.verify(&token))).await;
        assert!(before.elapsed() <= Duration::from_secs(3), "{misbehaviour:?}");
        for rejection in rejections {
            let rejection = rejection.unwrap_err();
            assert_eq!(rejection.kind(), RejectionKind::Unavailable, "{misbehaviour:?}");
            assert!(rejection.retry_after().is_some_and(|after| !after.is_zero()));
        }
        assert_eq!(world.fetches(), 1, "{misbehaviour:?}");
        assert_eq!(world.kind(&token).await, Some(RejectionKind::Unavailable));
        assert_eq!(world.fetches(), 1, "no other before the backoff is over");
        assert!(world.keys.health().last_error().is_some());

        world.issuer.behave();
        advance(Duration::from_secs(1)).await;
        assert_eq!(world.kind(&token).await, None, "{misbehaviour:?}");
        assert_eq!(world.keys.health().last_error(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_from_one_second_to_sixty() {
    let world = World::new();
    let token = world.token();
    world.issuer.misbehave(Misbehaviour::ServerError);
    for (index, backoff) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        assert_eq!(world.kind(&token).await, Some(RejectionKind::Unavailable));
        assert_eq!(world.fetches(), index + 1);
        advance(Duration::from_secs(backoff) - Duration::from_millis(1)).await;
        assert_eq!(world.verify(&token).await.unwrap_err().retry_after(), Some(Duration::from_millis(1)));
        assert_eq!(world.fetches(), index + 1, "still {backoff} s");
        advance(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn known_keys_never_wait_for_a_provider_atk_41() {
    for misbehaviour in Misbehaviour::ALL {
        let world = World::warm().await;
        let token = world.token();
        world.issuer.misbehave(misbehaviour);
        let before = Instant::now();
        // Past the refresh, past the lifetime, and in the middle of whatever hangs.
        for _ in 0..60 {
            let credential = Credential::new(Scheme::Bearer, &*token);
            let verdict = world.verifier.verify(&credential).try_now().expect("no waiting");
            assert!(verdict.is_ok(), "{misbehaviour:?}");
            advance(Duration::from_secs(60)).await;
            settle().await;
        }
        assert_eq!(before.elapsed(), Duration::from_secs(3600), "no request moved time");
        let health = world.keys.health();
        assert!(health.last_known_good() && health.last_error().is_some(), "{misbehaviour:?} {health:?}");
        assert_eq!(health.generation(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_in_the_background_and_ahead() {
    let world = World::warm().await;
    let token = world.token();
    // 80 % of ten minutes, more or less a tenth.
    advance(Duration::from_secs(431)).await;
    assert_eq!(world.kind(&token).await, None);
    settle().await;
    assert_eq!(world.fetches(), 1);
    advance(Duration::from_secs(529 - 431)).await;
    for _ in 0..100 {
        let credential = Credential::new(Scheme::Bearer, &*token);
        assert!(world.verifier.verify(&credential).try_now().expect("no waiting").is_ok());
    }
    settle().await;
    assert_eq!(world.fetches(), 2);
    assert_eq!(world.keys.health().generation(), 1, "the provider said that nothing changed");
    assert!(world.keys.health().age().unwrap() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_providers_lifetime_is_honoured_within_bounds() {
    for (control, first_refresh_after) in [("max-age=1", 43), ("max-age=3600", 2591), ("no-store", 43)] {
        let world = World::new();
        world.issuer.set_cache_control(control);
        let token = world.token();
        assert_eq!(world.kind(&token).await, None);
        advance(Duration::from_secs(first_refresh_after)).await;
        assert_eq!(world.kind(&token).await, None);
        settle().await;
        assert_eq!(world.fetches(), 1, "{control}");
        advance(Duration::from_secs(first_refresh_after / 4)).await;
        assert_eq!(world.kind(&token).await, None);
        settle().await;
        assert_eq!(world.fetches(), 2, "{control}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_at_once_and_a_removed_one_is_gone_atk_39() {
    let world = World::warm().await;
    let old = world.token();
    world.issuer.rotate();
    let new = world.token();
    let verdicts =
        join_all((0..1000).map(|index| world.verify(if index % 2 == 0 { &new } else { &old }))).await;
    assert!(verdicts.iter().all(Result::is_ok), "not one wrong 401");
    assert_eq!(world.fetches(), 2);
    assert_eq!(world.keys.health().generation(), 2);

    world.issuer.retire_old_keys();
    assert_eq!(world.kind(&old).await, None, "until the set is refreshed");
    advance(Duration::from_secs(600)).await;
    assert_eq!(world.kind(&old).await, None);
    settle().await;
    assert_eq!(world.kind(&old).await, Some(RejectionKind::InvalidToken));
    assert_eq!(world.kind(&new).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_strangers_are_one_fetch_for_each_window_atk_40_m_x_4() {
    for (misbehaviour, first) in [
        (None, RejectionKind::InvalidToken),
        (Some(Misbehaviour::ServerError), RejectionKind::Unavailable),
        (Some(Misbehaviour::HangBeforeHeaders), RejectionKind::Unavailable),
    ] {
        let world = World::warm().await;
        let good = world.token();
        if let Some(misbehaviour) = misbehaviour {
            world.issuer.misbehave(misbehaviour);
        }
        for window in 0..5 {
            assert_eq!(
                world.kind(&stranger(&format!("first-{window}"))).await,
                Some(first),
                "{misbehaviour:?}"
            );
            settle().await;
            for index in 0..20_000 {
                let refused = world
                    .verifier
                    .verify(&Credential::new(Scheme::Bearer, stranger(&format!("{window}-{index}"))));
                let refused = refused.try_now().expect("no waiting within the cooldown").unwrap_err();
                assert_eq!(refused.kind(), first);
                if index % 1000 == 0 {
                    let credential = Credential::new(Scheme::Bearer, &*good);
                    assert!(world.verifier.verify(&credential).try_now().expect("no waiting").is_ok());
                }
            }
            assert!(world.fetches() <= 1 + window + 1, "{misbehaviour:?}: {} fetches", world.fetches());
            advance(Duration::from_secs(10)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_waits_for_one_fetch_and_then_not() {
    let world = World::warm().await;
    assert_eq!(world.kind(&stranger("a")).await, Some(RejectionKind::InvalidToken));
    assert_eq!(world.fetches(), 2);
    world.issuer.rotate();
    let new = world.token();
    assert_eq!(world.kind(&new).await, Some(RejectionKind::InvalidToken), "within the cooldown");
    assert_eq!(world.fetches(), 2);
    advance(Duration::from_secs(10)).await;
    assert_eq!(world.kind(&new).await, None);
    assert_eq!(world.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_fetch_starts_no_cooldown() {
    let world = World::new();
    assert_eq!(world.kind(&stranger("a")).await, Some(RejectionKind::InvalidToken));
    assert_eq!(world.fetches(), 1, "the first fetch is newer than the token");
    world.issuer.rotate();
    assert_eq!(world.kind(&world.token()).await, None);
    assert_eq!(world.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_for_what_no_fetch_could_help() {
    let world = World::warm().await;
    let hmac = forged(r#"{"alg":"HS256","kid":"x"}"#);
    let jku = forged(r#"{"alg":"EdDSA","jku":"https://evil.example/jwks"}"#);
    let elsewhere = MockIssuer::new("https://other.example").token("alice", AUDIENCE, "read");
    for token in [hmac, jku, elsewhere, "a.b.c".to_owned()] {
        assert_eq!(world.kind(&token).await, Some(RejectionKind::InvalidToken));
    }
    assert_eq!(world.issuer.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn last_known_good_has_an_end_atk_44() {
    let world = World::with(|keys| keys.with_last_known_good(Duration::from_secs(3600)));
    let token = world.token();
    assert_eq!(world.kind(&token).await, None);
    world.issuer.misbehave(Misbehaviour::ServerError);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(world.kind(&token).await, None);
    settle().await;
    advance(Duration::from_secs(61)).await;
    assert_eq!(world.kind(&token).await, Some(RejectionKind::Unavailable));
    world.issuer.behave();
    advance(Duration::from_secs(61)).await;
    assert_eq!(world.kind(&token).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_bad_set_never_replaces_a_good_one_atk_42() {
    use std::sync::{Arc, Mutex};
    let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
    let good = signer.jwks();
    let document = Arc::new(Mutex::new((200, "application/json", good.clone())));
    let served = document.clone();
    let transport = StubTransport::new(move |_| {
        let (status, content_type, body) = served.lock().unwrap().clone();
        let response = http::Response::builder().status(status).header("content-type", content_type);
        Ok(response.body(body.into()).unwrap())
    });
    let keys = Keys::remote("https://issuer.example/jwks", transport).unwrap();
    let verifier =
        JwtVerifier::builder(keys.clone()).issuer(common::ISSUER).audience(AUDIENCE).build().unwrap();
    let mut claims = common::good_claims();
    claims["exp"] = json!(99_999_999_999_u64);
    let token = signer.sign_claims("JWT", &claims).unwrap();
    keys.ready().await.unwrap();

    let weak = r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;
    let secret = r#"{"keys":[{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#;
    let many = format!("{{\"keys\":[{}]}}", vec![r#"{"kty":"x"}"#; 101].join(","));
    for bad in [
        (200, "application/json", "{}".to_owned()),
        (200, "application/json", r#"{"keys":[]}"#.to_owned()),
        (200, "application/json", r#"{"keys":{}}"#.to_owned()),
        (200, "application/json", r#"{"keys":[{"kty":"XYZ"}]}"#.to_owned()),
        (200, "application/json", weak.to_owned()),
        (200, "application/json", secret.to_owned()),
        (200, "application/json", many),
        (200, "application/json", good[..good.len() / 2].to_owned()),
        (200, "application/json", String::new()),
        (200, "text/html", good.clone()),
        (200, "", good.clone()),
        (500, "application/json", good.clone()),
        (204, "application/json", good.clone()),
        (304, "application/json", String::new()),
        (200, "application/json", " ".repeat(256 * 1024) + &good),
    ] {
        *document.lock().unwrap() = bad.clone();
        advance(Duration::from_secs(660)).await;
        let verdict = verifier.verify(&Credential::new(Scheme::Bearer, &*token)).await;
        assert!(verdict.is_ok(), "{bad:?}");
        settle().await;
        assert!(keys.health().last_error().is_some(), "{bad:?}");
        assert_eq!((keys.health().generation(), keys.health().keys()), (1, 1), "{bad:?}");
    }

    let another = JwtSigner::generate(Algorithm::ES384).unwrap().jwks();
    let mixed = format!(
        r#"{{"keys":[{{"kty":"RSA","n":"AQAB","e":"AQAB"}},{{"kty":"XYZ"}},7,{},{}]}}"#,
        &good[9..good.len() - 2],
        &another[9..another.len() - 2]
    );
    let mixed = mixed.replacen(']', r#",{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]"#, 1);
    *document.lock().unwrap() = (200, "application/jwk-set+json; charset=utf-8", mixed);
    advance(Duration::from_secs(660)).await;
    assert!(verifier.verify(&Credential::new(Scheme::Bearer, &*token)).await.is_ok());
    settle().await;
    let health = keys.health();
    assert_eq!((health.generation(), health.keys(), health.last_error()), (2, 2, None));
}

#[tokio::test(start_paused = true)]
async fn discovery_is_strict_and_pinned_atk_61_m_8414_2_m_8414_3() {
    let issuer = MockIssuer::new(NAME);
    let keys = Keys::discover(NAME, issuer.transport()).unwrap();
    assert_eq!(issuer.requests(), 0);
    keys.ready().await.unwrap();
    assert_eq!((issuer.requests_to("/openid-configuration"), issuer.requests_to("/jwks")), (1, 1));
    let verifier = JwtVerifier::builder(keys).issuer(NAME).audience(AUDIENCE).build().unwrap();
    let token = issuer.token("alice", AUDIENCE, "read");
    advance(Duration::from_secs(660)).await;
    assert!(verifier.verify(&Credential::new(Scheme::Bearer, &*token)).await.is_ok());
    settle().await;
    assert_eq!((issuer.requests_to("/openid-configuration"), issuer.requests_to("/jwks")), (1, 2));

    let document = |issuer: &str, jwks_uri: &str| {
        let body = json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string();
        let transport = StubTransport::new(move |_| {
            Ok(http::Response::builder()
                .header("content-type", "application/json")
                .body(body.clone().into())
                .unwrap())
        });
        Keys::discover(NAME, transport).unwrap()
    };
    for (issuer, jwks_uri, reason) in [
        ("https://issuer.example/", "https://issuer.example/jwks", "another issuer"),
        ("https://ISSUER.example", "https://issuer.example/jwks", "another issuer"),
        (NAME, "http://issuer.example/jwks", "no URL to use"),
        (NAME, "http://127.0.0.1/jwks", "no URL to use"),
        (NAME, "https://user@issuer.example/jwks", "no URL to use"),
        (NAME, "/jwks", "no URL to use"),
    ] {
        let keys = document(issuer, jwks_uri);
        assert!(keys.ready().await.is_err());
        let health = keys.health();
        assert!(
            health.last_error().is_some_and(|error| error.contains(reason)),
            "{issuer} {jwks_uri} {health:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_place_is_asked_only_if_the_first_has_nothing() {
    let signer = JwtSigner::generate(Algorithm::ES256).unwrap();
    let jwks = signer.jwks();
    let answer = move |request: http::Request<bytes::Bytes>| {
        let json = |status, body: String| {
            Ok(http::Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .body(body.into())
                .unwrap())
        };
        match request.uri().path() {
            "/.well-known/oauth-authorization-server/tenant" => {
                json(200, json!({ "issuer": "https://issuer.example/tenant", "jwks_uri": "https://issuer.example/keys" }).to_string())
            }
            "/keys" => json(200, jwks.clone()),
            _ => json(404, "{}".to_owned()),
        }
    };
    let transport = StubTransport::new(answer);
    Keys::discover("https://issuer.example/tenant", transport.clone()).unwrap().ready().await.unwrap();
    assert_eq!(transport.requests(), 3);

    let down =
        StubTransport::new(|_| Ok(http::Response::builder().status(503).body(bytes::Bytes::new()).unwrap()));
    assert!(Keys::discover(NAME, down.clone()).unwrap().ready().await.is_err());
    assert_eq!(down.requests(), 1);
}

/// A saved set, and new keys from where it came, which says nothing any more.
async fn saved_and_silent() -> (World, bytes::Bytes, RemoteKeys) {
    let first = World::warm().await;
    let saved = first.keys.snapshot().unwrap();
    first.issuer.misbehave(Misbehaviour::HangBeforeHeaders);
    let keys = Keys::remote("https://issuer.example/jwks", first.issuer.transport()).unwrap();
    (first, saved, keys)
}

#[tokio::test(start_paused = true)]
async fn a_saved_set_starts_warm() {
    let (first, saved, keys) = saved_and_silent().await;
    let keys = keys.with_snapshot(&saved).unwrap();
    let verifier = JwtVerifier::builder(keys.clone()).issuer(NAME).audience(AUDIENCE).build().unwrap();
    let token = first.token();
    let credential = Credential::new(Scheme::Bearer, &*token);
    assert!(verifier.verify(&credential).try_now().expect("no waiting").is_ok());
    advance(Duration::from_millis(1)).await;
    assert!(keys.health().last_known_good());
    first.issuer.behave();
    advance(Duration::from_secs(3)).await;
    settle().await;
    advance(Duration::from_secs(1)).await;
    assert!(verifier.verify(&credential).await.is_ok());
    settle().await;
    assert!(!keys.health().last_known_good(), "{:?}", keys.health());

    let fresh = || Keys::remote("https://issuer.example/jwks", first.issuer.transport()).unwrap();
    assert!(fresh().with_snapshot(b"{}").is_err());
    assert_eq!(fresh().snapshot(), None);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_leaves_a_set_that_was_put_there_meanwhile() {
    let (_first, saved, keys) = saved_and_silent().await;
    let waiting = tokio::spawn({
        let keys = keys.clone();
        async move { keys.ready().await }
    });
    settle().await;
    let keys = keys.with_snapshot(&saved).unwrap();
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(keys.snapshot(), Some(saved));
}

#[test]
fn making_one_needs_no_runtime_and_a_request_without_one_is_an_outage() {
    let issuer = MockIssuer::new(NAME);
    let keys = Keys::remote("https://issuer.example/jwks", issuer.transport()).unwrap();
    let verifier = JwtVerifier::builder(keys).issuer(NAME).audience(AUDIENCE).build().unwrap();
    let token = issuer.token("alice", AUDIENCE, "read");
    let verdict = verifier.verify(&Credential::new(Scheme::Bearer, token)).try_now();
    let waiting = verdict.expect_err("it has to wait");
    let verdict =
        futures_util::future::FutureExt::now_or_never(waiting).expect("there is nothing to wait on");
    assert_eq!(verdict.unwrap_err().kind(), RejectionKind::Unavailable);
}

#[test]
fn rsa_algorithms_are_rsas() {
    let keys =
        || Keys::remote("https://issuer.example/jwks", StubTransport::new(|_| Err("down".into()))).unwrap();
    assert!(keys().with_rsa_algorithms([Algorithm::RS256, Algorithm::PS256]).is_ok());
    assert!(keys().with_rsa_algorithms([Algorithm::ES256]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_moved_is_found_again_and_its_tag_stays_behind() {
    use std::sync::{Arc, Mutex};
    let signers = [(); 2].map(|()| JwtSigner::generate(Algorithm::ES256).unwrap());
    let [old, new] = signers.each_ref().map(JwtSigner::jwks);
    let moved = Arc::new(Mutex::new(false));
    let tags = Arc::new(Mutex::new(Vec::new()));
    let (has_moved, seen) = (moved.clone(), tags.clone());
    let transport = StubTransport::new(move |request| {
        let moved = *has_moved.lock().unwrap();
        let path = request.uri().path().to_owned();
        if path.starts_with("/keys") {
            let tag = request.headers().get("if-none-match").map(|tag| tag.to_str().unwrap().to_owned());
            seen.lock().unwrap().push((path.clone(), tag));
        }
        let name = if moved { "new" } else { "old" };
        let metadata = json!({ "issuer": NAME, "jwks_uri": format!("https://issuer.example/keys/{name}") });
        let (status, body) = match path.as_str() {
            "/keys/old" if moved => (301, String::new()),
            "/keys/old" => (200, old.clone()),
            "/keys/new" => (200, new.clone()),
            _ => (200, metadata.to_string()),
        };
        let response = http::Response::builder().status(status).header("content-type", "application/json");
        Ok(response.header("etag", "\"1\"").body(body.into()).unwrap())
    });
    let keys = Keys::discover(NAME, transport).unwrap();
    let verifier = JwtVerifier::builder(keys.clone()).issuer(NAME).audience(AUDIENCE).build().unwrap();
    keys.ready().await.unwrap();
    *moved.lock().unwrap() = true;
    let claims = json!({ "iss": NAME, "aud": AUDIENCE, "sub": "alice", "exp": 99_999_999_999_u64 });
    let token = signers[1].sign_claims("JWT", &claims).unwrap();
    let credential = Credential::new(Scheme::Bearer, token);
    assert_eq!(verifier.verify(&credential).await.unwrap_err().kind(), RejectionKind::Unavailable);
    advance(Duration::from_secs(10)).await;
    assert_eq!(verifier.verify(&credential).await.unwrap().subject(), "alice");
    assert_eq!(
        *tags.lock().unwrap(),
        [
            ("/keys/old".to_owned(), None),
            ("/keys/old".to_owned(), Some("\"1\"".to_owned())),
            ("/keys/new".to_owned(), None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_within_its_lifetime_is_used_whatever_may_come_after() {
    let world = World::with(|keys| keys.with_last_known_good(Duration::from_secs(1)));
    let token = world.token();
    assert_eq!(world.kind(&token).await, None);
    world.issuer.misbehave(Misbehaviour::HangBeforeHeaders);
    advance(Duration::from_secs(300)).await;
    let credential = Credential::new(Scheme::Bearer, &*token);
    assert!(world.verifier.verify(&credential).try_now().expect("no waiting").is_ok());
    advance(Duration::from_secs(301)).await;
    assert_eq!(world.kind(&token).await, Some(RejectionKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_fetch_an_unknown_key_is_an_outage_atk_43() {
    let world = World::warm().await;
    world.issuer.rotate();
    let new = world.token();
    world.issuer.misbehave(Misbehaviour::ServerError);
    assert_eq!(world.kind(&new).await, Some(RejectionKind::Unavailable));
    world.issuer.behave();
    advance(Duration::from_secs(4)).await;
    let waiting = world.verify(&new).await.unwrap_err();
    assert_eq!(waiting.kind(), RejectionKind::Unavailable);
    assert_eq!(waiting.retry_after(), Some(Duration::from_secs(6)));
    advance(Duration::from_secs(6)).await;
    assert_eq!(world.kind(&new).await, None);
    assert_eq!(world.fetches(), 3);
}

/// On several threads a fetch lands between one look at the set and the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wrong_401_while_a_fetch_lands() {
    for _ in 0..100 {
        let world = World::warm().await;
        world.issuer.rotate();
        let token = world.token();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (verifier, token) = (world.verifier.clone(), token.clone());
                tokio::spawn(async move { verifier.verify(&Credential::new(Scheme::Bearer, token)).await })
            })
            .collect();
        for verdict in join_all(tasks).await {
            assert!(verdict.unwrap().is_ok());
        }
        assert_eq!(world.fetches(), 2);
    }
}
